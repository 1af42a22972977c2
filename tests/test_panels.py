"""The panels, compared as text: what a terminal shows, without a terminal.

The pictures under tests/pictures are whole screens. After a change that is meant, make them anew with
`UPDATE_PICTURES=1 pytest tests/test_panels.py`, and review them like code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.runs import File, Scripted, fold, scripted, view_of
from tui_torrent.tui.panels.axis import (
    make_axis,
)
from tui_torrent.tui.panels.client import ClientPanel
from tui_torrent.tui.panels.headline import gauge, headline_lines
from tui_torrent.tui.panels.help import help_lines
from tui_torrent.tui.panels.lines import (
    Line,
    cells,
    in_ascii,
    plain,
)
from tui_torrent.tui.panels.overview import Overview, arrange
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.tui.panels.table import DROPPED, MAP_ROOM, make_layout, row
from tui_torrent.view.headline import headline
from tui_torrent.view.ledger import Finding, Rule
from tui_torrent.view.report import build
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.units import bytes_text

PICTURES = Path(__file__).parent / "pictures"
#: Larger ones: see test_screens.py.
SIZES = ((40, 20),)

RUN = scripted(corrupt_every=110, reject_every=60)
BAD_RUN = scripted(unavailable="gone.bin", lost=4, corrupt_every=60)
FINDINGS = [
    Finding(rule.value, rule is not Rule.UPDATE, "Line 7: no update.")
    for rule in Rule
    if rule is not Rule.SCENARIO
]


def overview(events: list[Stamped], now: float, width: int, height: int) -> list[Line]:
    view, tail = fold(events, now)
    return Overview().lines(view, tail, now, width, height, "three files")


def report(events: list[Stamped], width: int, findings: list[Finding] | None = None) -> list[Line]:
    view, _ = fold(events)
    return report_lines(build(view, findings or []), view, "three files", width)


def same_as_picture(name: str, lines: list[Line]) -> None:
    same_as_file(name, plain(lines).splitlines())


def same_as_file(name: str, lines: Sequence[str]) -> None:
    path = PICTURES / f"{name}.txt"
    text = "".join(f"{line}\n" for line in lines)
    if os.environ.get("UPDATE_PICTURES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


# Whole screens --------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_overview(width: int, height: int) -> None:
    same_as_picture(f"overview-{width}x{height}", overview(RUN, 5.5, width, height))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_overview_in_ascii(width: int, height: int) -> None:
    lines = [in_ascii(line) for line in overview(RUN, 5.5, width, height)]
    same_as_picture(f"overview-{width}x{height}-ascii", lines)
    assert plain(lines).isascii()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_report(width: int) -> None:
    same_as_picture(f"report-{width}", report(RUN, width, FINDINGS))


def test_report_of_a_run_that_lacks_something() -> None:
    same_as_picture("report-incomplete-80", report(BAD_RUN, 80))


@pytest.mark.parametrize("width", [40, 80])
def test_help(width: int) -> None:
    same_as_picture(f"help-{width}", help_lines(width))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200))
def test_report_and_help_fill_the_width(width: int) -> None:
    for lines in (report(BAD_RUN, width, FINDINGS), help_lines(width)):
        assert {cells(line) for line in lines} == {width}


# The parts ------------------------------------------------------------------------------------


def test_rows_come_first_but_some_messages_stay() -> None:
    few, many = arrange(24, 6), arrange(24, 64)
    assert (few.rows, many.rows) == (6, 11)
    assert many.messages >= 5
    for height in range(2, 100):
        plan = arrange(height, 64)
        parts = plan.before_rows + plan.rows + plan.air + plan.copies + plan.messages + plan.legend
        assert parts == height


def test_more_clients_than_rows_scroll_with_a_note() -> None:
    events = scripted(64)
    view, tail = fold(events, 3.0)
    screen = Overview()
    screen.first = 2

    def rules() -> list[str]:
        """What stands on the rules above the table and above the messages."""
        return [
            line for line in plain(screen.lines(view, tail, 3.0, 80, 24, "x")).splitlines() if line[0] == "─"
        ]

    assert rules()[0].endswith("─ 3–13 of 64 ─")
    assert rules()[1] == "─ messages " + "─" * 69
    screen.first = 10**6
    assert rules()[0].endswith("─ 54–64 of 64 ─")
    screen.first = -5
    screen.sort, screen.reverse = "sent", True
    assert rules()[0].endswith("─ 1–11 of 64, by sent reversed ─")
    assert rules()[1] == "─ messages " + "─" * 69
    low = plain(screen.lines(view, tail, 3.0, 80, 15, "x"))
    assert "1–9 of 64, by sent reversed" in low.splitlines()[-1]


def test_columns_go_in_the_stated_order_and_the_map_stays() -> None:
    view, _ = fold(RUN, 3.0)
    everything = dict(make_layout(view, 200).widths)
    gone: list[str] = []
    for width in range(200, 39, -1):
        layout = make_layout(view, width)
        assert layout.map_width >= MAP_ROOM
        lacking = [name for name in DROPPED if name not in dict(layout.widths)]
        gone = lacking if len(lacking) > len(gone) else gone
        assert lacking == list(DROPPED[: len(lacking)])
    assert gone == list(DROPPED)
    assert "rejects" in dict(make_layout(view, 80).widths)
    assert set(everything) - set(gone) == {"client", "state", "percent", "trouble"}


def test_declared_segments_have_rates_in_segments() -> None:
    """The counts of the script itself: what each client stored in the last three seconds."""
    events, now = scripted(segment_size=32), 6.0
    lines = plain(overview(events, now, 160, 40)).splitlines()
    stored = [event for event in events if isinstance(event.event, ev.SegmentStored)]
    lately = [event.rank for event in stored if 3.0 <= event.t < now]
    (swarm,) = [line for line in lines if line.startswith(" swarm")]
    assert f" {len(lately) / 3:.0f} segments/s " in swarm
    assert " B/s" not in "\n".join(lines)
    rows = {line.split()[0]: line for line in lines if "↓ downloading" in line}
    assert len(rows) > 3
    for rank, line in rows.items():
        rate = lately.count(Rank(int(rank))) / 3
        assert line.split(" %")[1].split()[0] == (f"{rate:.0f}" if rate >= 9.95 else f"{rate:.1f}")
    had = sum(event.t <= now for event in stored)
    assert f"{had} of 816 segments" in lines[1]


def test_who_has_ended_shows_the_mean() -> None:
    view, _ = fold(RUN)
    text = plain(overview(RUN, 99.0, 160, 40))
    client = view.clients[Rank(3)]
    began = next(e.t for e in RUN if e.rank == 3 and isinstance(e.event, ev.InitAckReceived))
    assert client.finished_at is not None
    mean = bytes_text(client.received * 262144 / (client.finished_at - began))
    (line,) = [line for line in text.splitlines() if line.startswith("     3")]
    assert f" 100 %  {mean} " in line
    assert f"finished at {client.finished_at:.1f} s" not in text.splitlines()[0]


def test_the_headline_stands_in_words_and_in_bytes() -> None:
    """45 %  42 of 92 MB  0/8 done  4.2 MB/s  finish ≈ 22 s, 98 % of the best possible, and the limit."""
    view, _ = fold(RUN, 5.5)
    got = sum(isinstance(e.event, ev.SegmentStored) and e.t <= 5.5 for e in RUN)
    told = headline(view, 5.5)
    for width in (160, 120, 100, 80):
        first, second = plain(headline_lines(told, 0, width)).splitlines()
        assert f" {100 * got // 816} %" in first
        assert f"{got * 0.262144:.0f} of 214 MB" in first
        assert "1/6 done" in first
        assert "MB/s" in first
        assert "finish ≈ 12 s, 63 % of the best possible" in (first if width > 80 else second)
        assert "all uplinks together" in second
    assert "measured" in plain(headline_lines(headline(SwarmView(), 0.0), 0, 80))


@given(st.integers(1, 200), st.sampled_from([0.0, 0.5, 3.0, 99.0]), st.sampled_from([0, 12]))
def test_the_headline_has_any_width(width: int, now: float, dropped: int) -> None:
    view, _ = fold(BAD_RUN, now)
    assert {cells(line) for line in headline_lines(headline(view, now), dropped, width)} == {width}


def test_a_segment_of_one_holder_warns_where_others_wait_for_it() -> None:
    def style(now: float) -> str:
        view, tail = fold(events, now)
        lines = Overview().lines(view, tail, now, 100, 30, "x")
        (line,) = [line for line in lines if "fewest copies 1" in plain([line])]
        assert line[0].style == ("rare" if line[-1].style == "rare" else "text")
        return {span.style for span in line[1:] if "1" in span.text}.pop()

    one_seed = [Stamped(0.0, Rank(0), 0, ev.RunStarted(1, 3, "x", "swarm", 1, 10, 8))]
    one_seed.append(Stamped(0.0, Rank(1), 0, ev.InitSent((ev.OwnedFile("a", 4),))))
    for rank in (2, 3):
        one_seed.append(Stamped(0.1, Rank(rank), 0, ev.InitSent(())))
        one_seed.append(Stamped(0.1, Rank(rank), 1, ev.InitAckReceived(("a",))))
        one_seed.append(Stamped(0.1, Rank(rank), 2, ev.DownloadStarted("a", 4, 400)))
    got = [
        Stamped(1.0 + at, Rank(rank), 3 + at, ev.SegmentStored(Rank(1), "a", SegmentIndex(at), 100, ""))
        for at in range(3)
        for rank in (2, 3)
    ]
    events = one_seed + got
    # In the first second of a run with one seed nobody is held up by it.
    assert style(0.5) == "copies"
    assert style(3.5) == "rare", "all that they miss is with client 1"


def test_events_lost_are_told_in_the_header() -> None:
    view = fold(RUN, 3.0)[0]
    view.dropped = 12
    for width in (60, 80, 160):
        assert "12 events lost" in plain(headline_lines(headline(view, 3.0), view.dropped, width))


def test_the_gauge_fills_in_halves() -> None:
    assert plain([gauge(0.0, 4)]) == "────"
    assert plain([gauge(0.375, 4)]) == "━╸──"
    assert plain([gauge(1.0, 4)]) == "━━━━"


def test_states_have_words() -> None:
    view, _ = fold(BAD_RUN, 3.0)
    text = plain(overview(BAD_RUN, 3.0, 100, 30))
    assert "✗ lost" in text
    assert "↓ downloading" in text
    assert "■ done" in plain(overview(BAD_RUN, 99.0, 100, 30))
    layout, axis = make_layout(view, 80), make_axis(view.files, 20)
    silent = ClientView(Rank(9), state="downloading")
    assert "… waiting" in plain([row(silent, layout, axis, 50.0, 80)])
    hashing = ClientView(Rank(9), state="hashing", hashed_bytes=30, share_bytes=40)
    assert "# hashing      75 %" in plain([row(hashing, layout, axis, 50.0, 80)])
    assert plain([row(silent, layout, axis, 50.0, 80)]).startswith("     9 … waiting")


def test_the_row_of_a_culprit_is_marked() -> None:
    """Client 2 corrupts what it sends: 3 and 4 avoid it. Its own numbers do not show it."""
    told = [
        (1.0, 3, ev.SegmentDropped(Rank(2), "a", SegmentIndex(0), 10, "corrupt")),
        *((1.0, rank, ev.SourceAvoided(Rank(2), "3 corrupt segments")) for rank in (3, 4)),
    ]
    view = view_of(*((0.5, rank, ev.InitSent(())) for rank in (1, 2, 3, 4)), *told)
    for width in (80, 160):
        lines = plain(Overview().lines(view, Tail(), 2.0, width, 30, "x")).splitlines()
        rows = {line[:6].strip(): line for line in lines if "waiting" in line}
        assert [rank for rank, line in rows.items() if line[6] == "!"] == ["2"]
        assert ("avoided by 2: 1 corrupt" in rows["2"]) == (width == 160)
    text = plain(ClientPanel().lines(view, Rank(2), 2.0, 80, 21))
    assert "! avoided by 2: 1 corrupt" in text.splitlines()[0]


def test_a_seed_wants_nothing() -> None:
    files = (File("a", 40, (1,), (2,)),)
    text = plain(overview(scripted(2, files), 0.5, 80, 24))
    assert "     1 ↑ seeding         –      –" in text
    assert "0/1 done, 1 seed" in text


def test_only_what_changed_is_made_anew() -> None:
    source = Scripted(RUN, now=3.0)
    source.poll()
    screen = Overview()
    before = screen.lines(source.view, source.tail, 3.0, 80, 24, "x")
    again = screen.lines(source.view, source.tail, 3.0, 80, 24, "x")
    rows = slice(screen.top, screen.top + 6)
    assert all(a is b for a, b in zip(before[rows], again[rows], strict=True))
    source.view.apply(
        Stamped(3.0, Rank(3), 9, ev.SegmentDropped(Rank(1), "model.bin", SegmentIndex(0), 1, "corrupt"))
    )
    source.view.apply(Stamped(3.0, Rank(3), 9, ev.SegmentSent(Rank(1), "model.bin", SegmentIndex(0), 10**8)))
    later = screen.lines(source.view, source.tail, 3.0, 80, 24, "x")
    assert [a is b for a, b in zip(before[rows], later[rows], strict=True)].count(False) <= 1


def test_a_huge_swarm_is_drawn_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_torrent.tui.panels.overview.FRAME_BUDGET", 1)
    events = scripted(6, duration=20.0)
    source, screen = Scripted(events, now=3.0), Overview()
    source.poll()
    screen.lines(source.view, source.tail, 3.0, 80, 24, "x")
    source.now = 5.0
    source.poll()
    for _ in range(6):
        lines = screen.lines(source.view, source.tail, 5.0, 80, 24, "x")
    assert plain(lines) == plain(Overview().lines(source.view, source.tail, 5.0, 80, 24, "x"))
