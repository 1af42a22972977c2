"""The log: its bounded store, its filter, and the screen that finds what one types."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.runs import fold, scripted
from tui_torrent.tui.panels.lines import plain
from tui_torrent.tui.panels.log import LogPanel, Matches
from tui_torrent.view.log import Log
from tui_torrent.view.log_filter import Filter, ends, parse
from tui_torrent.view.story import sentence


def at(number: int, event: AnyEvent | None = None, rank: int = 3) -> Stamped:
    event = event or ev.SegmentStored(Rank(5), "base.bin", SegmentIndex(number), 10, "00")
    return Stamped(float(number), Rank(rank), number, event)


def filled(count: int, length: int = 50_000) -> Log:
    log = Log(length)
    for number in range(count):
        log.add(at(number))
    return log


# The store --------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 50), st.integers(1, 20))
def test_the_newest_are_kept_each_at_its_number(count: int, length: int) -> None:
    log = filled(count, length)
    assert (log.first, log.total) == (max(0, count - length), count)
    assert [stamped.seq for stamped in log.read(log.first, log.total)] == list(range(log.first, count))


def test_a_packed_log_is_its_count_and_goes_on_from_there() -> None:
    log = pickle.loads(pickle.dumps(filled(30, 20)))
    assert (log.first, log.total) == (30, 30)
    for number in range(30, 55):
        log.add(at(number))
    assert [stamped.seq for stamped in log.read(log.first, 55)] == list(range(35, 55))


def test_what_a_log_does_not_hold_is_read_elsewhere() -> None:
    log = pickle.loads(pickle.dumps(filled(30)))
    log.earlier = lambda start, stop: map(at, range(start, stop))
    log.add(at(30))
    assert log.first == 0
    assert [stamped.seq for stamped in log.read(28, 31)] == [28, 29, 30]
    assert [stamped.seq for stamped in log.read(3, 5)] == [3, 4]


# The filter -------------------------------------------------------------------------------------

STORED = at(17)
REQUEST = at(17, ev.SegmentRequested(Rank(5), "base.bin", SegmentIndex(17)))
INIT = at(0, ev.InitSent((ev.OwnedFile("base.bin", 3), ev.OwnedFile("x/y.txt", 3))))
REJECT = at(0, ev.RequestRejected(Rank(5), "base.bin", SegmentIndex(4), "busy"))
ANNOUNCED = at(0, ev.MessageSent("ANNOUNCE", Rank(5), (("x", "1-4,9"), ("y", "20"))))
SERVED = at(0, ev.SwarmServed(Rank(7), 1, 1, 4), rank=0)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("", [STORED, REQUEST, INIT, REJECT, SERVED]),
        ("REQUEST", [REQUEST]),
        ("request from:3 to:5 seg:17 file:b*", [REQUEST]),
        ("from:5", [STORED, REJECT]),
        ("from:5 to:3 busy", [REJECT]),
        ("to:tracker", [INIT]),
        ("to:0", [INIT]),
        ("from:tracker", [SERVED]),
        ("to:7,3", [STORED, REJECT, SERVED]),
        ("seg:10-20", [STORED, REQUEST]),
        ("seg:5-", [STORED, REQUEST]),
        ("seg:1*", [STORED, REQUEST]),
        ("seg:4,17", [STORED, REQUEST, REJECT]),
        ("file:*.txt", [INIT]),
        ("file:BASE.bin", [STORED, REQUEST, INIT, REJECT]),
        ("segment client", [STORED, REQUEST]),
        ("from: seg:", [STORED, REQUEST, INIT, REJECT, SERVED]),
        ("nowhere", []),
        ("who:3", []),
        ("seg:[", []),
        ("from:x", []),
    ],
)
def test_words_and_fields(text: str, taken: list[Stamped]) -> None:
    found = parse(text)
    events = [STORED, REQUEST, INIT, REJECT, SERVED]
    assert [stamped for stamped in events if found.match(stamped)] == taken


@settings(max_examples=60)
@given(st.text())
def test_nothing_that_can_be_typed_is_an_error(text: str) -> None:
    for stamped in (STORED, REQUEST, INIT, SERVED, ANNOUNCED):
        parse(text).match(stamped)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("announce from:3 to:5", True),
        ("to:3", False),
        ("seg:4", True),
        ("seg:9", True),
        ("seg:10-12", False),
        ("seg:8-12", True),
        ("seg:5-", True),
        ("seg:21-", False),
        ("seg:20", True),
        ("file:y", True),
        ("file:z", False),
    ],
)
def test_messages_of_many_segments_are_found_by_each(text: str, taken: bool) -> None:
    assert parse(text).match(ANNOUNCED) == taken


def test_what_has_no_sentence_is_not_in_the_log() -> None:
    assert not Filter().match(at(0, ev.SegmentSent(Rank(3), "base.bin", SegmentIndex(1), 10)))


def test_every_message_of_a_run_has_its_ends() -> None:
    for stamped in scripted(corrupt_every=9, reject_every=11, unavailable="gone.bin", lost=4):
        sender, receiver = ends(stamped)
        assert 0 <= sender <= 6
        assert receiver is None or 0 <= receiver <= 6


# The screen -------------------------------------------------------------------------------------


def test_old_events_are_tried_little_by_little_and_new_ones_at_once() -> None:
    log, matches = filled(10_000), Matches()
    matches.set("seg:9999,0")
    matches.update(log)
    assert list(matches.numbers) == [9999]
    assert not matches.all_tried
    for _ in range(5):
        matches.update(log)
    assert list(matches.numbers) == [0, 9999]
    assert matches.all_tried
    log.add(at(9999))
    matches.update(log)
    assert list(matches.numbers) == [0, 9999, 10_000]


def test_what_leaves_the_log_leaves_its_matches() -> None:
    log, matches = filled(50, 50), Matches()
    matches.update(log)
    for number in range(50, 80):
        log.add(at(number))
    matches.update(log)
    assert list(matches.numbers) == list(range(30, 80))


def test_a_flood_is_tried_from_its_end() -> None:
    log, matches = Log(), Matches()
    matches.update(log)
    for number in range(25_000):
        log.add(at(number))
    matches.update(log)
    assert matches.numbers[-1] == 24_999
    while not matches.all_tried:
        matches.update(log)
    assert list(matches.numbers) == list(range(25_000))


def test_another_log_is_read_anew() -> None:
    panel = LogPanel()
    assert "#29" in plain(panel.lines(filled(30), 80, 10))
    assert "#9" in plain(panel.lines(filled(10), 80, 10))


def test_the_end_is_followed_until_one_looks_back() -> None:
    log, panel = filled(30), LogPanel()
    assert plain(panel.lines(log, 80, 5)).splitlines()[-1].endswith("#29")
    panel.move(-1)
    lines = plain(panel.lines(log, 80, 5)).splitlines()
    assert lines[-2].startswith("▸")
    assert panel.time_at(log) == 28.0
    log.add(at(30))
    assert plain(panel.lines(log, 80, 5)).splitlines() == [
        lines[0].replace("of 30", "of 31").replace(", 30 of", ", 31 of"),
        *lines[1:],
    ]
    panel.move(100)
    assert panel.follow
    assert plain(panel.lines(log, 80, 5)).splitlines()[-1].endswith("#30")
    panel.move(-1000)
    assert "#0" in plain(panel.lines(log, 80, 5)).splitlines()[1]


def test_a_filter_keeps_the_place_as_well_as_it_can() -> None:
    _, tail = fold(scripted())
    panel = LogPanel()
    panel.set_filter("file_complete")
    text = plain(panel.lines(tail.log, 100, 30))
    shown = [line for line in text.splitlines()[1:] if line]
    assert shown
    assert all("FILE_COMPLETE" in line for line in shown)
    panel.set_filter("no such thing")
    assert "nothing matches" in plain(panel.lines(tail.log, 100, 30))
    assert panel.time_at(tail.log) is None
    panel.set_filter("")
    assert "every message" in plain(panel.lines(tail.log, 100, 30))


def test_every_line_is_a_sentence() -> None:
    log, panel = filled(3), LogPanel()
    text = plain(panel.lines(log, 100, 10))
    told = sentence(Rank(3), STORED.event)
    assert told is not None
    assert told.text.replace("#17", "#2") in text
