"""One client: each of its segments and whom it came from, the others, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.cells import marked, marks_of, segment_lines
from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    cells,
    clean,
    crop,
    dashed,
    filled,
    fit,
    fit_end,
    right,
    rule,
)
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.table import STATES, finish_of, state_of
from tui_torrent.view.absent import Absent, absent
from tui_torrent.view.blame import Trouble, troubles
from tui_torrent.view.limit import forecast
from tui_torrent.view.rates import BUCKET
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.units import bytes_of_text, percent_text, rate_text, stamp_text
from tui_torrent.view.words import counted

KEYS = (("n p", "next, previous"),)

#: A client with more segments than this to fetch has the rare ones among them counted twice a second.
MANY = 5_000

MEANING: tuple[Line, ...] = (
    (Span("1a", "source-0"), Span(" got from", "dim")),
    (Span("·", "missing"), Span(" missing", "dim")),
    (Span("*", "asked"), Span(" asked", "dim")),
    (Span("!", "alarm"), Span(" rare", "dim")),
    (Span("━", "own"), Span(" owned", "dim")),
    (Span(":", "partly"), Span(" in part", "dim")),
    (Span("?", "trouble"), Span(" nobody's", "dim")),
)

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


_COLUMNS = (("peer", 13), ("state", 13), ("got", 5), ("gave", 5), ("offers", 6), ("asked", 5))


def peer_lines(
    view: SwarmView, client: ClientView, peers: Sequence[Rank], now: float, width: int
) -> list[Line]:
    """The heading, and a line for each of ``peers``.

    ``got`` are the verified segments that came from it, ``gave`` those that it got from this client, and
    ``offers`` what it has of what this client misses.
    """
    columns = list(_COLUMNS)
    for name in ("asked", "state"):
        if sum(size + 1 for _, size in columns) > width:
            columns = [column for column in columns if column[0] != name]
    titles = "".join(
        (fit if name in ("peer", "state") else right)(name, size) + " " for name, size in columns
    )
    lines: list[Line] = [(Span(" " + titles, "head"),)]
    lacks, marks = lacking(client), marks_of(view, client)
    asked = Counter(source for sources in client.detail.open.values() for source in sources)
    for rank in peers:
        other = view.clients[rank]
        glyph, word, style = STATES[state_of(other, now)]
        got, need = client.detail.got_from[rank], useful(lacks, other)
        gave = other.detail.got_from[client.rank]
        if rank in client.detail.avoided:
            glyph, word, style = "!", "avoided", "trouble"
        texts = {
            "peer": ("", ""),
            "state": (fit(f"{glyph} {word}", 13), style),
            "got": (right(dashed(got), 5), "text" if got else "dim"),
            "gave": (right(dashed(gave), 5), "text" if gave else "dim"),
            "offers": (right(dashed(need), 6), "strong" if need else "dim"),
            "asked": (right(dashed(asked[rank]), 5), "busy" if asked[rank] else "dim"),
        }
        mark = marked(marks[rank]) if rank in marks else Span(" ")
        line: Line = (Span(" "), mark, Span(fit(f" client {rank}", 13)))
        for name, _ in columns[1:]:
            text, look = texts[name]
            line = (*line, Span(text + " ", look))
        lines.append(line)
    return [crop(line, width) for line in lines]


def order_of_peers(view: SwarmView, client: ClientView) -> list[Rank]:
    """The others by rank, first those that segments came from or went to, or that are asked."""
    involved = {
        *client.detail.got_from,
        *client.detail.avoided,
        *(source for sources in client.detail.open.values() for source in sources),
        *(target for target, other in view.clients.items() if client.rank in other.detail.got_from),
    }
    others = [rank for rank in sorted(view.clients) if rank != client.rank]
    return sorted(others, key=lambda rank: rank not in involved)


def flight_lines(
    client: ClientView, marks: Mapping[int, str], now: float, width: int, height: int
) -> list[Line]:
    """The requests in flight, the oldest first."""
    requests = sorted(
        (since, rank, name, segment)
        for (name, segment), sources in client.detail.open.items()
        for rank, since in sources.items()
    )
    head = f"{counted(len(requests), 'request')} in flight" if requests else "no request in flight"
    lines: list[Line] = [(Span(head, "head"),)]
    room = max(1, height - 1)
    shown = requests if len(requests) <= room else requests[: max(0, room - 1)]
    for since, rank, name, segment in shown:
        age = now - since
        text = f" #{segment}"
        room_of_name = width - 11 - len(text)
        lines.append(
            (
                Span(right(stamp_text(max(0.0, age)), 6), "trouble" if age >= 2 else "text"),
                Span(" → ", "dim"),
                Span(str(rank), marked(marks[rank]).style if rank in marks else "strong"),
                Span(f" {fit_end(clean(name), max(1, room_of_name - len(str(rank)))).rstrip()}{text}"),
            )
        )
    if len(shown) < len(requests):
        lines.append((Span(f"       and {len(requests) - len(shown)} more", "dim"),))
    return [crop(line, width) for line in lines[:height]]


# The screen -------------------------------------------------------------------------------------


class ClientPanel:
    """The screen of one client, without its keys."""

    def __init__(self) -> None:
        self.lists = Lists(("files", "peers"))
        #: What the chosen client misses, and from what that was counted.
        self._lacks: tuple[tuple[object, ...], Absent] = ((), Absent())
        #: What is wrong with clients, and when that was asked: twice a second is enough.
        self._troubles: tuple[tuple[object, ...], dict[Rank, Trouble]] = ((), {})

    def lines(self, view: SwarmView, rank: Rank | None, now: float, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines of ``width`` cells."""
        client = view.clients.get(rank) if rank is not None else None
        if client is None:
            return filled([crop((Span(" no client yet", "dim"),), width)], width, height)
        lines = [_head(view, client, self._trouble(view, client, now), now, width)]
        below = min(len(view.clients), max(4, (height - len(lines)) // 2))
        room = max(0, height - len(lines) - below - 1)
        if room:
            lacks = self._absent(view, client, now)
            lines += segment_lines(view, client, lacks, width, room, self.lists, len(lines))
        if height - len(lines) >= 3:
            lines += _tables(view, client, now, width, height, len(lines), self.lists)
        return filled(lines, width, height)

    def _trouble(self, view: SwarmView, client: ClientView, now: float) -> str:
        key = (int(now / BUCKET), len(view.clients), view.outcome)
        if self._troubles[0] != key:
            self._troubles = (key, troubles(view, now))
        trouble = self._troubles[1].get(client.rank)
        return trouble.text if trouble is not None else ""

    def _absent(self, view: SwarmView, client: ClientView, now: float) -> Absent:
        many = client.to_fetch > MANY
        key = (client.rank, int(now / BUCKET) if many else view.events, view.outcome)
        if self._lacks[0] != key:
            self._lacks = (key, absent(view, client))
        return self._lacks[1]


def _tables(
    view: SwarmView, client: ClientView, now: float, width: int, height: int, top: int, lists: Lists
) -> list[Line]:
    """The others and the requests in flight, side by side below line ``top``, down to line ``height``."""
    beside = width >= 76
    left = 54 if beside else width
    others = order_of_peers(view, client)
    shown = lists.window("peers", len(others), height - top - 2, range(left), range(top, height))
    lines = [rule("peers and requests", lists.note("peers", "peers"), width)]
    peers = peer_lines(view, client, others[shown.start : shown.stop], now, left)
    if not beside:
        return [crop(line, width) for line in [*lines, *peers]]
    requests = flight_lines(client, marks_of(view, client), now, width - left - 2, height - top - 1)
    for at in range(max(len(peers), len(requests))):
        peer = peers[at] if at < len(peers) else crop(EMPTY, left)
        lines.append((*peer, Span("  "), *(requests[at] if at < len(requests) else ())))
    return [crop(line, width) for line in lines]


def _head(view: SwarmView, client: ClientView, trouble: str, now: float, width: int) -> Line:
    """Who it is, what is wrong with it, and how far it is."""
    glyph, word, style = STATES[state_of(client, now)]
    figures: list[Span] = [Span(f"{glyph} {word}", style)]
    if client.to_fetch:
        figures.append(Span(percent_text(client.share_done), "strong"))
        amount = f"{client.received} of {client.to_fetch} segments"
        if client.real:
            amount = bytes_of_text(client.received_bytes, client.to_fetch_bytes)
        figures.append(Span(amount, "text"))
    if trouble:
        figures.append(Span(f"! {clean(trouble)}", "trouble"))
    last = forecast(view, now) if client.finished_at is None else None
    finish = finish_of(client, now, last.at if last is not None else inf)
    if finish != "–":
        figures.append(Span(f"finish {finish}", "text"))
    rates = ((arrow, rate) for arrow, rate in (("↓", client.down(now)), ("↑", client.up(now))) if rate)
    figures += [Span(f"{arrow} {rate_text(rate, client.real)}", "text") for arrow, rate in rates]
    line: Line = (Span(f" client {client.rank}", "strong"),)
    for figure in figures:
        longer = (*line, Span("   " if width >= 100 else "  "), figure)
        if cells(longer) > width:
            break
        line = longer
    return crop(line, width)
