"""What panels are made of: maps of segments, texts that are cut or wrapped, the tabs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.axis import (
    LEVELS,
    MISSING,
    OWNED,
    UNAVAILABLE,
    copies_map,
    make_axis,
    ruler,
    segment_map,
)
from tui_torrent.tui.panels.cells import ASKED, LETTERS, NOBODYS, OTHER, PARTLY, RARE
from tui_torrent.tui.panels.lines import (
    Span,
    ascii_text,
    cells,
    clean,
    crop,
    fit,
    fit_end,
    in_ascii,
    plain,
    right,
)
from tui_torrent.tui.panels.overview import Overview
from tui_torrent.tui.panels.table import STATES, heading, make_layout
from tui_torrent.tui.panels.tabs import tab_at, tab_line
from tui_torrent.tui.panels.text import parts
from tui_torrent.tui.panels.traffic import NOTHING, SHADES
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import ClientView, FileView, SwarmView

# The map --------------------------------------------------------------------------------------


def files(**segments: int) -> dict[str, FileView]:
    return {name: FileView(count) for name, count in segments.items()}


def client(owned: dict[str, int] | None = None, **held: str) -> ClientView:
    """A client from strings: x is a segment that it holds."""
    owned = owned or {}
    have = {name: bytearray(c == "x" for c in text) for name, text in held.items()}
    have |= {name: bytearray(b"\1" * count) for name, count in owned.items()}
    return ClientView(Rank(1), wanted=tuple(held), held=have, owned=owned)


def drawn(client: ClientView, swarm: dict[str, FileView], width: int) -> str:
    return "".join(span.text for span in segment_map(client, make_axis(swarm, width)))


def test_a_column_is_as_high_as_its_share() -> None:
    held = "........" + "x......." + "xxxx...." + "xxxxxxx." + "xxxxxxxx"
    assert drawn(client(a=held), files(a=40), 5) == "·▁▄▇█"


def test_whatever_is_there_is_seen_and_full_is_full() -> None:
    assert drawn(client(a="x" + "." * 999), files(a=1000), 1) == "▁"
    assert drawn(client(a="x" * 999 + "."), files(a=1000), 1) == "▇"


def test_few_segments_are_several_columns_wide() -> None:
    assert drawn(client(a="x.x"), files(a=3), 9) == "███···███"


def test_files_stand_in_the_order_of_their_names_and_blank_where_unwanted() -> None:
    swarm = files(c=4, a=4, b=4)
    assert drawn(client({"c": 4}, a="xx.."), swarm, 12) == "██··    ━━━━"


def test_a_wanted_file_without_a_manifest_is_missing_and_an_unavailable_one_crossed_out() -> None:
    someone = ClientView(Rank(1), wanted=("a",))
    assert drawn(someone, files(a=4), 4) == "····"
    someone.unavailable["a"] = "nobody has it"
    assert drawn(someone, files(a=4), 4) == "××××"


def test_files_that_share_a_column_add_up() -> None:
    swarm = files(a=4, b=4)
    assert drawn(client(a="xxxx", b="...."), swarm, 1) == "▄"
    assert drawn(client({"a": 4}, b="...."), swarm, 1) == "▄"
    assert drawn(client({"a": 4, "b": 4}), swarm, 1) == "━"
    assert drawn(client({"a": 4}), swarm, 1) == "━"
    assert drawn(client(), swarm, 1) == " "


def test_empty_files_take_no_room() -> None:
    assert drawn(client(a="", b="xx"), files(a=0, b=2), 4) == "████"
    assert drawn(client(a=""), files(a=0), 4) == "    "


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30), min_size=1),
    st.integers(1, 60),
)
def test_every_segment_has_a_column(segments: dict[str, int], width: int) -> None:
    axis = make_axis(files(**segments), width)
    total = sum(segments.values())
    assert len(axis.columns) == width
    shown = {(p.file, i) for column in axis.columns for p in column for i in range(p.start, p.stop)}
    everything = {(name, i) for name, count in segments.items() for i in range(count)}
    assert shown == everything or (shown < everything and total == 0)
    assert all(axis.columns) or not total
    assert sum(map(len, axis.stretches)) == (width if total else 0)
    names = [name for name, _ in axis.begins]
    assert names == sorted(name for name, count in segments.items() if count)
    for name, begin in axis.begins:
        assert name in {piece.file for piece in axis.columns[begin]}


def test_the_ruler_names_files_where_they_begin() -> None:
    swarm = files(**{"model.bin": 60, "notes.txt": 40})
    assert plain([ruler(make_axis(swarm, 30), 30)]) == "model.bin──────── notes.txt──"
    small = files(a=50, b=1, c=1, d=1, zz=47)
    assert plain([ruler(make_axis(small, 40), 40)]) == "a──────────────────  zz────────────────"
    three = files(a=50, b=10, c=10, d=10, zz=17)
    assert plain([ruler(make_axis(three, 40), 40)]) == "a─────────────────── 3 files──── zz────"
    path = files(**{"a/very/long/path/x.bin": 9})
    assert plain([ruler(make_axis(path, 12), 12)]) == "…path/x.bin"
    assert plain([ruler(make_axis({}, 12), 12)]) == "segment map"


def test_copies_are_bars_but_the_rarest_are_figures() -> None:
    axis = make_axis(files(a=5), 5)
    assert plain([copies_map(axis, {"a": [0, 1, 2, 4, 8]}, 8)]) == "01▂▄█"
    assert plain([copies_map(axis, {"a": [1] * 5}, 1)]) == "█████"


# Texts ----------------------------------------------------------------------------------------


def test_texts_are_cut_visibly() -> None:
    assert fit("abcdef", 4) == "abc…"
    assert fit_end("abcdef", 4) == "…def"
    assert right("ab", 4) == "  ab"
    assert plain([crop((Span("ab"), Span("cdef")), 4)]) == "abc…"
    assert [fit("abc", 0), fit_end("abc", 0), fit("日本", 3)] == ["", "", "日…"]


def test_what_a_terminal_obeys_becomes_a_mark() -> None:
    assert clean("a\x1b[2Jb\n") == "a?[2Jb?"


def test_ascii_keeps_widths() -> None:
    line = (Span("日本 → ▁▄█ ·… ✓"),)
    assert plain([in_ascii(line)]) == "???? > 14# .~ +"
    assert cells(in_ascii(line)) == cells(line)


@pytest.mark.parametrize(
    "told_apart",
    [
        [NOTHING, *SHADES],
        [OWNED, MISSING, UNAVAILABLE, *LEVELS],
        [OWNED, MISSING, ASKED, RARE, NOBODYS, PARTLY, OTHER, *LETTERS],
        [glyph for glyph, _, _ in STATES.values()],
        "━─●✓✗",
    ],
)
def test_ascii_has_a_glyph_of_its_own_for_each(told_apart: Sequence[str]) -> None:
    assert len({ascii_text(glyph) for glyph in told_apart}) == len(told_apart)


def test_a_view_without_events_has_a_picture() -> None:
    lines = Overview().lines(SwarmView(), Tail(), 0.0, 80, 24, "x")
    assert "waiting for the clients" in plain(lines)
    view = SwarmView()
    assert heading(make_layout(view, 80), make_axis(view.files, 20))


@given(text=st.text(alphabet="ab 語é ", max_size=80), room=st.integers(8, 30))
def test_running_text_is_whole_and_in_its_room(text: str, room: int) -> None:
    lines = parts(text, room)
    assert all(cell_len(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_word_is_broken_only_where_it_must() -> None:
    assert parts("wanted " + 4 * "語" + " since nobody has it", 10) == [
        "wanted",
        "語語語語",
        "since",
        "nobody has",
        "it",
    ]
    assert parts(12 * "語" + ": nobody", 10) == [5 * "語", 5 * "語", 2 * "語" + ":", "nobody"]


# The tabs ---------------------------------------------------------------------------------------


def test_the_current_tab_stands_in_brackets() -> None:
    wide, narrow = plain([tab_line(3, 100)]), plain([tab_line(3, 40)])
    assert wide.startswith(" 1 overview  2 client [3 traffic] 4 log  5 tracker  6 report ")
    assert narrow.startswith(" 1  2 [3 traffic] 4  5  6")
    assert plain([tab_line(3, 20)]).startswith(" 1  2 [3] 4  5  6")


@settings(max_examples=60)
@given(st.integers(1, 6), st.integers(1, 120))
def test_a_click_on_a_tab_means_what_is_written_there(current: int, width: int) -> None:
    text = plain([tab_line(current, width)])
    for number in range(1, 7):
        at = text.find(str(number))
        if at >= 0:
            assert tab_at(at, current, width) == number
    assert tab_at(width + 100, current, width) is None
