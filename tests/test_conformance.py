"""The trace checker: silent on every lawful run, and right about the first event that breaks a rule."""

from __future__ import annotations

from random import Random
from typing import Any, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import (
    CALM,
    SMALL,
    Plan,
    Telling,
    alter,
    insert,
    journal,
    lawful,
    merged,
    place,
    plans,
    stamped,
)
from tui_torrent.view.conformance import OF_THE_TRACKER, Conformance, Finding, Rule

Told = dict[int, list[Telling]]

RULES = [rule.value for rule in Rule if rule is not Rule.SCENARIO]


def judge(events: list[Stamped]) -> Conformance:
    checker = Conformance()
    for event in events:
        checker.see(event)
    return checker


def findings(events: list[Stamped]) -> dict[str, Finding]:
    return {finding.rule: finding for finding in judge(events).result()}


def broken(events: list[Stamped]) -> set[str]:
    return {rule for rule, finding in findings(events).items() if finding.holds is False}


def unjudged(events: list[Stamped]) -> set[str]:
    return {rule for rule, finding in findings(events).items() if finding.holds is None}


# A lawful run breaks nothing -------------------------------------------------------------------


@given(plans(), st.integers(0, 2**32))
def test_every_rule_holds_in_a_lawful_run_however_its_ranks_are_interleaved(plan: Plan, seed: int) -> None:
    events = journal(lawful(plan, seed), seed)
    assert [f for f in judge(events).result() if f.holds is not True] == []


@given(plans(), st.integers(0, 2**32))
def test_every_rule_holds_where_a_client_dies(plan: Plan, seed: int) -> None:
    events = journal(lawful(plan, seed, dies=1), seed)
    assert [f for f in judge(events).result() if f.holds is not True] == []


