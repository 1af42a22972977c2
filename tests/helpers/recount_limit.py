"""The limit of a run and when its last client is done, counted anew, with the rates that both hang on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import inf
from statistics import median

from tests.helpers.recount import HALF, SIX, Amounts, Client, Run


def limit(run: Run) -> float | None:
    """Seconds from the first download on that no schedule can beat."""
    if run.began is None:
        return None
    measured = run.now - run.began >= 1.5
    up, down = _links(run, measured)
    bounds: list[float] = []
    sizes: dict[str, tuple[int, list[int]]] = {}
    counted = {rank: client for rank, client in run.clients.items() if not _gave_way(client)}
    for name in {n for client in counted.values() for n in client.fetches if n not in client.unavailable}:
        owners = [rank for rank in run.owners(name) if run.clients[rank].lost is None]
        size = run.files.get(name, (0, 0))[1]
        if size and owners and sum(up.get(rank, 0.0) for rank in owners):
            sizes[name] = (size, owners)
    alone: dict[int, int] = Counter()
    for size, owners in sizes.values():
        bounds.append(size / sum(up.get(rank, 0.0) for rank in owners))
        if len(owners) == 1:
            alone[owners[0]] += size
    everybody = {rank for _, owners in sizes.values() for rank in owners}
    if sizes:
        total = sum(size for size, _ in sizes.values())
        bounds.append(total / sum(up.get(rank, 0.0) for rank in everybody))
    bounds += [size / up[rank] for rank, size in alone.items()]
    needs = {rank: _needs(client) for rank, client in counted.items()}
    bounds += [needs[rank] / rate for rank, rate in down.items() if rank in needs]
    if sum(up.values()):
        bounds.append(sum(needs.values()) / sum(up.values()))
    tightest = max((bound for bound in bounds if bound), default=None)
    ends = [client.finished for client in counted.values() if client.fetches]
    if tightest is not None and ends and None not in ends:
        tightest = min(tightest, max(end for end in ends if end is not None) - run.began)
    return tightest


def _gave_way(client: Client) -> bool:
    """Lost or failed with something left to fetch: nobody need carry that any more."""
    return client.finished is None and (client.lost is not None or client.failed is not None)


def _needs(client: Client) -> int:
    return sum(size for name, (_, size) in client.started.items() if name not in client.unavailable)


def _links(run: Run, measured: bool) -> tuple[dict[int, float], dict[int, float]]:
    scale = 1.0
    if run.header.get("segment_bytes"):
        segments = sum(segments for segments, _ in run.files.values())
        size = sum(size for _, size in run.files.values())
        scale = size / max(1, segments * run.header["segment_bytes"])
    told: dict[str, dict[int, float]] = {"up": {}, "down": {}}
    for links in run.header.get("links", ()):
        for rank in range(links["first"], links["last"] + 1):
            for way, rates in told.items():
                if links[way] is not None:
                    rates[rank] = links[way] * scale
    alive = {rank: client for rank, client in run.clients.items() if client.lost is None}
    best = {rank: peaks(client.up) for rank, client in alive.items()}
    fastest = max((steady for steady, _ in best.values()), default=0.0)
    up = {}
    for rank, client in alive.items():
        if client.owned or client.wanted:
            steady, burst = best[rank]
            seen = (steady or max(burst, fastest)) if measured else 0.0
            up[rank] = told["up"].get(rank, seen or inf)
    down = {rank: rate for rank, rate in told["down"].items() if rank in alive}
    if measured:
        able = [rank for rank, client in alive.items() if not _gave_way(client) and _needs(client)]
        unknown = [rank for rank in able if rank not in told["down"]]
        down |= slow_downlinks(run, unknown)
    return up, down


def slow_downlinks(run: Run, ranks: Sequence[int]) -> dict[int, float]:
    rates = {rank: peaks(run.clients[rank].down)[0] for rank in ranks}
    known = [rate for rate in rates.values() if rate]
    usual = median(known) if 2 * len(known) > len(rates) else 0.0
    return {rank: rate for rank, rate in rates.items() if 0 < rate < 0.25 * usual}


def finish(run: Run) -> tuple[float, bool] | None:
    """When the last one is done, and whether it is."""
    fetching = {r: c for r, c in run.clients.items() if c.fetches and not _gave_way(c)}
    still = {r: c for r, c in fetching.items() if c.finished is None}
    if not still:
        ends = [client.finished or 0.0 for client in fetching.values()]
        return (max(ends), True) if ends else None
    longest, together = 0.0, 0.0
    for client in still.values():
        missing = client.to_fetch - client.received
        if missing <= 0 or client.received < min(8, max(1, client.to_fetch // 4)):
            return None
        left = missing * client.received_bytes / client.received
        own = lately(client.down, run.now)
        longest, together = max(longest, left / own if own else inf), together + left
    if longest == inf:
        return inf, False
    seconds = together / sum(lately(client.down, run.now) for client in fetching.values())
    seconds = max(seconds, _own_links(run, still), _first_copies(run))
    return run.now + seconds, False


def _own_links(run: Run, still: dict[int, Client]) -> float:
    rates = {rank: peaks(client.down)[0] for rank, client in still.items()}
    uplinks = [client.up for client in run.clients.values() if client.lost is None]
    best = sum(steady or burst for steady, burst in map(peaks, uplinks))
    if sum(lately(amounts, run.now) for amounts in uplinks) >= 0.85 * best:
        rates = slow_downlinks(run, [rank for rank, client in run.clients.items() if client.wanted])
    return max(
        (
            (c.to_fetch - c.received) * c.received_bytes / c.received / rates[rank]
            for rank, c in still.items()
            if rates.get(rank)
        ),
        default=0.0,
    )


def _first_copies(run: Run) -> float:
    alone: Counter[int] = Counter()
    sizes: dict[int, float] = defaultdict(float)
    opened = {
        name
        for client in run.clients.values()
        if client.lost is None and client.failed is None and client.finished is None
        for name in client.fetches
        if name not in client.completed and name not in client.unavailable
    }
    for name in opened:
        owners = [rank for rank in run.owners(name) if run.clients[rank].lost is None]
        segments, size = run.files.get(name, (0, 0))
        if len(owners) == 1:
            copied = {s for c in run.clients.values() if name not in c.owned for s in c.here[name]}
            alone[owners[0]] += segments - len(copied)
            sizes[owners[0]] += size * (segments - len(copied)) / max(1, segments)
    slowest = 0.0
    for rank in alone:
        steady, burst = peaks(run.clients[rank].up)
        if steady or burst:
            slowest = max(slowest, sizes[rank] / (steady or burst))
    return slowest


def peaks(amounts: Amounts) -> tuple[float, float]:
    """The best rate over eight amounts or more, 0 where there never were so many, and the best second."""
    sizes: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    burst = steady = 0.0
    for t, size in amounts:
        bucket = int(t / HALF)
        sizes[bucket] += size
        counts[bucket] += 1
        total, number, first = (
            sizes[bucket] + sizes[bucket - 1],
            counts[bucket] + counts[bucket - 1],
            bucket - 1,
        )
        burst = max(burst, total)
        earlier = sorted((b for b in counts if b < bucket - 1 and counts[b]), reverse=True)
        while number < 8 and earlier:
            first = earlier.pop(0)
            total, number = total + sizes[first], number + counts[first]
        if number >= 8:
            steady = max(steady, min(burst, total / (HALF * (bucket - first + 1))))
    return steady, burst


def lately(amounts: Amounts, now: float) -> float:
    """A second, over the last six half seconds, or as many as eight amounts take; 0 where nothing comes."""
    end = max(int(now / HALF), 1)
    sizes: Counter[int] = Counter()
    counts: Counter[int] = Counter()
    for t, size in amounts:
        if int(t / HALF) < end:
            sizes[int(t / HALF)] += size
            counts[int(t / HALF)] += 1
    if not counts:
        return 0.0
    newest, first, total, number = max(counts), end, 0, 0
    for bucket in sorted(counts, reverse=True):
        if number >= 8 and bucket < end - SIX:
            break
        first, total, number = bucket, total + sizes[bucket], number + counts[bucket]
    if end - 1 - newest >= max(2 * SIX, newest + 1 - first):
        return 0.0
    return total / (HALF * max(end - first, min(SIX, end)))
