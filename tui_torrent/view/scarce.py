"""What a single client holds of what others still miss: until it has sent that, nobody can be done."""

from __future__ import annotations

from collections import Counter

from mpi_core.protocol.units import Rank
from tui_torrent.view.swarm_view import ClientView, SwarmView

#: A client that has this share of what it fetches has most of it.
MOST = 0.5

#: Holder → file → how many of its segments nobody else holds.
Scarce = dict[Rank, Counter[str]]


def scarce(view: SwarmView) -> Scarce:
    """The segments with a single living owner that nobody has downloaded, of files that somebody fetches."""
    fetched = {name for client in view.clients.values() for name in _open_files(client)}
    found: Scarce = {}
    for name in sorted(fetched):
        file = view.files.get(name)
        if file is None:
            continue
        owners = [rank for rank in file.owners if not view.client_is_lost(rank)]
        if len(owners) == 1 and (alone := file.copies.count(0)):
            found.setdefault(owners[0], Counter())[name] = alone
    return found


def held_up(view: SwarmView) -> dict[Rank, list[Rank]]:
    """Holder → the clients that have most, and miss nothing but what that holder alone has."""
    found: dict[Rank, list[Rank]] = {}
    for holder, held in sorted(scarce(view).items()):
        waiting = [
            rank
            for rank, client in sorted(view.clients.items())
            if rank != holder and client.share_done >= MOST and misses_only(view, client, held)
        ]
        if waiting:
            found[holder] = waiting
    return found


def misses_only(view: SwarmView, client: ClientView, held: Counter[str]) -> int:
    """How many of those segments the client wants, if it misses nothing else; 0 otherwise."""
    missing = client.missing
    if not missing or missing > sum(held.values()):
        return 0
    return missing if sum(held[name] for name in _open_files(client)) == missing else 0


def _open_files(client: ClientView) -> list[str]:
    """The files that it fetches and does not have whole."""
    if client.gone or client.finished_at is not None:
        return []
    return [
        name for name in client.fetches if name not in client.completed and name not in client.unavailable
    ]
