"""The trace checker: silent on every lawful run, and right about the first event that breaks a rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import (
    SMALL,
    Plan,
    Telling,
    alter,
    digest,
    journal,
    lawful,
    merged,
    place,
    plans,
    stamped,
)
from tui_torrent.view.conformance import Conformance, Finding, Rule

Told = dict[int, list[Telling]]

RULES = [rule.value for rule in Rule]


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


#: What stands in an event, by its annotation; all else is a number.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": NAMES,
    "Algorithm": NAMES,
    "SwarmRole": NAMES,
    "RejectReason": st.sampled_from(["absent", "busy", "cancelled"]),
    "tuple[str, ...]": st.lists(NAMES, max_size=3).map(tuple),
    "tuple[OwnedFile, ...]": st.lists(st.builds(ev.OwnedFile, NAMES, NUMBERS), max_size=3).map(tuple),
}
ANY_EVENT: st.SearchStrategy[Any] = st.one_of(
    [
        st.builds(kind, **{name: VALUES.get(of, NUMBERS) for name, of in kind.__annotations__.items()})
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


# Each rule, broken -----------------------------------------------------------------------------

#: Many segments and updates, no mishaps: what a mutation changes is what it means to change.
CALM = Plan(
    files={"a": 7, "b": 4},
    owns=(("a",), (), ("b",)),
    wants=(("a", "b"), ("a", "b"), ("a", "ghost")),
    every=3,
    trouble=False,
)

#: A mutation: changes what the ranks tell, returns the rank and place of the event that is then named.
Mutation = Callable[[Told], tuple[int, int]]

MUTATIONS: list[tuple[Rule, Mutation]] = []


def breaks(rule: Rule) -> Callable[[Mutation], Mutation]:
    def register(mutation: Mutation) -> Mutation:
        MUTATIONS.append((rule, mutation))
        return mutation

    return register


def move(told: Told, source: tuple[int, int], to: int) -> tuple[int, int]:
    """Tell an event earlier or later; returns where it is now."""
    rank, at = source
    telling = told[rank].pop(at)
    told[rank].insert(to, telling)
    return rank, to


def insert(told: Told, rank: int, at: int, event: AnyEvent) -> tuple[int, int]:
    told[rank].insert(at, Telling(told[rank][min(at, len(told[rank]) - 1)].t, event))
    return rank, at


def at_the_end(told: Told) -> tuple[int, int]:
    return place(told, ev.RunEnded)


@breaks(Rule.INIT)
def a_client_sends_no_init(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitSent, rank=2)
    del told[rank][at]
    return place(told, ev.InitAckReceived, rank=2)


@breaks(Rule.INIT)
def a_client_sends_init_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitSent, rank=3)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.INIT)
def a_client_serves_before_its_init(told: Told) -> tuple[int, int]:
    return insert(told, 1, 0, ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1))


@breaks(Rule.INIT_ACK)
def an_init_ack_leaves_before_the_last_init_is_in(told: Told) -> tuple[int, int]:
    return move(told, place(told, ev.InitAckSent), place(told, ev.InitReceived, nth=-1)[1])


@breaks(Rule.INIT_ACK)
def an_init_never_comes_in(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitReceived)
    del told[rank][at]
    return place(told, ev.InitAckSent)


@breaks(Rule.INIT_ACK)
def a_client_is_sent_init_ack_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitAckSent)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.INIT_ACK)
def a_client_is_never_sent_init_ack(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitAckSent, nth=-1)
    del told[rank][at]
    return at_the_end(told)


@breaks(Rule.REQUEST)
def a_client_asks_for_a_swarm_before_its_init_ack(told: Told) -> tuple[int, int]:
    return move(told, place(told, ev.SwarmRequested, rank=2), place(told, ev.InitAckReceived, rank=2)[1])


@breaks(Rule.REQUEST)
def a_client_asks_for_a_segment_before_its_init_ack(told: Told) -> tuple[int, int]:
    return move(told, place(told, ev.SegmentRequested, rank=2), place(told, ev.InitAckReceived, rank=2)[1])


@breaks(Rule.REQUEST)
def a_client_downloads_without_an_init_ack(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitAckReceived, rank=2)
    del told[rank][at]
    return rank, at


def due(told: Told, nth: int = 0) -> tuple[int, int]:
    """The ``nth`` update of client 2: what follows each third segment."""
    stored = [at for at, telling in enumerate(told[2]) if isinstance(telling.event, ev.SegmentStored)]
    after = stored[3 * nth + 2]
    found = place({2: told[2][after:]}, ev.SwarmRequested)
    return 2, after + found[1]


@breaks(Rule.UPDATE)
def an_update_is_left_out(told: Told) -> tuple[int, int]:
    rank, at = due(told)
    del told[rank][at]
    return rank, at + place({rank: told[rank][at:]}, ev.SegmentStored)[1]


@breaks(Rule.UPDATE)
def an_update_comes_a_segment_late(told: Told) -> tuple[int, int]:
    rank, at = due(told, 1)
    stored = at + place({rank: told[rank][at:]}, ev.SegmentStored)[1]
    move(told, (rank, at), stored)
    return rank, stored - 1


@breaks(Rule.UPDATE)
def an_update_counts_too_few_files(told: Told) -> tuple[int, int]:
    return alter(told, due(told), unfinished=0, files=())


@breaks(Rule.UPDATE)
def an_update_names_a_file_that_is_not_unfinished(told: Told) -> tuple[int, int]:
    rank, at = due(told)
    event = told[rank][at].event
    assert isinstance(event, ev.SwarmRequested)
    return alter(told, (rank, at), files=("ghost", *event.files[1:]))


@breaks(Rule.UPDATE)
def an_update_does_not_name_a_file(told: Told) -> tuple[int, int]:
    return alter(told, due(told), files=())


@breaks(Rule.STORED)
def a_stored_segment_hashes_to_something_else(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored, nth=4), digest=digest("a", 99))


@breaks(Rule.STORED)
def a_stored_segment_is_beyond_the_file(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored, nth=5), segment=SegmentIndex(7))


@breaks(Rule.STORED)
def a_stored_segment_is_before_the_file(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored), segment=SegmentIndex(-1))


@breaks(Rule.STORED)
def a_segment_is_stored_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.SegmentStored, rank=2, nth=6)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.STORED)
def a_client_stores_what_it_got_from_itself(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored, rank=2), source=Rank(2))


@breaks(Rule.STORED)
def a_file_is_never_registered(told: Told) -> tuple[int, int]:
    del told[0][place(told, ev.FileRegistered, lambda e: e.file == "b")[1]]
    return -1, -1  # Whichever client's line about it comes first.


@breaks(Rule.STORED)
def a_segment_is_stored_before_the_files_manifest_came(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.DownloadStarted, lambda e: e.file == "b", rank=2)
    del told[rank][at]
    return place(told, ev.SegmentStored, lambda e: e.file == "b", rank=2)


@breaks(Rule.STORED)
def a_manifest_is_not_the_registered_one(told: Told) -> tuple[int, int]:
    del told[2][place(told, ev.FileCompleted, lambda e: e.file == "a", rank=2)[1]]
    alter(told, (0, 0), swarm_update=99)
    spot = alter(told, place(told, ev.DownloadStarted, lambda e: e.file == "a", rank=2), segments=9)
    for kind in (ev.FileCompleteReceived, ev.SwarmListed):
        del told[0][place(told, kind, lambda e: (e.client, e.file) == (2, "a"), rank=0)[1]]
    insert(told, 2, place(told, ev.AllCompleted, rank=2)[1], ev.FileUnavailable("a", "two segments short"))
    return spot


@breaks(Rule.FILE_COMPLETE)
def a_file_is_completed_a_segment_short(told: Told) -> tuple[int, int]:
    at = place(told, ev.FileCompleted, rank=2)[1]
    to = place({2: told[2][:at]}, ev.SegmentStored, nth=-1)[1]
    return move(told, (2, at), to)


@breaks(Rule.FILE_COMPLETE)
def a_file_is_completed_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.FileCompleted, rank=2)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.FILE_COMPLETE)
def a_file_is_completed_that_is_not_wanted(told: Told) -> tuple[int, int]:
    return insert(told, 3, place(told, ev.AllCompleted, rank=3)[1], ev.FileCompleted("b"))


@breaks(Rule.FILE_COMPLETE)
def the_tracker_hears_file_complete_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.FileCompleteReceived)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.FILE_COMPLETE)
def the_tracker_hears_of_a_file_that_is_not_complete(told: Told) -> tuple[int, int]:
    at = place(told, ev.StopSent)[1]
    return insert(told, 0, at, ev.FileCompleteReceived(Rank(3), "ghost"))


@breaks(Rule.FILE_COMPLETE)
def an_owner_sends_file_complete(told: Told) -> tuple[int, int]:
    return insert(told, 0, place(told, ev.StopSent)[1], ev.FileCompleteReceived(Rank(1), "a"))


@breaks(Rule.ALL_COMPLETE)
def all_complete_comes_before_the_last_file(told: Told) -> tuple[int, int]:
    last = place(told, ev.FileCompleted, rank=2, nth=-1)
    return move(told, place(told, ev.AllCompleted, rank=2), last[1])


@breaks(Rule.ALL_COMPLETE)
def all_complete_is_sent_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.AllCompleted, rank=3)
    return insert(told, rank, at + 1, ev.AllCompleted())


@breaks(Rule.ALL_COMPLETE)
def all_complete_is_never_sent(told: Told) -> tuple[int, int]:
    del told[2][place(told, ev.AllCompleted, rank=2)[1]]
    return -1, -1  # The tracker's AllCompleteReceived or the client's Stopped, whichever comes first.


@breaks(Rule.ALL_COMPLETE)
def the_tracker_hears_all_complete_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.AllCompleteReceived)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.ALL_COMPLETE)
def a_client_asks_for_segments_after_all_complete(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.AllCompleted, rank=2)
    return insert(told, rank, at + 1, ev.SegmentRequested(Rank(1), "a", SegmentIndex(0)))


@breaks(Rule.STOP)
def a_stop_leaves_before_the_last_all_complete_is_in(told: Told) -> tuple[int, int]:
    return move(told, place(told, ev.StopSent), place(told, ev.AllCompleteReceived, nth=-1)[1])


@breaks(Rule.STOP)
def an_all_complete_never_comes_in(told: Told) -> tuple[int, int]:
    del told[0][place(told, ev.AllCompleteReceived)[1]]
    return place(told, ev.StopSent)


@breaks(Rule.STOP)
def the_tracker_goes_on_after_stop(told: Told) -> tuple[int, int]:
    at = place(told, ev.StopSent, nth=-1)[1]
    return insert(told, 0, at + 1, ev.SwarmServed(Rank(2), 1, 0, 0))


@breaks(Rule.STOP)
def a_client_is_never_sent_stop(told: Told) -> tuple[int, int]:
    del told[0][place(told, ev.StopSent, nth=-1)[1]]
    return at_the_end(told)


@breaks(Rule.STOP)
def a_downloader_goes_on_after_stop(told: Told) -> tuple[int, int]:
    at = place(told, ev.Stopped, rank=1)[1]
    return insert(told, 1, at + 1, ev.RequestExpired(Rank(3), "b", SegmentIndex(0)))


@breaks(Rule.STOP)
def an_uploader_goes_on_after_its_end(told: Told) -> tuple[int, int]:
    at = place(told, ev.ServingEnded, rank=1)[1]
    return insert(told, 1, at + 1, ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1))


@breaks(Rule.TRACKER)
def the_tracker_sends_a_segment(told: Told) -> tuple[int, int]:
    at = place(told, ev.StopSent)[1]
    return insert(told, 0, at, ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1))


@breaks(Rule.TRACKER)
def a_segment_is_sent_to_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentSent), target=Rank(0))


@breaks(Rule.TRACKER)
def a_segment_is_asked_of_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentRequested), source=Rank(0))


@breaks(Rule.TRACKER)
def a_segment_comes_from_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored), source=Rank(0))


@breaks(Rule.TRACKER)
def a_segment_is_sent_to_the_monitor(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentSent), target=Rank(4))


@breaks(Rule.SERVING)
def a_finished_client_refuses_what_it_owned(told: Told) -> tuple[int, int]:
    at = place(told, ev.AllCompleted, rank=1)[1]
    return insert(told, 1, at + 1, ev.SegmentRefused(Rank(2), "a", SegmentIndex(3), "absent"))


@breaks(Rule.SERVING)
def a_finished_client_refuses_what_it_downloaded(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.AllCompleted, rank=2)
    spot = insert(told, rank, at + 1, ev.SegmentRefused(Rank(3), "a", SegmentIndex(3), "absent"))
    for telling in told[rank][at + 1 :]:
        telling.t += 1.5
    return spot


@breaks(Rule.SERVING)
def a_client_ends_its_serving_before_stop(told: Told) -> tuple[int, int]:
    told[1] = [telling for telling in told[1] if not isinstance(telling.event, ev.SegmentRefused)]
    return move(told, place(told, ev.ServingEnded, rank=1), place(told, ev.Stopped, rank=1)[1])


@breaks(Rule.SERVING)
def a_client_ends_its_serving_without_a_stop(told: Told) -> tuple[int, int]:
    told[2] = [telling for telling in told[2] if not isinstance(telling.event, ev.SegmentRefused)]
    del told[2][place(told, ev.Stopped, rank=2)[1]]
    return place(told, ev.ServingEnded, rank=2)


@breaks(Rule.JOURNAL)
def a_client_tells_what_only_the_tracker_can(told: Told) -> tuple[int, int]:
    return insert(told, 1, place(told, ev.AllCompleted, rank=1)[1], ev.SwarmServed(Rank(1), 1, 0, 0))


@breaks(Rule.JOURNAL)
def the_tracker_speaks_of_a_client_that_is_none(told: Told) -> tuple[int, int]:
    return insert(told, 0, place(told, ev.StopSent)[1], ev.SwarmServed(Rank(4), 1, 0, 0))


@breaks(Rule.JOURNAL)
def the_tracker_tells_what_only_a_client_can(told: Told) -> tuple[int, int]:
    return insert(told, 0, place(told, ev.StopSent)[1], ev.SourceAvoided(Rank(1), "silent"))


@pytest.mark.parametrize(("rule", "mutation"), MUTATIONS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("seed", range(12))
def test_each_mutation_breaks_its_rule_alone_and_names_its_event(
    rule: Rule, mutation: Mutation, seed: int
) -> None:
    told = lawful(CALM, seed)
    rank, at = mutation(told)
    culprit = told[rank][at].event if rank >= 0 else None
    events = journal(told, seed)
    checker = judge(events)
    results = {finding.rule: finding for finding in checker.result()}
    assert {name for name, finding in results.items() if finding.holds is not True} == {rule.value}
    assert checker.first_violation() == results[rule.value]
    named = re.match(r"Line (\d+) \(t = [\d.]+ s, rank (\d+), (\w+)\): .+\.$", results[rule.value].detail)
    assert named is not None
    line = events[int(named[1]) - 1]
    assert (line.rank, type(line.event).__name__) == (int(named[2]), named[3])
    if culprit is not None:
        assert (line.rank, line.seq, line.event) == (rank, at, culprit)


def test_every_rule_has_a_mutation_that_breaks_it() -> None:
    assert {rule for rule, _ in MUTATIONS} == set(Rule)


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
    assert detail(events, Rule.JOURNAL).endswith(f": 1 events of rank {rank} are missing before it.")


def test_an_event_told_twice_is_out_of_order() -> None:
    events = journal(lawful())
    events.insert(9, events[8])
    assert detail(events, Rule.JOURNAL).startswith("Line 10 ")
    assert "out of order" in detail(events, Rule.JOURNAL)


def test_dropped_events_are_a_loss_and_leave_the_other_rules_unjudged() -> None:
    told = lawful()
    at = place(told, ev.AllCompleted, rank=2)[1]
    insert(told, 2, at, ev.EventsDropped(12))
    events = journal(told)
    assert "12 events of rank 2 were dropped" in detail(events, Rule.JOURNAL)
    assert unjudged(events) == set(RULES) - {Rule.JOURNAL.value}


def test_a_journal_needs_its_header() -> None:
    events = journal(lawful())
    assert detail(events[1:], Rule.JOURNAL).endswith("the journal begins without its header, RunStarted.")


def test_a_journal_of_another_version() -> None:
    told = lawful()
    alter(told, (0, 0), version=99)
    assert detail(journal(told), Rule.JOURNAL).endswith("the journal's version is 99, not 1.")


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
    assert told[Rule.STORED.value] == "25 stored segments match their digest."
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
    assert first.rule == Rule.TRACKER.value
    assert broken(in_time) == {Rule.TRACKER.value, Rule.STORED.value, Rule.STOP.value}


def test_a_refusal_that_may_have_been_decided_before_the_file_came_in_is_no_violation() -> None:
    told = lawful(CALM)
    rank, at = place(told, ev.AllCompleted, rank=2)
    last = place({2: told[2][:at]}, ev.FileCompleted, nth=-1)
    event = told[2][last[1]].event
    assert isinstance(event, ev.FileCompleted)
    insert(told, rank, at + 1, ev.SegmentRefused(Rank(3), event.file, SegmentIndex(0), "absent"))
    told[rank][at + 1].t = told[2][last[1]].t + 0.01
    assert broken(journal(told)) == set()


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
