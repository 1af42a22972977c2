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


#: A rate is *steady* when measured over so many amounts at least, within so many buckets at most: of a link
#: on which a segment takes a second, a single second would show none or two.
ENOUGH = 8
LONGEST = 64


@dataclass
class Rate:
    """Bytes a second over the last three seconds, of what one rank tells; and the most there ever was."""

    #: Bucket number → bytes, and → how many amounts. Only the buckets near the newest are kept.
    buckets: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    #: The most that two neighbouring buckets have held, as bytes a second.
    burst: float = 0.0
    #: The same over as many buckets as it takes to be steady; 0 where it never was.
    steady: float = 0.0

    @property
    def peak(self) -> float:
        """The best second, or the best of some seconds where amounts are few."""
        return self.steady or self.burst

    def add(self, t: float, size: int) -> None:
        """``size`` bytes at time ``t`` (seconds since the start)."""
        bucket, buckets, counts = int(t / BUCKET), self.buckets, self.counts
        # Whatever the order of a journal made by hand: the newest bucket stands last.
        buckets[bucket] = total = buckets.pop(bucket, 0) + size
        counts[bucket] = number = counts.pop(bucket, 0) + 1
        total += buckets.get(bucket - 1, 0)
        number += counts.get(bucket - 1, 0)
        first = bucket - 1
        self.burst = max(self.burst, total / (2 * BUCKET))
        if number < ENOUGH:
            for first in reversed(counts):
                if first < bucket - 1:
                    total += buckets[first]
                    number += counts[first]
                    if number >= ENOUGH:
                        break
        if number >= ENOUGH:
            self.steady = max(self.steady, min(self.burst, total / (BUCKET * (bucket - first + 1))))
        # One rank's stamps only grow, so what is old here is old in every interleaving.
        while len(buckets) > BUCKETS + 1:
            oldest = next(iter(counts))
            # The newest is not whole yet: the others must be enough to be steady.
            whole = sum(counts.values()) - counts[bucket]
            if whole - counts[oldest] < ENOUGH and bucket - oldest < LONGEST:
                break
            del buckets[oldest], counts[oldest]

    def at(self, now: float, of_bytes: bool = True) -> float:
        """Bytes a second, or amounts a second, as seen at ``now``.

        Over whole buckets, since a partial one would make it saw.
        """
        end = max(int(now / BUCKET), 1)
        total, at = 0, (self.buckets if of_bytes else self.counts).get
        for bucket in range(end - BUCKETS, end):
            total += at(bucket, 0)
        return total / (BUCKET * min(BUCKETS, end))

    def lately(self, now: float) -> float:
        """As ``at``, but over as many buckets as it takes to be steady: what a forecast can be made from.

        0 where nothing has come for longer than the last amounts took to come, and at least for twice as long
        as ``at`` looks back.
        """
        end = max(int(now / BUCKET), 1)
        newest, first, total, number = -1, end, 0, 0
        for bucket in reversed(self.buckets):
            if bucket >= end:
                continue
            newest = max(newest, bucket)
            if number >= ENOUGH and bucket < end - BUCKETS:
                break
            first, total, number = bucket, total + self.buckets[bucket], number + self.counts[bucket]
        if newest < 0 or end - 1 - newest >= max(2 * BUCKETS, newest + 1 - first):
            return 0.0
        return total / (BUCKET * max(end - first, min(BUCKETS, end)))


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
