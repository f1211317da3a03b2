"""One page a judge: does the place matter, does it agree with itself, what did it not answer, did it change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from affectlake.judge_measures import Measures
from affectlake.judge_panel import NEAR_TIE
from affectlake.report.blocks import Cell, Figure, Section, Table, Text, cell, sections
from affectlake.report.charts import BLUE, INK, ORANGE, svg
from affectlake.report.numbers import ABSENT, coefficient, count, interval, percent, plural, probability
from affectlake.report.results import Results

if TYPE_CHECKING:
    from affectlake.quality import Estimate

PLACES = ("first", "second", "third")
_WORST = 25
"""Clips that are listed: those with the highest rates."""


def page_of(model: str) -> str:
    """The file of a judge's page."""
    return f"judge-{model}.html"


def lead(found: Measures) -> str:
    """What a reader must know first."""
    return " ".join(found.alarms) or "Nothing about this judge asks for attention."


def facts(found: Measures) -> list[tuple[str, str]]:
    """Its numbers in brief."""
    shown = [
        ("answers", count(found.n_answers)),
        ("given up", count(found.n_given_up)),
        ("clips", count(found.n_clips)),
    ]
    if found.agreement and found.agreement.consistency:
        shown.append(("consistency", percent(found.agreement.consistency.value)))
    if found.ceiling:
        shown.append(("noise ceiling", percent(found.ceiling.value)))
    if found.totals["cost_usd"] is not None:
        shown.append(("US dollars", f"{found.totals['cost_usd']:,.2f}"))
    return shown


def of(results: Results, found: Measures) -> list[Section]:
    """Everything that is shown of one judge."""
    return sections(
        (_places(found), _agreement(found), _sure(found), _unanswered(results, found), _drift(found), _usage(found))
    )


def overview(results: Results) -> Section | None:
    """Every judge in a line."""
    if not results.judges:
        return None
    body = []
    for m in results.judges:
        a = m.agreement
        farthest = max(m.places.shares, key=lambda e: abs(e.value - 1 / 3)) if m.places else None
        body.append(
            [
                cell(m.model, None, page_of(m.model)),
                cell(count(m.n_answers), m.n_answers),
                _percent(farthest),
                cell(probability(m.places.p if m.places else None), m.places.p if m.places else None),
                _percent(a.repeatability if a else None),
                _percent(a.consistency if a else None),
                _percent(m.ceiling),
                cell(count(m.n_given_up), m.n_given_up),
                cell(len(m.alarms) or "none", len(m.alarms)),
            ]
        )
    table = Table(
        "The judges. Farthest place: share of random orders in which the place that differs most from a third was "
        "called odd, and p of the test that all are equal. Repeatability: the same question in the same order, again. "
        "Consistency: the same question in another order. Ceiling: share of the most frequent answer to a question "
        "that was repeated in random orders. A judge that samples nothing repeats itself for nothing.",
        (
            "judge", "#answers", "#farthest place", "#p", "#repeatability", "#consistency", "#ceiling", "#given up",
            "#alarms",
        ),
        body,
    )  # fmt: skip
    return Section("judges", "Can the judges be relied on?", [table])


def _percent(found: Estimate | None) -> Cell:
    return cell(ABSENT) if found is None else cell(percent(found.value), found.value)


def _places(found: Measures) -> Section | None:
    if found.places is None:
        return None
    shares = found.places.shares
    n = sum(found.places.counts)
    rows = [
        (f"shown {name}", e, f"{k:,} of {n:,}") for name, e, k in zip(PLACES, shares, found.places.counts, strict=True)
    ]
    figure = _dots(
        "place-shares",
        "Share of answers that call the clip at each place odd",
        rows,
        "share called odd",
        reference=(1 / 3, "one third"),
        caption="Answers to questions whose order was drawn at random; bars are Wilson's 95 % intervals. A judge that "
        "looks at the clips alone calls each place odd in a third of them, whatever the clips are: "
        f"\u03c7\u00b2(2) = {coefficient(found.places.chi2)}, n = {n:,}, p {_p(found.places.p)}.",
    )
    blocks: list[Any] = [figure]
    if found.bias is not None:
        blocks += [
            Text(
                "What the place adds to the log odds of being called odd, whatever the judge thinks of the clips: from "
                f"the panel's {plural(found.bias.n_pairs, 'pair')} of answers that changed with the order. Intervals "
                "are over questions."
            ),
            Table(
                "Preference for places",
                ("place", "#log odds [95 % CI]"),
                [
                    [cell(f"shown {name}"), cell(interval(e.value, e.low, e.high), e.value)]
                    for name, e in zip(PLACES, found.bias.logits, strict=True)
                ],
            ),
        ]
    return Section("places", "Does the place matter?", blocks)


def _p(value: float) -> str:
    text = probability(value)
    return text if text.startswith("<") else f"= {text}"


