"""The table of clients: a row each, a segment map at its end.

As the width shrinks, columns go in the order of ``DROPPED``; the map keeps at least ``MAP_ROOM``
cells, and what is left over is the map's. State is a glyph and a word, never a colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.axis import Axis, ruler, segment_map
from tui_torrent.tui.panels.lines import Line, Span, bytes_text, crop, fit, right, runs, time_text
from tui_torrent.view.limit import seconds_left
from tui_torrent.view.swarm_view import ClientView, SwarmView

#: The map is never narrower (where there is a map at all).
MAP_ROOM = 20

#: Which column goes first when the width shrinks. Rank, state and percentage stay.
DROPPED = ("sent", "rejects", "up", "have", "down", "eta")
#: The same where bytes a second mean nothing, and ``sent`` is all that tells of uploads.
DROPPED_DECLARED = ("rejects", "sent", "have", "eta")

#: A state's glyph, word and style.
STATES = {
    "starting": ("○", "starts", "dim"),
    "hashing": ("#", "hashes", "busy"),
    "ready": ("●", "ready", "text"),
    "waiting": ("…", "waits", "busy"),
    "downloading": ("↓", "fetches", "done"),
    "serving": ("↑", "serves", "own"),
    "stopped": ("■", "stopped", "dim"),
    "lost": ("✗", "lost", "trouble"),
}

_TITLES = {
    "rank": "rank",
    "state": "state",
    "have": "have",
    "percent": "%",
    "down": "down/s",
    "up": "up/s",
    "sent": "sent",
    "rejects": "rej",
    "eta": "ETA",
}
_LEFT = frozenset({"state"})

#: What the table can be sorted by, in the order of the columns; ranks and states go up, the rest goes down.
SORTS = ("rank", "state", "percent", "down", "up", "sent", "rejects", "eta")
_RISING = frozenset({"rank", "state"})


def sorts(view: SwarmView) -> tuple[str, ...]:
    """The columns that this swarm can be sorted by."""
    return SORTS if view.real_bytes else tuple(name for name in SORTS if name not in ("down", "up"))


def sort_title(name: str) -> str:
    return _TITLES[name]


def falls(name: str, reverse: bool) -> bool:
    """Whether the largest comes first."""
    return (name in _RISING) == reverse


def in_order(view: SwarmView, name: str, reverse: bool, now: float) -> list[Rank]:
    """The clients sorted by a column; those that are alike by rank."""
    ranks = sorted(view.clients)
    if name != "rank":
        keys = {rank: _sort_key(view.clients[rank], name, now) for rank in ranks}
        ranks.sort(key=keys.__getitem__, reverse=falls(name, reverse))
    elif reverse:
        ranks.reverse()
    return ranks


def _sort_key(client: ClientView, name: str, now: float) -> float:
    if name == "state":
        return list(STATES).index(state_of(client, now))
    if name == "percent":
        return client.share_done
    if name in ("down", "up"):
        return (client.down_rate if name == "down" else client.up_rate).at(now)
    if name == "sent":
        return client.sent
    if name == "rejects":
        return client.rejects_sent + client.rejects_received
    if client.finished_at is not None or not client.wanted:
        return client.finished_at or 0.0
    left = seconds_left(client, now)
    return inf if left is None else now + left


@dataclass(frozen=True)
class Layout:
    """Which columns a table has, and how wide they and the gaps between them are."""

    widths: tuple[tuple[str, int], ...]
    gap: int
    map_width: int

    @property
    def left(self) -> int:
        """The width of everything before the map."""
        return sum(width + self.gap for _, width in self.widths)


def make_layout(view: SwarmView, width: int) -> Layout:
    """The columns that a table of that width has room for."""
    digits = max(2, len(str(sum(file.segments for file in view.files.values()))))
    widths = {"rank": 5 if width >= 60 else 4, "state": 9, "have": 2 * digits + 1, "percent": 4}
    if view.real_bytes:
        widths |= {"down": 6, "up": 6}
    widths |= {"sent": max(4, digits), "rejects": 3, "eta": 8}
    gap = 2 if width >= 110 else 1
    for column in ("", *(DROPPED if view.real_bytes else DROPPED_DECLARED)):
        widths.pop(column, None)
        layout = Layout(tuple(widths.items()), gap, width - sum(w + gap for w in widths.values()))
        if layout.map_width >= MAP_ROOM:
            return layout
    return replace(layout, map_width=max(0, layout.map_width))


def heading(layout: Layout, axis: Axis, sort: str = "rank", reverse: bool = False) -> Line:
    """The titles of the columns, an arrow at the one they are sorted by, and the names of the files."""
    text = ""
    for name, width in layout.widths:
        title = _TITLES[name]
        start = len(text)
        text += (fit if name in _LEFT else right)(title, width) + " " * layout.gap
        if name == sort and (sort, reverse) != ("rank", False):
            before = start + width - len(title) - 1
            place = start + len(title) if name in _LEFT or before < 0 else before
            text = text[:place] + ("▾" if falls(sort, reverse) else "▴") + text[place + 1 :]
    return (Span(text, "head"), *ruler(axis, layout.map_width))


def state_of(client: ClientView, now: float) -> str:
    if client.gone:
        return "lost"
    if client.state == "downloading" and not client.down_rate.at(now):
        return "waiting"
    return client.state


def percent(share: float) -> int:
    """0…100, where 100 means all and nothing less."""
    return int(100 * share + 1e-9)


def eta_text(client: ClientView, now: float, last: float) -> str:
    """When it finished (``at 8.1s``), or when it will at the present rate (``in 12s``).

    That is not after the ``last`` one's end: who is done before leaves it a larger share.
    """
    if client.finished_at is not None:
        return f"at {time_text(client.finished_at)}"
    seconds = None if client.gone else seconds_left(client, now)
    if seconds is None or seconds == inf:
        return "–"
    seconds = min(seconds, last - now)
    return "in " + (f"{max(1, round(seconds))}s" if seconds < 59.5 else time_text(seconds))


def row(client: ClientView, layout: Layout, axis: Axis, now: float, width: int, last: float = inf) -> Line:
    """One client; ``last`` is when all will be done."""
    state = state_of(client, now)
    glyph, word, style = STATES[state]
    calm = "dim" if state in ("stopped", "starting") else "text"
    wanted, had = client.to_fetch, client.received
    down, up = client.down_rate.at(now), client.up_rate.at(now)
    share = client.share_done
    only_seed = client.finished_at is not None and not client.wanted
    if state == "hashing":
        share = client.hashed_bytes / client.share_bytes if client.share_bytes else 0.0
    texts = {
        "rank": (str(client.rank), "strong"),
        "state": (f"{glyph} {word}", style),
        "have": ("seed" if only_seed else _have(client, had, wanted), calm),
        "percent": _percent(client, share) if not only_seed else ("–", "dim"),
        "down": (_rate(down), calm),
        "up": (_rate(up), calm),
        "sent": (str(client.sent), calm),
        "rejects": _count(client.rejects_sent + client.rejects_received),
        "eta": (
            eta_text(client, now, last) if not only_seed else "–",
            _calm_if(client.finished_at is not None),
        ),
    }
    shown = [
        (fit if name in _LEFT else right)(texts[name][0], room) + " " * layout.gap
        for name, room in layout.widths
    ]
    line = (*runs(shown, [texts[name][1] for name, _ in layout.widths]), *segment_map(client, axis))
    # What is as wide as it should be need not be measured.
    return line if layout.left + len(axis.columns) == width else crop(line, width)


def _calm_if(over: bool) -> str:
    return "dim" if over else "text"


def _percent(client: ClientView, share: float) -> tuple[str, str]:
    return f"{percent(share)}%", "done" if client.finished_at is not None else "strong"


def _have(client: ClientView, had: int, wanted: int) -> str:
    if wanted:
        return f"{had}/{wanted}"
    return "–" if client.state in ("starting", "hashing", "ready") else "0/0"


def _rate(rate: float) -> str:
    return bytes_text(rate) if rate else "–"


def _count(number: int) -> tuple[str, str]:
    return (str(number) if number < 1000 else "1k+", "rare") if number else ("–", "dim")
