"""What one rank's order does not show: messages without a counterpart, segments out of nowhere, and so on."""

from __future__ import annotations

import math

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import CALM, Plan, Telling, alter, insert, journal, lawful, place
from tests.helpers.mutations import Mutation, Mutations, Told
from tui_torrent.view.conformance import Conformance, Rule

MUTATIONS = Mutations()
breaks = MUTATIONS.breaks
NOWHERE = (-1, -1)


def drop(told: Told, spot: tuple[int, int]) -> tuple[int, int]:
    """Leave an event out, of which its rank knows nothing."""
    del told[spot[0]][spot[1]]
    return spot


def stored(told: Told, nth: int = 0) -> tuple[tuple[int, int], ev.SegmentStored]:
    """A segment that client 2 stored, and where."""
    spot = place(told, ev.SegmentStored, rank=2, nth=nth)
    event = told[spot[0]][spot[1]].event
    assert isinstance(event, ev.SegmentStored)
    return spot, event


def of_it(event: ev.SegmentStored) -> object:
    return lambda e: (e.file, e.segment) == (event.file, event.segment)


# Messages with the tracker ---------------------------------------------------------------------


@breaks(Rule.ANSWER)
def a_swarm_request_is_never_answered(told: Told) -> tuple[int, int]:
    drop(told, place(told, ev.SwarmServed, lambda e: e.client == 2, nth=-1))
    return place(told, ev.SwarmRequested, rank=2, nth=-1)


@breaks(Rule.ANSWER)
def nobody_is_ever_answered(told: Told) -> tuple[int, int]:
    told[0] = [telling for telling in told[0] if not isinstance(telling.event, ev.SwarmServed)]
    return NOWHERE


@breaks(Rule.ANSWER)
def an_answer_comes_to_no_request(told: Told) -> tuple[int, int]:
    return insert(told, 0, place(told, ev.StopSent)[1], ev.SwarmServed(Rank(2), 1, 0, 0))


@breaks(Rule.FILE_COMPLETE)
def a_file_complete_is_told_and_never_received(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.FileCompleteReceived, lambda e: e.client == 2)
    event = told[rank][at].event
    assert isinstance(event, ev.FileCompleteReceived)
    drop(told, (rank, at))
    return place(told, ev.FileCompleted, lambda e: e.file == event.file, rank=2)


@breaks(Rule.FILE_COMPLETE)
def who_has_completed_a_file_does_not_become_its_seed(told: Told) -> tuple[int, int]:
    drop(told, place(told, ev.SwarmListed, lambda e: e.client == 2 and e.role == "seed"))
    return NOWHERE


@breaks(Rule.FILE_COMPLETE, Rule.ALL_COMPLETE)
def a_file_is_never_completed(told: Told) -> tuple[int, int]:
    drop(told, place(told, ev.FileCompleted, rank=2))
    return NOWHERE


@breaks(Rule.INIT_ACK, Rule.MOVED)
def an_owner_is_never_listed(told: Told) -> tuple[int, int]:
    drop(told, place(told, ev.SwarmListed, lambda e: e.client == 3 and e.file == "b"))
    return place(told, ev.InitSent, rank=3)


@breaks(Rule.INIT_ACK)
def an_init_comes_in_with_fewer_files(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.InitReceived, lambda e: e.client == 3), files=0)


@breaks(Rule.STOP)
def a_client_is_never_sent_stop_though_it_came(told: Told) -> tuple[int, int]:
    drop(told, place(told, ev.StopSent, lambda e: e.client == 2))
    return NOWHERE


# Segments --------------------------------------------------------------------------------------


@breaks(Rule.MOVED)
def a_segment_is_stored_that_was_never_asked_for(told: Told) -> tuple[int, int]:
    _, event = stored(told)
    drop(told, place(told, ev.SegmentRequested, of_it(event), rank=2))  # type: ignore[arg-type]
    return stored(told)[0]


@breaks(Rule.MOVED)
def no_segment_was_ever_asked_for(told: Told) -> tuple[int, int]:
    told[2] = [telling for telling in told[2] if not isinstance(telling.event, ev.SegmentRequested)]
    return stored(told)[0]


@breaks(Rule.MOVED)
def a_segment_is_stored_that_was_never_sent(told: Told) -> tuple[int, int]:
    spot, event = stored(told, 3)
    source = place(told, ev.SegmentSent, of_it(event), rank=event.source)  # type: ignore[arg-type]
    while told[source[0]][source[1]].event.target != 2:  # type: ignore[union-attr]
        source = (source[0], source[1] + 1 + place({0: told[source[0]][source[1] + 1 :]}, ev.SegmentSent)[1])
    drop(told, source)
    return stored(told, 3)[0] if source[0] == 2 else spot


