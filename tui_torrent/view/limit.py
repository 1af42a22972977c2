"""How near to the limit a job is: what no schedule can beat, and when the last client will be done.

The bound is Kumar and Ross's, max{ F/u(seeds), F/d_min, demand/Σu }, file by file where owners differ. The
links are not in the events. What stands for a link is the most that was seen on it, so the bound is an
estimate: a link that never had to give its all is taken for slower than it is. Where too little is known it
errs on the low side: an uplink that has hardly been used counts as fast as the fastest, and a downlink counts
only where it is plainly slower than the others. In a run that has ended the bound is never above the time
that the run took.
"""

from __future__ import annotations

from math import inf
from statistics import median
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.rates import ENOUGH
from tui_torrent.view.scarce import scarce
from tui_torrent.view.swarm_view import ClientView, SwarmView

#: Rates are told from so many seconds of downloading on.
MEASURED = 1.5
#: A downlink is slow whose best rate is below this part of the median one, once most are known.
SLOW_LINK = 0.25
#: Uplinks that carry this share of their best are all at work. Between windows rates differ by a tenth.
AT_WORK = 0.85


class Limit(NamedTuple):
    """A lower bound of the time from the first download to the end, in seconds."""

    seconds: float
    #: What binds: a clause such as "the uplink of client 2, the only seed of model.bin".
    binds: str


class Forecast(NamedTuple):
    """When the last client will be done, or was."""

    client: Rank
    #: Seconds since the run began; infinite where that client stands still.
    at: float
    #: It is done already.
    certain: bool


def limit(view: SwarmView, now: float) -> Limit | None:
    """The tightest bound that the events allow; None where they tell too little."""
    if view.began is None or now - view.began < MEASURED:
        return None
    to_fetch = {client.rank: _to_fetch(view, client) for client in view.clients.values()}
    uplinks = _uplinks(view)
    bounds = [*_of_seeds(view, uplinks), *_of_downlinks(view, to_fetch), *_of_all(to_fetch, uplinks)]
    tightest = max(bounds, default=None)
    took = _took(view)
    if tightest is not None and took is not None and tightest.seconds > took:
        # Some link gave more than it seemed to.
        tightest = Limit(took, tightest.binds)
    return tightest


def _took(view: SwarmView) -> float | None:
    """Seconds from the first download to the last, once all are done."""
    ends = [client.finished_at for client in view.clients.values() if client.wanted and not client.lost]
    known = [end for end in ends if end is not None]
    if view.began is None or not known or len(known) < len(ends):
        return None
    return max(known) - view.began


def _uplinks(view: SwarmView) -> dict[Rank, float]:
    """Bytes a second that each client's uplink can carry."""
    clients = [client for client in view.clients.values() if client.owned or client.wanted]
    fastest = max((client.up_rate.steady for client in clients), default=0.0)
    return {
        client.rank: client.up_rate.steady or max(client.up_rate.burst, fastest)
        for client in clients
        if not client.lost
    }


def _to_fetch(view: SwarmView, client: ClientView) -> dict[str, int]:
    """The bytes of each file that it must fetch; a file without its bytes known is left out."""
    return {
        name: view.files[name].size
        for name in client.fetches
        if name not in client.unavailable and name in view.files
    }


def _of_seeds(view: SwarmView, uplinks: dict[Rank, float]) -> list[Limit]:
    """Everything that must be fetched leaves its owners at least once."""
    wanted = {name for client in view.clients.values() for name in _to_fetch(view, client)}
    bounds, everybody, total = [], set[Rank](), 0
    #: The sizes of the files that have one owner, by owner.
    alone: dict[Rank, list[int]] = {}
    for name in sorted(wanted):
        file = view.files[name]
        rate = sum(uplinks.get(rank, 0.0) for rank in file.owners)
        if rate and file.size:
            bounds.append(Limit(file.size / rate, _the_uplink(file.owners, f"of {name}")))
            everybody |= file.owners
            total += file.size
            if len(file.owners) == 1:
                alone.setdefault(min(file.owners), []).append(file.size)
    if len(bounds) > 1:
        rate = sum(uplinks.get(rank, 0.0) for rank in everybody)
        bounds.append(Limit(total / rate, _the_uplink(everybody, "of the files")))
    for rank, sizes in sorted(alone.items()):
        if len(sizes) > 1 and len(alone) > 1:
            what = f"the uplink of client {rank}, the only seed of {len(sizes)} files"
            bounds.append(Limit(sum(sizes) / uplinks[rank], what))
    return bounds


