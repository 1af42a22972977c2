"""One client: each of its segments and whom it came from, the others, and what it waits for.

A cell of the map stands for one segment, or for several where they do not fit. Its letter is the sender's:
1 to 9 for those ranks, a for 10 up to z for 35, A for 36 up to Z for 61. A colour repeats it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from math import ceil
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    bytes_text,
    clean,
    count_text,
    crop,
    fit,
    fit_end,
    right,
    rule,
    time_text,
)
from tui_torrent.tui.panels.table import STATES, eta_text, percent, state_of
from tui_torrent.view.swarm_view import ClientView, SwarmView

OWNED, MISSING, ASKED, RARE, NOBODYS, PARTLY, OTHER = "━", "·", "*", "!", "?", ":", "+"

#: The letters of the ranks from 1.
LETTERS = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: How many colours repeat them.
SOURCES = 8

KEYS = (("n p", "next, previous"), ("↑↓", "scroll"))

MEANING: tuple[Line, ...] = (
    (Span("1a", "source-0"), Span(" got from", "dim")),
    (Span("·", "missing"), Span(" missing", "dim")),
    (Span("*", "asked"), Span(" asked", "dim")),
    (Span("!", "alarm"), Span(" rare", "dim")),
    (Span("━", "own"), Span(" owned", "dim")),
    (Span(":", "partly"), Span(" in part", "dim")),
    (Span("?", "trouble"), Span(" nobody's", "dim")),
)

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
    return tuple(Span("".join(cells), style) for style, cells in groupby(text, lambda mark: _STYLES[mark]))


class Grid(NamedTuple):
    """The cells of one file, and how many of its segments are missing and rare."""

    cells: str
    had: int
    rare: int
    nobodys: int


def grid(view: SwarmView, client: ClientView, name: str, per_cell: int) -> Grid:
    """A file's segments as ``client`` has them, ``per_cell`` of them in a cell."""
    file, held = view.files.get(name), client.held.get(name)
    segments = len(held) if held is not None else file.segments if file is not None else 0
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


def _lines(cells: int, width: int) -> int:
    """Lines of a file with so many cells."""
    beside = width - _label(width)
    return 1 if cells <= beside else 1 + ceil(cells / max(1, width))


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
        lines.append((Span(f" and {count_text(len(names) - len(shown), 'more file')}", "dim"),))
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
    style = "strong" if name not in client.completed else "text"
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
    cells = file.cells[: width - label] if name in client.owned else file.cells
    if len(cells) <= width - label:
        return [(*title, *_spans(cells))]
    parts = [cells[start : start + width] for start in range(0, len(cells), width)]
    return [title, *((Span(" "), *_spans(part)) for part in parts)]


# The others -------------------------------------------------------------------------------------


def lacking(client: ClientView) -> dict[str, int]:
    """The segments that it wants and lacks, as a mask for ``held`` read as one number."""
    return {
        name: ~int.from_bytes(client.held.get(name, b""), "little")
        for name in client.wanted
        if name not in client.completed
    }


def useful(lacks: dict[str, int], other: ClientView) -> int:
    """How many of those segments the other one has."""
    held = other.held
    return sum(
        (int.from_bytes(held[name], "little") & mask).bit_count()
        for name, mask in lacks.items()
        if name in held
    )


_COLUMNS = (("peer", 9), ("state", 9), ("got", 6), ("sent", 6), ("has that I need", 15), ("asked", 5))


def peer_lines(view: SwarmView, client: ClientView, now: float, width: int) -> list[Line]:
    """The heading, and a line a client: what came from it, what went to it, what it has to offer."""
    columns = list(_COLUMNS)
    for name in ("asked", "state"):
        if sum(size + 1 for _, size in columns) > width:
            columns = [column for column in columns if column[0] != name]
    titles = "".join(
        (fit if name in ("peer", "state") else right)(name, size) + " " for name, size in columns
    )
    lines: list[Line] = [(Span(" " + titles, "head"),)]
    lacks = lacking(client)
    asked = Counter(source for sources in client.detail.open.values() for source in sources)
    sent = {to: cell[0] for (rank, to), cell in view.traffic.items() if rank == client.rank}
    for rank, other in sorted(view.clients.items()):
        if rank == client.rank:
            continue
        glyph, word, style = STATES[state_of(other, now)]
        got, need = client.detail.got_from[rank], useful(lacks, other)
        if rank in client.detail.avoided:
            glyph, word, style = "!", "avoided", "trouble"
        texts = {
            "peer": ("", ""),
            "state": (fit(f"{glyph} {word}", 9), style),
            "got": (right(_number(got), 6), "text" if got else "dim"),
            "sent": (right(_number(sent.get(rank, 0)), 6), "text" if sent.get(rank) else "dim"),
            "has that I need": (right(_number(need), 15), "strong" if need else "dim"),
            "asked": (right(_number(asked[rank]), 5), "busy" if asked[rank] else "dim"),
        }
        line: Line = (Span(f" {letter(rank)}", letter_style(rank)), Span(fit(f" rank {rank}", 9)))
        for name, _ in columns[1:]:
            text, look = texts[name]
            line = (*line, Span(text + " ", look))
        lines.append(line)
    return [crop(line, width) for line in lines]


