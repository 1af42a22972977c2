"""Health rules and the limit: each a small check, told as a person would, in any interleaving the same."""

from __future__ import annotations

import copy
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import Plan, journal, lawful, plans
from tests.helpers.runs import fold, scripted, view_of
from tui_torrent.view.blame import LOST, SLOW, WRONG, troubles
from tui_torrent.view.headline import headline
from tui_torrent.view.health import health, verdicts
from tui_torrent.view.limit import forecast, limit
from tui_torrent.view.rates import KEPT, History
from tui_torrent.view.slowest import slowest
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.words import some

Told = tuple[float, int, AnyEvent]


def requested(source: int, at: int, name: str = "a") -> AnyEvent:
    return ev.SegmentRequested(Rank(source), name, SegmentIndex(at))


def stored(source: int, at: int, name: str = "a", size: int = 10) -> AnyEvent:
    return ev.SegmentStored(Rank(source), name, SegmentIndex(at), size, "00")


def sent(target: int, at: int, name: str = "a", size: int = 10) -> AnyEvent:
    return ev.SegmentSent(Rank(target), name, SegmentIndex(at), size)


def corrupt(source: int, at: int) -> AnyEvent:
    return ev.SegmentDropped(Rank(source), "a", SegmentIndex(at), 10, "corrupt")


def swarm(
    owners: tuple[int, ...] = (1,), fetching: tuple[int, ...] = (2, 3), segments: int = 4
) -> list[Told]:
    """Owners of one file, and others who begin to fetch it at 1 s."""
    told: list[Told] = [(0.0, 0, ev.RunStarted(1, len(owners) + len(fetching), "x", "swarm", 1, 10, 8))]
    told += [(0.0, rank, ev.InitSent((ev.OwnedFile("a", segments),))) for rank in owners]
    told += [(0.5, 0, ev.FileRegistered("a", 10 * segments, segments, "blake3", ()))]
    for rank in owners:
        told += [(1.0, rank, ev.InitAckReceived(())), (1.0, rank, ev.AllCompleted())]
    for rank in fetching:
        told += [(0.0, rank, ev.InitSent(()))]
        told += [
            (1.0, rank, ev.InitAckReceived(("a",))),
            (1.0, rank, ev.DownloadStarted("a", segments, 10 * segments)),
        ]
    return told


# Health -----------------------------------------------------------------------------------------


def test_a_swarm_that_is_well_has_no_remarks() -> None:
    for now in (0.0, 1.0, 3.0, 3.5):
        assert health(view_of(*swarm()), now) == []


def test_who_gets_nothing_is_told_with_what_it_waits_for() -> None:
    told = [*swarm(), (2.0, 3, requested(1, 0)), (5.0, 3, stored(1, 0))]
    view = view_of(*told)
    (remark,) = health(view, 7.0)
    assert remark == (
        "client 2 has received nothing for 6.0 s: only client 1 holds 3 segments that it misses"
    )
    two = view_of(*swarm(owners=(1, 4), fetching=(2,)), (2.0, 2, requested(4, 0)))
    assert health(two, 7.0) == ["client 2 has received nothing for 6.0 s: it waits for client 4"]
    idle = view_of(*swarm(owners=(1, 4), fetching=(2,)))
    assert health(idle, 7.0) == ["client 2 has received nothing for 6.0 s and has no request in flight"]


def test_many_hungry_clients_share_a_sentence() -> None:
    view = view_of(*swarm(fetching=tuple(range(2, 12))))
    assert health(view, 5.0) == ["clients 2, 3, 4 and 7 more have received nothing for 4.0 s or more"]


def test_a_lost_client_takes_the_only_copies_with_it() -> None:
    view = view_of(*swarm(), (2.0, 2, stored(1, 0)), (3.0, 0, ev.ClientLost(Rank(1), "silent for 5 s")))
    first, second, *_ = health(view, 9.0)
    assert first == ("client 1 was given up (silent for 5 s), and with it the only copy of 3 segments of a")
    assert "nobody holds 3 segments that it misses" in second


