"""The segments of one client as cells, a letter each for whom they came from.

A cell stands for one segment, or for several where they do not fit. Its letter is the sender's: 1 to 9 for
those ranks, a for 10 up to z for 35, A for 36 up to Z for 61. A colour repeats it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from math import ceil
from typing import NamedTuple

from tui_torrent.tui.panels.lines import Line, Span, clean, crop, fit_end, right
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted

OWNED, MISSING, ASKED, RARE, NOBODYS, PARTLY, OTHER = "━", "·", "*", "!", "?", ":", "+"

#: The letters of the ranks from 1.
LETTERS = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: How many colours repeat them.
SOURCES = 8

_STYLES = {
    OWNED: "own",
    MISSING: "missing",
    ASKED: "asked",
    RARE: "alarm",
    NOBODYS: "trouble",
    PARTLY: "partly",
    " ": "none",
}


#: The glyph of a segment by the rank that it came from.
_MARKS = MISSING + LETTERS


def letter(rank: int) -> str:
    return LETTERS[rank - 1] if 0 < rank <= len(LETTERS) else OTHER


def letter_style(rank: int) -> str:
    return f"source-{(rank - 1) % SOURCES}" if 0 < rank <= len(LETTERS) else "text"


_STYLES |= {mark: letter_style(rank) for rank, mark in enumerate(LETTERS, 1)} | {OTHER: "text"}


@lru_cache(4096)
def _spans(text: str) -> Line:
    """Cells with their styles: these hang on the glyphs alone."""
    return tuple(Span("".join(same), style) for style, same in groupby(text, lambda mark: _STYLES[mark]))


class Grid(NamedTuple):
    """The cells of one file, and how many of its segments are missing and rare."""

    cells: str
    had: int
    rare: int
    nobodys: int


def grid(view: SwarmView, client: ClientView, name: str, per_cell: int) -> Grid:
    """A file's segments as ``client`` has them, ``per_cell`` of them in a cell."""
    file, segments = view.files.get(name), _size(view, client, name)
    if name in client.owned:
        return Grid(OWNED * ceil(segments / per_cell), segments, 0, 0)
    sources = client.detail.sources.get(name) or [0] * segments
    marks = [_MARKS[source] if source < len(_MARKS) else OTHER for source in sources]
    owners = sum(not view.client_is_lost(rank) for rank in file.owners) if file is not None else 0
    copies = file.copies if file is not None and len(file.copies) == segments else [2] * segments
    missing = [segment for segment, source in enumerate(sources) if not source]
    for segment in missing:
        if not copies[segment] and not owners:
            marks[segment] = NOBODYS
    nobodys = marks.count(NOBODYS)
    rare = [segment for segment in missing if copies[segment] + owners == 1]
    # Where most of what is missing is rare, nothing of it stands out: the number says it.
    if 2 * len(rare) <= len(missing):
        for segment in rare:
            marks[segment] = RARE
    for asked, segment in client.detail.open:
        if asked == name and 0 <= segment < segments and marks[segment] == MISSING:
            marks[segment] = ASKED
    if per_cell > 1:
        marks = [_joined(marks[start : start + per_cell]) for start in range(0, segments, per_cell)]
    return Grid("".join(marks), segments - len(missing), len(rare), nobodys)


def _joined(marks: list[str]) -> str:
    """One glyph for several: what stands out first, then whether all is here, and mostly from whom."""
    for mark in (NOBODYS, RARE):
        if mark in marks:
            return mark
    absent = marks.count(MISSING) + marks.count(ASKED)
    if absent == len(marks):
        return ASKED if ASKED in marks else MISSING
    return PARTLY if absent else Counter(marks).most_common(1)[0][0]


#: A file's name and how much of it is there stand before its cells, where these fit beside them.
_NAME, _HAVE = 20, 11


def _size(view: SwarmView, client: ClientView, name: str) -> int:
    held, file = client.held.get(name), view.files.get(name)
    return len(held) if held is not None else file.segments if file is not None else 0


def _files(view: SwarmView, client: ClientView) -> list[str]:
    """What it wants and lacks, then what is complete, then what it owned from the start."""
    names = [name for name in dict.fromkeys([*client.wanted, *client.owned]) if _size(view, client, name)]
    return sorted(names, key=lambda name: (name in client.owned, name in client.completed, name))


def _lines(marks: int, width: int) -> int:
    """Lines of a file with so many cells."""
    beside = width - _label(width)
    return 1 if marks <= beside else 1 + ceil(marks / max(1, width))


def _label(width: int) -> int:
    return min(_NAME, max(6, width // 4)) + _HAVE


def _per_cell(sizes: Sequence[int], width: int, height: int) -> int:
    """How many segments a cell must stand for, so that files of those sizes fit."""
    per_cell = 1
    while sum(_lines(ceil(size / per_cell), width) for size in sizes) > height:
        if all(size <= per_cell for size in sizes):
            break
        per_cell += 1 if per_cell < 16 else per_cell // 4
    return per_cell


def segment_lines(view: SwarmView, client: ClientView, width: int, height: int) -> list[Line]:
    """What is missing in words, and the cells of all files, in at most ``height`` lines."""
    room = max(1, width - 2)
    names = _files(view, client)
    if not names:
        wants = "it wants no file" if client.wanted == () and client.state != "starting" else "no file yet"
        return [crop((Span(f" {wants}", "dim"),), width)][:height]
    space = height - 1
    shown = names if len(names) <= space else names[: max(1, space - 1)]
    # What is owned takes one line: its cells are all alike.
    sizes = [_size(view, client, name) if name not in client.owned else 1 for name in shown]
    per_cell = _per_cell(sizes, room, space - (len(shown) < len(names)))
    lines: list[Line] = []
    missing = rare = nobodys = 0
    for name in shown:
        file = grid(view, client, name, per_cell)
        size = _size(view, client, name)
        missing, rare, nobodys = missing + size - file.had, rare + file.rare, nobodys + file.nobodys
        lines += _file_lines(client, name, file, size, room)
    if len(shown) < len(names):
        lines.append((Span(f" and {counted(len(names) - len(shown), 'more file')}", "dim"),))
    text = f" {missing} missing" if missing else " nothing is missing"
    if rare:
        text += f", {rare} of them held by one client only"
    notes = [Span(text, "text" if missing else "done")]
    if nobodys:
        notes.append(Span(f", {nobodys} held by nobody", "trouble"))
    if per_cell > 1:
        notes.append(Span(f"   a cell is {per_cell} segments", "dim"))
    return [crop(line, width) for line in [tuple(notes), *lines][:height]]


def _file_lines(client: ClientView, name: str, file: Grid, size: int, width: int) -> list[Line]:
    label = _label(width)
    style = "text" if name in client.completed or name in client.owned else "strong"
    if name in client.owned:
        have = "owned"
    elif name in client.unavailable:
        have, style = "never", "trouble"
    else:
        have = f"{file.had}/{size}"
    title: Line = (
        Span(" " + fit_end(clean(name), label - _HAVE), style),
        Span(right(have, _HAVE - 1) + " ", "head"),
    )
    marks = file.cells[: width - label] if name in client.owned else file.cells
    if len(marks) <= width - label:
        return [(*title, *_spans(marks))]
    parts = [marks[start : start + width] for start in range(0, len(marks), width)]
    return [title, *((Span(" "), *_spans(part)) for part in parts)]
