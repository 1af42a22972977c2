"""The segment map's axis: all files of the swarm one after the other, the same for every client.

A column of the map stands for a share of all segments (where there are fewer segments than columns, a
segment is several columns wide). Since the axis is common, columns line up between clients and with
the copies below them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Axis:
    """Which segments each column of a map stands for."""

    columns: tuple[tuple[Piece, ...], ...]
    #: Files in their order, each with the column in which it begins.
    begins: tuple[tuple[str, int], ...]
    segments: int

    @property
    def cost(self) -> int:
        """Pieces in all: what it takes to draw one map."""
        return sum(map(len, self.columns))


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
        # A column that is narrower than a segment shows the segment in which it begins.
        begins.append((name, first if offset * width % total == 0 or total > width else first + 1))
        for column in range(first, last + 1):
            low = column * total // width
            high = max(low + 1, (column + 1) * total // width)
            start, stop = max(low, offset) - offset, min(high, offset + segments) - offset
            if start < stop:
                columns[column].append(Piece(name, start, stop))
        offset += segments
    return Axis(tuple(map(tuple, columns)), tuple(begins), total)


def ruler(axis: Axis, width: int) -> Line:
    """The names above the map, each where its file begins; small neighbours are counted instead."""
    if not axis.begins:
        return (Span(fit("segment map", width), "head"),)
    groups: list[tuple[str, int, int]] = []
    for at, (name, begin) in enumerate(axis.begins):
        if groups and begin - groups[-1][1] < NAME_ROOM:
            first, column, count = groups[-1]
            groups[-1] = (first, column, count + 1)
        else:
            groups.append((name, begin if at else 0, 1))
    if len(groups) > 1 and width - groups[-1][1] < NAME_ROOM:
        last = groups.pop()
        name, column, count = groups[-1]
        groups[-1] = (name, column, count + last[2])
    text, shapes = [], []
    for at, (name, begin, count) in enumerate(groups):
        room = (groups[at + 1][1] if at + 1 < len(groups) else width) - begin
        label = _short(clean(name), room - 1) if count == 1 else fit(f"{count} files", room - 1).rstrip()
        text += [label, "─" * (room - 1 - cell_len(label)), " "]
        shapes += ["head", "rule", "rule"]
    return runs(text, shapes)


def _short(name: str, width: int) -> str:
    """As much of a path as fits: its end, or if even that is too long, the beginning of the last part."""
    last = name.rsplit("/", 1)[-1]
    return (fit_end(name, width) if cell_len(last) < width else fit(last, width)).rstrip()


def segment_map(client: ClientView, axis: Axis) -> Line:
    """One glyph a column: how much of it the client has, of what it owns or wants there."""
    glyphs, styles = [], []
    held, owned = client.held, client.owned
    # Two shades take turns, so that rows of full blocks stay apart.
    got = "got" if client.rank % 2 else "got-even"
    wanted = frozenset(client.wanted)
    for column in axis.columns:
        here = mine = want = 0
        for name, start, stop in column:
            segments = held.get(name)
            if segments is None:
                want += (stop - start) * (name in wanted)
                continue
            want += stop - start
            if name in owned:
                mine += stop - start
            else:
                here += segments.count(1, start, stop)
        if not want:
            glyphs.append(" ")
            styles.append("none")
        elif mine == want:
            glyphs.append(OWNED)
            styles.append("own")
        elif here + mine:
            glyphs.append(LEVELS[max(1, 8 * (here + mine) // want) - 1])
            styles.append(got if here else "own")
        elif client.unavailable and any(name in client.unavailable for name, _, _ in column):
            glyphs.append(UNAVAILABLE)
            styles.append("trouble")
        else:
            glyphs.append(MISSING)
            styles.append("missing")
    return runs(glyphs, styles)


def copies_map(axis: Axis, copies: Mapping[str, list[int]], clients: int) -> Line:
    """One glyph a column: the fewest copies of any segment there, as a share of the clients.

    The rarest are told by a figure instead: 1 where only one client holds a segment, 0 where nobody does.
    (Bars begin at two eighths: in ASCII these are figures too, and a 1 must not mean two things.)
    """
    glyphs, styles = [], []
    for column in axis.columns:
        fewest = min((min(copies[name][start:stop]) for name, start, stop in column), default=0)
        if fewest <= 1 and clients > 1:
            glyphs.append(str(fewest))
            styles.append("rare" if fewest else "trouble")
        else:
            glyphs.append(LEVELS[max(2, min(8, 8 * fewest // max(1, clients))) - 1])
            styles.append("copies")
    return runs(glyphs, styles)
