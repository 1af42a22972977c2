"""Which rank runs on which host, and what that says of the traffic: memory or network."""

from __future__ import annotations

from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.swarm_view import SwarmView


class Split(NamedTuple):
    """Verified segments and bytes between clients of the same host, and of two."""

    same_segments: int
    same_bytes: int
    other_segments: int
    other_bytes: int


def split(view: SwarmView) -> Split | None:
    """The traffic so far by host; None where a host was not told."""
    sums = [0, 0, 0, 0]
    for (source, target), (segments, size) in view.traffic.items():
        here, there = view.hosts.get(source), view.hosts.get(target)
        if here is None or there is None:
            return None
        at = 0 if here == there else 2
        sums[at] += segments
        sums[at + 1] += size
    return Split(*sums) if view.hosts else None


def client_hosts(view: SwarmView) -> list[str]:
    """The hosts of the clients, each once, in the order of their lowest ranks."""
    return list(dict.fromkeys(view.hosts[rank] for rank in sorted(view.clients) if rank in view.hosts))


def by_host(view: SwarmView, ranks: list[Rank]) -> list[Rank]:
    """``ranks`` with those of one host together; hosts by their lowest ranks, unknown ones last."""
    place = {host: at for at, host in enumerate(client_hosts(view))}
    return sorted(ranks, key=lambda rank: (place.get(view.hosts.get(rank, ""), len(place)), rank))
