"""The six screens compared as text, whole: bar, panel, keys and tabs, at three sizes, without a terminal.

The pictures under tests/pictures are made anew by `UPDATE_PICTURES=1 pytest tests/test_screens.py`. How they
look, and in ASCII: test_pictures.py.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.style import Style

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.runs import File, Scripted, fold, scripted, view_of, with_facts
from tests.test_panels import same_as_picture
from tui_torrent.tui.pages import Page, Stage
from tui_torrent.tui.palette import THEMES, palette_for
from tui_torrent.tui.panels.cells import LETTERS, SOURCES, grid, marked, marks_of
from tui_torrent.tui.panels.client import ClientPanel, lacking, order_of_peers, peer_lines, useful
from tui_torrent.tui.panels.help import help_lines
from tui_torrent.tui.panels.lines import Line, Span, cells, plain
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.overview import Overview, remark_lines
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.tui.panels.spark import pulse_line, sparkline
from tui_torrent.tui.panels.table import in_order
from tui_torrent.tui.panels.tabs import NAMES, tab_line
from tui_torrent.tui.panels.traffic import matrix, traffic_lines
from tui_torrent.tui.screens import (
    ClientScreen,
    LogScreen,
    OverviewScreen,
    ReportScreen,
    TrackerScreen,
    TrafficScreen,
)
from tui_torrent.view.ledger import Finding
from tui_torrent.view.report import build
from tui_torrent.view.swarm_view import SwarmView

SIZES = ((80, 24), (100, 30), (160, 50))
SCREENS: tuple[type[Page], ...] = (
    OverviewScreen,
    ClientScreen,
    TrafficScreen,
    LogScreen,
    TrackerScreen,
    ReportScreen,
)
RUN = scripted(corrupt_every=110, reject_every=60)
BAD_RUN = scripted(unavailable="gone.bin", lost=4, corrupt_every=60)
MANY = scripted(64, duration=5.0)
CLUSTER = with_facts(RUN, hosts=3)
LARGE_CLUSTER = with_facts(MANY, hosts=4)


def drawn(
    screen: type[Page],
    width: int,
    height: int,
    *,
    events: list[Stamped] = RUN,
    now: float = 5.5,
    rank: int = 6,
) -> list[Line]:
    """A screen as it is at a moment of a run."""
    source = Scripted(events, now=now)
    source.poll()
    page = screen(Stage(source, "three files", False, Rank(rank)))
    if height < 4:
        return page.picture(width, height)
    return [*page.picture(width, height - 1), tab_line(page.number, width)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("screen", SCREENS)
def test_each_screen(screen: type[Page], width: int, height: int) -> None:
    same_as_picture(f"{NAMES[screen.number - 1]}-{width}x{height}", drawn(screen, width, height))


@pytest.mark.parametrize("screen", [OverviewScreen, ClientScreen, TrafficScreen])
def test_screens_of_a_large_swarm(screen: type[Page]) -> None:
    lines = drawn(screen, 80, 24, events=MANY, now=2.0, rank=20)
    same_as_picture(f"{NAMES[screen.number - 1]}-64-clients", lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("screen", [TrafficScreen, TrackerScreen, ReportScreen])
def test_hosts_and_load_are_shown_where_they_are_told(screen: type[Page], width: int, height: int) -> None:
    lines = drawn(screen, width, height, events=CLUSTER)
    same_as_picture(f"{NAMES[screen.number - 1]}-cluster-{width}x{height}", lines)


def test_the_traffic_explains_no_glyph_that_it_does_not_show() -> None:
    assert "· nothing" in plain(drawn(TrafficScreen, 80, 24, now=5.5))
    each_from_the_other = scripted(2, (File("a", 20, (1,), (2,)), File("b", 20, (2,), (1,))))
    assert "nothing" not in plain(drawn(TrafficScreen, 80, 24, events=each_from_the_other, now=99.0))


def test_a_large_matrix_has_borders_too() -> None:
    same_as_picture("traffic-64-clients-4-hosts", drawn(TrafficScreen, 100, 30, events=LARGE_CLUSTER, now=2))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(SCREENS),
    st.integers(1, 220),
    st.integers(1, 70),
    st.sampled_from([0.0, 0.05, 3.0, 99.0]),
)
def test_no_size_is_refused(screen: type[Page], width: int, height: int, now: float) -> None:
    lines = drawn(screen, width, height, events=with_facts(BAD_RUN, hosts=4), now=now)
    assert len(lines) == height
    assert {cells(line) for line in lines} == {width}


def test_every_style_has_a_colour_scheme_on_every_theme() -> None:
    lines = [line for screen in SCREENS for line in drawn(screen, 160, 50, events=BAD_RUN, now=3.0)]
    view, _ = fold(BAD_RUN)
    findings = [Finding(f"{holds}", holds, "") for holds in (True, False, None)]
    lines += [*report_lines(build(view, findings), view, "x", 100), *help_lines(100)]
    for theme in THEMES:
        palette = palette_for(theme, Style())
        assert all(isinstance(palette[span.style], Style) for line in lines for span in line)
        assert all(isinstance(palette[f"source-{at}"], Style) for at in range(SOURCES))


@pytest.mark.parametrize("screen", SCREENS)
def test_a_view_without_events_has_a_picture(screen: type[Page]) -> None:
    assert len(drawn(screen, 80, 24, events=[])) == 24


@pytest.mark.parametrize("screen", SCREENS)
def test_names_cannot_steer_the_terminal(screen: type[Page]) -> None:
    events = scripted(2, (File("x\x1b[31my", 20, (1,), (2,)),))
    assert "\x1b" not in plain(drawn(screen, 100, 30, events=events, rank=2))


def test_what_ends_early_is_not_called_a_failure() -> None:
    source = Scripted(RUN[:-200])
    source.now = 99.0
    source.poll()
    source.over = True
    text = plain(ReportScreen(Stage(source, "x", False)).picture(80, 40))
    assert "cut off" in text
    assert "✗ No more events come, and the run had not ended. So far" in text
    assert "could not be had" not in text
    assert "not all" not in text


# Overview ---------------------------------------------------------------------------------------


def ordered(name: str, reverse: bool = False, now: float = 5.5) -> list[int]:
    view, _ = fold(RUN, now)
    return list(map(int, in_order(view, name, reverse, now)))


def test_rows_are_sorted_by_any_column() -> None:
    view, _ = fold(RUN, 5.5)
    clients = view.clients
    assert ordered("client") == [1, 2, 3, 4, 5, 6]
    assert ordered("client", True) == [6, 5, 4, 3, 2, 1]
    sent = [clients[Rank(rank)].sent for rank in ordered("sent")]
    assert sent == sorted(sent, reverse=True)
    share = [clients[Rank(rank)].share_done for rank in ordered("percent", True)]
    assert share == sorted(share)
    assert ordered("finish")[-1] == 1, "the one that is done comes last"
    assert ordered("state")[-1] == 1, "seeding comes after downloading"


def test_the_heading_and_the_rule_say_what_rows_are_sorted_by() -> None:
    view, tail = fold(RUN, 5.5)
    screen = Overview()
    seen = []
    for _ in range(8):
        screen.sort_by_next()
        text = plain(screen.lines(view, tail, 5.5, 120, 30, "x"))
        seen.append((screen.sort, "▾" in text or "▴" in text))
        (rule,) = [line for line in text.splitlines() if line.startswith("─ 6 clients, ")]
        assert (" by " in rule) == (screen.sort != "client")
    assert seen == [
        ("state", True),
        ("percent", True),
        ("down", True),
        ("up", True),
        ("sent", True),
        ("rejects", True),
        ("finish", True),
        ("client", False),
    ]
    screen.reverse = True
    assert "▾" in plain(screen.lines(view, tail, 5.5, 120, 30, "x"))


def test_the_mark_follows_its_client() -> None:
    view, tail = fold(RUN, 5.5)
    screen = Overview()
    screen.chosen, screen.sort = Rank(5), "sent"
    lines = screen.lines(view, tail, 5.5, 80, 24, "x")
    (at,) = [y for y, line in enumerate(lines) if line[0].text == "▸"]
    assert plain([lines[at]]).split()[1] == "5"
    assert screen.rank_at(at) == 5
    assert screen.rank_at(0) is None


def test_remarks_take_their_room_from_the_messages() -> None:
    view, tail = fold(RUN, 5.5)
    calm, screen = Overview().lines(view, tail, 5.5, 80, 24, "x"), Overview()
    view.dropped, view.nonsense = 12, 3
    lines = screen.lines(view, tail, 5.5, 80, 24, "x")
    text = plain(lines)
    assert "! 12 events were lost: numbers are too small" in text
    assert plain(calm[5:12]) == plain(lines[5:12]), "no row has moved"
    assert plain(remark_lines(["a", "b", "c"], 2, 40)) == " ! a\n ! b  1 more on 6"


def test_a_sparkline_is_as_high_as_its_values() -> None:
    assert plain([sparkline([0, 1, 2, 4, 8], 7, "done")]) == "···▁▂▄█"
    assert plain([sparkline([], 4, "done")]) == "····"
    assert plain([sparkline([1, 8, 8], 2, "done")]) == "██"


def test_what_changes_over_time_has_its_unit() -> None:
    view, _ = fold(RUN, 5.5)
    assert " 20 MB/s " in plain([pulse_line(view, 5.5, 80)])
    assert "messages/s" in plain([pulse_line(view, 5.5, 80)])


# Client -----------------------------------------------------------------------------------------


def fetching(*stored: tuple[int, int], segments: int = 8, owners: tuple[int, ...] = (1, 2)) -> SwarmView:
    """Client 3 wants a file of two owners, and has got those (source, segment)."""
    return view_of(
        *((1.0, rank, ev.InitSent((ev.OwnedFile("a", segments),))) for rank in owners),
        (1.0, 3, ev.InitSent(())),
        (1.0, 3, ev.InitAckReceived(("a",))),
        (1.0, 3, ev.DownloadStarted("a", segments, 100)),
        *((1.0, 3, ev.SegmentStored(Rank(s), "a", SegmentIndex(at), 10, "00")) for s, at in stored),
    )


def test_a_cell_says_whom_it_came_from() -> None:
    view = fetching((1, 0), (2, 1), (10, 2), (61, 3), (62, 4))
    assert grid(view, view.clients[Rank(3)], "a", 1).cells == "12aZ+···"
    marks = marks_of(view, view.clients[Rank(3)])
    assert [marked(marks[rank]).text for rank in (1, 9, 10, 35, 36, 61)] == list("19azAZ")
    assert len({marked(marks[rank]).style for rank in range(1, len(LETTERS) + 1)}) == SOURCES


def test_what_is_asked_for_is_marked_until_it_comes() -> None:
    view = fetching((1, 0))
    view.apply(Stamped(2.0, Rank(3), 99, ev.SegmentRequested(Rank(1), "a", SegmentIndex(5))))
    assert grid(view, view.clients[Rank(3)], "a", 1).cells == "1····*··"


def test_what_few_hold_stands_out_and_what_nobody_holds_more_so() -> None:
    rare = fetching((1, 0), owners=(1,))
    # All of what is missing has one holder: nothing stands out, the number says it.
    assert grid(rare, rare.clients[Rank(3)], "a", 1) == ("1·······", 1)
    for at in (1, 2, 3, 4, 5):
        rare.apply(Stamped(1.0, Rank(4), at, ev.DownloadStarted("a", 8, 100)))
        rare.apply(Stamped(1.0, Rank(4), at, ev.SegmentStored(Rank(1), "a", SegmentIndex(at), 10, "00")))
    assert grid(rare, rare.clients[Rank(3)], "a", 1) == ("1·····!!", 1)
    rare.apply(Stamped(1.0, Rank(0), 1, ev.ClientLost(Rank(1), "silent")))
    assert grid(rare, rare.clients[Rank(3)], "a", 1) == ("1·····??", 1)


def test_several_segments_in_a_cell() -> None:
    view = fetching((1, 0), (1, 1), (2, 2))
    client = view.clients[Rank(3)]
    assert grid(view, client, "a", 2).cells == "1:··"
    assert grid(view, client, "a", 8).cells == ":"
    assert grid(view, client, "a", 3).cells == "1··"
    assert grid(view, view.clients[Rank(1)], "a", 3).cells == "━━━"


def test_every_source_in_a_large_swarm_has_a_mark_of_its_own() -> None:
    """Letters go to the sources in the order of their first segments, and the list of peers names them."""
    sources = [900, *range(2, 184), 901]
    view = fetching(*((rank, at) for at, rank in enumerate(sources)), segments=190)
    client = view.clients[Rank(3)]
    for rank in range(4, 1001):
        view.client(Rank(rank))
    marks = marks_of(view, client)
    looks = [marked(marks[rank]) for rank in sources[:-1]]
    assert len(set(looks)) == len(looks) == 183
    assert looks[0] == Span("1", "source-0")
    assert [looks[at].text for at in (1, 9, 60, 61, 122)] == ["2", "a", "Z", "1", "1"]
    assert [looks[at].style for at in (61, 122)] == ["source-under-5", "source-reverse-2"]
    assert grid(view, client, "a", 1).cells.endswith("+······"), "there is no letter left for client 901"
    shown = plain(peer_lines(view, client, [Rank(900), Rank(10), Rank(999)], 2.0, 80)).splitlines()
    assert [line[:12] for line in shown[1:]] == [" 1 client 90", " a client 10", "   client 99"]


def test_involved_peers_come_first() -> None:
    view = fetching((70, 0), (50, 1))
    for rank in range(4, 101):
        view.client(Rank(rank))
    view.clients[Rank(90)].detail.got_from[Rank(3)] += 1
    view.apply(Stamped(2.0, Rank(3), 99, ev.SegmentRequested(Rank(60), "a", SegmentIndex(5))))
    order = order_of_peers(view, view.clients[Rank(3)])
    assert order[:6] == [50, 60, 70, 90, 1, 2]
    assert sorted(order) == [rank for rank in sorted(view.clients) if rank != 3]


def test_what_is_missing_is_counted_over_all_files_and_every_file_can_be_reached() -> None:
    """Half of 37 files of 2 segments each are there, and the screen has room for few of them."""
    names = [f"part-{at:02d}" for at in range(37)]
    view = view_of(
        (1.0, 1, ev.InitSent(tuple(ev.OwnedFile(name, 2) for name in names))),
        (1.0, 2, ev.InitSent(())),
        (1.0, 2, ev.InitAckReceived(tuple(names))),
        *((1.0, 2, ev.DownloadStarted(name, 2, 200)) for name in names),
        *((1.0, 2, ev.SegmentStored(Rank(1), name, SegmentIndex(0), 100, "00")) for name in names),
    )
    panel = ClientPanel()
    seen = set[str]()
    for _ in range(40):
        text = plain(panel.lines(view, Rank(2), 2.0, 80, 21))
        assert " 37 missing, 37 held by one client only" in text
        seen |= {word for line in text.splitlines() for word in line.split() if word.startswith("part-")}
        panel.lists.move(1)
    assert seen == set(names)
    assert "files 22–37 of 37" in text
    view.apply(Stamped(3.0, Rank(0), 9, ev.ClientLost(Rank(1), "silent")))
    assert " 37 missing, 37 held by nobody" in plain(panel.lines(view, Rank(2), 3.0, 80, 21))


def test_got_has_one_value_on_every_screen() -> None:
    """Received means verified: corrupt payloads and duplicates are told apart, and sent tells all of them."""
    view = fetching((1, 0), (1, 1), (2, 2), (1, 3))
    for source, at, why in ((1, 4, "corrupt"), (2, 2, "duplicate"), (2, 0, "duplicate")):
        view.apply(Stamped(2.0, Rank(3), 50, ev.SegmentDropped(Rank(source), "a", SegmentIndex(at), 10, why)))
    for source, at in ((1, 0), (1, 1), (2, 2), (1, 3), (1, 4), (2, 2), (2, 0)):
        view.apply(Stamped(2.0, Rank(source), 60, ev.SegmentSent(Rank(3), "a", SegmentIndex(at), 10)))
    view.real_bytes = view.clients[Rank(3)].real = True
    traffic = plain(traffic_lines(view, 100, 20, Lists(("rows",)))).splitlines()
    assert "4 segments, 40 B + 1 corrupt, 2 duplicates" in traffic[0]
    assert [line.split()[:4] for line in traffic[3:5]] == [["1*", "·", "3", "3"], ["2*", "·", "1", "1"]]
    assert [line.split() for line in traffic if line[:3] == "got"] == [["got", "0", "0", "4", "4"]]
    client = plain(ClientPanel().lines(view, Rank(3), 3.0, 100, 30))
    assert "40 of 100 B" in client
    assert "1 corrupt segment" in client
    assert "2 duplicates" in client
    peers = [line.split() for line in client.splitlines() if line[3:10] == "client "]
    assert [peer[5] for peer in peers] == ["3", "1"]
    report = plain(report_lines(build(view, []), view, "x", 120)).splitlines()
    (row,) = [line for line in report if line[:8] == "     3  "]
    assert row.split()[3:] == ["4", "40", "B", "–", "–", "1", "2", "0", "%"]


def test_peers_are_counted_by_what_they_have_that_one_needs() -> None:
    view = fetching((1, 0), (1, 1))
    client = view.clients[Rank(3)]
    assert useful(lacking(client), view.clients[Rank(1)]) == 6
    assert useful(lacking(client), client) == 0
    assert useful(lacking(view.clients[Rank(1)]), client) == 0


# Traffic ----------------------------------------------------------------------------------------


def test_sums_of_the_matrix_are_those_of_the_clients() -> None:
    view, _ = fold(MANY, 2.0)
    for columns in (64, 20, 1):
        table = matrix(view, columns)
        assert len(table.groups) <= columns
        assert table.given == [view.delivered[rank] for rank in sorted(view.clients)]
        assert sum(table.received) == sum(table.given) == view.received
        assert [len(row) for row in table.cells] == [len(table.groups)] * 64


def test_whoever_a_journal_names_has_a_column() -> None:
    view = fetching()
    view.apply(Stamped(2.0, Rank(77), 99, ev.SegmentStored(Rank(1), "a", SegmentIndex(0), 10, "")))
    table = matrix(view, 8)
    assert table.groups[-1] == [77]
    assert table.received == [0, 0, 0, 1]