def _agreement(found: Measures) -> Section | None:
    a = found.agreement
    rows = [
        (name, e, note)
        for name, e, note in (
            ("same order, asked again", a.repeatability if a else None, "repeatability"),
            ("another order", a.consistency if a else None, "consistency"),
            ("all answers the same", a.unanimous if a else None, "share of questions"),
            ("noise ceiling", found.ceiling, "most frequent answer"),
        )
        if e is not None
    ]
    if not rows:
        return None
    figure = _dots(
        "self-agreement",
        "How the judge agrees with itself",
        rows,
        "share",
        caption="Three different things. Repeatability: two answers to the same question in the same order agree. A "
        "judge that samples nothing (temperature 0) has it for nothing; it is no reliability. Consistency: two answers "
        "to the same question in different orders agree; what it lacks of repeatability is the work of the order. The "
        "noise ceiling is the share of the most frequent answer to a question repeated in random orders: the highest "
        "accuracy that a space can be expected to reach. Guessing agrees in a third of the pairs. Bars are 95 % "
        "intervals over questions" + (f" (n = {a.n:,} in the panel)." if a else "."),
    )
    return Section("agreement", "Does it agree with itself?", [figure])


def _sure(found: Measures) -> Section | None:
    if not found.n_soft:
        return None
    text = (
        f"{plural(found.n_soft, 'answer')} came with probabilities; in {percent(found.near_ties / found.n_soft)} of "
        f"them ({found.near_ties:,}) the two largest differ by less than {NEAR_TIE}: nearly a tie, which the label "
        "alone hides."
    )
    return Section("sure", "How sure is it?", [Text(text)])


def _unanswered(results: Results, found: Measures) -> Section:
    if found.reasons.is_empty():
        return Section("unanswered", "What did it not answer?", [Text("Every answer was accepted.")])
    body = [
        [
            cell(r["reason"]),
            cell(count(r["n"]), r["n"]),
            cell(count(r["given_up"]), r["given_up"]),
            cell("; ".join(_short(text) for text in r["raw"])),
        ]
        for r in found.reasons.iter_rows(named=True)
    ]
    reasons = Table(
        "Answers that were not accepted, as they came. None of them is a label.",
        ("reason", "#answers", "#questions given up", "such as"),
        body,
    )
    return Section("unanswered", "What did it not answer?", [reasons, *_clips(results, found)])


def _clips(results: Results, found: Measures) -> list[Any]:
    rates = found.clips.filter((pl.col("n_refused") > 0) | (pl.col("n_invalid") > 0))
    if rates.is_empty():
        return []
    named = rates.join(results.table("videos").select("item", "video_id"), on="item")
    out = pl.col("refused_stands_out") | pl.col("invalid_stands_out")
    worst = named.with_columns(alarm=out, most=pl.max_horizontal("refused", "invalid")).sort(
        ["alarm", "most", "video_id"], descending=[True, True, False]
    )
    texts = results.captions if results.facts.show != "ids" else {}
    body = [
        [
            cell(r["video_id"]),
            cell(count(r["n"]), r["n"]),
            cell(f"{percent(r['refused'])} ({r['n_refused']:,})", r["refused"]),
            cell(f"{percent(r['invalid'])} ({r['n_invalid']:,})", r["invalid"]),
            cell("stands out" if r["alarm"] else ""),
            *([cell(_short(texts.get(r["video_id"], ""), 90))] if texts else []),
        ]
        for r in worst.head(_WORST).iter_rows(named=True)
    ]
    medians = " and ".join(
        f"{what} {percent(found.clips[c].median())}"  # type: ignore[arg-type]
        for c, what in (("refused", "refused"), ("invalid", "unreadable"))
    )
    heads = ("clip", "#answers", "#refused", "#unreadable", "alarm", *(["caption"] if texts else []))
    shown = f"The {_WORST} of {named.height:,}" if named.height > _WORST else "The"
    return [
        Table(
            f"{shown} clips whose questions were refused or answered unreadably, worst first; a question counts for "
            f"each of its three clips. The median clip: {medians}. A clip stands out whose rate is more than five "
            "times the median and more than chance would give it (binomial, p < .01 over all clips).",
            heads,
            body,
        )
    ]


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def _drift(found: Measures) -> Section | None:
    if not found.rounds:
        return None
    rows = [(f"round {r.number}, {r.begun:%Y-%m-%d}", r.agreement, f"z {coefficient(r.z, 1)}") for r in found.rounds]
    first = found.rounds[0].first_day
    figure = _dots(
        "drift-rounds",
        "Agreement of each round of the sentinels with the first day",
        rows,
        "share equal to the first day's answer",
        reference=(first.value, "the first day with itself"),
        caption="The same questions in the same order, asked again on later days; bars are 95 % intervals over "
        "questions, the line is how often the first day's own repeats agree. An alarm is raised where agreement falls "
        "more than three standard errors below it.",
    )
    body = [
        [
            cell(r.number, r.number),
            cell(f"{r.begun:%Y-%m-%d %H:%M}"),
            cell(", ".join(r.models) or ABSENT),
            cell(count(r.n), r.n),
            cell(interval(r.agreement.value, r.agreement.low, r.agreement.high), r.agreement.value),
            cell(coefficient(r.first_day.value), r.first_day.value),
            cell(coefficient(r.z, 1), r.z),
            cell("changed" if r.alarm else "none"),
        ]
        for r in found.rounds
    ]
    heads = ("#round", "begun (UTC)", "answered by", "#questions", "#agreement [95 % CI]", "#first day", "#z", "alarm")
    return Section(
        "drift", "Is it still the same judge?", [figure, Table("The sentinels, round by round.", heads, body)]
    )


