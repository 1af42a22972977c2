"""How many requests to keep in flight.

Enough that the link never waits for an answer, and no more: what is asked too early is asked with old news of
who holds what, and waits in somebody's queue. So the window is what arrives, at the best rate seen, during
the quickest answer seen (the bandwidth-delay product, without the queues that windows themselves make: who is
served slowly must not ask for less), and a few to spare. It begins small and grows by one with each answer,
so that a crowd that comes all at once does not ask a lone seed for everything.

On a long link it grows faster: each answer takes many round trips there while TCP finds out how much the link
holds, and a window that took as many to open would add its own slow start to that.

In a crowd there is less to spare. Whoever has nothing to do there says so, to a few at a time, and is asked
at once, beside the window; and all that waits in queues makes a segment's way from hand to hand longer (by
Little's law a hop takes as many segments' times as there are requests in flight), and with it the time until
everybody has something to give.
"""

from __future__ import annotations

from mpi_core.protocol.units import MAX_TICKETS
from mpi_core.swarm.config import SwarmConfig

#: A window begins with so many requests; in a crowd with fewer.
FIRST = 4
FIRST_IN_CROWD = 2

#: Requests beside the bandwidth-delay product, and the factor on it.
SPARE, GAIN = 10.7, 1.0

#: A link is long while no answer of so many bytes came within so many seconds; the window then grows by so
#: many requests with each, at first to so many.
LONG, LONG_BYTES = 0.08, 128 * 1024
GROWTH_ON_LONG, EARLY_ON_LONG = 4, 24

#: In a crowd, next to nothing beside it; but on a long link all news are old, and more is in flight. The
#: window there must not wait for a rate.
SPARE_IN_CROWD, GAIN_IN_CROWD, EARLY_IN_CROWD = -1.0, 3.0, 10.0

#: The most requests in flight, and the most bytes that they may bring (but never fewer than FIRST requests).
MOST = 64
MOST_BYTES = 64 * 1024 * 1024

#: The weight of the newest answer in the averages, and the answers before which there is no rate to speak of.
SMOOTHING = 0.1
FEW = 8

#: A crowd is new until so many answers have come.
NEW = 32

#: What the best rate is worth one answer later.
FORGETTING = 1.002


class Window:
    """The size of one downloader's window, by the answers that came."""

    def __init__(self, config: SwarmConfig) -> None:
        self._fixed = config.requests_in_flight or None
        self.size = self._fixed or FIRST
        #: The least that it is; what there is to spare, and the factor.
        self._least = FIRST
        self._spare, self._gain = SPARE, GAIN
        #: How far it grows before there is a rate.
        self._early = SPARE + GAIN
        self.in_crowd = False
        self._most = MOST
        self._answers = 0
        #: The usual time of an answer, seconds; None until the first.
        self.usual: float | None = None
        #: The usual time between two answers, and the least that it was of late; 0 until there were a few.
        self._gap = 0.0
        self.least_gap = 0.0
        #: The time of the quickest answer.
        self._quickest = 0.0
        self._first_at = self._last_at = 0.0
        self._long = LONG

    @property
    def is_fixed(self) -> bool:
        return self._fixed is not None

    @property
    def is_crowd_new(self) -> bool:
        """Whether this is a crowd, and hardly anything has come yet."""
        return self.in_crowd and self._answers < NEW

    @property
    def is_link_long(self) -> bool:
        """Whether answers take so long that the link is long, or slow: nobody can tell at first."""
        return not self.in_crowd and self._quickest > self._long

    @property
    def link_holds(self) -> float:
        """The bandwidth-delay product, in segments; 0 until it is known."""
        return self._quickest / self.least_gap if self.least_gap else 0.0

    def holds_segments_of(self, length: int) -> None:
        """Segments of so many bytes are wanted."""
        if length:
            self._most = max(FIRST, min(self._most, MOST_BYTES // length))
            self._long = max(self._long, LONG * length / LONG_BYTES)

    def enter_crowd(self) -> None:
        """There are more neighbours than hear of everything at once."""
        self.in_crowd = True
        self._least, self._early = FIRST_IN_CROWD, EARLY_IN_CROWD
        self._spare, self._gain = SPARE_IN_CROWD, GAIN_IN_CROWD
        if self._fixed is None and not self._answers:
            self.size = self._least

    def answered(self, now: float, took: float) -> None:
        """A segment came, so many seconds after it was asked for."""
        self._answers += 1
        if self.usual is None:
            self.usual = self._quickest = took
            self._first_at = now
        else:
            self.usual += SMOOTHING * (took - self.usual)
            self._quickest = min(took, self._quickest)
        if self._answers > FEW:
            self._gap += SMOOTHING * (now - self._last_at - self._gap)
            self.least_gap = min(self._gap, FORGETTING * self.least_gap)
        elif self._answers == FEW:
            self._gap = self.least_gap = (now - self._first_at) / (FEW - 1)
        self._last_at = now
        if self._fixed is None:
            self._adapt()

    def _adapt(self) -> None:
        growth, target = (GROWTH_ON_LONG, EARLY_ON_LONG) if self.is_link_long else (1, self._early)
        if self._answers >= FEW:
            target = self._spare + self._gain * self.link_holds if self.least_gap else MOST
        self.size = int(min(self.size + growth, max(target, self._least), self._most, MAX_TICKETS))
