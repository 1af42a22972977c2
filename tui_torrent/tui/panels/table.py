"""The table of clients: a row each, a segment map at its end.

As the width shrinks, columns go in the order of ``DROPPED``; the map keeps at least ``MAP_ROOM``
cells, and what is left over is the map's. State is a glyph and a word, never a colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.axis import Axis, ruler, segment_map
from tui_torrent.tui.panels.lines import Line, Span, clean, crop, fit, right, runs
from tui_torrent.view.limit import seconds_left
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.units import about_text, bytes_text, number_text, percent_text, time_text

#: The map is never narrower (where there is a map at all).
MAP_ROOM = 20

#: Which column goes first when the width shrinks. Client, state and percentage stay.
DROPPED = ("sent", "got", "rejects", "up", "down", "finish")

#: In a narrower table a state is its glyph alone; in a wide one, what is wrong with a client is in its row.
NARROW, WIDE = 48, 150
TROUBLE = 26

#: A state's glyph, word and style.
STATES = {
    "hashing": ("#", "hashing", "busy"),
    "waiting": ("…", "waiting", "busy"),
    "downloading": ("↓", "downloading", "done"),
    "seeding": ("↑", "seeding", "own"),
    "done": ("■", "done", "dim"),
    "lost": ("✗", "lost", "trouble"),
}

_TITLES = {
    "client": "client",
    "state": "state",
    "got": "got",
    "percent": "%",
    "down": "down/s",
    "up": "up/s",
    "sent": "sent",
    "rejects": "rej",
    "finish": "finish",
    "trouble": "trouble",
}
_LEFT = frozenset({"state", "trouble"})

#: What the table can be sorted by, in the order of the columns; clients and states go up, the rest goes down.
SORTS = ("client", "state", "percent", "down", "up", "sent", "rejects", "finish")
_RISING = frozenset({"client", "state"})


def sort_title(name: str) -> str:
    return _TITLES[name]


def falls(name: str, reverse: bool) -> bool:
    """Whether the largest comes first."""
    return (name in _RISING) == reverse


def in_order(view: SwarmView, name: str, reverse: bool, now: float) -> list[Rank]:
    """The clients sorted by a column; those that are alike by rank."""
    ranks = sorted(view.clients)
    if name != "client":
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
        return client.down(now) if name == "down" else client.up(now)
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
    def glyphs_alone(self) -> bool:
        """Whether states are told by their glyphs."""
        return self.widths[1:2] == (("state", 1),)

    @property
    def left(self) -> int:
        """The width of everything before the map."""
        return sum(width + self.gap for _, width in self.widths)


def make_layout(view: SwarmView, width: int) -> Layout:
    """The columns that a table of that width has room for."""
    digits = max(2, len(str(sum(file.segments for file in view.files.values()))))
    widths = {
        "client": 6,
        "state": 13 if width >= NARROW else 1,
        "got": 2 * digits + 1,
        "percent": 5,
        "down": 6,
        "up": 6,
    }
    widths |= {"sent": max(4, digits), "rejects": 3, "finish": 9}
    if width >= WIDE:
        widths["trouble"] = TROUBLE
    gap = 2 if width >= 120 else 1
    for column in ("", *DROPPED):
        widths.pop(column, None)
        layout = Layout(tuple(widths.items()), gap, width - sum(w + gap for w in widths.values()))
        if layout.map_width >= MAP_ROOM:
            return layout
    return replace(layout, map_width=max(0, layout.map_width))


def heading(layout: Layout, axis: Axis, sort: str = "client", reverse: bool = False) -> Line:
    """The titles of the columns, an arrow at the one they are sorted by, and the names of the files."""
    text = ""
    for name, width in layout.widths:
        title = "" if width == 1 else _TITLES[name]
        if name == sort and (sort, reverse) != ("client", False):
            arrow = "▾" if falls(sort, reverse) else "▴"
            title = f"{title}{arrow}" if name in _LEFT or len(title) == width else f"{arrow}{title}"
        # An arrow that has no room in its column stands in the gap beside it.
        text += (fit if name in _LEFT else right)(title, max(width, len(title)))
        text += " " * (layout.gap - max(0, len(title) - width))
    return (Span(text, "head"), *ruler(axis, layout.map_width))


def state_of(client: ClientView, now: float) -> str:
    """What it does, as one of ``STATES``."""
    return "hashing" if client.state == "hashing" and not client.gone else client.doing(now)


def finish_of(client: ClientView, now: float, last: float) -> str:
    """When it finished (``at 8.1 s``), or when it will at the present rate (``in 12 s``).

    That is not after the ``last`` one's end: who is done before leaves it a larger share.
    """
    if client.seed:
        return "–"
    if client.finished_at is not None:
        return f"at {time_text(client.finished_at)}"
    seconds = None if client.gone else seconds_left(client, now)
    if seconds is None or seconds == inf:
        return "–"
    return f"in {about_text(max(1.0, min(seconds, last - now)))}"


def row(
    client: ClientView,
    layout: Layout,
    axis: Axis,
    now: float,
    width: int,
    last: float = inf,
    wrong: str = "",
) -> Line:
    """One client; ``last`` is when all will be done, and ``wrong`` says what is amiss with it."""
    state = state_of(client, now)
    glyph, word, style = STATES[state]
    calm = "dim" if state == "done" else "text"
    share = client.share_done
    if state == "hashing":
        share = client.hashed_bytes / client.share_bytes if client.share_bytes else 0.0
    texts = {
        "client": (str(client.rank), "strong"),
        "state": (glyph if layout.glyphs_alone else f"{glyph} {word}", style),
        "got": (f"{client.received}/{client.to_fetch}" if client.to_fetch else "–", calm),
        "percent": _percent(client, share) if client.to_fetch or state == "hashing" else ("–", "dim"),
        "down": (_rate(client.down(now), client.real), calm),
        "up": (_rate(client.up(now), client.real), calm),
        "sent": (str(client.sent), calm),
        "rejects": _count(client.rejects_sent + client.rejects_received),
        "finish": (finish_of(client, now, last), "dim" if client.finished_at is not None else "text"),
        "trouble": (clean(wrong), "rare"),
    }
    gap = " " * layout.gap
    shown = [(fit if name in _LEFT else right)(texts[name][0], room) + gap for name, room in layout.widths]
    styles = [texts[name][1] for name, _ in layout.widths]
    if wrong:
        shown[0] = shown[0][: -layout.gap]
        shown[1:1], styles[1:1] = [f"!{gap[1:]}"], ["trouble"]
    line = (*runs(shown, styles), *segment_map(client, axis))
    # What is as wide as it should be need not be measured.
    return line if layout.left + len(axis.columns) == width else crop(line, width)


def _percent(client: ClientView, share: float) -> tuple[str, str]:
    return percent_text(share), "done" if client.finished_at is not None else "strong"


def _rate(rate: float, real: bool) -> str:
    if not rate:
        return "–"
    return bytes_text(rate) if real else number_text(rate)


def _count(number: int) -> tuple[str, str]:
    return (str(number) if number < 1000 else "1k+", "rare") if number else ("–", "dim")
