"""How near to the limit a job is: what no schedule can beat, and when the last client will be done.

The bound is Kumar and Ross's, max{ F/u(seeds), F/d_min, demand/Σu }, file by file where owners differ. The
rate of a link is the scenario's where the header tells it; such a bound is known from the start. For another
link stands the most that was seen on it, so the bound is an estimate: a link that never had to give its all
is taken for slower than it is. Where too little is known the bound errs on the low side: an uplink that has
hardly been used counts as fast as the fastest, and a downlink counts only where it is plainly slower than the
others. In a run that has ended the bound is never above the time that the run took.

The job is that of the clients in it (``_in_job``): a client that is lost or fails before it is done takes its
demand with it. A lost client takes its uplink too; a failed one serves on.
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
#: An uplink is slow that carries less than this part of the median one.
SLOW_UPLINK = 0.5
#: Uplinks that carry this share of their best are all at work. Between windows rates differ by a tenth.
AT_WORK = 0.85
#: Clients that end within this share of the whole time are done together: none of them is the last one.
TIE = 0.05


class Limit(NamedTuple):
    """A lower bound of the time from the first download to the end, in seconds."""

    seconds: float
    #: What binds: a clause such as "the uplink of client 2, the only seed of model.bin".
    binds: str
    #: The clients whose links bind; none where all do together.
    ranks: tuple[Rank, ...] = ()


class Forecast(NamedTuple):
    """When the last client will be done, or was."""

    #: The clients that will be done last, or stand still: more than one where they are done together.
    clients: tuple[Rank, ...]
    #: Seconds since the run began; infinite where those clients stand still.
    at: float
    #: They are done already.
    certain: bool


class _Rates(NamedTuple):
    """Bytes a second, or infinite where nothing is known."""

    up: dict[Rank, float]
    #: Only of those that may bind.
    down: dict[Rank, float]


def limit(view: SwarmView, now: float) -> Limit | None:
    """The tightest bound that scenario and events allow; None where they tell too little."""
    if view.began is None:
        return None
    rates, demand = _rates(view, now - view.began >= MEASURED), _demand(view)
    bounds = [*_of_seeds(view, rates.up), *_of_downlinks(demand, rates.down), *_of_all(demand, rates.up)]
    tightest = max((bound for bound in bounds if bound.seconds), default=None)
    took = _took(view)
    if tightest is not None and took is not None and tightest.seconds > took:
        # Some link gave more than it seemed to.
        tightest = tightest._replace(seconds=took)
    return tightest


def bottlenecks(view: SwarmView, now: float) -> dict[Rank, str]:
    """The clients that set the limit with a link plainly slower than others': ``uplink`` or ``downlink``."""
    bound = limit(view, now)
    if bound is None or view.began is None or not bound.ranks:
        return {}
    link = "uplink" if "uplink" in bound.binds else "downlink"
    rates = _rates(view, now - view.began >= MEASURED)
    known = [rate for rate in rates.up.values() if rate < inf]
    if link == "uplink":
        usual = median(known) if 2 * len(known) > len(view.clients) else 0.0
        return {rank: link for rank in bound.ranks if rates.up.get(rank, inf) < SLOW_UPLINK * usual}
    # Of downlinks, only those that are plainly slower have a bound; told ones may be all alike.
    usual = median(rates.down.values())
    return {rank: link for rank in bound.ranks if len(rates.down) < 2 or rates.down[rank] < usual}


def _in_job(client: ClientView) -> bool:
    """Whether the job is to be done for that client too: it fetches, or it was done before it was lost."""
    return not client.gone or client.finished_at is not None


def _demand(view: SwarmView) -> dict[Rank, int]:
    """The bytes that each client in the job has, or had, to fetch, without the files that it gave up."""
    return {
        rank: client.to_fetch_bytes
        - sum(view.files[name].size for name in client.unavailable if name in client.held)
        for rank, client in sorted(view.clients.items())
        if _in_job(client)
    }


def _fetched(view: SwarmView) -> list[str]:
    """The files that some client in the job has, or had, to fetch, and has not given up."""
    fetchers = view.fetchers.copy()
    for client in view.clients.values():
        fetchers.subtract(tuple(client.unavailable) if _in_job(client) else client.fetches)
    return sorted(name for name, number in fetchers.items() if number > 0)


def _told(view: SwarmView) -> tuple[dict[Rank, float], dict[Rank, float]]:
    """What the scenario says of up- and downlinks, in the bytes of the run's segments."""
    header = view.header
    if header is None or not header.links:
        return {}, {}
    scale = 1.0
    if header.segment_bytes:
        # A simulated link carries whole segments, whatever few bytes stand for them.
        segments = sum(file.segments for file in view.files.values())
        scale = sum(file.size for file in view.files.values()) / max(1, segments * header.segment_bytes)
    up, down = dict[Rank, float](), dict[Rank, float]()
    for links in header.links:
        for rank in range(links.first, min(links.last, header.clients) + 1):
            for rates, rate in ((up, links.up), (down, links.down)):
                if rate is not None:
                    rates[Rank(rank)] = rate * scale
    return up, down