@breaks(Rule.MOVED)
def a_segment_is_sent_twice_and_was_asked_for_once(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.SegmentSent, rank=1)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.MOVED)
def a_segment_comes_from_another_than_was_asked(told: Told) -> tuple[int, int]:
    spot, event = stored(told)
    return alter(told, spot, source=Rank(4 - event.source))


@breaks(Rule.MOVED)
def a_client_sends_what_it_does_not_hold(told: Told) -> tuple[int, int]:
    """It is asked, sends and is believed, but the file is another's, and it has nothing of it yet."""
    owners = {"a": 1, "b": 3}
    nth = next(n for n in range(99) if owners[stored(told, n)[1].file] == stored(told, n)[1].source)
    spot, event = stored(told, nth)
    asked = place(told, ev.SegmentRequested, of_it(event), rank=2)  # type: ignore[arg-type]
    at = place(told, ev.InitAckReceived, rank=4 - event.source)[1] + 1
    other = Rank(4 - event.source)
    alter(told, asked, source=other)
    alter(told, spot, source=other)
    sent = next(
        (event.source, at)
        for at, telling in enumerate(told[event.source])
        if isinstance(telling.event, ev.SegmentSent)
        and (telling.event.target, telling.event.file, telling.event.segment)
        == (2, event.file, event.segment)
    )
    drop(told, sent)
    return insert(told, other, at, ev.SegmentSent(Rank(2), event.file, event.segment, 1))


@breaks(Rule.MOVED)
def a_segment_is_asked_for_before_its_swarm(told: Told) -> tuple[int, int]:
    spot = place(told, ev.SwarmRequested, rank=2)
    alter(told, spot, files=("b",), unfinished=1)
    return NOWHERE


@breaks(Rule.MOVED)
def a_segment_is_asked_for_that_is_here(told: Told) -> tuple[int, int]:
    (rank, at), event = stored(told)
    return insert(told, rank, at + 1, ev.SegmentRequested(event.source, event.file, event.segment))


@breaks(Rule.MOVED)
def a_segment_is_asked_for_beyond_the_file(told: Told) -> tuple[int, int]:
    (rank, at), event = stored(told)
    return insert(told, rank, at + 1, ev.SegmentRequested(event.source, event.file, SegmentIndex(99)))


@breaks(Rule.MOVED)
def a_negative_segment_is_asked_for(told: Told) -> tuple[int, int]:
    (rank, at), event = stored(told)
    return insert(told, rank, at + 1, ev.SegmentRequested(event.source, event.file, SegmentIndex(-1)))


@breaks(Rule.MOVED)
def a_reject_comes_for_nothing(told: Told) -> tuple[int, int]:
    (rank, at), event = stored(told)
    return insert(told, rank, at + 1, ev.RequestRejected(event.source, event.file, SegmentIndex(2), "busy"))


# Files, times and the outcome ------------------------------------------------------------------


def give_up(told: Told, name: str) -> tuple[int, int]:
    """Client 2 gives a file up instead of fetching it."""
    gone = (ev.SegmentRequested, ev.SegmentStored, ev.FileCompleted, ev.DownloadStarted)
    told[2] = [t for t in told[2] if not (isinstance(t.event, gone) and t.event.file == name)]
    for rank in (1, 3):
        told[rank] = [
            t
            for t in told[rank]
            if not (isinstance(t.event, ev.SegmentSent) and (t.event.target, t.event.file) == (2, name))
        ]
    received = (ev.FileCompleteReceived, ev.SwarmListed)
    told[0] = [
        t
        for t in told[0]
        if not (isinstance(t.event, received) and (t.event.client, t.event.file) == (2, name))
    ]
    return insert(
        told, 2, place(told, ev.AllCompleted, rank=2)[1], ev.FileUnavailable(name, "nobody owns it")
    )


@breaks(Rule.GIVEN_UP, Rule.MOVED, Rule.UPDATE, Rule.ANSWER)
def a_file_is_given_up_beside_its_seed(told: Told) -> tuple[int, int]:
    return give_up(told, "b")


@breaks(Rule.GIVEN_UP)
def a_file_is_given_up_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.FileUnavailable, rank=3)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.OUTCOME)
def an_outcome_is_none(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.RunEnded), outcome="splendid")


@breaks(Rule.OUTCOME)
def an_outcome_is_better_than_the_run(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.RunEnded), outcome="complete")


def late(told: Told, rank: int, by: float) -> tuple[int, int]:
    at = len(told[rank]) // 2
    told[rank][at].t += by
    return rank, at


@breaks(Rule.TIME)
def time_runs_backwards_within_a_rank(told: Told) -> tuple[int, int]:
    rank, at = late(told, 2, 5.0)
    return rank, at + 1


@breaks(Rule.TIME)
def a_time_is_a_unix_time(told: Told) -> tuple[int, int]:
    return late(told, 2, 1.7e9)


@breaks(Rule.TIME)
def a_time_is_before_the_run(told: Told) -> tuple[int, int]:
    told[2][0].t = -30.0
    return 2, 0


