"""The segment map's axis: all files of the swarm one after the other, the same for every client.

A column of the map stands for a share of all segments (where there are fewer segments than columns, a
segment is several columns wide). Since the axis is common, columns line up between clients and with
the copies below them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from rich.cells import cell_len

from tui_torrent.tui.panels.lines import Line, Span, clean, fit, fit_end, runs
from tui_torrent.view.swarm_view import ClientView, FileView

LEVELS = "▁▂▃▄▅▆▇█"
OWNED = "━"
MISSING = "·"
UNAVAILABLE = "×"

#: A file's name stands above the map where it has this many columns.
NAME_ROOM = 6


class Piece(NamedTuple):
    """Segments ``start`` to ``stop`` of a file."""

    file: str
    start: int
    stop: int


#: Neighbouring columns, each with its pieces.
Stretch = tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True)
class Axis:
    """Which segments each column of a map stands for."""

    columns: tuple[tuple[Piece, ...], ...]
    #: Files in their order, each with the column in which it begins.
    begins: tuple[tuple[str, int], ...]
    segments: int
    #: Pieces in all: what it takes to draw one map.
    cost: int
    #: The columns again: those that one file has to itself together, those that files share one by one.
    stretches: tuple[Stretch, ...]


def make_axis(files: Mapping[str, FileView], width: int) -> Axis:
    """The files in the order of their names over ``width`` columns; empty ones take none."""
    total = sum(file.segments for file in files.values())
    columns: list[list[Piece]] = [[] for _ in range(width)]
    begins: list[tuple[str, int]] = []
    offset = 0
    for name in sorted(files):
        segments = files[name].segments
        if not segments or not width:
            continue
        first, last = offset * width // total, ((offset + segments) * width - 1) // total
        for column in range(first, last + 1):
            # A column that is narrower than a segment shows the segment in which it begins.
            low = column * total // width
            high = max(low + 1, (column + 1) * total // width)
            start, stop = max(low, offset) - offset, min(high, offset + segments) - offset
            if start < stop:
                if not begins or begins[-1][0] != name:
                    begins.append((name, column))
                columns[column].append(Piece(name, start, stop))
        offset += segments
    pieces = [tuple(column) for column in columns]
    stretches = [
        stretch
        for file, group in groupby(pieces, lambda column: column[0].file if len(column) == 1 else "")
        for stretch in ([tuple(group)] if file else [(column,) for column in group if column])
    ]
    return Axis(tuple(pieces), tuple(begins), total, sum(map(len, columns)), tuple(stretches))


NO_AXIS = Axis((), (), 0, 0, ())


def ruler(axis: Axis, width: int) -> Line:
    """The names above the map, each where its file begins; small neighbours are counted instead."""
    if not axis.begins:
        return (Span(fit("segment map", width), "head"),)
    ends = [begin for _, begin in axis.begins[1:]] + [width]
    text, styles = [], []
    files = zip(axis.begins, ends, strict=True)
    for small, group in groupby(files, lambda file: file[1] - file[0][1] < NAME_ROOM):
        members = list(group)
        # Small neighbours are one label; each of the others has its own.
        for part in [members] if small else [[member] for member in members]:
            room = max(0, part[-1][1] - part[0][0][1] - 1)
            name = part[0][0][0]
            label = _short(clean(name), room) if len(part) == 1 else fit(f"{len(part)} files", room).rstrip()
            if room + 1 < NAME_ROOM:
                label = ""
            text += [label, "─" * (room - cell_len(label)), " "]
            styles += ["head", "rule", "rule"]
    return runs(text, styles)


def _short(name: str, width: int) -> str:
    """As much of a path as fits: its end, or if even that is too long, the beginning of the last part."""
    last = name.rsplit("/", 1)[-1]
    return (fit_end(name, width) if cell_len(last) < width else fit(last, width)).rstrip()


def segment_map(client: ClientView, axis: Axis) -> Line:
    """One glyph a column: how much of it the client has, of what it owns or wants there."""
    if not axis.stretches:
        return (Span(" " * len(axis.columns), "none"),)
    glyphs, styles = [], []
    wanted = frozenset(client.wanted)
    # Two shades take turns, so that rows of full blocks stay apart.
    got = "got" if client.rank % 2 else "got-even"
    for stretch in axis.stretches:
        if len(stretch[0]) == 1:
            text, style = _stretch(client, stretch, wanted)
        else:
            text, style = _mixed(client, stretch[0], wanted)
        for part in _PARTS.findall(text) if style == "got" else (text,):
            glyphs.append(part)
            styles.append("missing" if part[0] == MISSING else got if style == "got" else style)
    return runs(glyphs, styles)


#: Stretches of what is missing, and of what is not.
_PARTS = re.compile(f"{MISSING}+|[^{MISSING}]+")


def _stretch(client: ClientView, stretch: Stretch, wanted: frozenset[str]) -> tuple[str, str]:
    """The glyphs and the style of neighbouring columns that one file has to itself."""
    name = stretch[0][0].file
    if name in client.owned:
        return OWNED * len(stretch), "own"
    if name not in client.held:
        return _absent(client, (name,) if name in wanted else (), len(stretch))
    count = client.held[name].count
    text = "".join([_level(count(1, start, stop), stop - start) for ((_, start, stop),) in stretch])
    if client.unavailable and name in client.unavailable and text.count(MISSING) == len(text):
        return UNAVAILABLE * len(text), "trouble"
    return text, "got"


def _mixed(client: ClientView, pieces: tuple[Piece, ...], wanted: frozenset[str]) -> tuple[str, str]:
    """The glyph and the style of a column that files share."""
    got = own = want = 0
    for name, start, stop in pieces:
        if name in client.owned:
            own += stop - start
        elif name in client.held:
            got += client.held[name].count(1, start, stop)
        elif name not in wanted:
            continue
        want += stop - start
    if own and own == want:
        return OWNED, "own"
    if got or own:
        return _level(got + own, want), "got" if got else "own"
    return _absent(client, [name for name, _, _ in pieces if name in wanted], 1)


def _absent(client: ClientView, wanted: Sequence[str], columns: int) -> tuple[str, str]:
    if not wanted:
        return " " * columns, "none"
    if any(name in client.unavailable for name in wanted):
        return UNAVAILABLE * columns, "trouble"
    return MISSING * columns, "missing"


@lru_cache(10_000)
def _level(have: int, all_of: int) -> str:
    return LEVELS[max(1, 8 * have // all_of) - 1] if have else MISSING


def copies_map(axis: Axis, copies: Mapping[str, list[int]], clients: int, held_up: bool = False) -> Line:
    """One glyph a column: the fewest copies of any segment there, as a share of the clients.

    The rarest are told by a figure instead: 1 where only one client holds a segment (a warning where others
    wait for it: ``held_up``), 0 where nobody does.
    (Bars begin at two eighths: in ASCII these are figures too, and a 1 must not mean two things.)
    """
    glyphs, styles = [], []
    for column in axis.columns:
        fewest = min((min(copies[name][start:stop]) for name, start, stop in column), default=0)
        if fewest <= 1 and clients > 1:
            glyphs.append(str(fewest))
            styles.append("trouble" if not fewest else "rare" if held_up else "copies")
        else:
            glyphs.append(LEVELS[max(2, min(8, 8 * fewest // max(1, clients))) - 1])
            styles.append("copies")
    return runs(glyphs, styles)
