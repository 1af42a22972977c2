"""One client: each of its segments and whom it came from, the others, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.cells import letter, letter_style, segment_lines
from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    bytes_text,
    cells,
    clean,
    crop,
    dashed,
    filled,
    fit,
    fit_end,
    right,
    rule,
    time_text,
)
from tui_torrent.tui.panels.table import STATES, eta_text, percent, state_of
from tui_torrent.view.limit import forecast
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted

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


def peer_lines(
    view: SwarmView, client: ClientView, peers: Sequence[Rank], now: float, width: int
) -> list[Line]:
    """The heading, and a line for each of ``peers``: what came from it, went to it, what it has to offer."""
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
    for rank in peers:
        other = view.clients[rank]
        glyph, word, style = STATES[state_of(other, now)]
        got, need = client.detail.got_from[rank], useful(lacks, other)
        sent = view.traffic.get((client.rank, rank), (0, 0))[0]
        if rank in client.detail.avoided:
            glyph, word, style = "!", "avoided", "trouble"
        texts = {
            "peer": ("", ""),
            "state": (fit(f"{glyph} {word}", 9), style),
            "got": (right(dashed(got), 6), "text" if got else "dim"),
            "sent": (right(dashed(sent), 6), "text" if sent else "dim"),
            "has that I need": (right(dashed(need), 15), "strong" if need else "dim"),
            "asked": (right(dashed(asked[rank]), 5), "busy" if asked[rank] else "dim"),
        }
        line: Line = (Span(f" {letter(rank)}", letter_style(rank)), Span(fit(f" rank {rank}", 9)))
        for name, _ in columns[1:]:
            text, look = texts[name]
            line = (*line, Span(text + " ", look))
        lines.append(line)
    return [crop(line, width) for line in lines]


def flight_lines(client: ClientView, now: float, width: int, height: int) -> list[Line]:
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
        return filled([crop((Span(" no client yet", "dim"),), width)], width, height)
    lines = [*_head(view, client, now, width)[: max(1, height - 1)]]
    others = len(view.clients)
    below = min(others, max(4, (height - len(lines)) // 2))
    map_room = max(0, height - len(lines) - below - 1)
    if map_room:
        lines += segment_lines(view, client, width, map_room)
    room = height - len(lines) - 1
    if room >= 2:
        lines += [
            crop(rule("peers and requests", "", width), width),
            *_tables(view, client, now, width, room, scrolled),
        ]
    return filled(lines, width, height)


def _tables(
    view: SwarmView, client: ClientView, now: float, width: int, height: int, scrolled: int
) -> list[Line]:
    beside = width >= 76
    left = 52 if beside and width < 90 else min(64, width * 3 // 5) if beside else width
    others = [rank for rank in sorted(view.clients) if rank != client.rank]
    room, more = height - 1, len(others) > height - 1 > 1
    rows = room - more
    first = max(0, min(scrolled, len(others) - rows))
    shown = peer_lines(view, client, others[first : first + rows], now, left)
    if more:
        note = f" peers {first + 1}–{first + rows} of {len(others)}"
        shown.append(crop((Span(note, "dim"),), left))
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
    if client.to_fetch:
        figures.append(Span(f"{percent(client.share_done)}%", "strong"))
        figures.append(Span(f"{client.received}/{client.to_fetch}", "text"))
    if client.gone and (why := client.failed or client.lost_reason):
        figures.append(Span(clean(why), "trouble"))
    last = forecast(view, now) if client.finished_at is None else None
    eta = eta_text(client, now, last.at if last is not None else inf)
    if eta != "–":
        figures.append(Span(f"done {eta}", "text"))
    if view.real_bytes:
        figures.append(Span(f"↓ {bytes_text(down)}/s ↑ {bytes_text(up)}/s", "text"))
    corrupt, rejects = client.corrupt, client.rejects_sent + client.rejects_received
    if corrupt:
        figures.append(Span(f"{corrupt} corrupt", "trouble"))
    if rejects:
        figures.append(Span(counted(rejects, "reject"), "rare"))
    if client.expired:
        figures.append(Span(f"{client.expired} unanswered", "trouble"))
    letter_of = Span(f" {letter(client.rank)} ", letter_style(client.rank))
    line: Line = (letter_of, Span(f" client {client.rank}", "strong"))
    for figure in figures:
        longer = (*line, Span("   " if width >= 100 else "  "), figure)
        if cells(longer) > width:
            break
        line = longer
    return [crop(line, width)]
