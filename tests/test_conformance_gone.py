"""A client that is lost or fails: whether the run may be told to be complete all the same."""

from __future__ import annotations

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent
from mpi_core.protocol.units import Rank
from tests.helpers.lawful import Plan, Telling, alter, insert, journal, lawful, place
from tests.test_conformance import broken, detail
from tui_torrent.view.conformance import Rule

#: Client 1 owns what 2 and 3 want; all get it, and the outcome is ``complete``.
TRIO = Plan(files={"f": 5}, owns=(("f",), (), ()), wants=((), ("f",), ("f",)), trouble=False)
FAILED, LOST = ev.ClientFailed(Rank(2), "its disk is full"), ev.ClientLost(Rank(2), "its process ended")
OF_ITS_END = (ev.AllCompleted, ev.Stopped, ev.ServingEnded)


def without(told: dict[int, list[Telling]], kinds: tuple[type[ev.Event], ...], rank: int) -> None:
    told[rank] = [telling for telling in told[rank] if not isinstance(telling.event, kinds)]


def gone(event: AnyEvent) -> dict[int, list[Telling]]:
    """Client 2 is gone, though the run is told to be complete."""
    told = lawful(TRIO)
    insert(told, 0, place(told, ev.StopSent)[1], event)
    return told


def gone_unfinished(event: AnyEvent) -> dict[int, list[Telling]]:
    """The same, and neither side tells of an ALL_COMPLETE of client 2."""
    told = gone(event)
    without(told, OF_ITS_END, rank=2)
    del told[0][place(told, ev.AllCompleteReceived, lambda e: e.client == 2)[1]]
    return told


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (gone_unfinished(FAILED), "client 2 has failed"),
        (gone_unfinished(LOST), "client 2 was lost before it sent ALL_COMPLETE"),
    ],
)
def test_no_run_is_complete_whose_client_was_gone_too_soon(told: dict[int, list[Telling]], why: str) -> None:
    assert broken(journal(told)) == {Rule.OUTCOME.value}
    assert detail(journal(told), Rule.OUTCOME).endswith(f": the outcome is complete, but {why}.")
    alter(told, place(told, ev.RunEnded), outcome="incomplete")
    assert broken(journal(told)) == set()


def test_a_client_that_is_lost_after_its_all_complete_changes_nothing() -> None:
    assert broken(journal(gone(LOST))) == set()
    # Its last words may be lost with it.
    told = gone(LOST)
    without(told, OF_ITS_END, rank=2)
    assert broken(journal(told)) == set()


def test_a_lost_client_lacks_nothing_that_it_is_not_known_to_have_wanted() -> None:
    told = gone_unfinished(LOST)
    told[2] = told[2][: place(told, ev.InitSent, rank=2)[1] + 1]
    assert Rule.OUTCOME.value not in broken(journal(told))


@pytest.mark.parametrize("rank", [0, 2])
def test_the_all_complete_of_a_lost_client_may_be_among_dropped_events(rank: int) -> None:
    told = gone_unfinished(LOST)
    insert(told, rank, len(told[rank]) - 1, ev.EventsDropped(1))
    assert broken(journal(told)) == {Rule.JOURNAL.value}
