"""What changes over time in one line: sparklines, and how near to the limit the job is."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from tui_torrent.tui.panels.axis import LEVELS
from tui_torrent.tui.panels.lines import EMPTY, Line, Span, bytes_text, cells, clean, crop, runs, time_text
from tui_torrent.view.limit import Forecast, limit
from tui_torrent.view.rates import BUCKET
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.words import some

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
    rate = sum(client.down_rate.at(now) for client in view.clients.values())
    load = sum(rate.at(now) for rate in view.tracker_rates.values())
    swarm, tracker = f" {bytes_text(rate)}/s", f" {load:.0f} msg/s"
    if width < 60:
        room = max(1, width - len(" swarm ") - len(swarm) - 1)
        values = view.moved.last(now, room)
        return crop((Span(" swarm ", "head"), *sparkline(values, room, "done"), Span(swarm)), width)
    half = min(WIDEST, (width - len(" swarm   tracker  ") - len(f"{swarm}{tracker}") - 1) // 2)
    left: Line = (
        Span(" swarm ", "head"),
        *sparkline(view.moved.last(now, half), half, "done"),
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


def limit_line(view: SwarmView, last: Forecast | None, now: float, width: int) -> Line:
    """What no schedule can beat, what binds, and when the last client will be done."""
    bound = limit(view, now)
    if bound is None or view.began is None:
        return crop((Span(" limit ", "head"), Span("measuring the links …", "dim")), width)
    head: Line = (Span(" limit ", "head"), Span(f"≈{time_text(view.began + bound.seconds)}", "limit"))
    binds = clean(bound.binds)
    # At the least, whose link it is.
    middles = [f" estimate, set by {binds}", f" estimate, set by {binds.partition(', ')[0]}", " estimate", ""]
    if last is None:
        early: Line = (Span("last –", "dim"),)
        tails = [early, early, EMPTY]
    elif last.at == inf:
        still: Line = (
            Span(f"{some(last.clients)} {'stands' if len(last.clients) == 1 else 'stand'} still", "rare"),
        )
        tails = [still, still, EMPTY]
    else:
        took = last.at - view.began
        share = f"{100 * min(1.0, bound.seconds / took):.0f}%" if took > 0 else "100%"
        at = f"{'at ' if last.certain else '≈'}{time_text(last.at)}"
        who = f"client {last.clients[0]}" if len(last.clients) == 1 else f"{len(last.clients)} clients"
        tails = [
            (Span(f"last: {who} {at}", "text"), Span(f", {share} of the best", "dim")),
            (Span(f"last {at}", "text"), Span(f", {share} of the best", "dim")),
            (Span(f"last {at}", "text"), Span(f" ({share})", "dim")),
        ]
    for middle in middles:
        for tail in tails:
            line: Line = (*head, Span(middle, "dim"))
            gap = width - cells((*line, *tail)) - 1
            if gap >= 1:
                return crop((*line, Span("   "[:gap]), *tail), width)
    return crop(head, width)
