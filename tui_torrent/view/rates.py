"""Rates from stamps.

A rate is a sum a bucket of time, so that the order in which events arrive does not matter (law 6),
and it is asked with the viewer's own "now": live, replayed and simulated runs read alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds of one bucket, and how many of them a rate looks back on.
BUCKET = 0.5
BUCKETS = 6

#: How many buckets a history keeps.
KEPT = 320


@dataclass
class Rate:
    """Bytes a second over the last three seconds, of what one rank tells."""

    #: Bucket number → bytes. Only the buckets near the newest are kept.
    buckets: dict[int, int] = field(default_factory=dict)
    #: The most that two neighbouring buckets have held, as bytes a second.
    peak: float = 0.0

    def add(self, t: float, size: int) -> None:
        """``size`` bytes at time ``t`` (seconds since the start)."""
        bucket = int(t / BUCKET)
        here = self.buckets.get(bucket, 0) + size
        self.buckets[bucket] = here
        both = (here + self.buckets.get(bucket - 1, 0)) / (2 * BUCKET)
        if both > self.peak:
            self.peak = both
        # One rank's stamps only grow, so what is old here is old in every interleaving.
        while len(self.buckets) > BUCKETS + 1:
            del self.buckets[min(self.buckets)]

    def at(self, now: float) -> float:
        """Bytes a second, as seen at ``now``: over whole buckets, since a partial one would make it saw."""
        end = max(int(now / BUCKET), 1)
        total = sum(size for bucket, size in self.buckets.items() if end - BUCKETS <= bucket < end)
        return total / (BUCKET * min(BUCKETS, end))


@dataclass
class History:
    """Sums a bucket of what any rank tells, over the last minutes."""

    #: Bucket number → sum; of the ``KEPT`` buckets that end with the newest, whatever the order of adding.
    buckets: dict[int, int] = field(default_factory=dict)
    newest: int = -1

    def add(self, t: float, amount: int) -> None:
        bucket = int(t / BUCKET)
        if bucket > self.newest:
            self.newest = bucket
            for old in [known for known in self.buckets if known <= bucket - KEPT]:
                del self.buckets[old]
        if bucket > self.newest - KEPT:
            self.buckets[bucket] = self.buckets.get(bucket, 0) + amount

    def last(self, now: float, count: int) -> list[float]:
        """Amounts a second in the ``count`` whole buckets before ``now``, oldest first."""
        end = int(now / BUCKET)
        return [self.buckets.get(bucket, 0) / BUCKET for bucket in range(max(0, end - count), end)]
