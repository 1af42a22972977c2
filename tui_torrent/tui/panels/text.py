"""Running text in a panel: wrapped to its width."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from tui_torrent.tui.panels.lines import Line, Span


def wrapped(text: str, width: int, indent: int = 1, style: str = "text") -> list[Line]:
    """A paragraph in lines of at most ``width`` cells."""
    room = max(8, width - indent - 1)
    return [(Span(" " * indent + part, style),) for part in parts(text, room)]


def parts(text: str, room: int) -> list[str]:
    """The text in parts of at most ``room`` cells, broken between words, or in a word that is longer."""
    found, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if cell_len(longer) <= room:
            line = longer
            continue
        if line:
            found.append(line)
        *whole, line = chop_cells(word, room)
        found += whole
    return [*found, line] if line else found


def definition(term: str, style: str, text: str, column: int, width: int) -> list[Line]:
    """A term, and beside it what it means; below it where the width is small."""
    room = width - column - 4
    if room < 20:
        return [(Span("  "), Span(term, style)), *wrapped(text, width, 4)]
    first, *rest = parts(text, room) or [""]
    pad = " " * max(0, column - cell_len(term))
    lines: list[Line] = [(Span("  "), Span(term, style), Span(f"{pad} {first}"))]
    return lines + [(Span(" " * (column + 3) + part),) for part in rest]