def _number(number: int) -> str:
    return str(number) if number else "–"


def flight_lines(client: ClientView, now: float, width: int, height: int) -> list[Line]:
    """The requests in flight, the oldest first."""
    requests = sorted(
        (since, rank, name, segment)
        for (name, segment), sources in client.detail.open.items()
        for rank, since in sources.items()
    )
    head = f"{count_text(len(requests), 'request')} in flight" if requests else "no request in flight"
    lines: list[Line] = [(Span(head, "head"),)]
    room = max(1, height - 1)
    shown = requests if len(requests) <= room else requests[: max(0, room - 1)]
    for since, rank, name, segment in shown:
        age = now - since
        text = f" #{segment}"
        lines.append(
            (
                Span(right(time_text(max(0.0, age)), 6), "trouble" if age >= 2 else "text"),
                Span(" → ", "dim"),
                Span(letter(rank), letter_style(rank)),
                Span(f" {fit_end(clean(name), max(1, width - 12 - len(text))).rstrip()}{text}", "text"),
            )
        )
    if len(shown) < len(requests):
        lines.append((Span(f"       and {len(requests) - len(shown)} more", "dim"),))
    return [crop(line, width) for line in lines[:height]]


# The screen -------------------------------------------------------------------------------------


def client_lines(
    view: SwarmView, rank: Rank | None, now: float, width: int, height: int, scrolled: int = 0
) -> list[Line]:
    """The screen of one client, without its keys; ``scrolled`` is the first of the others that is shown."""
    client = view.clients.get(rank) if rank is not None else None
    if client is None:
        return _filled([crop((Span(" no client yet", "dim"),), width)], width, height)
    lines = [*_head(view, client, now, width)[: max(1, height - 1)]]
    others = len(view.clients)
    below = min(others, max(4, (height - len(lines)) // 2))
    map_room = max(0, height - len(lines) - below - 1)
    cells = segment_lines(view, client, width, map_room) if map_room else []
    lines += cells
    room = height - len(lines) - 1
    if room >= 2:
        lines += [
            crop(rule("peers and requests", "", width), width),
            *_tables(view, client, now, width, room, scrolled),
        ]
    return _filled(lines, width, height)


def _tables(
    view: SwarmView, client: ClientView, now: float, width: int, height: int, scrolled: int
) -> list[Line]:
    beside = width >= 76
    left = 52 if beside and width < 90 else min(64, width * 3 // 5) if beside else width
    head, *others = peer_lines(view, client, now, left)
    room = height - 1
    first = max(0, min(scrolled, len(others) - room))
    shown = [head, *others[first : first + room]]
    if len(others) > room and room > 1:
        more = f" peers {first + 1}–{first + room - 1} of {len(others)}"
        shown[-1] = crop((Span(more, "dim"),), left)
    if not beside:
        return shown
    requests = flight_lines(client, now, width - left - 2, height)
    blank = crop(EMPTY, left)
    lines: list[Line] = []
    for at in range(max(len(shown), len(requests))):
        peer = shown[at] if at < len(shown) else blank
        request: Sequence[Span] = requests[at] if at < len(requests) else ()
        lines.append(crop((*peer, Span("  "), *request), width))
    return lines


def _head(view: SwarmView, client: ClientView, now: float, width: int) -> list[Line]:
    """Who it is and how far it is."""
    glyph, word, style = STATES[state_of(client, now)]
    down, up = client.down_rate.at(now), client.up_rate.at(now)
    figures: list[Span] = [Span(f"{glyph} {word}", style)]
    if client.segments_wanted:
        figures.append(Span(f"{percent(client.share_done)}%", "strong"))
        figures.append(Span(f"{client.segments_had}/{client.segments_wanted}", "text"))
    if client.lost and client.lost_reason:
        figures.append(Span(clean(client.lost_reason), "trouble"))
    if view.real_bytes:
        figures.append(Span(f"↓ {bytes_text(down)}/s  ↑ {bytes_text(up)}/s", "text"))
    missing = client.segments_wanted - client.segments_had
    eta = eta_text(client, missing, down)
    if eta != "–":
        figures.append(Span(f"done {eta}", "text"))
    corrupt, rejects = client.corrupt_received, client.rejects_sent + client.rejects_received
    if corrupt:
        figures.append(Span(f"{corrupt} corrupt", "trouble"))
    if rejects:
        figures.append(Span(count_text(rejects, "reject"), "rare"))
    if client.expired:
        figures.append(Span(f"{client.expired} unanswered", "trouble"))
    letter_of = Span(f" {letter(client.rank)} ", letter_style(client.rank))
    line: Line = (letter_of, Span(f" client {client.rank}", "strong"))
    for figure in figures:
        line = (*line, Span("   " if width >= 100 else "  "), figure)
    return [crop(line, width)]


def _filled(lines: list[Line], width: int, height: int) -> list[Line]:
    return [*lines[:height], *[crop(EMPTY, width)] * (height - len(lines))]