def _rates(view: SwarmView, measured: bool) -> _Rates:
    """What each living client's links can carry: as told, else as seen once rates are measured."""
    up, down = _told(view)
    clients = [client for _, client in sorted(view.clients.items()) if not client.lost]
    fastest = max((client.up_rate.steady for client in clients), default=0.0)
    uplinks = {}
    for client in clients:
        if not client.owned and not client.wanted:
            continue
        seen = client.up_rate.steady or max(client.up_rate.burst, fastest) if measured else 0.0
        uplinks[client.rank] = up.get(client.rank, seen or inf)
    downlinks = {client.rank: down[client.rank] for client in clients if client.rank in down}
    if measured:
        demand = _demand(view)
        unknown = [client.rank for client in clients if demand.get(client.rank) and client.rank not in down]
        downlinks |= _slow_downlinks(view, unknown)
    return _Rates(uplinks, downlinks)


def _took(view: SwarmView) -> float | None:
    """Seconds from the first download to the last, once all are done."""
    ends = [client.finished_at for client in view.clients.values() if client.fetches and _in_job(client)]
    known = [end for end in ends if end is not None]
    if view.began is None or not known or len(known) < len(ends):
        return None
    return max(known) - view.began


def _of_seeds(view: SwarmView, uplinks: dict[Rank, float]) -> list[Limit]:
    """Everything that must be fetched leaves its living owners at least once."""
    bounds, everybody, total = [], set[Rank](), 0
    #: The sizes of the files that have one owner, by owner.
    alone: dict[Rank, list[int]] = {}
    for name in _fetched(view):
        file = view.files.get(name)
        if file is None or not file.size:
            continue
        owners = file.owners & uplinks.keys()
        rate = sum(uplinks[rank] for rank in sorted(owners))
        if rate:
            bounds.append(_uplink(file.size / rate, owners, f"of {name}"))
            everybody |= owners
            total += file.size
            if len(owners) == 1:
                alone.setdefault(min(owners), []).append(file.size)
    if len(bounds) > 1:
        rate = sum(uplinks[rank] for rank in sorted(everybody))
        bounds.append(_uplink(total / rate, everybody, "of the files"))
    for rank, sizes in sorted(alone.items()):
        if len(sizes) > 1 and len(alone) > 1:
            bounds.append(_uplink(sum(sizes) / uplinks[rank], {rank}, f"of {len(sizes)} files"))
    return bounds


def _of_downlinks(demand: dict[Rank, int], downlinks: dict[Rank, float]) -> list[Limit]:
    """Each client takes in all that it has to fetch."""
    needs = {rank: demand.get(rank, 0) / rate for rank, rate in downlinks.items()}
    longest = max(needs.values(), default=0.0)
    ranks = tuple(sorted(rank for rank, seconds in needs.items() if seconds >= (1 - TIE) * longest))
    if not longest:
        return []
    whose = (
        f"the downlink of client {ranks[0]}" if len(ranks) == 1 else f"the downlinks of {len(ranks)} clients"
    )
    return [Limit(longest, whose, ranks if len(ranks) == 1 else ())]


def _slow_downlinks(view: SwarmView, ranks: list[Rank]) -> dict[Rank, float]:
    """The best rates of those that are plainly slower than the others."""
    rates = {rank: view.clients[rank].down_rate.steady for rank in ranks}
    known = [rate for rate in rates.values() if rate]
    usual = median(known) if 2 * len(known) > len(rates) else 0.0
    return {rank: rate for rank, rate in rates.items() if 0 < rate < SLOW_LINK * usual}


def _of_all(demand: dict[Rank, int], uplinks: dict[Rank, float]) -> list[Limit]:
    """All together send all that all have to fetch."""
    rate = sum(uplinks.values())
    return [Limit(sum(demand.values()) / rate, "all uplinks together")] if rate else []


def _uplink(seconds: float, owners: set[Rank], of_what: str) -> Limit:
    ranks = tuple(sorted(owners))
    if len(ranks) == 1:
        return Limit(seconds, f"the uplink of client {ranks[0]}, the only seed {of_what}", ranks)
    return Limit(seconds, f"the uplinks of the {len(ranks)} seeds {of_what}", ranks)


def forecast(view: SwarmView, now: float) -> Forecast | None:
    """Who will be done last, and when; None where one has too little to judge by, or none fetches anything.

    What bounds a whole job tells when the rest of it will be done: all that is missing, at the rate that all
    together lately had (who is done leaves its share to the others); each client's part of it, at the best
    that its downlink has taken; and what a single client holds, over its uplink.
    """
    fetching = [client for _, client in sorted(view.clients.items()) if client.fetches and _in_job(client)]
    still = [client for client in fetching if client.finished_at is None]
    began = view.began or 0.0
    if not still:
        ends = {client.rank: client.finished_at or 0.0 for client in fetching}
        return Forecast(_last_of(ends, began), max(ends.values()), True) if ends else None
    left = {client.rank: seconds_left(client, now) for client in still}
    known = {rank: seconds for rank, seconds in left.items() if seconds is not None}
    if len(known) < len(left):
        return None
    last = _last_of({rank: now + seconds for rank, seconds in known.items()}, began)
    if known[last[0]] == inf:
        return Forecast(last, inf, False)
    together = sum(map(_missing, still)) / sum(client.down_rate.lately(now) for client in fetching)
    return Forecast(last, now + max(together, _own_links(view, still, now), _first_copies(view)), False)


def _last_of(ends: dict[Rank, float], began: float) -> tuple[Rank, ...]:
    """Those that end last, and all that tie with them."""
    longest = max(ends.values()) - began
    if longest == inf:
        return tuple(rank for rank, end in ends.items() if end == inf)
    return tuple(rank for rank, end in ends.items() if end - began >= (1 - TIE) * longest)


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