def test_a_corrupting_client_is_named_with_who_avoids_it() -> None:
    told = [*swarm(owners=(1, 4)), *((2.0, 3, corrupt(4, at)) for at in range(3)), (2.0, 2, corrupt(4, 0))]
    assert health(view_of(*told), 3.0) == ["client 4 sent 4 corrupt segments"]
    told.append((2.5, 3, ev.SourceAvoided(Rank(4), "3 corrupt segments")))
    assert health(view_of(*told), 3.0) == ["client 4 sent 4 corrupt segments; client 3 avoids it"]
    told.append((2.5, 2, corrupt(1, 1)))
    told.append((2.5, 2, corrupt(3, 1)))
    assert "clients 1 and 3 sent 2 corrupt segments" in health(view_of(*told), 3.0)


def test_a_silent_client_is_told_until_it_speaks() -> None:
    told: list[Told] = [
        *swarm(owners=(1, 4), fetching=(2,)),
        (2.0, 2, requested(4, 0)),
        (3.0, 2, ev.RequestExpired(Rank(4), "a", SegmentIndex(0))),
        (3.0, 2, ev.SourceAvoided(Rank(4), "silent")),
    ]
    assert "client 4 did not answer 1 request in time; client 2 avoids it" in health(view_of(*told), 3.5)
    told.append((3.2, 2, stored(4, 0)))
    assert health(view_of(*told), 3.5) == ["client 4 did not answer 1 request in time"]


def test_who_says_that_requests_wait_is_busy_and_not_silent() -> None:
    late = [(3.0, 2, ev.RequestExpired(Rank(source), "a", SegmentIndex(0))) for source in (1, 1, 4, 5, 6)]
    told: list[Told] = swarm(owners=(1, 4, 5, 6), fetching=(2,))
    assert health(view_of(*told, *late[:2]), 3.5) == [
        "client 1 was busy, not silent: 2 requests waited there longer than the timeout"
    ]
    assert health(view_of(*told, *late), 3.5) == [
        "clients 1, 4, 5 and 6 were busy, not silent: 5 requests waited there longer than the timeout"
    ]


def test_other_things_amiss_have_a_sentence_each() -> None:
    told = swarm(fetching=(2, 3, 4), segments=40)
    busy = [(2.0, 1, ev.SegmentRefused(Rank(2), "a", SegmentIndex(0), "busy"))] * 25
    told += [*busy, *from_the_origin(30, thrice=True)]
    told += [(2.0, 3, ev.EventsDropped(12)), (2.0, 3, ev.NonsenseReceived(Rank(2), "?"))]
    assert health(view_of(*told), 3.0) == [
        "12 events were lost: numbers are too small",
        "1 message was no sense and was dropped",
        "client 1 refuses 45 % of the segments that it is asked for",
        "100 % of all segments come from the original owner, client 1",
    ]
    aborted = view_of(*swarm(), (2.0, 0, ev.RunAborted(Rank(3), 3, "disk full")))
    assert health(aborted, 9.0) == ["client 3 ended the run: disk full"]


