"""How far the job is, how fast, when it will be done and what limits it: two lines, whatever the width."""

from __future__ import annotations

from math import inf

from tui_torrent.tui.panels.lines import EMPTY, Line, Span, cells, clean, crop, part_bar
from tui_torrent.view.headline import (
    Headline,
    amount_text,
    done_text,
    finish_text,
    headline,
    last_text,
    limit_text,
    pace_text,
)
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import percent_text
from tui_torrent.view.words import counted

#: The headline of a run that nothing is known of.
NO_HEADLINE = headline(SwarmView(), 0.0)

#: The gauge has at least this many cells where the finish stands beside it, and else at least so many.
_GAUGE, _SMALL_GAUGE = 10, 4


def refreshed(line: Headline, view: SwarmView) -> Headline:
    """The headline of a moment ago with what was received since: the rest of it is made twice a second."""
    return line._replace(
        share=view.share_done,
        received=view.received,
        to_fetch=view.to_fetch,
        received_bytes=view.received_bytes,
        to_fetch_bytes=view.to_fetch_bytes,
        done=view.done,
        fetching=view.fetching,
        seeds=view.seeds,
    )


def headline_lines(line: Headline, dropped: int, width: int) -> tuple[Line, Line]:
    """The figures behind a gauge, and what bounds them. ``dropped`` is how many events never came."""
    gap = 3 if width >= 120 else 2
    figures = [Span(percent_text(line.share), "strong")]
    if dropped:
        figures.append(Span(f"{counted(dropped, 'event')} lost", "alarm"))
    texts = [amount_text(line), done_text(line)] if line.to_fetch or line.seeds or line.fetching else []
    if line.rate:
        texts.append(pace_text(line))
    for text in texts:
        if _width(figures, gap) + gap + len(text) + _SMALL_GAUGE <= width:
            figures.append(Span(text, "text"))
    finish = Span(finish_text(line), "rare" if line.finish == inf else "text")
    beside = bool(finish.text) and _width(figures, gap) + gap + cells((finish,)) + _GAUGE <= width
    if beside:
        figures.append(finish)
    room = width - _width(figures, gap)
    spread: list[Span] = []
    for figure in figures:
        spread += [Span(" " * gap), figure]
    first = (Span(" "), *gauge(line.share, max(_SMALL_GAUGE, room)), *spread)
    return crop(first, width), crop(
        _bounds(line, EMPTY if beside or not finish.text else (finish,), width), width
    )


def _width(figures: list[Span], gap: int) -> int:
    """The cells of a line of them, but for the gauge before them; a cell at either end stays free."""
    return 2 + sum(cells((figure,)) + gap for figure in figures)


def gauge(share: float, width: int) -> Line:
    """A horizontal bar, filled to ``share`` in halves of a cell."""
    bar = part_bar(share, width)
    return (Span(bar, "gauge"), Span("─" * (width - len(bar)), "gauge-rest"))


def _bounds(line: Headline, finish: Line, width: int) -> Line:
    """What limits the job and who is last, behind the finish where that found no room above."""
    limit = clean(limit_text(line))
    if finish:
        binds = f"limit: {clean(line.binds)}" if line.binds else ""
        choices = [[binds, last_text(line)], [binds], [binds.partition(", ")[0]], []]
    elif limit:
        choices = [[limit, last_text(line)], [limit], [limit.partition(", the only")[0]]]
    else:
        finish, choices = (Span("the links are being measured …", "dim"),), [[]]
    for choice in choices:
        told: Line = (Span(" "), *finish)
        for text in filter(None, choice):
            told = (*told, Span("   " if len(told) > 1 else ""), Span(text, "dim"))
        if cells(told) < width:
            break
    return told
