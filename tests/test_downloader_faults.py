"""What one downloader does about senders that spoil, refuse, forget or die."""

from __future__ import annotations

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.alone import Leecher, announce, leecher, payload, serve_all


def answered(client: Leecher, spoiled: bool = False) -> int:
    """Answer the newest request; who was asked."""
    to, asked = next((to, m) for to, m in reversed(client.sent) if isinstance(m, msg.RequestSegment))
    client.hear(to, payload(asked, spoiled))
    return to


# Corrupt ------------------------------------------------------------------------------------------


def test_a_corrupt_payload_is_dropped_counted_and_asked_of_another() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2, 3]})
    first = answered(client, spoiled=True)
    assert client.held() == "."
    dropped = ev.SegmentDropped(Rank(first), "file1", SegmentIndex(0), len("file1-0"), "corrupt")
    assert client.events(ev.SegmentDropped) == [dropped]
    assert client.asked() == [(2, 0), (3, 0)]
    answered(client)
    assert client.held() == "x"


@pytest.mark.parametrize("wrong", [b"", b"file1-1", b"file1-", b"file1-00", b"FILE1-0"])
def test_whatever_does_not_match_is_corrupt(wrong: bytes) -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2]})
    client.hear(2, msg.SendSegment(client.requests()[0].ticket, wrong))
    assert client.held() == "."
    assert [event.reason for event in client.events(ev.SegmentDropped)] == ["corrupt"]


def test_three_strikes_and_that_sender_is_avoided() -> None:
    client = leecher({"file1": 20})
    client.drain(serve_all(client, seeds=[2, 3], spoiled=[3]))
    assert client.held() == "x" * 20
    assert len(client.requests(to=3)) == 3
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(3), "3 corrupt segments")]
    assert {event.source for event in client.events(ev.SegmentStored)} == {2}


def test_a_spoiler_that_alone_holds_a_segment_is_asked_for_it_again() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [3]})
    for _ in range(5):
        assert answered(client, spoiled=True) == 3
    answered(client)
    assert client.held() == "x"


def test_twelve_corrupt_in_a_row_and_it_is_given_up_by_name() -> None:
    client = leecher({"file1": 2, "file2": 1})
    client.joins({"file1": [3], "file2": [2]})
    client.drain(serve_all(client, spoiled=[3]))
    assert len(client.requests(to=3)) == 12
    client.wait(20)
    why = "changed since it was hashed"
    reported = ev.FileUnavailable("file1", f"client 3: {why}", (ev.Cause(Rank(3), why),))
    assert client.events(ev.FileUnavailable) == [reported]
    assert client.sent[-1] == (0, msg.AllComplete(("file1",)))


def test_a_client_with_one_bad_file_still_serves_its_good_ones() -> None:
    client = leecher({"file1": 2, "file2": 3})
    client.joins({"file1": [3], "file2": [3]})
    client.drain(serve_all(client, spoiled_files=["file1"]))
    client.wait(20)
    assert client.held("file2") == "xxx"
    assert client.sent[-1] == (0, msg.AllComplete(("file1",)))


# Late, or never -----------------------------------------------------------------------------------


def test_a_request_unanswered_is_asked_elsewhere() -> None:
    client = leecher({"file1": 1}, strategy="classic")
    client.joins({"file1": [2, 3]})
    assert client.asked() == [(2, 0)]
    client.wait(4.9)
    assert client.asked() == [(2, 0)]
    client.wait(0.2)
    assert client.asked() == [(2, 0), (3, 0)]
    assert client.events(ev.RequestExpired) == [ev.RequestExpired(Rank(2), "file1", SegmentIndex(0))]
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(2), "silent")]


def test_the_classic_strategy_waits_as_long_as_its_source_says_that_the_request_is_in_its_queue() -> None:
    client = leecher({"file1": 1}, strategy="classic")
    client.joins({"file1": [2, 3]})
    for _ in range(10):
        client.wait(3)
        client.hear(2, msg.Pending((client.requests()[0].ticket,)))
    assert client.asked() == [(2, 0)]
    assert client.events(ev.RequestExpired) == []
    # Its downloader lives, and its uploader says nothing more of the request.
    for _ in range(2):
        client.wait(3)
        client.hear(2, msg.Pending(()))
    assert client.asked() == [(2, 0), (3, 0)]


def test_the_first_answer_wins_and_the_other_request_is_cancelled() -> None:
    client = leecher({"file1": 2}, strategy="classic")
    client.joins({"file1": [2, 3]})
    client.wait(6)
    (_, first), (_, second) = [(to, m) for to, m in client.sent if isinstance(m, msg.RequestSegment)]
    assert first.ticket != second.ticket
    assert (3, msg.Cancel(second.ticket)) in client.hear(2, payload(first))
    client.hear(3, payload(second))
    assert [event.reason for event in client.events(ev.SegmentDropped)] == ["duplicate"]
    assert client.held() == "x."
    with pytest.raises(RemoteProtocolError, match="which is not its own"):
        client.hear(3, payload(second))


