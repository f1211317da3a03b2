"use strict";
// Pages are whole without this script. With it, marks tell their numbers to pointer and keys, tables sort and are searched.
(() => {
  const tip = document.getElementById("tip");
  const show = (mark) => {
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const at = mark.getBoundingClientRect(), box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 8);
    const above = at.top - box.height - 8;
    tip.style.left = left + "px";
    tip.style.top = (above > 8 ? above : at.bottom + 8) + "px";
    mark.classList.add("on");
  };
  const hide = (mark) => { tip.hidden = true; if (mark) mark.classList.remove("on"); };
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

  for (const figure of document.querySelectorAll(".chart")) {
    const marks = [...figure.querySelectorAll("[role=graphics-symbol][aria-label]")]
      .filter((m) => !/axis|legend|title|header/.test(m.getAttribute("aria-roledescription") || ""));
    if (!marks.length) continue;
    marks[0].setAttribute("tabindex", "0");
    const index = new Map(marks.map((m, i) => [m, i]));
    const markOf = (event) => event.target.closest && event.target.closest("[role=graphics-symbol][aria-label]");
    figure.addEventListener("pointerover", (e) => { const m = markOf(e); if (index.has(m)) show(m); });
    figure.addEventListener("pointerout", (e) => hide(markOf(e)));
    figure.addEventListener("focusin", (e) => { const m = markOf(e); if (index.has(m)) show(m); });
    figure.addEventListener("focusout", (e) => hide(markOf(e)));
    figure.addEventListener("keydown", (e) => {
      const here = index.get(e.target);
      if (here === undefined) return;
      if (e.key === "Escape") return hide(e.target);
      let next;
      if (e.key in steps) next = here + steps[e.key];
      else if (e.key === "Home") next = 0;
      else if (e.key === "End") next = marks.length - 1;
      else return;
      e.preventDefault();
      next = Math.min(Math.max(next, 0), marks.length - 1);
      e.target.setAttribute("tabindex", "-1");
      marks[next].setAttribute("tabindex", "0");
      marks[next].focus();
    });
  }

  const key = (cell) => {
    const raw = cell.dataset.key ?? cell.textContent.trim();
    const number = Number(raw);
    return raw === "" || raw === "\u2013" ? null : Number.isNaN(number) ? raw : number;
  };
  const compare = (a, b) => a === null ? 1 : b === null ? -1
    : typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  for (const table of document.querySelectorAll("main table")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") === "descending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
        rows.sort(([a], [b]) => a === null || b === null ? compare(a, b) : up ? compare(a, b) : compare(b, a));
        body.append(...rows.map(([, row]) => row));
      });
    });
    if (table.dataset.search !== undefined) searchBox(table.parentElement, [...body.rows], "Search the rows");
  }

  function searchBox(before, items, name) {
    const box = document.createElement("div"), label = document.createElement("label");
    const input = document.createElement("input"), said = document.createElement("output");
    box.className = "search";
    input.type = "search";
    label.append(name + " ", input);
    box.append(label, said);
    before.before(box);
    const texts = items.map((item) => item.textContent.toLowerCase());
    const search = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      items.forEach((item, i) => {
        const found = words.every((w) => texts[i].includes(w));
        if (item.hidden === found) item.hidden = !found;
        n += found;
      });
      said.textContent = words.length ? `${n.toLocaleString("en")} of ${items.length.toLocaleString("en")}` : "";
    };
    let waiting;
    input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
    return { input, search };
  }

  const block = document.getElementById("clips-data");
  if (block) browse(JSON.parse(block.textContent));

  function browse(data) {
    const list = document.querySelector(".clips");
    const items = [...list.children];
    const { input, search } = searchBox(list, items, "Search the clips");
    for (const item of items) {
      const button = document.createElement("button");
      button.textContent = "Rose of dimensions";
      button.setAttribute("aria-expanded", "false");
      item.append(button);
    }
    list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) button.nextElementSibling.remove();
      else button.after(rose(data, Number(button.parentElement.dataset.row)));
    });
    const shown = () => { // a link to a clip that the search has hidden
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (target && target.hidden) { input.value = ""; search(); target.scrollIntoView(); }
    };
    addEventListener("hashchange", shown);
    const map = document.getElementById("clip-map");
    if (map) {
      const marks = [...map.querySelectorAll("[role=graphics-symbol][aria-roledescription=point]")];
      const go = (mark) => { const i = marks.indexOf(mark); if (i >= 0) location.hash = items[i].id; };
      map.addEventListener("click", (e) => go(e.target.closest("[role=graphics-symbol]")));
      map.addEventListener("keydown", (e) => { if (e.key === "Enter") go(e.target); });
    }
  }

  function rose(data, row) {
    const NS = "http://www.w3.org/2000/svg", weights = data.weights[row], n = weights.length, width = 640, height = 340, cx = width / 2, cy = height / 2;
    const make = (name, attributes) => {
      const element = document.createElementNS(NS, name);
      for (const [k, v] of Object.entries(attributes)) element.setAttribute(k, v);
      return element;
    };
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    figure.className = "rose";
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, width, role: "img" });
    const reach = 140;
    for (const share of [0.5, 1]) svg.append(make("circle", { cx, cy, r: reach * Math.sqrt(share), fill: "none", stroke: "#d8dee4" }));
    const said = [];
    weights.forEach((weight, d) => {
      const share = Math.max(0, weight) / (data.largest[d] || 1), r = reach * Math.sqrt(Math.min(share, 1));
      const from = 2 * Math.PI * d / n - Math.PI / 2, to = 2 * Math.PI * (d + 1) / n - Math.PI / 2;
      const point = (angle, radius) => `${(cx + radius * Math.cos(angle)).toFixed(1)} ${(cy + radius * Math.sin(angle)).toFixed(1)}`;
      if (r > 0.5) {
        svg.append(make("path", { d: `M${cx} ${cy}L${point(from, r)}A${r} ${r} 0 0 1 ${point(to, r)}Z`, fill: "#0b5cad", "fill-opacity": 0.8, stroke: "#fff" }));
      }
      if (share < 0.15) return;
      const angle = (from + to) / 2, x = cx + (reach + 10) * Math.cos(angle), y = cy + (reach + 10) * Math.sin(angle);
      const text = make("text", { x, y, "font-size": 12, fill: "#1b1f24", "dominant-baseline": "middle",
        "text-anchor": Math.cos(angle) > 0.15 ? "start" : Math.cos(angle) < -0.15 ? "end" : "middle" });
      const label = data.labels[d];
      text.textContent = label.length > 27 ? label.slice(0, 26) + "\u2026" : label;
      svg.append(text);
      said.push(`${label} ${Math.round(100 * share)} %`);
    });
    svg.setAttribute("aria-label", "Weights as shares of each dimension's largest: " + (said.join(", ") || "none above 15 %"));
    caption.textContent = "One petal a dimension, clockwise from the top in order of share; its area is the clip's weight as a share of the dimension's largest (outer ring: 100 %, inner ring: 50 %). Names from 15 % on.";
    figure.append(svg, caption);
    return figure;
  }
})();
