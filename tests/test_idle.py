"""Who waits, sleeps: idle ranks use at most 2 % of a core each."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from tests.helpers.generated import one_seed
from tests.helpers.mpirun import Job, needs_mpirun, needs_proc, processor_seconds, started

pytestmark = [pytest.mark.mpirun, needs_mpirun, needs_proc, pytest.mark.timeout(90)]

#: Of one core.
ALLOWED = 0.02
#: How long it is measured, in seconds, and how often at the most: the machine has other things to do.
MEASURED = 4.0
TRIES = 3


def usage(job: Job, seconds: float) -> dict[int, float]:
    """The part of a core that each rank uses in so many seconds."""
    ranks = job.ranks()
    before = {rank: processor_seconds(pid) for rank, pid in ranks.items()}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return {rank: (processor_seconds(pid) - before[rank]) / took for rank, pid in ranks.items()}


def test_clients_that_wait_for_a_slow_one_are_idle(tmp_path: Path) -> None:
    # Hashes of 32 characters at 16 B/s: a segment in two seconds.
    scenario = one_seed(Random(1), downloaders=5)
    with started(7, scenario.write(tmp_path / "in"), "--out", tmp_path / "out", "--rate", "16") as job:
        deadline = time.monotonic() + 20
        while not job.is_moving():
            assert time.monotonic() < deadline, job.complained()
            time.sleep(0.1)
        for _ in range(TRIES):
            used = usage(job, MEASURED)
            print({rank: f"{100 * part:.1f} %" for rank, part in sorted(used.items())})
            if max(used.values()) <= ALLOWED:
                break
        assert sorted(used) == list(range(7))
        assert job.process.poll() is None, "the run ended too early to be idle"
        assert max(used.values()) <= ALLOWED, used
