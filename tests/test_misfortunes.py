"""A few runs that meet with a misfortune: ``python -m tests.bench.misfortunes`` does as many as one likes."""

from __future__ import annotations

import os

import pytest

from tests.bench.misfortunes import LIMIT, WORK, Misfortune, Under, draw, judged, possible
from tests.helpers.mpirun import flavour, needs_mpirun, needs_proc

pytestmark = [pytest.mark.mpirun, needs_mpirun, needs_proc, pytest.mark.timeout(150)]

#: Seconds that a run takes to begin, at the most, where others use the cores too.
START = 5.0


def under() -> Under:
    return "mpich" if flavour() == "mpich" else "openmpi"


def is_right(misfortune: Misfortune) -> None:
    run = judged(under(), misfortune, None, misfortune.at + START + WORK + LIMIT)
    assert not run.wrong, f"{misfortune}: {run.wrong}\n{run.said}"


@pytest.mark.parametrize("number", range(4))
def test_a_run_with_a_misfortune_ends_in_time_and_as_documented(number: int) -> None:
    is_right(draw(0, number, [kind for kind in possible(under()) if kind != "suspend"], 1.0))


def test_a_job_that_was_suspended_for_longer_than_a_silent_rank_is_waited_for_goes_on() -> None:
    is_right(Misfortune("suspend", 0, 2.5, 32.0, monitored=False))


def test_what_happens_follows_from_seed_and_number() -> None:
    kinds = possible(under())
    assert [draw(7, n, kinds, 1.0) for n in range(9)] == [draw(7, n, kinds, 1.0) for n in range(9)]
    assert ("full" in kinds) == (os.geteuid() == 0)
