"""What changes over time in one line: sparklines."""

from __future__ import annotations

from collections.abc import Sequence

from tui_torrent.tui.panels.axis import LEVELS
from tui_torrent.tui.panels.lines import Line, Span, cells, crop, runs
from tui_torrent.view.rates import BUCKET
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import number_text, rate_text

#: The widest that a sparkline of the overview gets.
WIDEST = 60


def sparkline(values: Sequence[float], width: int, style: str) -> Line:
    """The newest values at the right, the highest one full; nothing at all is a line along the ground."""
    values = values[-width:] if width > 0 else []
    most = max(values, default=0.0)
    glyphs = [LEVELS[max(0, min(7, int(8 * value / most + 0.999) - 1))] if value else "·" for value in values]
    glyphs = ["·"] * (width - len(values)) + glyphs
    return runs(glyphs, ["missing-text" if glyph == "·" else style for glyph in glyphs])


def pulse_line(view: SwarmView, now: float, width: int) -> Line:
    """The swarm's rate and the tracker's load over time, side by side."""
    load = sum(rate.at(now) for rate in view.tracker_rates.values())
    swarm, tracker = f" {rate_text(view.rate(now), view.real_bytes)}", f" {number_text(load)} messages/s"
    moved = view.moved if view.real_bytes else view.moved_segments
    if width < 60:
        room = max(1, width - len(" swarm ") - len(swarm) - 1)
        values = moved.last(now, room)
        return crop((Span(" swarm ", "head"), *sparkline(values, room, "done"), Span(swarm)), width)
    half = min(WIDEST, (width - len(" swarm   tracker  ") - len(f"{swarm}{tracker}") - 1) // 2)
    left: Line = (
        Span(" swarm ", "head"),
        *sparkline(moved.last(now, half), half, "done"),
        Span(swarm, "text"),
    )
    right: Line = (
        Span("   tracker ", "head"),
        *sparkline(view.tracker_load.last(now, half), half, "copies"),
        Span(tracker, "text"),
    )
    span = f"  the last {half * BUCKET:.0f} s"
    line = (*left, *right)
    return crop((*line, Span(span, "dim")) if cells(line) + len(span) < width else line, width)
