"""What frames every screen: the bar above it; below it the keys and the tabs, the current one in brackets."""

from __future__ import annotations

from collections.abc import Sequence

from tui_torrent.tui.panels.lines import EMPTY, Line, Span, cells, clean, crop, spread
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import stamp_text

#: The screens in the order of their keys, from 1.
NAMES = ("overview", "client", "traffic", "log", "tracker", "report")

_KEYS: Line = (Span("?", "key"), Span(" help  ", "dim"), Span("q", "key"), Span(" leave ", "dim"))


def title_bar(view: SwarmView, title: str, now: float, width: int, paused: bool = False) -> Line:
    """What is shown, what becomes of it, and the time of the run; ``paused`` where that stands still."""
    state = "starting" if view.header is None else view.outcome or ("aborted" if view.aborted else "running")
    return bar(title, "" if paused and state == "running" else state, now, width, paused)


def bar(title: str, state: str, now: float, width: int, paused: bool = False) -> Line:
    """A bar across: a title at the left; at the right a state, ``paused`` where that holds, and the time."""
    right: Line = (Span(f"{state}  ", "bar"),) if state else EMPTY
    right += (Span(" paused ", "alarm"), Span("  ", "bar")) if paused else EMPTY
    time = Span(f"{stamp_text(now)} ", "bar-strong")
    return spread((Span(f" {clean(title)}", "bar-strong"),), (*right, time), width, "bar")


def tab_texts(current: int, width: int) -> list[str]:
    """Each tab's text; the names go where there is no room for all, that of the current one last."""
    texts: list[str] = []
    for named in (range(1, 7), [current], []):
        texts = [
            f"{'[' if number == current else ' '}{f'{number} {name}' if number in named else number}"
            f"{']' if number == current else ' '}"
            for number, name in enumerate(NAMES, 1)
        ]
        if sum(map(len, texts)) <= width:
            break
    return texts


def tab_line(current: int, width: int) -> Line:
    texts = tab_texts(current, width)
    tabs = tuple(Span(text, "tab-now" if at == current else "tab") for at, text in enumerate(texts, 1))
    return crop(spread(tabs, _KEYS, width, "tab"), width, "tab")


def tab_at(x: int, current: int, width: int) -> int | None:
    """The screen whose tab stands in that column, from 1; None beside the tabs."""
    for number, text in enumerate(tab_texts(current, width), 1):
        x -= len(text)
        if x < 0:
            return number
    return None


def hints(keys: Sequence[tuple[str, str]], width: int, meaning: Sequence[Line] = ()) -> Line:
    """The keys of a screen, as many as there is room for, and at the right what its glyphs mean."""
    left: Line = EMPTY
    for key, what in keys:
        longer = (*left, Span(f" {key}", "key"), Span(f" {what} ", "dim"))
        if cells(longer) > width:
            break
        left = longer
    right: Line = EMPTY
    for part in meaning:
        longer = (*right, *((Span("  "),) if right else ()), *part)
        if cells(left) + cells(longer) + 2 > width:
            break
        right = longer
    return crop(spread(left, (*right, Span(" ")), width) if right else left, width)
