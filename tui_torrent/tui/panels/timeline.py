"""The timeline of a replay: how far it is, where each client finished, and the keys that move it.

A click on the track means a time: ``Track`` is the one place that knows which column stands for which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from tui_torrent.tui.panels.lines import Line, Span, cells, crop, fit, right, runs
from tui_torrent.view.units import stamp_text

#: A terminal of fewer lines than this shows the track alone.
ROOM_FOR_KEYS = 16

#: In the order in which they are dropped from the end where there is no room.
KEYS = (
    ("space", "play, pause"),
    ("←→", "1 s"),
    (", .", "0.1 s"),
    ("+ -", "speed"),
    ("Home End", ""),
    ("click", "goes there"),
)
_MEANING: Line = (Span("✓", "done"), Span(" a client is done", "dim"))

#: The widths from which on the state and the time stand beside the track.
_WIDE, _MEDIUM = 50, 30


class Mark(NamedTuple):
    """A moment of the run that the track shows."""

    t: float
    what: Literal["finished", "lost"]


class Track(NamedTuple):
    """The part of a line of some width that stands for the times from 0 to ``end``."""

    start: int
    columns: int
    end: float

    def column(self, t: float) -> int:
        """The column of a time, from 0; the first is the beginning and the last the end, no other is."""
        last = self.columns - 1
        if t <= 0 or not self.end or last < 1:
            return 0
        if t >= self.end:
            return last
        return max(1, min(last - 1, round(t / self.end * last))) if last > 1 else 0

    def time(self, x: int) -> float:
        """The time that a click at cell ``x`` of the line means."""
        last = max(1, self.columns - 1)
        return self.end * (max(0, min(last, x - self.start)) / last)


def track(width: int, end: float) -> Track:
    """The track in a line of ``width`` cells."""
    before = _STATE + 2 if width >= _WIDE else 1
    after = 2 * len(stamp_text(end)) + 5 if width >= _MEDIUM else 1
    return Track(before, max(1, width - before - after), end)


#: The cells of `` playing 0.25×``.
_STATE = 14


def timeline(
    now: float, end: float, paused: bool, speed: float, marks: Sequence[Mark], width: int, height: int
) -> list[Line]:
    """Exactly ``height`` lines of ``width`` cells: the track, and the keys below it where there is a line."""
    lines = [_track_line(now, end, paused, speed, marks, width), _keys_line(width)]
    return lines[:height]


def _track_line(
    now: float, end: float, paused: bool, speed: float, marks: Sequence[Mark], width: int
) -> Line:
    place = track(width, end)
    line: Line = (Span(" "),)
    if width >= _WIDE:
        word, style = (" paused ", "head") if paused else (" playing ", "strong")
        line = (Span(word, style), Span(fit(f"{speed:g}×", _STATE + 2 - len(word)), "strong"))
    line = (*line, *_marked(place, now, marks))
    if width >= _MEDIUM:
        text = stamp_text(end)
        line = (
            *line,
            Span(f" {right(stamp_text(now), len(text))}", "strong"),
            Span(f" / {text}", "dim"),
        )
    return crop(line, width)


def _marked(place: Track, now: float, marks: Sequence[Mark]) -> Line:
    head = place.column(now)
    glyphs = ["━"] * head + ["─"] * (place.columns - head)
    styles = ["gauge"] * head + ["gauge-rest"] * (place.columns - head)
    for mark in marks:
        at = place.column(mark.t)
        lost = mark.what == "lost" or glyphs[at] == "✗"
        glyphs[at] = "✗" if lost else "✓"
        styles[at] = "trouble" if lost else "done" if at < head else "dim"
    glyphs[head], styles[head] = "●", "strong"
    return runs(glyphs, styles)


def _keys_line(width: int) -> Line:
    line: Line = (Span(" "),)
    for key, what in KEYS:
        more = (Span(key, "key"), Span(f" {what}  " if what else "  ", "dim"))
        if cells(line) + cells(more) > width:
            break
        line = (*line, *more)
    if cells(line) + cells(_MEANING) <= width:
        line = (*line, *_MEANING)
    return crop(line, width)
