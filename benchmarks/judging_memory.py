"""Claim: the memory of a run that asks a service is flat, under 400 MB, from 10,000 to 1,000,000 questions.

What runs is ``affectlake run --select judgments`` on a study of 300 clips whose captions were read and whose triplets
were drawn by a run before, in a process of its own for each number of questions, as Dagster starts one for each step:
planning what is missing, asking, committing, and the hash of the whole table. The judge is a loopback server, in a
process of its own, that answers at once or after a latency: only with one are many in flight. By default
400 questions share a request (decisions), since a million chat completions take a quarter of an hour of CPU; with
``chat`` each question is a request. Memory is the peak of the asking process, and the peak of what is its own: pages of
libraries' files, which processes share and the system can drop, are not.

    python benchmarks/judging_memory.py [--api decisions|chat] [--in-flight 64] [--latency-s 0] [QUESTIONS ...]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _memory import peak_mb, status_mb

sys.path.insert(0, str(Path(__file__).parents[1]))

STUDY = """
name: memory
synthetic: true
stimuli: {{manifest: videos.csv}}
captions: {{file: captions.csv}}
triplets: {{train: {train}, seed: 0}}
profiles: {{here: {{base_url: "{url}", key_env: SOME_KEY, max_in_flight: {most}, requests_per_minute: 10000000}}}}
models: [{{name: judge, agent: openai, profile: here, model: gpt-6-luna, api: {api}}}]
"""
N_CLIPS = 300


def serve(pipe: multiprocessing.connection.Connection, latency_s: float) -> None:
    from tests.services.server import Service, serving

    with serving(Service(remember=False, latency_s=latency_s)) as service:
        pipe.send(service.url)
        pipe.recv()


def measure(folder: Path, url: str, api: str, in_flight: int, n: int) -> tuple[float, float, float, float]:
    """Peak memory in MB, of it without the pages of files, CPU seconds and wall seconds of one run."""
    (folder / "study.yaml").write_text(STUDY.format(train=n, url=url, api=api, most=in_flight))
    ids = [f"v{i:03d}" for i in range(N_CLIPS)]
    (folder / "videos.csv").write_text("video_id,file\n" + "".join(f"{i},\n" for i in ids))
    texts = (f"{name},a clip in which thing {i} happens to person {i * 7 % 31}\n" for i, name in enumerate(ids))
    (folder / "captions.csv").write_text("video_id,description\n" + "".join(texts))
    environment = os.environ | {"AFFECTLAKE_STUDY": str(folder / "study.yaml"), "SOME_KEY": "none"}
    for name in ("AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "dagster_project", "run", "--select"]
    subprocess.run([*command, "captions", "--select", "triplets"], env=environment, check=True, capture_output=True)
    before = os.times()
    started, peak, own = time.perf_counter(), 0.0, 0.0
    process = subprocess.Popen(
        [*command, "judgments"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while process.poll() is None:
        # pages of libraries' files are not its own
        peak, own = max(peak, peak_mb(process.pid)), max(own, status_mb("RssAnon", process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.stdout.read() if process.stdout else "")
    cpu = sum(getattr(os.times(), name) - getattr(before, name) for name in ("children_user", "children_system"))
    return peak, own, cpu, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=int, nargs="*", default=[10_000, 1_000_000])
    parser.add_argument("--api", choices=("decisions", "chat"), default="decisions")
    parser.add_argument("--in-flight", type=int, default=64, help="requests in flight at most (as profiles have it)")
    parser.add_argument("--latency-s", type=float, default=0.0, help="how long the service takes for a request")
    wanted = parser.parse_args()
    here, there = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, wanted.latency_s), daemon=True)
    server.start()
    url = here.recv()
    how = f"{wanted.api}, {wanted.in_flight} in flight, {wanted.latency_s:g} s latency"
    print(f"{'questions':>12} {'peak MB':>8} {'of its own':>10} {'CPU s':>8} {'wall s':>8}   {how}")
    for n in wanted.questions:
        with tempfile.TemporaryDirectory() as folder:
            peak, own, cpu, wall = measure(Path(folder), url, wanted.api, wanted.in_flight, n)
        print(f"{n:12,} {peak:8.0f} {own:10.0f} {cpu:8.0f} {wall:8.0f}   (goal: under 400 MB)", flush=True)
    here.send("done")


if __name__ == "__main__":
    main()