def _usage(found: Measures) -> Section | None:
    names = {
        "latency_s": ("seconds to the answer", 2),
        "tokens_in": ("tokens in", 0),
        "tokens_out": ("tokens out", 0),
        "cost_usd": ("US dollars", 6),
    }
    body = []
    for column, (what, digits) in names.items():
        values, total = found.usage[column], found.totals.get(column)
        if values[0] is None:
            continue
        numbers = [cell(f"{v:,.{digits}f}", v) for v in values if v is not None]
        body.append([cell(what), *numbers, cell(ABSENT if total is None else f"{total:,.{min(digits, 2)}f}", total)])
    blocks: list[Any] = []
    if body:
        heads = ("an answer", "#median", "#90 %", "#99 %", "#all, with those not accepted")
        blocks.append(Table("What an accepted answer took.", heads, body))
    if found.answered_by.height:
        who = [
            [
                cell(r["model_returned"]),
                cell(count(r["n"]), r["n"]),
                *(cell(f"{r[t]:%Y-%m-%d %H:%M}") for t in ("first", "last")),
            ]
            for r in found.answered_by.iter_rows(named=True)
        ]
        blocks.append(
            Table("Who the service says has answered.", ("model", "#answers", "first (UTC)", "last (UTC)"), who)
        )
    return Section("usage", "What did it take?", blocks) if blocks else None


def _dots(
    name: str,
    label: str,
    rows: list[tuple[str, Estimate, str]],
    axis: str,
    *,
    caption: str,
    reference: tuple[float, str] | None = None,
) -> Figure:
    """Shares with their intervals, one a line, against a reference where there is one."""
    import altair as alt

    frame = pl.DataFrame(
        {
            "what": [what for what, _, _ in rows],
            "x": [e.value for _, e, _ in rows],
            "low": [e.low for _, e, _ in rows],
            "high": [e.high for _, e, _ in rows],
            "said": [f"{what}, {note}: {interval(e.value, e.low, e.high, 3)}" for what, e, note in rows],
        }
    )
    lowest, highest = float(frame["low"].min()), float(frame["high"].max())  # type: ignore[arg-type]
    if reference:
        lowest, highest = min(lowest, reference[0]), max(highest, reference[0])
    margin = max(0.15 * (highest - lowest), 0.02)
    scale = alt.Scale(domain=[max(0.0, lowest - margin), min(1.0, highest + margin)], nice=False)
    x: dict[str, Any] = {"title": axis, "scale": scale, "axis": alt.Axis(format=".0%", tickCount=6)}
    base = alt.Chart(frame).encode(y=alt.Y("what:N", sort=None, title=None, axis=alt.Axis(grid=True, gridDash=[1, 3])))
    bars = base.mark_rule(strokeWidth=2, color=BLUE, aria=False).encode(x=alt.X("low:Q", **x), x2="high:Q")
    marks = base.mark_point(filled=True, size=90, opacity=1, color=BLUE).encode(
        x=alt.X("x:Q", **x), description="said:N"
    )
    values = base.mark_text(dy=-11, fontSize=11, color=INK, aria=False).encode(
        x=alt.X("x:Q", **x), text=alt.Text("x:Q", format=".1%")
    )
    layers = [bars, marks, values]
    if reference:
        line = alt.Chart(pl.DataFrame({"x": [reference[0]], "said": [reference[1]]}))
        layers = [
            line.mark_rule(color=ORANGE, strokeDash=[5, 3], strokeWidth=1.5, aria=False).encode(x=alt.X("x:Q", **x)),
            line.mark_text(align="left", dx=5, dy=-6, color=INK, fontSize=11, baseline="top", aria=False).encode(
                x=alt.X("x:Q", **x), y=alt.value(0), text="said:N"
            ),
            *layers,
        ]
    chart = alt.layer(*layers).properties(width=560, height=alt.Step(34))
    return Figure(name, label, svg(chart, name), caption)