def _of_downlinks(view: SwarmView, to_fetch: dict[Rank, dict[str, int]]) -> list[Limit]:
    """Each client takes in all that it wants."""
    ranks = [rank for rank, files in to_fetch.items() if files]
    return [
        Limit(sum(to_fetch[rank].values()) / rate, f"the downlink of client {rank}")
        for rank, rate in _slow_downlinks(view, ranks).items()
    ]


def _slow_downlinks(view: SwarmView, ranks: list[Rank]) -> dict[Rank, float]:
    """The best rates of those that are plainly slower than the others."""
    rates = {rank: view.clients[rank].down_rate.steady for rank in ranks}
    known = [rate for rate in rates.values() if rate]
    usual = median(known) if 2 * len(known) > len(rates) else 0.0
    return {rank: rate for rank, rate in rates.items() if 0 < rate < SLOW_LINK * usual}


def _of_all(to_fetch: dict[Rank, dict[str, int]], uplinks: dict[Rank, float]) -> list[Limit]:
    """All together send all that all want."""
    size, rate = sum(sum(files.values()) for files in to_fetch.values()), sum(uplinks.values())
    return [Limit(size / rate, "all uplinks together")] if size and rate else []


def _the_uplink(owners: set[Rank], of_what: str) -> str:
    if len(owners) == 1:
        return f"the uplink of client {min(owners)}, the only seed {of_what}"
    return f"the uplinks of the {len(owners)} seeds {of_what}"


def forecast(view: SwarmView, now: float) -> Forecast | None:
    """The client that will be done last; None where one has too little to judge by, or none wants any.

    What bounds a whole job tells when the rest of it will be done: all that is missing, at the rate that all
    together lately had (who is done leaves its share to the others); each client's part of it, at the best
    that its downlink has taken; and what a single client holds, over its uplink.
    """
    fetching = [client for _, client in sorted(view.clients.items()) if client.wanted and not client.lost]
    still = [client for client in fetching if client.finished_at is None]
    if not still:
        done = [Forecast(client.rank, client.finished_at or 0.0, True) for client in fetching]
        return max(done, key=lambda end: end.at, default=None)
    left = {client.rank: seconds_left(client, now) for client in still}
    known = {rank: seconds for rank, seconds in left.items() if seconds is not None}
    if len(known) < len(left):
        return None
    last = max(known, key=known.__getitem__)
    if known[last] == inf:
        return Forecast(last, inf, False)
    together = sum(map(_missing, still)) / sum(client.down_rate.lately(now) for client in fetching)
    return Forecast(last, now + max(together, _own_links(view, still, now), _first_copies(view)), False)


def _own_links(view: SwarmView, clients: list[ClientView], now: float) -> float:
    """Seconds until each has taken in all that it misses, at the best that its downlink has shown.

    While all uplinks are at work a downlink cannot show what it can take: only a slow one counts then.
    """
    rates = {client.rank: client.down_rate.steady for client in clients if client.down_rate.steady}
    uplinks = [client.up_rate for client in view.clients.values() if not client.lost]
    if sum(rate.lately(now) for rate in uplinks) >= AT_WORK * sum(rate.peak for rate in uplinks):
        rates = _slow_downlinks(view, [rank for rank, client in view.clients.items() if client.wanted])
    return max(
        (_missing(client) / rates[client.rank] for client in clients if client.rank in rates), default=0.0
    )


def _missing(client: ClientView) -> float:
    """The bytes of the segments that it misses, as large as those that came."""
    return client.missing * client.received_bytes / max(1, client.received)


def _first_copies(view: SwarmView) -> float:
    """Seconds until all that a single client holds has left it once."""
    slowest = 0.0
    for holder, files in scarce(view).items():
        known = [(view.files[name], alone) for name, alone in files.items()]
        size = sum(file.size * alone / file.segments for file, alone in known)
        rate = view.clients[holder].up_rate.peak if holder in view.clients else 0.0
        if rate:
            slowest = max(slowest, size / rate)
    return slowest


def seconds_left(client: ClientView, now: float) -> float | None:
    """How long it takes at the rate that it has lately had; infinite where nothing comes any more.

    None where nothing is missing, or too few segments have come to judge by: in a flash crowd the first ones
    say little of the next.
    """
    enough = min(ENOUGH, max(1, client.to_fetch // 4))
    if not client.missing or client.received < enough:
        return None
    rate = client.down_rate.lately(now)
    return _missing(client) / rate if rate else inf