def from_the_origin(times: int, thrice: bool) -> list[Told]:
    """Client 1 sends to 2, 3 and 4 in turn: the same segment to each of them, or none twice."""
    turns = [(2 + at % 3, at // 3 if thrice else at) for at in range(times)]
    told: list[Told] = [(2.0, 1, sent(rank, at)) for rank, at in turns]
    return told + [(2.0, rank, stored(1, at)) for rank, at in turns]


def test_the_origin_may_send_what_only_it_can_send() -> None:
    told = swarm(fetching=(2, 3, 4), segments=40)
    assert health(view_of(*told, *from_the_origin(30, thrice=False)), 3.0) == []
    assert health(view_of(*told, *from_the_origin(30, thrice=True)), 3.0) != []
    # Each segment of a file that one client wants must come from its owner.
    alone = swarm(fetching=(2,), segments=4)
    each = [event for at in range(4) for event in ((2.0, 1, sent(2, at)), (2.0, 2, stored(1, at)))]
    assert health(view_of(*alone, *each), 3.0) == []


def test_where_most_clients_are_owners_they_may_send_most() -> None:
    told = swarm(owners=(1, 5, 6, 7), fetching=(2, 3, 4), segments=40)
    turns = [(owner, rank, at) for at in range(10) for owner in (1, 5, 6, 7) for rank in (2, 3, 4)]
    told += [(2.0, owner, sent(rank, at)) for owner, rank, at in turns]
    told += [(2.0, rank, stored(owner, at)) for owner, rank, at in turns]
    assert health(view_of(*told), 3.0) == []


def test_whom_all_wait_for_before_the_first_download() -> None:
    begun: list[Told] = [(0.0, 0, ev.RunStarted(1, 2, "x", "swarm", 1, 10, 8)), (0.1, 1, ev.InitSent(()))]
    assert health(view_of(*begun), 4.0) == [
        "nobody may download yet: client 2 has not told the tracker what it owns"
    ]
    begun.append((1.0, 2, ev.ShareHashed(30, 40)))
    assert health(view_of(*begun), 4.0) == [
        "nobody may download yet: client 2 is still hashing its files (75 %)"
    ]


def test_ranks_are_told_as_a_person_would() -> None:
    assert some([5]) == "client 5"
    assert some([6, 5]) == "clients 5 and 6"
    assert some(range(5, 9)) == "clients 5, 6, 7 and 8"
    assert some(range(5, 20)) == "clients 5, 6, 7 and 12 more"


def test_who_waits_for_the_only_holder_of_the_rest() -> None:
    told: list[Told] = [*swarm(segments=4), (1.5, 1, sent(2, 0)), (1.5, 1, sent(2, 1))]
    told += [(2.0 + at / 10, rank, stored(1, at)) for at in range(2) for rank in (2, 3)]
    waits = "clients 2 and 3 wait for client 1, the only one with the 2 segments they miss"
    assert waits in health(view_of(*told), 3.0)
    told.append((2.3, 2, stored(1, 2)))
    assert waits not in health(view_of(*told), 3.0)


# The slowest ------------------------------------------------------------------------------------


def test_the_slowest_waited_for_what_only_one_held() -> None:
    told: list[Told] = [*swarm(segments=2)]
    told += [(1.2, 2, stored(1, 0)), (1.4, 2, stored(3, 1)), (1.5, 2, ev.AllCompleted())]
    told += [(1.3, 3, stored(1, 0)), (5.4, 3, stored(1, 1)), (5.5, 3, ev.AllCompleted())]
    # Client 2 had segment 1 by 1.4 s: client 3 could have had it from there.
    texts = slowest(view_of(*told))
    assert texts[0] == "client 3 was done last, at 5.5 s; the median client at 3.5 s"
    assert texts[1] == "client 3 got nothing for 4.1 s in all; its longest wait was 4.1 s, for client 1"
    alone: list[Told] = [*swarm(segments=2), (1.2, 2, stored(1, 0)), (1.3, 3, stored(1, 0))]
    alone += [(5.4, 3, stored(1, 1)), (5.45, 2, stored(1, 1))]
    alone += [(5.5, 2, ev.AllCompleted()), (5.6, 3, ev.AllCompleted())]
    # Both were done together: none is the last one, and both waited.
    assert slowest(view_of(*alone)) == []
    assert verdicts(view_of(*alone))[:2] == [
        "client 2 waited 4.2 s for segments that only client 1 held",
        "client 3 waited 4.1 s for segments that only client 1 held",
    ]


def test_the_slowest_had_more_to_fetch_or_slower_links_or_corrupt_segments() -> None:
    told: list[Told] = [*swarm(fetching=(2, 3, 4), segments=8)]
    for rank, step in ((2, 0.1), (3, 0.1), (4, 0.4)):
        told += [(1.0 + at * step, rank, stored(1, at, size=1000)) for at in range(8)]
        told.append((1.1 + 8 * step, rank, ev.AllCompleted()))
    told.append((2.0, 4, corrupt(2, 1)))
    texts = slowest(view_of(*sorted(told, key=lambda event: event[0])))
    assert "client 4 had to fetch 1 segment again: client 2 sent a corrupt one" in texts
    assert any("client 4 never received faster than" in text for text in texts)


def test_a_run_so_far_has_one_that_lags_behind() -> None:
    view, _ = fold(scripted(), 5.5)
    alike = "clients 5 and 6 lag behind: they have at most 44 %, where the median client has 54 %"
    assert slowest(view) == [alike]
    begun, _ = fold(scripted(), 0.2)
    assert slowest(begun) == [], "where all are alike, nobody lags"
    assert slowest(SwarmView()) == []
    assert verdicts(SwarmView()) == []


def paced(steps: dict[int, float], segments: int = 24) -> list[Told]:
    """From 1 s on each of these clients gets a segment each so many seconds."""
    told: list[Told] = [*swarm(fetching=tuple(steps), segments=segments)]
    for rank, step in steps.items():
        told += [(1 + (at + 1) * step, rank, stored(1, at)) for at in range(segments)]
        told.append((1 + segments * step + 0.01, rank, ev.AllCompleted()))
    return sorted(told, key=lambda event: event[0])


def test_gaps_are_judged_by_the_clients_own_rate() -> None:
    """Client 4 gets a segment each 2.6 s, as its link has it: it waits for nobody."""
    view = view_of(*paced({2: 0.1, 3: 0.1, 4: 2.6}))
    assert view.clients[Rank(4)].detail.waited > 60
    texts = verdicts(view)
    assert texts[0].startswith("client 4 was done last, at 1:03; the median client at 3.4 s")
    assert not any("got nothing" in text or "waited" in text for text in texts)
    assert any("never received faster than" in text for text in texts)
    # Before its next segment is due three times over, nothing is amiss.
    early = [event for event in paced({2: 0.1, 4: 2.6}) if event[0] < 20.0]
    assert health(view_of(*early), 25.0) == []
    assert health(view_of(*early), 28.0) != []


def test_a_wait_among_quick_segments_is_told() -> None:
    told = [(t + 5.0 * (rank == 3 and t > 2.0), rank, event) for t, rank, event in paced({2: 0.1, 3: 0.1})]
    assert verdicts(view_of(*told))[1] == (
        "client 3 got nothing for 5.1 s in all; its longest wait was 5.1 s, for client 1"
    )


def test_what_bound_the_last_one_is_told_where_nothing_went_wrong() -> None:
    links = (ev.Links(Rank(1), Rank(1), up=10.0),)
    told = paced({2: 1.0, 3: 1.2})
    told[0] = (0.0, 0, ev.RunStarted(1, 3, "x", "swarm", 1, 10, 8, links))
    assert slowest(view_of(*told)) == [
        "client 3 was done last, at 29.8 s; the median client at 27.4 s",
        "the limit is set by the uplink of client 1, the only seed of a: 83 % of the best possible",
    ]
    told[0] = (0.0, 0, ev.RunStarted(1, 3, "x", "swarm", 1, 10, 8))
    assert not any("do not show" in text for text in slowest(view_of(*told)))


def test_where_all_are_done_together_nobody_is_the_last() -> None:
    assert slowest(view_of(*paced({2: 1.0, 3: 1.02, 4: 1.04}))) == []


# A client's own row -----------------------------------------------------------------------------


def test_the_row_of_a_liar_says_who_avoids_it() -> None:
    told: list[Told] = [*swarm(owners=(1, 4)), *((2.0, 3, corrupt(4, at)) for at in range(3))]
    told += [(2.0, 2, corrupt(4, 0)), (2.5, 3, ev.SourceAvoided(Rank(4), "3 corrupt segments"))]
    assert troubles(view_of(*told), 3.0) == {4: (WRONG, "avoided by 1: 4 corrupt")}


def test_the_row_of_a_silent_one_of_a_lost_one_and_of_one_that_refuses() -> None:
    silent = (3.0, 2, ev.SourceAvoided(Rank(4), "silent"))
    busy = [(2.0, 1, ev.SegmentRefused(Rank(2), "a", SegmentIndex(0), "busy"))] * 25
    lost = (3.0, 0, ev.ClientLost(Rank(5), "silent for 60 s"))
    view = view_of(*swarm(owners=(1, 4, 5), fetching=(2,)), silent, *busy, lost)
    assert troubles(view, 3.5) == {
        1: (SLOW, "refuses 100 %"),
        4: (WRONG, "silent to 1"),
        5: (LOST, "silent for 60 s"),
    }


def test_the_row_of_a_bottleneck_says_so() -> None:
    links = (ev.Links(Rank(1), Rank(1), up=5.0), ev.Links(Rank(2), Rank(4), up=50.0))
    told = swarm(fetching=(2, 3, 4))
    told[0] = (0.0, 0, ev.RunStarted(1, 4, "x", "swarm", 1, 10, 8, links))
    assert troubles(view_of(*told), 1.1) == {1: (SLOW, "its uplink sets the limit")}
    told[0] = (0.0, 0, ev.RunStarted(1, 4, "x", "swarm", 1, 10, 8, (ev.Links(Rank(1), Rank(4), up=5.0),)))
    assert troubles(view_of(*told), 1.1) == {}, "an only seed as fast as all others is none"
    slow = (ev.Links(Rank(1), Rank(3), 50.0, 50.0), ev.Links(Rank(4), Rank(4), 50.0, 2.0))
    told[0] = (0.0, 0, ev.RunStarted(1, 4, "x", "swarm", 1, 10, 8, slow))
    assert troubles(view_of(*told), 1.1) == {4: (SLOW, "its downlink sets the limit")}


@settings(max_examples=60)
@given(plans(), st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 2))
def test_remarks_do_not_hang_on_the_interleaving(plan: Plan, seed: int, other: int, dies: int) -> None:
    told = lawful(plan, seed, dies)
    one, two = SwarmView(), SwarmView()
    for view, order in ((one, seed), (two, other)):
        for stamped in journal(told, order):
            view.apply(stamped)
    assert verdicts(one) == verdicts(two)
    assert health(one, one.t) == health(two, two.t)
    assert troubles(one, one.t) == troubles(two, two.t)
    assert headline(one, one.t) == headline(two, two.t)
    assert (limit(one, one.t), forecast(one, one.t)) == (limit(two, two.t), forecast(two, two.t))


# What the view remembers -------------------------------------------------------------------------


def test_requests_are_open_until_they_are_answered() -> None:
    told: list[Told] = [*swarm()]
    told += [(2.0, 2, requested(1, at)) for at in range(4)] + [(2.1, 2, requested(3, 0))]

    def open_after(*more: Told) -> set[tuple[int, int]]:
        detail = view_of(*told, *more).clients[Rank(2)].detail
        return {(at, int(source)) for (_, at), sources in detail.open.items() for source in sources}

    assert open_after() == {(0, 1), (0, 3), (1, 1), (2, 1), (3, 1)}
    assert open_after((3.0, 2, stored(3, 0))) == {(1, 1), (2, 1), (3, 1)}, "the other is told to forget it"
    rejected = ev.RequestRejected(Rank(1), "a", SegmentIndex(1), "busy")
    expired = ev.RequestExpired(Rank(1), "a", SegmentIndex(2))
    assert open_after((3.0, 2, rejected), (3.0, 2, expired), (3.0, 2, corrupt(1, 3))) == {(0, 1), (0, 3)}
    assert open_after((3.0, 2, ev.EventsDropped(1))) == set()
    assert open_after((3.0, 2, ev.AllCompleted())) == set()


def test_hand_made_journals_do_no_harm() -> None:
    view = view_of(
        (0.0, 1, stored(2, 5)),
        (0.0, 1, ev.DownloadStarted("a", -3, 0)),
        (0.0, 1, stored(2, 5)),
        (0.0, 1, ev.DownloadStarted("b", 3, 0)),
        (0.0, 1, stored(99_999, 1, "b")),
        (0.0, 1, stored(-1, 2, "b")),
        (0.0, 1, ev.RequestExpired(Rank(2), "never", SegmentIndex(1))),
    )
    assert list(view.clients[Rank(1)].detail.sources["b"]) == [0, 65535, 0]
    assert verdicts(view) == ["client 2 was busy, not silent: 1 request waited there longer than the timeout"]


def test_a_view_can_be_packed_and_copied() -> None:
    view, _ = fold(scripted(corrupt_every=50), 5.5)
    assert pickle.loads(pickle.dumps(view)) == view
    assert copy.deepcopy(view) == view


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 9))))
def test_a_history_does_not_hang_on_the_order(added: list[tuple[float, int]]) -> None:
    one, two = History(), History()
    for t, amount in added:
        one.add(t, amount)
    for t, amount in sorted(added, reverse=True):
        two.add(t, amount)
    assert one == two
    assert len(one.buckets) <= KEPT