def test_the_endgame_asks_another_long_before_the_timeout() -> None:
    client = leecher({"file1": 2}, window=8)
    client.joins({"file1": [2, 3]})
    assert sorted(client.asked()) == [(2, client.asked()[0][1]), (3, client.asked()[1][1])]
    client.hear(2, payload(client.requests(to=2)[0]))
    client.wait(0.3)
    assert len(client.requests(to=2)) == 2
    client.hear(2, payload(client.requests(to=2)[1]))
    assert client.messages(msg.Cancel) == [msg.Cancel(client.requests(to=3)[0].ticket)]
    assert client.messages(msg.AllComplete) == [msg.AllComplete()]


def test_slow_is_not_dead() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2]})
    for _ in range(40):
        client.wait(2.0)
        client.hear(2, msg.Pending((Ticket(0),)))
    assert client.events(ev.SourceAvoided) == client.events(ev.FileUnavailable) == []
    answered(client)
    assert client.held() == "x"


def test_a_silent_source_that_speaks_again_is_asked_again() -> None:
    client = leecher({"file1": 2})
    client.joins({"file1": [2]})
    client.wait(10)
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(2), "silent")]
    assert len(client.requests()) == 1
    client.hear(2, payload(client.requests()[0]))
    answered(client)
    assert client.held() == "xx"


def test_a_holder_that_is_silent_on_a_slow_link_is_no_reason_to_give_up() -> None:
    client = leecher({"file1": 2})
    client.joins({"file1": [2]})
    for _ in range(2):
        client.wait(50)
        answered(client)
    assert client.events(ev.SourceAvoided) != client.events(ev.FileUnavailable) == []
    assert client.held() == "xx"


def test_what_is_usual_does_not_expire() -> None:
    client = leecher({"file1": 2}, window=1)
    client.joins({"file1": [2]})
    client.wait(4.5)
    answered(client)
    client.wait(4 * 4.5 - 0.1)
    assert client.events(ev.RequestExpired) == []
    client.wait(0.2)
    assert len(client.events(ev.RequestExpired)) == 1


def test_a_file_whose_last_holder_is_silent_is_given_up_by_name() -> None:
    client = leecher({"file1": 3})
    client.joins({"file1": [2]})
    answered(client)
    client.wait(SwarmConfig.client_timeout - 1)
    assert client.events(ev.FileUnavailable) == []
    client.wait(2)
    reported = ev.FileUnavailable("file1", "2 of its segments have no live holder")
    assert client.events(ev.FileUnavailable) == [reported]
    assert client.messages(msg.AllComplete) == [msg.AllComplete(("file1",))]


def test_a_source_that_dies_after_its_request_expired_is_silent_too() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2]})
    client.wait(4)
    client.hear(2, msg.Pending((Ticket(0),)))
    client.wait(30)
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(2), "silent")]
    client.wait(SwarmConfig.client_timeout)
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(2), "silent")]
    assert client.messages(msg.AllComplete) == [msg.AllComplete(("file1",))]


def test_a_source_that_owes_only_cancelled_answers_is_silent_too() -> None:
    client = leecher({"file1": 4}, window=4)
    client.joins({"file1": [2, 3]})
    # Client 2 is dead: what was asked of it comes from 3, and the requests to it are cancelled.
    first, last = client.requests(to=3)
    client.hear(3, payload(first))
    for asked in (2, 3):
        client.wait(0.3)
        client.hear(3, payload(client.requests(to=3)[asked]))
    assert len(client.messages(msg.Cancel, to=2)) == len(client.requests(to=2)) == 2
    # Now 3 says that it lacks the fourth after all, and 2 has all of its requests outstanding.
    client.hear(3, msg.Reject(last.ticket, "absent"))
    client.wait(40)
    assert client.events(ev.SourceAvoided) == [ev.SourceAvoided(Rank(2), "silent")]
    client.wait(SwarmConfig.client_timeout)
    assert client.messages(msg.AllComplete) == [msg.AllComplete(("file1",))]


# Refused ------------------------------------------------------------------------------------------


def test_a_busy_source_is_left_alone_for_a_while() -> None:
    client = leecher({"file1": 1})
    client.joins({"file1": [2]})
    client.hear(2, msg.Reject(Ticket(0), "busy"))
    assert client.events(ev.RequestRejected) == [
        ev.RequestRejected(Rank(2), "file1", SegmentIndex(0), "busy")
    ]
    client.wait(0.04)
    assert len(client.requests()) == 1
    client.wait(0.02)
    assert len(client.requests()) == 2


def test_a_source_without_a_segment_is_not_asked_for_it_again() -> None:
    client = leecher({"file1": 2}, strategy="classic")
    client.joins({"file1": [2]})
    client.hear(2, msg.Reject(Ticket(0), "absent"))
    client.wait(3.0)
    assert client.asked() == [(2, 0), (2, 1)]
    client.hear(2, announce("file1", 0))
    answered(client)
    answered(client)
    assert client.held() == "xx"


def test_an_answer_to_anothers_ticket_is_refused() -> None:
    client = leecher({"file1": 2})
    client.joins({"file1": [2]})
    with pytest.raises(RemoteProtocolError, match="rank 3 answers ticket 0"):
        client.hear(3, payload(client.requests()[0]))
    with pytest.raises(RemoteProtocolError, match="rank 2 answers ticket 5"):
        client.hear(2, msg.Reject(Ticket(5), "busy"))
    assert client.held() == ".."
