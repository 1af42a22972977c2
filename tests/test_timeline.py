"""The timeline: each time has its column, each column its time, and every line fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_torrent.tui.panels.lines import cells, in_ascii, plain
from tui_torrent.tui.panels.timeline import Mark, timeline, track

MARKS = (Mark(10.0, "finished"), Mark(15.0, "lost"), Mark(19.9, "finished"))


def test_it_shows_state_speed_marks_and_time() -> None:
    lines = timeline(5.0, 20.0, False, 2.0, MARKS, 64, 2)
    assert plain(lines).splitlines() == [
        " playing 2×     ━━━━━━━━●──────✓──────✗──────✓─  5.0 s / 20.0 s",
        " space play, pause  ←→ 1 s  , . 0.1 s  + - speed  Home End",
    ]


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (0.0, " paused 0.25×   ●──────────────✓──────✗──────✓─  0.0 s / 20.0 s"),
        (10.0, " paused 0.25×   ━━━━━━━━━━━━━━━●──────✗──────✓─ 10.0 s / 20.0 s"),
        (20.0, " paused 0.25×   ━━━━━━━━━━━━━━━✓━━━━━━✗━━━━━━✓● 20.0 s / 20.0 s"),
    ],
)
def test_the_head_moves_along_the_track(now: float, line: str) -> None:
    assert plain(timeline(now, 20.0, True, 0.25, MARKS, 64, 1)) == line


def test_narrow_terminals_drop_the_state_then_the_time() -> None:
    assert plain(timeline(5.0, 20.0, True, 1.0, (), 40, 1)) == " ━━━━━●────────────────  5.0 s / 20.0 s"
    assert plain(timeline(5.0, 20.0, True, 1.0, (), 12, 1)) == " ━━●───────"


def test_ascii_says_the_same() -> None:
    (line,) = timeline(12.0, 20.0, False, 2.0, MARKS, 64, 1)
    assert plain([in_ascii(line)]) == " playing 2x     ===============+==*---x------+- 12.0 s / 20.0 s"


@given(
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.booleans(),
    st.sampled_from([0.1, 0.25, 1.0, 64.0, 1e6]),
    st.lists(st.builds(Mark, st.floats(0, 1e9), st.sampled_from(["finished", "lost"])), max_size=3),
    st.integers(1, 200),
    st.integers(1, 2),
)
def test_the_lines_are_as_wide_as_the_screen(
    now: float, end: float, paused: bool, speed: float, marks: list[Mark], width: int, height: int
) -> None:
    lines = timeline(min(now, end), end, paused, speed, marks, width, height)
    assert [cells(line) for line in lines] == [width] * height


@given(st.integers(1, 300), st.floats(0.001, 1e6))
def test_a_click_goes_to_the_column_that_was_clicked(width: int, end: float) -> None:
    place = track(width, end)
    assert place.time(0) == 0
    if place.columns == 1:
        return
    assert place.time(width) == end
    for column in range(place.columns):
        assert place.column(place.time(place.start + column)) == column