@given(plans(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_two_interleavings_of_one_run_are_judged_alike(plan: Plan, seed: int, other: int) -> None:
    told = lawful(plan, seed)
    assert judge(journal(told, seed)).result() == judge(journal(told, other)).result()


@given(plans(), st.integers(0, 2**32), st.floats(0, 1, exclude_max=True))
def test_a_journal_cut_short_breaks_no_rule_but_that_it_is_whole(plan: Plan, seed: int, share: float) -> None:
    events = journal(lawful(plan, seed), seed)
    assert broken(events[: int(share * len(events))]) == {Rule.JOURNAL.value}


@given(plans(), st.integers(0, 2**32), st.data())
def test_an_aborted_run_breaks_no_rule(plan: Plan, seed: int, data: st.DataObject) -> None:
    told = lawful(plan, seed)
    ending = told[plan.clients + 1 if plan.monitored else 0].pop()
    for rank, tellings in told.items():
        if rank <= plan.clients:
            at = data.draw(st.integers(rank == 0 and not plan.monitored, len(tellings)))
            first = place({rank: tellings}, ev.StopSent if rank == 0 else ev.Stopped)[1]
            del tellings[min(at, first) :]
    last: list[AnyEvent] = [ev.RunAborted(Rank(1), 2, "bad input")]
    last += [ev.StopSent(Rank(rank)) for rank in range(1, plan.clients + 1)]
    told[0] += [Telling(9.0, event) for event in last]
    for rank in range(1, plan.clients + 1):
        told[rank] += [Telling(9.1, ev.Stopped()), Telling(9.2, ev.ServingEnded())]
    told[plan.clients + 1 if plan.monitored else 0].append(Telling(10.0, ev.RunEnded("failed")))
    assert ending.event != ev.RunEnded("failed")
    assert broken(journal(told, seed)) == set()


@given(plans(), st.integers(0, 2**32), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_lost_events_break_no_rule_but_that_the_journal_is_whole(
    plan: Plan, seed: int, lost: list[float]
) -> None:
    events = journal(lawful(plan, seed), seed)
    # A rank's last event is not among them: that it is missing shows in no gap.
    last = {event.rank: event.seq for event in events}
    inner = [event for event in events[1:] if event.seq < last[event.rank]]
    gone = [inner[int(share * (len(inner) - 1))] for share in lost if inner]
    expected = {Rule.JOURNAL.value} if gone else set()
    assert broken([event for event in events if event not in gone]) == expected


@given(plans(), st.integers(0, 2**32))
def test_a_full_queue_breaks_no_rule_but_that_the_journal_is_whole(plan: Plan, seed: int) -> None:
    told, random = lawful(plan, seed), Random(seed)
    rank = random.randint(1, plan.clients)
    at = random.randrange(len(told[rank]))
    count = random.randint(1, len(told[rank]) - at)
    told[rank][at : at + count] = [Telling(told[rank][at].t, ev.EventsDropped(count))]
    assert broken(journal(told, seed)) == {Rule.JOURNAL.value}


# Whatever comes, it answers --------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", ""])
NUMBERS = st.one_of(st.integers(-2, 5), st.integers())


#: What stands in an event, by its annotation.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("int", "Rank", "SegmentIndex"), NUMBERS),
    **dict.fromkeys(("str", "Algorithm", "SwarmRole", "Loss", "MessageName"), NAMES),
    "bool": st.booleans(),
    "float": st.floats(),
    "Bins": st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2).map(tuple),
    "RejectReason": st.sampled_from(["absent", "unreadable", "busy", "cancelled"]),
    "tuple[str, ...]": st.lists(NAMES, max_size=3).map(tuple),
    "tuple[tuple[str, ...], ...]": st.lists(st.lists(NAMES, max_size=2).map(tuple), max_size=2).map(tuple),
    "tuple[tuple[str, str], ...]": st.lists(st.tuples(NAMES, NAMES), max_size=2).map(tuple),
    "tuple[Cause, ...]": st.lists(st.builds(ev.Cause, NUMBERS, NAMES), max_size=2).map(tuple),
    "tuple[Links, ...]": st.lists(st.builds(ev.Links, NUMBERS, NUMBERS), max_size=2).map(tuple),
    "tuple[OwnedFile, ...]": st.lists(st.builds(ev.OwnedFile, NAMES, NUMBERS), max_size=3).map(tuple),
}
ANY_EVENT: st.SearchStrategy[Any] = st.one_of(
    [
        st.builds(kind, **{name: VALUES[of] for name, of in kind.__annotations__.items()})
        for kind in get_args(ev.AnyEvent)
    ]
)
ANY_STAMPED = st.builds(Stamped, st.floats(), st.integers(-1, 4), st.integers(0, 6), ANY_EVENT)


@given(st.lists(ANY_STAMPED, max_size=60), st.booleans())
def test_any_events_in_any_order_are_judged(events: list[Stamped], renumber: bool) -> None:
    if renumber:
        seqs: dict[int, int] = {}
        for at, event in enumerate(events):
            seq = seqs[event.rank] = seqs.get(event.rank, -1) + 1
            events[at] = msgspec.structs.replace(event, seq=seq)
    checker = Conformance()
    for event in events:
        checker.see(event)
    results = checker.result()
    assert [finding.rule for finding in results] == RULES
    first = checker.first_violation()
    assert (first is None) == all(finding.holds is not False for finding in results)
    assert first is None or first in results
    assert checker.result() == results


@given(plans(), st.integers(0, 2**32), st.lists(ANY_STAMPED, min_size=1, max_size=3))
def test_any_events_amid_a_lawful_run_are_judged(plan: Plan, seed: int, strange: list[Stamped]) -> None:
    events = journal(lawful(plan, seed), seed)
    for event in strange:
        events.insert(Random(seed).randrange(len(events)), event)
    assert [finding.rule for finding in judge(events).result()] == RULES


# Who may die -----------------------------------------------------------------------------------


@given(plans(), st.integers(0, 2**32), st.data())
def test_a_client_that_dies_after_its_last_file_breaks_no_rule(
    plan: Plan, seed: int, data: st.DataObject
) -> None:
    told = lawful(plan, seed)
    rank = data.draw(st.integers(1, plan.clients))
    del told[rank][data.draw(st.integers(place(told, ev.AllCompleted, rank=rank)[1], len(told[rank]) - 1)) :]
    assert broken(journal(told, seed)) == set()
    assert unjudged(journal(told, seed)) <= {Rule.ALL_COMPLETE.value, Rule.STOP.value}


def test_what_a_client_that_died_still_owes_is_not_judged() -> None:
    told = lawful()
    del told[1][place(told, ev.Stopped, rank=1)[1] :]
    finding = findings(journal(told))[Rule.STOP.value]
    assert finding.holds is None
    assert finding.detail.endswith("what client 1 tells ends before its ServingEnded: it may have died.")


# The journal's own rule ------------------------------------------------------------------------


def detail(events: list[Stamped], rule: Rule) -> str:
    finding = findings(events)[rule.value]
    assert finding.holds is False
    return finding.detail


def test_a_missing_event_is_named_by_the_one_after_it() -> None:
    events = journal(lawful())
    at = next(at for at, event in enumerate(events) if isinstance(event.event, ev.SegmentStored))
    rank = events[at].rank
    del events[at]
    after = next(at for at in range(at, len(events)) if events[at].rank == rank)
    assert detail(events, Rule.JOURNAL).startswith(f"Line {after + 1} ")
    assert detail(events, Rule.JOURNAL).endswith(f": 1 event of rank {rank} is missing before it.")


def test_an_event_told_twice_is_out_of_order() -> None:
    events = journal(lawful())
    events.insert(9, events[8])
    assert detail(events, Rule.JOURNAL).startswith("Line 10 ")
    assert "out of order" in detail(events, Rule.JOURNAL)


def test_dropped_events_of_a_client_cost_the_verdict_on_it_alone() -> None:
    told = lawful()
    at = place(told, ev.AllCompleted, rank=2)[1]
    insert(told, 2, at, ev.EventsDropped(12))
    events = journal(told)
    assert "12 events of rank 2 were dropped" in detail(events, Rule.JOURNAL)
    assert unjudged(events) == set()
    line = next(at for at, event in enumerate(events, 1) if isinstance(event.event, ev.EventsDropped))
    finding = findings(events)[Rule.STORED.value]
    assert finding.holds is True
    assert finding.detail.endswith(f"; client 2 is not judged from line {line} on.")


def test_what_others_break_is_found_where_events_of_one_are_missing() -> None:
    told = lawful(CALM)
    alter(told, place(told, ev.SegmentStored, rank=3), digest="something else")
    events = journal(told)
    del events[next(at for at, e in enumerate(events) if e.rank == 2 and isinstance(e.event, ev.InitSent))]
    assert broken(events) == {Rule.JOURNAL.value, Rule.STORED.value}


def test_missing_events_of_the_tracker_leave_its_own_rules_unjudged() -> None:
    events = journal(lawful())
    del events[next(at for at, e in enumerate(events) if isinstance(e.event, ev.InitReceived))]
    assert broken(events) == {Rule.JOURNAL.value}
    assert {rule.value for rule in OF_THE_TRACKER} == unjudged(events)


def test_a_journal_needs_its_header() -> None:
    events = journal(lawful())
    assert detail(events[1:], Rule.JOURNAL).endswith("the journal begins without its header, RunStarted.")


def test_a_journal_of_another_version() -> None:
    told = lawful()
    alter(told, (0, 0), version=99)
    assert detail(journal(told), Rule.JOURNAL).endswith("the journal's version is 99, not 1 to 3.")


def test_nothing_comes_after_the_outcome() -> None:
    events = journal(lawful())
    events.append(Stamped(9.0, Rank(0), events[-1].seq + 1, ev.NonsenseReceived(Rank(1), "late")))
    assert detail(events, Rule.JOURNAL).startswith(f"Line {len(events)} ")


def test_an_empty_journal_breaks_one_rule() -> None:
    assert broken([]) == {Rule.JOURNAL.value}
    first = Conformance().first_violation()
    assert first is not None
    assert first.detail == "The journal is empty."


# What is said ----------------------------------------------------------------------------------


def test_what_holds_says_what_was_checked() -> None:
    plan = Plan(files={"f": 25}, owns=(("f",), ()), wants=((), ("f",)), every=10, trouble=False)
    told = {finding.rule: finding.detail for finding in judge(journal(lawful(plan))).result()}
    assert told[Rule.STORED.value] == "25 stored segments were compared with the digest, and alike."
    assert told[Rule.UPDATE.value] == "2 updates were sent in time, one after each 10 segments of a client."
    assert told[Rule.TRACKER.value] == "75 requests and segments went from client to client."


def test_what_is_not_judged_says_why() -> None:
    events = journal(lawful())[:-1]
    finding = findings(events)[Rule.STOP.value]
    assert finding.holds is True, "nothing is owed: all were told to stop, and stopped"
    events = merged(stamped(lawful()), Random(0))
    cut = next(at for at, event in enumerate(events) if isinstance(event.event, ev.InitAckSent))
    finding = findings(events[:cut])[Rule.STOP.value]
    assert finding.holds is None
    assert finding.detail.endswith(f"the rest is not judged: the journal ends early, at line {cut}.")


def in_time_order(event: Stamped) -> tuple[float, bool]:
    return event.t, isinstance(event.event, ev.RunEnded)


def test_the_first_violation_is_the_earliest_of_all_rules() -> None:
    told = lawful(CALM)
    insert(told, 0, place(told, ev.StopSent, nth=-1)[1] + 1, ev.SwarmServed(Rank(2), 1, 0, 0))
    alter(told, place(told, ev.SegmentStored), source=Rank(0))
    alter(told, place(told, ev.SegmentStored, nth=-1), digest="")
    in_time = sorted((e for events in stamped(told).values() for e in events), key=in_time_order)
    checker = judge(in_time)
    first = checker.first_violation()
    assert first is not None
    assert first.rule == Rule.MOVED.value
    assert "never asked of client 0" in first.detail
    also = {Rule.MOVED.value, Rule.ANSWER.value}
    assert broken(in_time) == also | {Rule.TRACKER.value, Rule.STORED.value, Rule.STOP.value}


def test_a_refusal_that_may_have_been_decided_before_the_file_came_in_is_no_violation() -> None:
    told = lawful(CALM)
    rank, at = place(told, ev.AllCompleted, rank=2)
    last = place({2: told[2][:at]}, ev.FileCompleted, nth=-1)
    event = told[2][last[1]].event
    assert isinstance(event, ev.FileCompleted)
    insert(told, rank, at + 1, ev.SegmentRefused(Rank(3), event.file, SegmentIndex(0), "absent"))
    told[rank][at + 1].t = told[2][at].t
    finding = findings(journal(told))[Rule.SERVING.value]
    assert finding.holds is True, finding


def test_files_beyond_those_listed_are_only_counted() -> None:
    names = tuple(f"f{number}" for number in range(ev.NAMES_LISTED + 8))
    plan = Plan(files=dict.fromkeys(names, 1), owns=(names, ()), wants=((), names), every=2, trouble=False)
    told = lawful(plan)
    for tellings in told.values():
        for telling in tellings:
            if isinstance(telling.event, ev.SwarmRequested) and telling.event.unfinished > ev.NAMES_LISTED:
                telling.event = ev.SwarmRequested(telling.event.unfinished, ())
    assert broken(journal(told)) == set()
    alter(told, due_of(told, 2), unfinished=ev.NAMES_LISTED + 1)
    assert broken(journal(told)) == {Rule.UPDATE.value}


def due_of(told: Told, rank: int) -> tuple[int, int]:
    """The first update of a client: its second SWARM_REQUEST."""
    return place(told, ev.SwarmRequested, rank=rank, nth=1)


def test_the_small_plan_is_a_run_worth_checking() -> None:
    kinds = {type(telling.event) for seed in range(20) for t in lawful(SMALL, seed).values() for telling in t}
    assert {ev.SegmentRefused, ev.RequestExpired, ev.SegmentDropped, ev.FileUnavailable} <= kinds
