"""Events told as sentences, and the tail that stays readable whatever comes."""

from __future__ import annotations

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.runs import fold, scripted
from tui_torrent.view.story import Tail, sentence


def stored(segment: int) -> ev.SegmentStored:
    return ev.SegmentStored(Rank(5), "demo.bin", SegmentIndex(segment), 10, "00")


def at(t: float, event: AnyEvent, rank: int = 3) -> Stamped:
    return Stamped(t, Rank(rank), 0, event)


def test_a_segment_is_told_by_who_got_it() -> None:
    assert sentence(Rank(3), stored(17)) == ("SEND_SEGMENT", "client 3 ← client 5  demo.bin #17", "segment")
    assert sentence(Rank(5), ev.SegmentSent(Rank(3), "demo.bin", SegmentIndex(17), 10)) is None


def test_every_step_of_the_protocol_is_told_under_its_name() -> None:
    tags = {told.sentence.tag for told in fold(scripted(duration=200.0))[1]}
    assert {
        "INIT",
        "INIT_ACK",
        "SWARM_REQUEST",
        "SWARM_RESPONSE",
        "REQUEST_SEGMENT",
        "SEND_SEGMENT",
        "FILE_COMPLETE",
        "ALL_COMPLETE",
        "STOP",
    } <= tags


def test_a_stop_says_why() -> None:
    told = [sentence(Rank(3), ev.Stopped(aborted)) for aborted in (False, True)]
    assert [one.text for one in told if one] == [
        "tracker → client 3  everybody is done",
        "tracker → client 3  the run is aborted",
    ]


def test_what_was_taken_back_or_came_twice_is_told_and_is_no_trouble() -> None:
    cancelled = ev.RequestRejected(Rank(5), "demo.bin", SegmentIndex(1), "cancelled")
    duplicate = ev.SegmentDropped(Rank(5), "demo.bin", SegmentIndex(1), 10, "duplicate")
    told = [sentence(Rank(3), event) for event in (cancelled, duplicate)]
    assert [(one.tag, one.text, one.kind) for one in told if one] == [
        ("REJECT", "client 3 ← client 5  demo.bin #1: cancelled", "segment"),
        ("SEND_SEGMENT", "client 3 ← client 5  demo.bin #1: duplicate", "segment"),
    ]


@pytest.mark.parametrize(
    ("message", "segments", "text"),
    [
        ("ANNOUNCE", (("demo.bin", "0-3,7"),), "client 3 → client 5  has got demo.bin #0-3,7"),
        ("BITFIELD", (("a", "0-9"), ("b", "")), "client 3 → client 5  holds a #0-9"),
        ("BITFIELD", (("b", ""),), "client 3 → client 5  holds nothing"),
        ("CANCEL", (("a", "4"),), "client 3 → client 5  no longer needs a #4"),
        ("PENDING", (("a", "1,4"), ("b", "2")), "client 3 → client 5  has yet to send a #1,4; b #2"),
    ],
)
def test_messages_without_an_event_of_their_own_are_told_by_who_sends_them(
    message: ev.MessageName, segments: tuple[tuple[str, str], ...], text: str
) -> None:
    told = sentence(Rank(3), ev.MessageSent(message, Rank(5), segments))
    assert told is not None
    assert (told.tag, told.text) == (message, text)
    assert sentence(Rank(5), ev.MessageReceived(message, Rank(3))) is None


def test_what_comes_often_shares_a_line() -> None:
    tail = Tail()
    for segment in range(100):
        tail.add(at(segment * 0.01, stored(segment)))
    (told,) = tail
    assert told.more == 99
    assert told.sentence.text.endswith("#0")


def test_a_line_every_two_seconds_is_enough() -> None:
    tail = Tail()
    for segment in range(100):
        tail.add(at(segment * 0.1, stored(segment)))
    assert [round(told.t, 1) for told in tail] == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_the_tail_is_bounded_and_keeps_the_newest() -> None:
    tail = Tail(length=10)
    for second in range(100):
        tail.add(at(second * 5.0, stored(second)))
    assert len(tail) == 10
    assert tail.last(1)[0].sentence.text.endswith("#99")
    assert tail.last(0) == []


def test_no_sentence_has_a_newline() -> None:
    for told in fold(scripted(corrupt_every=9, reject_every=11, unavailable="gone.bin", lost=4))[1]:
        assert "\n" not in told.sentence.text
