"""Rates from stamps.

A rate is a sum a bucket of time, so that the order in which events arrive does not matter (law 6),
and it is asked with the viewer's own "now": live, replayed and simulated runs read alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds of one bucket, and how many of them a rate looks back on.
BUCKET = 0.5
BUCKETS = 6


@dataclass
class Rate:
    """Bytes a second over the last three seconds."""

    #: Bucket number → bytes. Only the buckets near the newest are kept.
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, t: float, size: int) -> None:
        """``size`` bytes at time ``t`` (seconds since the start)."""
        bucket = int(t / BUCKET)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + size
        # One rank's stamps only grow, so what is old here is old in every interleaving.
        while len(self.buckets) > BUCKETS + 1:
            del self.buckets[min(self.buckets)]

    def at(self, now: float) -> float:
        """Bytes a second, as seen at ``now``: over whole buckets, since a partial one would make it saw."""
        end = max(int(now / BUCKET), 1)
        total = sum(size for bucket, size in self.buckets.items() if end - BUCKETS <= bucket < end)
        return total / (BUCKET * min(BUCKETS, end))
