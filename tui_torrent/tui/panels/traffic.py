"""Who got how much from whom: a row an uploader, a column a downloader, in verified segments.

Cells are numbers where all columns fit as numbers, else shades of the largest cell. Where there are more
clients than columns, a column stands for several. On several hosts, the clients of one stand together, with
its name above their rows and a border between the columns of two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from operator import itemgetter
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.axis import LEVELS
from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    cells,
    clean,
    crop,
    filled,
    part_bar,
    right,
    rule,
    runs,
    share_text,
)
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.view.hosts import by_host, client_hosts, split
from tui_torrent.view.report import fairness
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import bytes_text, percent_text
from tui_torrent.view.words import counted

#: From a little to the most; nothing is a dot.
SHADES = "░▒▓█"
NOTHING = "·"

#: Cells are no wider than this. The bars at the right have at least and at most so many cells, where all
#: columns fit as numbers: among more clients the share of one is none that a bar could show.
WIDEST, BAR, LONGEST_BAR = 9, 10, 50
#: The cells of a share, before its bar.
SHARE = 7

OWNS: Line = (Span("*", "strong"), Span(" owns files", "dim"))
NONE: Line = (Span("·", "missing-text"), Span(" nothing", "dim"))
#: Where there are several hosts; where cells are numbers; where they are shades.
BORDER: Line = (Span("│", "rule"), Span(" another host", "dim"))
MUCH: Line = (Span("bold", "strong"), Span(" over twice the mean", "dim"))
SHADED: Line = (Span("░▒▓█", "gauge"), Span(" a quarter of the most … the most", "dim"))


class Matrix(NamedTuple):
    """Segments by uploader and by group of downloaders, and the sums of both."""

    uploaders: list[Rank]
    groups: list[list[Rank]]
    cells: list[list[int]]
    given: list[int]
    received: list[int]
    #: The host of each uploader; all empty where they are not told, or one.
    hosts: list[str]

    def border(self, column: int) -> bool:
        """Whether that column is the first of its host, and others stand to its left."""
        if not 0 < column < len(self.groups):
            return False
        size = len(self.groups[0])
        return self.hosts[column * size - 1] != self.hosts[column * size]


def matrix(view: SwarmView, columns: int) -> Matrix:
    """The traffic, with at most ``columns`` groups of downloaders."""
    try:
        return _matrix(view, sorted(view.clients), columns)
    except KeyError:
        # A journal made by hand may name others. (Of hundreds of clients it costs as much again to look.)
        return _matrix(
            view, sorted({*view.clients, *(rank for pair in view.traffic for rank in pair)}), columns
        )


def _matrix(view: SwarmView, ranks: list[Rank], columns: int) -> Matrix:
    several = len(client_hosts(view)) > 1
    if several:
        ranks = by_host(view, ranks)
    size = max(1, ceil(len(ranks) / max(1, columns)))
    groups = [ranks[at : at + size] for at in range(0, len(ranks), size)]
    rows = {rank: [0] * len(groups) for rank in ranks}
    column = {rank: at // size for at, rank in enumerate(ranks)}
    for (source, target), cell in view.traffic.items():
        rows[source][column[target]] += cell[0]
    segments = list(rows.values())
    received = [sum(counts) for counts in zip(*segments, strict=True)]
    hosts = [view.hosts.get(rank, "") if several else "" for rank in ranks]
    return Matrix(ranks, groups, segments, [sum(line) for line in segments], received, hosts)


def meaning(view: SwarmView, width: int, lines: Sequence[Line]) -> tuple[Line, ...]:
    """What the glyphs in ``traffic_lines`` of that width mean."""
    layout, _ = _lay_out(view, width)
    nothing = [NONE] if any(NOTHING in span.text for line in lines for span in line) else []
    border = [BORDER] if len(client_hosts(view)) > 1 else []
    return (OWNS, *nothing, MUCH if layout.numbers else SHADED, *border)


class _Layout(NamedTuple):
    label: int
    cell: int
    total: int
    #: The cells of the shares at the right, and of the bars behind them; 0 where there are none.
    share: int
    bar: int
    numbers: bool


def _lay_out(view: SwarmView, width: int) -> tuple[_Layout, int]:
    """What stands where, and the most columns of clients that there is room for."""
    clients = len(view.clients)
    digits = len(str(max(view.clients, default=0)))
    label = max(5, digits + 3)
    total = max(6, len(str(view.received)) + 1)
    share, bar = (SHARE, BAR) if width >= 70 else (0, 0)
    room = max(1, width - label - total - share - _borders(view))
    least = max(2, digits) + 1
    if clients * least <= room - bar:
        most = max(map(itemgetter(0), view.traffic.values()), default=0)
        least = max(least, len(str(most)) + 1)
    numbers = clients * least <= room - bar
    if numbers:
        room -= bar
        cell = min(max(least, room // max(1, clients)), max(WIDEST, least))
    else:
        cell = next((size for size in (3, 2) if clients * size <= room), 1)
    bar = min(LONGEST_BAR, bar + room - clients * cell) if bar and numbers else 0
    return _Layout(label, cell, total, share, bar, numbers), room // cell


def _borders(view: SwarmView) -> int:
    """The most columns that borders take."""
    return max(0, len(client_hosts(view)) - 1)


def _rows(table: Matrix) -> list[int | str]:
    """What stands below each other: the places of uploaders, and the names of their hosts above them."""
    rows: list[int | str] = []
    for at, host in enumerate(table.hosts):
        if any(table.hosts) and (not at or host != table.hosts[at - 1]):
            rows.append(host or "a host not told")
        rows.append(at)
    return rows


def traffic_lines(view: SwarmView, width: int, height: int, lists: Lists) -> list[Line]:
    """Exactly ``height`` lines; ``lists`` has the rows."""
    layout, columns_of_clients = _lay_out(view, width)
    table = matrix(view, columns_of_clients)
    head = [*_head(view, width), *_host_lines(view, width)]
    room = max(1, height - len(head) - 3)
    rows = _rows(table)
    shown = lists.window("rows", len(rows), room)
    note = lists.note("rows", "rows")
    columns = (
        f", {len(table.groups[0])} clients a column" if table.groups and len(table.groups[0]) > 1 else ""
    )
    title = f"segments from the row's client to the column's{columns}"
    if note and len(title) + len(note) + 8 > width:
        title = f"segments from row to column{columns}"
    lines = [*head, rule(title, note, width), _titles(table, layout)]
    highest = max(map(max, table.cells), default=0)
    everything = max(1, sum(table.given))
    usual = everything / max(1, len(view.traffic))
    for at in rows[shown.start : shown.stop]:
        if isinstance(at, str):
            lines.append(rule(clean(at), "", width))
            continue
        rank, given = table.uploaders[at], table.given[at]
        client = view.clients.get(rank)
        owner = client is not None and bool(client.owned)
        line: list[Span] = [Span(right(f"{rank}{'*' if owner else ' '} ", layout.label), "strong")]
        line += _cells(table, at, layout, highest, usual)
        line.append(Span(right(str(given), layout.total), "strong"))
        if layout.share:
            share = given / everything
            line.append(Span(right(share_text(share), layout.share) + " ", "dim"))
            line.append(Span(part_bar(share, max(0, layout.bar - 1)), "own" if owner else "gauge"))
        lines.append(tuple(line))
    lines.append(_sums(table, layout) if rows else (Span(" no client yet", "dim"),))
    return filled([crop(line, width) for line in lines], width, height)


def _head(view: SwarmView, width: int) -> list[Line]:
    """The balance in words, as many of them as there is room for."""
    balance = fairness(view)
    if balance.jain is None or balance.origin_share is None:
        return [(Span(" No segment was received yet.", "dim"),)]
    moved = counted(view.received, "segment")
    if view.real_bytes:
        moved += f", {bytes_text(view.received_bytes)}"
    share, jain = percent_text(balance.origin_share), f"{balance.jain:.2f}"
    for waste, origin, index in (
        (_waste(view), "of them from the original owners", "Jain's index (1: all gave alike)"),
        (_waste(view), "from the owners", "Jain's index (1: all alike)"),
        (_waste(view), "from the owners", "Jain's index"),
        (_waste(view), "owners", "Jain"),
        (EMPTY, "owners", "Jain"),
    ):
        line = (
            Span(f" {moved}", "text"),
            *(*waste, Span("   ")),
            *(Span(share, "strong"), Span(f" {origin}   ", "dim")),
            *(Span(jain, "strong"), Span(f" {index}", "dim")),
        )
        if cells(line) <= width:
            break
    return [line]


def _waste(view: SwarmView) -> Line:
    """What came for nothing beside all that."""
    corrupt = sum(client.corrupt for client in view.clients.values())
    duplicates = sum(client.duplicates for client in view.clients.values())
    texts = [f"{corrupt} corrupt"] * bool(corrupt) + [counted(duplicates, "duplicate")] * bool(duplicates)
    return (Span(f" + {', '.join(texts)}", "rare"),) if texts else EMPTY


def _host_lines(view: SwarmView, width: int) -> list[Line]:
    """What stayed within a host, and what crossed the network."""
    hosts = client_hosts(view)
    if not hosts or not view.clients.keys() <= view.hosts.keys():
        return []
    if len(hosts) == 1:
        return [(Span(" all clients are on one host, ", "dim"), Span(clean(hosts[0]), "text"))]
    sums = split(view)
    if sums is None:
        return []
    whole = max(1, sums.same_segments + sums.other_segments)
    line: list[Span] = [Span(f" {len(hosts)} hosts", "text")]
    for words, segments, size in (
        ("within a host", sums.same_segments, sums.same_bytes),
        ("from host to host", sums.other_segments, sums.other_bytes),
    ):
        moved = f"{bytes_text(size)}, " if view.real_bytes and width >= 76 else ""
        line += [
            Span("   ", "dim"),
            Span(str(segments), "strong"),
            Span(f" {words} ({moved}{percent_text(segments / whole)})", "dim"),
        ]
    return [tuple(line)]


def _bordered(table: Matrix, texts: list[str]) -> list[str]:
    """The columns' texts, with a border before the first of each host but the first."""
    if not any(table.hosts):
        return texts
    return [f"│{text}" if table.border(at) else text for at, text in enumerate(texts)]


