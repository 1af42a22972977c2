"""What waiting costs: ``python -m tests.bench.exchange [--rounds 3]``.

One request in flight, so that each segment is a wait of a client for another: 4,000 declared segments from
one client to another (3 ranks), and to five at once (7 ranks). Then the part of a core that each rank uses
while five clients wait for a slow one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

from tests.bench import warn_of_load
from tests.helpers import mpirun
from tests.helpers.generated import one_seed, wrong_outputs

SEGMENTS = 4000
#: Seconds that a run may take, those that idle ranks are measured, and the bytes a second of the slow client.
TIMEOUT = 120.0
IDLE = 10.0
SLOW = 16


def exchange(downloaders: int, folder: Path) -> float:
    """Seconds of the run, as its report has them."""
    scenario = one_seed(Random(1), downloaders, SEGMENTS)
    out = folder / "out"
    arguments = (scenario.write(folder / "in"), "--window", "1", "--out", out, "--json")
    with mpirun.started(downloaders + 2, *arguments) as job:
        run = job.wait(TIMEOUT)
    wrong = wrong_outputs(out, scenario.outputs)
    if run.code or wrong:
        sys.exit(f"{run}\n{wrong}")
    return float(json.loads(run.stdout.splitlines()[-1])["elapsed_s"])


def idle(folder: Path) -> dict[int, float]:
    """The part of a core that each rank uses, by rank."""
    scenario = one_seed(Random(1), downloaders=5)
    arguments = (scenario.write(folder / "in"), "--out", folder / "out", "--rate", SLOW)
    with mpirun.started(7, *arguments) as job:
        job.begins()
        ranks = job.ranks()
        before = {rank: mpirun.processor_seconds(pid) for rank, pid in ranks.items()}
        began = time.monotonic()
        time.sleep(IDLE)
        took = time.monotonic() - began
        return {rank: (mpirun.processor_seconds(ranks[rank]) - before[rank]) / took for rank in sorted(ranks)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exchange", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="behind each median (%(default)s)")
    options = parser.parse_args()
    if mpirun.missing():
        print(mpirun.missing(), file=sys.stderr)
        return 2
    warn_of_load()
    for downloaders in (1, 5):
        seconds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(exchange(downloaders, Path(folder)))
        each = median(seconds) / (SEGMENTS * downloaders)
        print(
            f"{downloaders} × {SEGMENTS:,} segments, one in flight, {downloaders + 2} ranks: "
            f"{median(seconds):.2f} s, {each * 1e6:.0f} µs each",
            flush=True,
        )
    with tempfile.TemporaryDirectory() as folder:
        used = idle(Path(folder))
    parts = ", ".join(f"{rank}: {100 * part:.1f} %" for rank, part in used.items())
    print(f"of a core, by rank, while all wait for a slow client: {parts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
