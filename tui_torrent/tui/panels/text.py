"""Running text in a panel: wrapped to its width."""

from __future__ import annotations

import textwrap

from rich.cells import cell_len

from tui_torrent.tui.panels.lines import Line, Span


def wrapped(text: str, width: int, indent: int = 1, style: str = "text") -> list[Line]:
    """A paragraph in lines of at most ``width`` cells."""
    room = max(8, width - indent - 1)
    return [(Span(" " * indent + part, style),) for part in textwrap.wrap(text, room)]


def definition(term: str, style: str, text: str, column: int, width: int) -> list[Line]:
    """A term, and beside it what it means; below it where the width is small."""
    room = width - column - 4
    if room < 20:
        return [(Span("  "), Span(term, style)), *wrapped(text, width, 4)]
    first, *rest = textwrap.wrap(text, room) or [""]
    pad = " " * max(0, column - cell_len(term))
    lines: list[Line] = [(Span("  "), Span(term, style), Span(f"{pad} {first}"))]
    return lines + [(Span(" " * (column + 3) + part),) for part in rest]
