"""Want, ask, verify, retry, announce: one downloader, and a test that plays everybody else."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.units import Rank
from tests.helpers.alone import Leecher, announce, holding, leecher, payload, serve_all, swarm_response
from tests.helpers.virtual import declared

# The steps ----------------------------------------------------------------------------------------


def test_init_comes_first_and_nothing_follows_until_init_ack() -> None:
    owned = declared("mine", 3)
    client = leecher({"file1": 3}, owns=[owned], acknowledged=False)
    assert client.sent == [(0, msg.Init((owned,), (), ("file1",)))]
    assert client.wait(300) == []
    assert client.hear(0, msg.InitAck()) == [(0, msg.SwarmRequest(("file1",)))]


def test_one_swarm_request_names_all_wanted_files() -> None:
    client = leecher({"file1": 3, "file2": 4, "file3": 0})
    assert client.sent == [(0, msg.SwarmRequest(("file1", "file2", "file3")))]
    assert client.events(ev.SwarmRequested) == [ev.SwarmRequested(3, ("file1", "file2", "file3"))]


def test_a_swarm_update_follows_every_tenth_segment() -> None:
    client = leecher(wants={"file1": 25})
    sent = client.drain(serve_all(client))
    assert [i for i, m in enumerate(sent) if isinstance(m, msg.SwarmRequest)] == [0, 11, 22]


def test_an_update_is_for_every_unfinished_file_in_one_message() -> None:
    client = leecher(wants={"file1": 4, "file2": 8, "file3": 15}, strategy="classic")
    client.drain(serve_all(client))
    _, *updates = client.messages(msg.SwarmRequest)
    assert [(update.names, str(Bitfield.from_bytes(3, update.unfinished))) for update in updates] == [
        ((), ".xx"),
        ((), "..x"),
    ]
    assert client.events(ev.SwarmRequested)[1:] == [
        ev.SwarmRequested(2, ("file2", "file3")),
        ev.SwarmRequested(1, ("file3",)),
    ]


@pytest.mark.parametrize("strategy", ["classic", "swarm"])
@pytest.mark.parametrize("every", [1, 3, 10, 1000])
def test_updates_follow_every_nth_segment_in_either_strategy(strategy: str, every: int) -> None:
    client = leecher(wants={"file1": 31}, strategy=strategy, swarm_update=every, window=4)
    client.drain(serve_all(client, seeds=[2, 3]))
    stored, due = 0, []
    for event in client.told:
        stored += isinstance(event, ev.SegmentStored)
        if isinstance(event, ev.SwarmRequested):
            due.append(stored)
    assert due == [0, *range(every, 31, every)]


def test_file_complete_follows_each_whole_file_and_all_complete_the_last() -> None:
    client = leecher(wants={"file1": 2, "file2": 3}, strategy="classic")
    sent = client.drain(serve_all(client))
    assert [m for m in sent if not isinstance(m, (msg.RequestSegment, msg.SwarmRequest))] == [
        msg.FileComplete("file1"),
        msg.FileComplete("file2"),
        msg.AllComplete(),
    ]
    assert [event.file for event in client.events(ev.FileCompleted)] == ["file1", "file2"]


def test_the_classic_strategy_asks_for_segments_in_order_one_at_a_time() -> None:
    client = leecher(wants={"file1": 9}, strategy="classic", window=16)
    client.joins({"file1": [2, 3]})
    for number in range(9):
        assert len(client.requests()) == number + 1
        to, asked = client.sent[-1]
        assert isinstance(asked, msg.RequestSegment)
        client.hear(to, payload(asked))
    assert [index for _, index in client.asked()] == list(range(9))


def test_sources_are_asked_round_robin() -> None:
    client = leecher(wants={"file1": 9}, strategy="classic")
    client.drain(serve_all(client, seeds=[2, 3, 4]))
    asked = [to for to, _ in client.asked()]
    assert sorted(asked[:3]) == [2, 3, 4]
    assert asked == asked[:3] * 3


@given(st.integers(1, 16), st.integers(1, 4), st.randoms(use_true_random=False))
def test_never_more_requests_than_the_window_and_none_twice(window: int, seeds: int, chance: object) -> None:
    client = leecher(wants={"file1": 20}, window=window, clients=6)
    client.joins({"file1": range(2, 2 + seeds)})
    waiting: list[tuple[int, msg.RequestSegment]] = []
    seen = 1
    while True:
        waiting += [(to, m) for to, m in client.sent[seen:] if isinstance(m, msg.RequestSegment)]
        seen = len(client.sent)
        if not waiting:
            break
        assert len(waiting) <= window
        assert len({message.ticket for _, message in waiting}) == len(waiting)
        assert all(message.ticket < window for _, message in waiting)
        to, asked = waiting.pop(chance.randrange(len(waiting)))  # type: ignore[attr-defined]
        client.hear(to, payload(asked))
    assert sorted(index for _, index in client.asked()) == list(range(20))
    assert client.held() == "x" * 20


# What needs no download ---------------------------------------------------------------------------


def test_a_client_that_wants_nothing_is_done_at_once() -> None:
    assert leecher({}).sent == [(0, msg.AllComplete())]


def test_an_owner_that_wants_its_own_file_has_it() -> None:
    client = leecher({"file1": 3}, owns=[declared("file1", 3)])
    assert client.sent == [(0, msg.AllComplete())]
    assert client.events(ev.FileCompleted) == [ev.FileCompleted("file1")]


def test_a_file_of_no_segments_is_complete_when_its_manifest_comes() -> None:
    client = leecher({"file1": 0})
    client.joins({"file1": [2]})
    assert [m for _, m in client.sent[1:]] == [msg.FileComplete("file1"), msg.AllComplete()]


def test_a_file_that_nobody_owns_is_reported_by_name() -> None:
    client = leecher({"file1": 1, "ghost": 1})
    client.hear(0, msg.SwarmResponse((client.files["file1"],), (), ("ghost",)))
    assert client.events(ev.FileUnavailable) == [ev.FileUnavailable("ghost", "nobody owns it")]
    client.hear(0, swarm_response((), {"file1": [2]}))
    client.hear(2, payload(client.requests()[0]))
    assert client.sent[-1] == (0, msg.AllComplete(("ghost",)))


def test_patterns_are_matched_by_the_tracker() -> None:
    client = leecher({"a": 1}, patterns=["*.bin", "none/*"], acknowledged=False)
    assert client.sent == [(0, msg.Init((), ("*.bin", "none/*"), ("a",)))]
    client.hear(0, msg.InitAck((("x.bin", "a"), ())))
    assert client.messages(msg.SwarmRequest) == [msg.SwarmRequest(("a", "x.bin"))]
    assert client.events(ev.FileUnavailable) == [
        ev.FileUnavailable("none/*", "nobody owns a file of that name"),
    ]


# Stop ---------------------------------------------------------------------------------------------


def test_stop_ends_the_download_thread_and_goes_on_to_the_uploader() -> None:
    client = leecher({"file1": 5})
    assert client.hear(0, msg.Stop(aborted=True)) == [(1, msg.Shutdown())]
    assert client.halted
    assert client.told[-1] == ev.Stopped(aborted=True)


def test_after_all_complete_nothing_is_asked_but_neighbours_are_answered() -> None:
    client = leecher({"file1": 2})
    client.drain(serve_all(client))
    assert client.messages(msg.AllComplete) == [msg.AllComplete()]
    assert client.wait(300) == []
    assert client.hear(3, holding("file1", "..")) == [(3, holding("file1", "xx"))]
    assert client.hear(0, msg.SwarmResponse()) == []


# The tracker hears from it ------------------------------------------------------------------------


def test_a_client_that_waits_asks_for_its_swarms_again_less_and_less_often() -> None:
    client = leecher({"file1": 5}, give_up_after=100.0)
    client.joins({})
    asks = [second for second in range(1, 40) if client.wait(1.0)]
    assert asks == [1, 3, 7, 15, 23, 31, 39]
    # Nobody is known to hold a segment of the file: it asks for members anew.
    assert set(client.messages(msg.SwarmRequest)[1:]) == {msg.SwarmRequest((), b"\1", b"\1")}


def test_who_lacks_holders_asks_for_other_members_before_it_gives_up() -> None:
    client = leecher({"file1": 2, "file2": 9}, swarm_update=1000)
    client.joins({"file1": [], "file2": [2]})
    for _ in range(8):
        client.wait(0.25)
        client.hear(2, payload(client.requests()[-1]))
    (update,) = client.messages(msg.SwarmRequest)[1:]
    assert update == msg.SwarmRequest((), b"\3", b"\1")
    client.hear(0, swarm_response((), {"file1": [4]}))
    while not client.messages(msg.AllComplete):
        to, asked = next((to, m) for to, m in reversed(client.sent) if isinstance(m, msg.RequestSegment))
        client.hear(to, payload(asked))
    assert client.held("file1") == "xx"


def test_a_seed_named_again_brings_no_new_hope() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2]})
    client.hear(2, msg.Reject(client.requests()[0].ticket, "absent"))
    for _ in range(20):
        client.wait(1.0)
        if not client.messages(msg.AllComplete):
            client.hear(0, swarm_response((), {"file1": [2]}))
    assert len(client.requests()) == 1
    assert client.messages(msg.AllComplete) == [msg.AllComplete(("file1",))]


def test_20_000_files_begin_in_a_moment() -> None:
    names = [f"data/shards/part-{number:05}" for number in range(20_000)]
    client = leecher(dict.fromkeys(names, 1))
    begin = time.process_time()
    client.joins({name: [2] for name in names})
    # Measured 0.3 s; where each name is sought in a list, 10.
    assert time.process_time() - begin < 4


def test_a_client_that_is_never_idle_shows_the_tracker_that_it_lives() -> None:
    client = leecher({"file1": 400}, swarm_update=1000)
    client.joins({"file1": [2]})
    heard = [0.0]
    while "." in client.held():
        before = len(client.messages(msg.SwarmRequest))
        client.wait(0.5)
        client.hear(2, payload(client.requests()[-1]))
        if len(client.messages(msg.SwarmRequest)) > before:
            heard.append(client.now)
    assert client.now == 200
    assert max(later - earlier for earlier, later in pairwise(heard)) <= 60 / 4 + 1


# With neighbours ----------------------------------------------------------------------------------


def greeted(**choices: object) -> Leecher:
    """A client of a swarm with a seed, 2, and a peer, 3."""
    client = leecher({"file1": 6}, **choices)
    client.joins({"file1": [2]}, {"file1": [3]})
    return client


def test_each_side_tells_all_it_holds_once_and_then_what_it_gains() -> None:
    client = greeted()
    assert client.messages(msg.BitfieldMessage, to=3) == [holding("file1", "......")]
    assert client.messages(msg.BitfieldMessage, to=2) == []
    assert client.hear(3, holding("file1", "......")) == []
    client.wait(1.0)
    asked = client.requests()[0]
    assert (3, announce("file1", asked.index)) in client.hear(2, payload(asked))


def test_gains_that_come_fast_are_told_together() -> None:
    client = leecher({"file1": 6}, announce_interval=1.0)
    client.joins({"file1": [2, 4]}, {"file1": [3]})
    client.hear(3, holding("file1", "......"))
    client.drain(serve_all(client))
    client.wait(1.0)
    first, later = (gain.indices for m in client.messages(msg.Announce, to=3) for gain in m.gains)
    assert (len(first), len(later)) == (1, 5)
    assert sorted(first + later) == list(range(6))


def test_a_peer_is_asked_for_what_it_has_announced() -> None:
    client = leecher({"file1": 6})
    client.joins({}, {"file1": [3]})
    assert client.requests() == []
    client.hear(3, announce("file1", 4))
    assert client.asked() == [(3, 4)]


def test_what_a_neighbour_tells_before_the_manifest_is_not_lost() -> None:
    client = leecher({"file1": 6})
    client.hear(3, announce("file1", 4, 99))
    client.hear(3, holding("file1", "x....."))
    assert client.hear(0, swarm_response(client.files.values(), {}))[0] == (3, holding("file1", "......"))
    for _ in range(2):
        client.hear(3, payload(client.requests()[-1]))
    assert client.held() == "x...x."


def test_a_whole_neighbour_is_told_nothing_more() -> None:
    client = greeted()
    client.hear(3, holding("file1", "xxxxxx"))
    client.drain(serve_all(client))
    assert client.messages(msg.Announce) == []


def test_a_lost_client_is_forgotten() -> None:
    client = leecher({"file1": 6}, window=2)
    client.joins({"file1": [2, 3]})
    assert {to for to, _ in client.asked()} == {2, 3}
    client.hear(0, msg.SwarmResponse(lost=(Rank(2),)))
    assert [to for to, _ in client.asked()].count(3) == 2
    client.drain(serve_all(client, silent=[2]))
    assert client.held() == "xxxxxx"
