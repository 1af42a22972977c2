"""No false alarm: whatever lawful run of our own machines, in whatever order its ranks' lines come.

Runs of both strategies over virtual networks, with slow, dead and corrupting clients, to their end, cut short
and interrupted; simulated crowds; and the demo's journals. With LAWFUL_RUNS=300 in the environment, so many.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from mpi_core.runtime.journal import read_journal
from tests.helpers.lawful import merged
from tests.helpers.schedules import Schedule, schedules
from tui_torrent.cli import main
from tui_torrent.view.conformance import Conformance, Finding, Rule

#: Runs of the swarm that are tried, where so many are asked for.
RUNS = int(os.environ.get("LAWFUL_RUNS", "0"))
DEMO = sorted((Path(__file__).parent.parent / "demo" / "journals").glob("*.jsonl.zst"))


def findings(events: list[Stamped]) -> list[Finding]:
    checker = Conformance()
    for event in events:
        checker.see(event)
    return checker.result()


def broken(events: list[Stamped]) -> list[str]:
    return [finding.detail for finding in findings(events) if finding.holds is False]


def ranks_of(events: list[Stamped]) -> dict[int, list[Stamped]]:
    ranks: dict[int, list[Stamped]] = {}
    for event in events:
        ranks.setdefault(event.rank, []).append(event)
    return ranks


def interrupted(events: list[Stamped], at: int) -> list[Stamped]:
    """The run ended there from outside: what was told by then, and the outcome."""
    told = events[: max(1, at)]
    seq = sum(event.rank == 0 for event in told)
    return [*told, Stamped(max(event.t for event in told), Rank(0), seq, ev.RunEnded("interrupted"))]


def check_run(events: list[Stamped], random: Random) -> None:
    """Nothing is broken in any order, nor where the run was cut short or interrupted."""
    ranks = ranks_of(events)
    assert broken(events) == []
    for _ in range(2):
        order = merged(ranks, random)
        assert broken(order) == []
        at = random.randrange(len(order))
        assert broken(interrupted(order, at)) == []
        cut = findings(order[:at])
        assert [f.rule for f in cut if f.holds is False] == [Rule.JOURNAL.value], cut


@settings(**({"max_examples": RUNS} if RUNS else {}))
@given(schedules(), st.integers(0, 2**32))
def test_no_lawful_run_raises_an_alarm(schedule: Schedule, seed: int) -> None:
    check_run(schedule.swarm().run().journal, Random(seed))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "faults", ["--dead 0.2 --corrupt 0.2", "--slow 0.3", "--arrivals poisson", "--seeds 3"]
)
def test_no_simulated_crowd_raises_an_alarm(faults: str, seed: int, tmp_path: Path) -> None:
    path = str(tmp_path / "run.jsonl")
    size = ["--clients", "12", "--segments", "30", "--seed", str(seed), "--journal", path]
    assert main(["simulate", *size, *faults.split()]) == 0
    check_run(list(read_journal(path)), Random(seed))


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.name)
def test_no_journal_of_the_demo_raises_an_alarm(path: Path) -> None:
    events = list(read_journal(path))
    assert [finding for finding in findings(events) if finding.holds is not True] == []
    check_run(events, Random(0))


def test_events_of_kinds_that_no_rule_is_about_are_passed_over() -> None:
    class Curious(ev.Event, frozen=True):
        pass

    events = list(read_journal(DEMO[0]))
    last = {event.rank: event for event in events}
    *body, outcome = events
    seq = last[Rank(1)].seq + 1
    body.append(Stamped(last[Rank(1)].t, Rank(1), seq, Curious()))  # type: ignore[arg-type]
    assert broken([*body, outcome]) == []
