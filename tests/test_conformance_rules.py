"""Each rule, broken: one change to a lawful run breaks that rule alone, and its first event is named."""

from __future__ import annotations

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import alter, digest, insert, place
from tests.helpers.mutations import Mutation, Mutations, Told, move
from tui_torrent.view.conformance import Rule

MUTATIONS = Mutations()
breaks = MUTATIONS.breaks


def at_the_end(told: Told) -> tuple[int, int]:
    return place(told, ev.RunEnded)


@breaks(Rule.INIT)
def a_client_sends_no_init(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitSent, rank=2)
    del told[rank][at]
    return place(told, ev.InitAckReceived, rank=2)


@breaks(Rule.INIT, Rule.INIT_ACK)
def a_client_sends_init_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.InitSent, rank=3)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.INIT, Rule.MOVED)
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


@breaks(Rule.INIT_ACK, Rule.REQUEST)
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


@breaks(Rule.REQUEST, Rule.MOVED)
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


@breaks(Rule.UPDATE, Rule.ANSWER)
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


@breaks(Rule.STORED, Rule.MOVED)
def a_stored_segment_is_beyond_the_file(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored, nth=5), segment=SegmentIndex(7))


@breaks(Rule.STORED, Rule.MOVED)
def a_stored_segment_is_before_the_file(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored), segment=SegmentIndex(-1))


@breaks(Rule.STORED, Rule.MOVED)
def a_segment_is_stored_twice(told: Told) -> tuple[int, int]:
    rank, at = place(told, ev.SegmentStored, rank=2, nth=6)
    return insert(told, rank, at + 1, told[rank][at].event)


@breaks(Rule.STORED, Rule.MOVED)
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


@breaks(Rule.STORED, Rule.GIVEN_UP, Rule.OUTCOME, Rule.MOVED)
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


@breaks(Rule.ALL_COMPLETE, Rule.STOP)
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


@breaks(Rule.ALL_COMPLETE, Rule.MOVED)
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


@breaks(Rule.STOP, Rule.ANSWER)
def the_tracker_goes_on_after_stop(told: Told) -> tuple[int, int]:
    at = place(told, ev.StopSent, nth=-1)[1]
    return insert(told, 0, at + 1, ev.SwarmServed(Rank(2), 1, 0, 0))


@breaks(Rule.STOP)
def a_client_is_never_sent_stop(told: Told) -> tuple[int, int]:
    del told[0][place(told, ev.StopSent, nth=-1)[1]]
    return at_the_end(told)


@breaks(Rule.STOP, Rule.MOVED)
def a_downloader_goes_on_after_stop(told: Told) -> tuple[int, int]:
    at = place(told, ev.Stopped, rank=1)[1]
    return insert(told, 1, at + 1, ev.RequestExpired(Rank(3), "b", SegmentIndex(0)))


@breaks(Rule.STOP, Rule.MOVED)
def an_uploader_goes_on_after_its_end(told: Told) -> tuple[int, int]:
    at = place(told, ev.ServingEnded, rank=1)[1]
    return insert(told, 1, at + 1, ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1))


@breaks(Rule.TRACKER, Rule.MOVED)
def the_tracker_sends_a_segment(told: Told) -> tuple[int, int]:
    at = place(told, ev.StopSent)[1]
    return insert(told, 0, at, ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1))


@breaks(Rule.TRACKER, Rule.MOVED)
def a_segment_is_sent_to_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentSent), target=Rank(0))


@breaks(Rule.TRACKER, Rule.MOVED)
def a_segment_is_asked_of_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentRequested), source=Rank(0))


@breaks(Rule.TRACKER, Rule.MOVED)
def a_segment_comes_from_the_tracker(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentStored), source=Rank(0))


@breaks(Rule.TRACKER, Rule.MOVED)
def a_segment_is_sent_to_the_monitor(told: Told) -> tuple[int, int]:
    return alter(told, place(told, ev.SegmentSent), target=Rank(4))


@breaks(Rule.SERVING, Rule.MOVED)
def a_finished_client_refuses_what_it_owned(told: Told) -> tuple[int, int]:
    at = place(told, ev.AllCompleted, rank=1)[1]
    return insert(told, 1, at + 1, ev.SegmentRefused(Rank(2), "a", SegmentIndex(3), "absent"))


@breaks(Rule.SERVING, Rule.MOVED)
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


@breaks(Rule.SERVING, Rule.STOP)
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


@pytest.mark.parametrize(
    ("rule", "also", "mutation"), MUTATIONS.all, ids=lambda value: getattr(value, "__name__", "")
)
@pytest.mark.parametrize("seed", range(8))
def test_each_mutation_breaks_its_rule_and_names_its_event(
    rule: Rule, also: frozenset[Rule], mutation: Mutation, seed: int
) -> None:
    MUTATIONS.check(rule, also, mutation, seed)
