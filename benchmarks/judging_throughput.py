"""Claim: one process keeps a service with 0.5 s latency and 256 in flight busy, for less than 4 ms CPU a question.

A loopback server in a process of its own answers each chat completion after 0.5 s. The ideal rate is the smaller of in
flight divided by latency and of what one core can: one divided by the CPU time of a question. It is compared with the
rate between the first tenth of the answers and the last twentieth: the run begins with few requests in flight, since it
does not know what the service bears, and ends with fewer and fewer. The
figure means something on a quiet machine only. Memory is the peak of the asking process.

    python benchmarks/judging_throughput.py [QUESTIONS] [chat|responses|messages|decisions]
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from _memory import peak_mb

sys.path.insert(0, str(Path(__file__).parents[1]))

IN_FLIGHT, LATENCY_S = 256, 0.5
DRAWN = 10_000


def serve(pipe: multiprocessing.connection.Connection) -> None:
    from tests.services.server import Service, serving

    with serving(Service(latency_s=LATENCY_S, remember=False)) as service:
        pipe.send(service.url)
        pipe.recv()


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    name = sys.argv[2] if len(sys.argv) > 2 else "chat"
    goal, each = (0.4, 400) if name == "decisions" else (4, 1)
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    os.environ["CANARY_KEY"] = "none"
    from tests.services.conftest import Bench
    from tests.services.server import Service

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Service(url=here.recv()), Path(folder))
        agent = bench.agent(name)
        agent.profile = agent.profile.model_copy(update={"max_in_flight": IN_FLIGHT, "requests_per_minute": 10**9})
        drawn = bench.questions(agent, min(n, DRAWN))
        # its few clips have no more triplets: the same ones are asked again, which are other questions
        repeats = [drawn.with_columns(repeat=pl.lit(i, pl.Int32)) for i in range(math.ceil(n / DRAWN))]
        questions = pl.concat(repeats).head(n)
        for _ in agent.judge([questions.head(IN_FLIGHT)], lambda done: None):
            pass  # imports and connections are paid once, not a question
        wall, cpu = time.perf_counter(), time.process_time()
        chunks = [chunk.judgments["judged_at"] for chunk in agent.judge([questions], lambda done: None)]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    here.send("done")
    answered = pl.concat(chunks).sort()
    first, last = len(answered) // 10, len(answered) * 19 // 20
    rate = (last - first) / (answered[last] - answered[first]).total_seconds()
    ideal = min(each * IN_FLIGHT / LATENCY_S, n / cpu)
    print(f"{len(answered):,} of {n:,} questions in {wall:.1f} s, {IN_FLIGHT} in flight, {LATENCY_S} s latency")
    print(f"questions a second, in all       {n / wall:10,.0f}")
    print(f"  once all are in flight         {rate:10,.0f}")
    print(f"ideal: all in flight / {LATENCY_S} s   {each * IN_FLIGHT / LATENCY_S:10,.0f}")
    print(f"ideal: one core                  {n / cpu:10,.0f}")
    print(f"share of the smaller ideal       {rate / ideal:10.0%}  (goal 90 %)")
    print(f"CPU a question, ms               {1000 * cpu / n:10.2f}  (goal {goal:g})")
    print(f"load of the machine              {os.getloadavg()[0]:10.1f}  ({os.cpu_count()} cores)")
    print(f"peak memory, MB                  {peak_mb():10.0f}  (goal 400)")


if __name__ == "__main__":
    main()