@breaks(Rule.JOURNAL)
def the_header_switches_the_update_off(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.RunStarted), swarm_update=0)


@pytest.mark.parametrize(
    ("rule", "also", "mutation"), MUTATIONS.all, ids=lambda value: getattr(value, "__name__", "")
)
@pytest.mark.parametrize("seed", range(6))
def test_each_mutation_breaks_its_rule_and_names_its_event(
    rule: Rule, also: frozenset[Rule], mutation: Mutation, seed: int
) -> None:
    MUTATIONS.check(rule, also, mutation, seed)


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf])
def test_a_time_is_a_number(t: float) -> None:
    told = lawful(CALM)
    told[3][4].t = t
    checker = Conformance()
    for event in journal(told):
        checker.see(event)
    first = checker.first_violation()
    assert first is not None
    assert first.rule == Rule.TIME.value


# Whoever holds a segment -----------------------------------------------------------------------

TWO = Plan(files={"f": 40}, owns=(("f",), (), ()), wants=((), ("f",), ("f",)), every=10, trouble=False)


def breaches(told: Told) -> dict[str, str]:
    checker = Conformance()
    for event in journal(told):
        checker.see(event)
    return {finding.rule: finding.detail for finding in checker.result() if finding.holds is False}


def silenced(told: Told, source: int) -> None:
    """``source`` is asked as before and answers nobody: each asker gets the same of client 1 instead."""
    told[source] = [t for t in told[source] if not isinstance(t.event, ev.SegmentSent)]
    for rank in (2, 3):
        tellings: list[Telling] = []
        for telling in told[rank]:
            event = telling.event
            if isinstance(event, ev.SegmentStored) and event.source == source:
                tellings.append(Telling(telling.t, ev.SegmentRequested(Rank(1), event.file, event.segment)))
                event = ev.SegmentStored(Rank(1), event.file, event.segment, event.size, event.digest)
                sent = ev.SegmentSent(Rank(rank), event.file, event.segment, event.size)
                at = next(at for at, t in enumerate(told[1]) if t.t > telling.t)
                told[1].insert(at, Telling(telling.t, sent))
            tellings.append(Telling(telling.t, event))
        told[rank] = tellings


@pytest.mark.parametrize("seed", range(6))
def test_a_peer_that_is_asked_for_what_it_holds_and_answers_nobody_is_named(seed: int) -> None:
    told = lawful(TWO, seed)
    silenced(told, 2)
    assert set(breaches(told)) == {Rule.HOLDERS.value}
    assert "client 2 is asked for what it holds" in breaches(told)[Rule.HOLDERS.value]


def test_a_peer_that_refuses_what_it_has_is_named() -> None:
    told = lawful(TWO)
    spot, event = stored(told)
    at = place(told, ev.SegmentSent, rank=2, nth=5)[1]
    asked = ev.SegmentRequested(Rank(2), event.file, event.segment)
    refused = ev.SegmentRefused(Rank(3), event.file, event.segment, "absent")
    insert(told, 3, place(told, ev.SwarmRequested, rank=3)[1] + 1, asked)
    spot = insert(told, 2, at, refused)
    detail = breaches(told)[Rule.HOLDERS.value]
    assert f"segment {event.segment} of 'f' is refused as absent, though it is here" in detail
    assert spot


def test_a_segment_is_asked_of_members_alone() -> None:
    plan = Plan(files={"f": 9}, owns=(("f",), (), ()), wants=((), ("f",), ()), every=10, trouble=False)
    told = lawful(plan)
    spot = insert(told, 2, stored(told)[0][1], ev.SegmentRequested(Rank(3), "f", SegmentIndex(8)))
    found = breaches(told)
    assert set(found) == {Rule.MOVED.value}
    assert "client 3 is no member of the swarm of 'f'" in found[Rule.MOVED.value]
    assert spot


def test_a_segment_that_two_have_from_each_other_came_from_nowhere() -> None:
    """Both ask, both send, both hold it before they send it: but nobody held it first."""
    plan = Plan(files={"f": 1}, owns=(("f",), (), ()), wants=((), ("f",), ("f",)), every=10, trouble=False)
    told = lawful(plan)
    told[1] = [t for t in told[1] if not isinstance(t.event, ev.SegmentSent)]
    for rank in (2, 3):
        other = Rank(5 - rank)
        told[rank] = [t for t in told[rank] if not isinstance(t.event, ev.SegmentSent)]
        alter(told, place(told, ev.SegmentRequested, rank=rank), source=other)
        at = alter(told, place(told, ev.SegmentStored, rank=rank), source=other)[1]
        insert(told, rank, at + 1, ev.SegmentSent(other, "f", SegmentIndex(0), 100))
    found = breaches(told)
    assert set(found) == {Rule.MOVED.value}
    assert "which has it from here: nobody held it first" in found[Rule.MOVED.value]
