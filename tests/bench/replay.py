"""What a long journal costs: time and memory to load it, and time to seek in it.

By hand: ``python -m tests.bench.replay --events 1000000``. With ``--journal FILE``, of that one.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from mpi_core.protocol.codec import to_lines
from mpi_core.runtime.journal import read_journal
from tests.helpers.long_journal import long_run
from tui_torrent.recording import Recording
from tui_torrent.replay import Replay

CLIENTS = 64


def resident() -> float:
    """This process's memory, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak() -> float:
    """The most memory that this process has had, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def write(path: Path, events: int) -> None:
    """A journal of at least so many events."""
    run = long_run(segments=events // (3 * (CLIENTS - 1)) + 16, clients=CLIENTS)
    with path.open("wb") as file:
        while batch := list(islice(run, 10_000)):
            file.write(to_lines(batch))


def timed(what: str, moves: Iterable[Callable[[], None]]) -> None:
    """Print how long they took, in time passed and in the processor's."""
    wall, used = [], []
    for move in moves:
        began, before = time.perf_counter(), time.process_time()
        move()
        wall.append(1e3 * (time.perf_counter() - began))
        used.append(1e3 * (time.process_time() - before))
    for name, took in (("passed", wall), ("of the processor's", used)):
        took.sort()
        most = took[int(0.99 * len(took))]
        figures = f"median {median(took):.1f} ms, 99th {most:.1f} ms, worst {took[-1]:.1f} ms"
        print(f"{what:9} {figures} {name}, of {len(took)}")


def measure(path: Path, seeks: int) -> None:
    before = resident()
    began, used = time.perf_counter(), time.process_time()
    recording = Recording(read_journal(path))
    loaded, used = time.perf_counter() - began, time.process_time() - used
    size, span = path.stat().st_size / 1e6, recording.end
    print(f"journal   {len(recording.times):,} events, {size:.0f} MB, {span:.0f} s")
    each = 1e6 * used / len(recording.times)
    print(f"load      {loaded:.1f} s; {used:.1f} s of the processor's time, {each:.1f} µs an event")
    print(f"memory    {resident() - before:.0f} MB more than before, {peak() - before:.0f} MB at the most")
    print(f"packed    {recording.packed_bytes / 1e6:.0f} MB, {recording.keyframes} keyframes")
    replay, random = Replay(recording), Random(0)
    goals = [random.uniform(0, recording.end) for _ in range(seeks)]
    timed("seek", (partial(replay.seek, goal) for goal in goals))
    timed("0.1 s on", (partial(replay.step, 0.1) for _ in range(50)))
    timed("0.1 s back", (partial(replay.step, -0.1) for _ in range(50)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seeks", type=int, default=300)
    parser.add_argument("--journal", type=Path)
    options = parser.parse_args()
    if options.journal is not None:
        measure(options.journal, options.seeks)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.jsonl"
        write(path, options.events)
        measure(path, options.seeks)


if __name__ == "__main__":
    main()