def _titles(table: Matrix, layout: _Layout) -> Line:
    """The ranks above the columns, as many as there is room for."""
    cell = layout.cell
    if layout.numbers:
        names = "".join(_bordered(table, [right(str(group[0]), cell) for group in table.groups]))
    else:
        marks = [" "] * (len(table.groups) * cell)
        free = 0
        for at, group in enumerate(table.groups):
            name = str(group[0])
            if at * cell >= free and at * cell + len(name) <= len(marks):
                marks[at * cell : at * cell + len(name)] = name
                free = at * cell + len(name) + 1
        columns = ["".join(marks[at : at + cell]) for at in range(0, len(marks), cell)]
        names = "".join(_bordered(table, columns))
    corner = right("from ", layout.label)
    end = right("given", layout.total)
    if layout.share:
        end += "  of all" if layout.bar < BAR else "  share of all"
    return (Span(corner + names + end, "head"),)


def _cells(table: Matrix, at: int, layout: _Layout, highest: int, usual: float) -> Line:
    counts, cell = table.cells[at], layout.cell
    own = table.groups.index([table.uploaders[at]]) if [table.uploaders[at]] in table.groups else -1
    if not layout.numbers:
        highest = max(1, highest)
        # From 1 to the highest in four steps.
        shades = [shade * cell for shade in (NOTHING, *SHADES)]
        texts = [shades[(4 * n + highest - 1) // highest] for n in counts]
        if own >= 0 and not counts[own]:
            texts[own] = " " * cell
        text = "".join(_bordered(table, texts))
        return tuple(
            Span(part, "rule" if part == "│" else "missing-text" if part[0] in " ·" else "gauge")
            for part in _PARTS.findall(text)
        )
    texts = [(str(n) if n else NOTHING).rjust(cell) for n in counts]
    if own >= 0 and not counts[own]:
        texts[own] = " " * cell
    styles = ["missing-text" if not n else "strong" if n > 2 * usual else "text" for n in counts]
    return runs(_bordered(table, texts), styles)


#: Stretches of nothing, and of something, and borders.
_PARTS = re.compile("│|[ ·]+|[^ ·│]+")


def _sums(table: Matrix, layout: _Layout) -> Line:
    """What each column received: a number where it fits, else a bar."""
    label = Span(right("got  ", layout.label), "head")
    total = Span(right(str(sum(table.received)), layout.total), "strong")
    most = max(table.received, default=0)
    if layout.numbers and len(str(most)) < layout.cell:
        sums = "".join(_bordered(table, [right(str(received), layout.cell) for received in table.received]))
        return (label, Span(sums, "strong"), total)
    bars = [LEVELS[max(1, 8 * n // most) - 1] if n else NOTHING for n in table.received]
    fill = "".join(_bordered(table, [bar * layout.cell for bar in bars]))
    return (label, Span(fill, "copies"), total)
