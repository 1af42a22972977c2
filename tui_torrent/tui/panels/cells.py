"""The segments of one client as cells, a letter each for whom they came from.

A cell stands for one segment, or for several where they do not fit. In a swarm of up to 61 clients its letter
is the sender's rank: 1 to 9, a for 10 up to z for 35, A for 36 up to Z for 61. In a larger one letters go to
the sources of the client that is shown, in the order of their first segments; the list of peers says whose
each is. Sources beyond 61 have the letters underlined, and those beyond 122 reversed. Colours repeat them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from math import ceil
from typing import NamedTuple

from tui_torrent.tui.panels.lines import Line, Span, cells, clean, crop, fit_end, right, spread
from tui_torrent.tui.panels.lists import Lists, note_span
from tui_torrent.view.absent import Absent, living_owners
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted

OWNED, MISSING, ASKED, RARE, NOBODYS, PARTLY, OTHER = "━", "·", "*", "!", "?", ":", "+"

#: The letters of the first sources.
LETTERS = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: How many colours repeat them.
SOURCES = 8

#: The looks of the letters, one after the other; sources beyond all of them share ``OTHER``.
ROUNDS = ("", "under-", "reverse-")

#: One character for each source, before letters and looks are put in their place: the first are the letters.
MARKS = LETTERS + "".join(chr(0xE000 + at) for at in range(len(LETTERS) * (len(ROUNDS) - 1)))

_STYLES = {
    OWNED: "own",
    MISSING: "missing",
    ASKED: "asked",
    RARE: "alarm",
    NOBODYS: "trouble",
    PARTLY: "partly",
    OTHER: "text",
    " ": "none",
} | {mark: f"source-{ROUNDS[at // len(LETTERS)]}{at % SOURCES}" for at, mark in enumerate(MARKS)}

_GLYPHS = str.maketrans({mark: LETTERS[at % len(LETTERS)] for at, mark in enumerate(MARKS)})


def marks_of(view: SwarmView, client: ClientView) -> Mapping[int, str]:
    """The mark of each source of that client; in a swarm of few clients, of each client."""
    if max(view.clients, default=0) <= len(LETTERS):
        return _BY_RANK
    return dict(zip(client.detail.got_from, MARKS, strict=False))


_BY_RANK = dict(enumerate(LETTERS, 1))


def marked(mark: str) -> Span:
    """A mark as it is drawn."""
    return Span(mark.translate(_GLYPHS), _STYLES[mark])


@lru_cache(4096)
def _spans(text: str) -> Line:
    """Cells with their styles: these hang on the marks alone."""
    return tuple(
        Span("".join(same).translate(_GLYPHS), style)
        for style, same in groupby(text, lambda mark: _STYLES[mark])
    )


class Grid(NamedTuple):
    """The cells of one file, a mark each, and how many of its segments are there."""

    cells: str
    had: int


def grid(view: SwarmView, client: ClientView, name: str, per_cell: int) -> Grid:
    """A file's segments as ``client`` has them, ``per_cell`` of them in a cell."""
    file, segments = view.files.get(name), _size(view, client, name)
    if name in client.owned:
        return Grid(OWNED * ceil(segments / per_cell), segments)
    sources = client.detail.sources.get(name) or [0] * segments
    mark_of = marks_of(view, client).get
    marks = [mark_of(source, OTHER) if source else MISSING for source in sources]
    owners = living_owners(view, name)
    copies = file.copies if file is not None and len(file.copies) == segments else [2] * segments
    missing = [segment for segment, source in enumerate(sources) if not source]
    for segment in missing:
        if not copies[segment] and not owners:
            marks[segment] = NOBODYS
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
    return Grid("".join(marks), segments - len(missing))


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


def segment_lines(
    view: SwarmView, client: ClientView, lacks: Absent, width: int, height: int, lists: Lists, top: int = 0
) -> list[Line]:
    """What is missing in words, and the cells of the files, in at most ``height`` lines from ``top`` on.

    Where there are more files than lines, each has one line, and they scroll.
    """
    room = max(1, width - 2)
    names = _files(view, client)
    if not names:
        lists.window("files", 0, 0)
        wants = "it wants no file" if client.wanted == () and client.state != "starting" else "no file yet"
        return [crop((Span(f" {wants}", "dim"),), width)][:height]
    space = height - 1
    # What is owned takes one line: its cells are all alike.
    sizes = {name: _size(view, client, name) if name not in client.owned else 1 for name in names}
    if len(names) <= space:
        per_cell = dict.fromkeys(names, _per_cell(list(sizes.values()), room, space))
    else:
        per_cell = {name: ceil(size / max(1, room - _label(room))) for name, size in sizes.items()}
    shown = lists.window("files", len(names), space, range(width), range(top, top + height))
    lines: list[Line] = []
    for name in names[shown.start : shown.stop] if len(names) > space else names:
        file = grid(view, client, name, per_cell[name])
        lines += _file_lines(client, name, file, _size(view, client, name), room)
    notes = _words(client, lacks, width)
    most = max(per_cell.values())
    if most > 1:
        notes.append(Span(f"   a cell is {'up to ' if len(names) > space else ''}{most} segments", "dim"))
    first = spread(tuple(notes), (note_span(lists.note("files", "files")), Span(" ")), width)
    return [crop(line, width) for line in [first, *lines][:height]]


def _words(client: ClientView, lacks: Absent, width: int) -> list[Span]:
    """What is missing of all files, and what came for nothing or not at all, as much of it as fits."""
    words = [Span(" nothing is missing", "done")]
    if lacks.missing:
        rare = f", {lacks.rare} held by one client only" if lacks.rare else ""
        words = [Span(f" {lacks.missing} missing{rare}", "text")]
    if lacks.nobodys:
        words.append(Span(f", {lacks.nobodys} held by nobody", "trouble"))
    for number, noun, style in (
        (client.corrupt, "corrupt segment", "trouble"),
        (client.duplicates, "duplicate", "rare"),
        (client.expired, "unanswered request", "trouble"),
        (client.rejects_sent + client.rejects_received, "reject", "rare"),
    ):
        told = Span(f"   {counted(number, noun)}", style)
        if number and cells((*words, told)) < width:
            words.append(told)
    return words


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
