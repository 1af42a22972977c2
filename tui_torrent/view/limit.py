"""How near to the limit a job is: what no schedule can beat, and when the last client will be done.

The bound is Kumar and Ross's, max{ F/u(seeds), F/d_min, demand/Σu }, file by file where owners differ. The
links are not in the events. What stands for a link is the most that was seen on it within a second, so the
bound is an estimate: a link that never had to give its all is taken for slower than it is. In a run that has
ended the estimate is never above the time that the run took.
"""

from __future__ import annotations

from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.swarm_view import ClientView, SwarmView

#: Rates are told from so many seconds of downloading on.
MEASURED = 1.5


class Limit(NamedTuple):
    """A lower bound of the time from the first download to the end, in seconds."""

    seconds: float
    #: What binds: a clause such as "the uplink of client 2, the only seed of model.bin".
    binds: str


class Forecast(NamedTuple):
    """When the last client will be done at its present rate, or was."""

    client: Rank
    #: Seconds since the run began.
    at: float
    #: It is done already.
    certain: bool


def limit(view: SwarmView, now: float) -> Limit | None:
    """The tightest bound that the events allow; None where they tell too little."""
    if view.began is None or now - view.began < MEASURED:
        return None
    to_fetch = {client.rank: _to_fetch(view, client) for client in view.clients.values()}
    bounds = [*_of_seeds(view), *_of_downlinks(view, to_fetch), *_of_all(view, to_fetch)]
    return max(bounds, default=None)


def _to_fetch(view: SwarmView, client: ClientView) -> dict[str, int]:
    """The bytes of each file that it must fetch; a file without its bytes known is left out."""
    return {
        name: view.files[name].size
        for name in client.wanted
        if name not in client.owned and name not in client.unavailable and name in view.files
    }


def _of_seeds(view: SwarmView) -> list[Limit]:
    """Everything that must be fetched leaves its owners at least once."""
    wanted = {name for client in view.clients.values() for name in _to_fetch(view, client)}
    bounds, everybody, total = [], set[Rank](), 0
    for name in sorted(wanted):
        file = view.files[name]
        rate = _uplink(view, file.owners)
        if rate and file.size:
            bounds.append(Limit(file.size / rate, _the_uplink(file.owners, f"of {name}")))
            everybody |= file.owners
            total += file.size
    if len(bounds) > 1:
        bounds.append(Limit(total / _uplink(view, everybody), _the_uplink(everybody, "of the files")))
    return bounds


def _of_downlinks(view: SwarmView, to_fetch: dict[Rank, dict[str, int]]) -> list[Limit]:
    """Each client takes in all that it wants."""
    slowest = Limit(0.0, "")
    for rank, files in to_fetch.items():
        size, rate = sum(files.values()), view.clients[rank].down_rate.peak
        if size and rate:
            slowest = max(slowest, Limit(size / rate, f"the downlink of client {rank}"))
    return [slowest] if slowest.seconds else []


def _of_all(view: SwarmView, to_fetch: dict[Rank, dict[str, int]]) -> list[Limit]:
    """All together send all that all want."""
    size = sum(sum(files.values()) for files in to_fetch.values())
    rate = sum(client.up_rate.peak for client in view.clients.values())
    return [Limit(size / rate, "all uplinks together")] if size and rate else []


def _uplink(view: SwarmView, ranks: set[Rank]) -> float:
    return sum(view.clients[rank].up_rate.peak for rank in ranks if rank in view.clients)


def _the_uplink(owners: set[Rank], of_what: str) -> str:
    if len(owners) == 1:
        return f"the uplink of client {min(owners)}, the only seed {of_what}"
    return f"the uplinks of the {len(owners)} seeds {of_what}"


def forecast(view: SwarmView, now: float) -> Forecast | None:
    """The client that will be done last; None where somebody stands still, or nobody wants anything."""
    last: Forecast | None = None
    for client in view.clients.values():
        if client.lost or not client.wanted:
            continue
        if client.finished_at is not None:
            found = Forecast(client.rank, client.finished_at, True)
        else:
            left = seconds_left(client, client.down_rate.at(now))
            if left is None:
                return None
            found = Forecast(client.rank, now + left, False)
        if last is None or found.at > last.at:
            last = found
    return last


def seconds_left(client: ClientView, rate: float) -> float | None:
    """How long it takes at so many bytes a second; None where nothing comes."""
    missing = client.segments_wanted - client.segments_had
    if not rate or not client.downloaded or missing <= 0:
        return None
    return missing * (client.bytes_down / client.downloaded) / rate
