"""The side-by-side bench: its bounds, and that every contender delivers what it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.cases import CASES, MIB, Case
from tests.bench.race import Ground
from tests.helpers.mpirun import needs_mpirun

#: F/B of 64 MiB over 200 Mbit/s.
WHOLE = 64 * MIB / 25e6


@pytest.mark.parametrize(
    ("case", "bound"),
    [
        ("wan8", WHOLE),
        ("slow8", WHOLE),
        ("quarters", WHOLE),
        ("twoseeds", WHOLE),
        ("latency20", WHOLE),
        ("latency20at100", 2 * WHOLE),
    ],
)
def test_the_bound_is_what_the_links_allow(case: str, bound: float) -> None:
    assert CASES[case].bound == pytest.approx(bound)


def test_a_slow_seed_bounds_everybody() -> None:
    assert Case("", "", (("a",), (), ()), {"a": MIB}, (), 8, {0: 4}).bound == pytest.approx(MIB / 5e5)


def test_uplinks_bound_where_many_owners_are_slow() -> None:
    # What both owners send at 1 Mbit/s; the third could take a hundred times as much.
    case = Case("", "", (("a",), ("b",), ()), {"a": MIB, "b": MIB}, (), 100, {0: 1, 1: 1})
    assert case.bound == pytest.approx(MIB / 125e3)


def test_small_files_are_as_many_and_as_big_as_said() -> None:
    files = CASES["small"].files
    assert len(files) == 20_000
    assert all(1024 <= size <= 64 * 1024 for size in files.values())
    assert CASES["small"].size == pytest.approx(500 * MIB, rel=0.02)


@pytest.mark.mpirun
@needs_mpirun
@pytest.mark.parametrize("contender", ["swarm", "chain", "bcast", "star", "cp"])
def test_every_contender_delivers_every_byte(contender: str, tmp_path: Path) -> None:
    owns: tuple[tuple[str, ...], ...] = (("a", "b"), ("a", "b"), (), ())
    if contender not in ("cp", "swarm"):
        owns = (("a",), ("b",), (), ())
    case = Case("tiny", "", owns, {"a": 600_000, "b": 300_001}, ())
    with Ground(case, tmp_path) as ground:
        result = ground.run(contender)
    assert 0 < result.seconds < 20
    assert list(tmp_path.glob("out")) == []
