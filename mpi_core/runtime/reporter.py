"""Stamp, batch, bound and send a rank's events to the observer.

Machines' threads only append here; one thread of the rank sends a batch every so often. The queue is
bounded: what does not fit is dropped, counted, and the count is itself an event, so the observer shows the
loss instead of hiding it.

An event bears the time at which its machine decided it. A rank's times never fall: of two threads that
decide at the same time, the one that tells later may be stamped with the other's time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from mpi_core.protocol.events import Event, EventsDropped, Stamped
from mpi_core.protocol.units import Rank
from mpi_core.runtime.clock import Clock

#: Events that wait at most; a batch holds at most so many, and is sent so often (seconds).
QUEUE_BOUND = 200_000
BATCH_BOUND = 10_000
BATCH_INTERVAL = 0.05


class Reporter:
    """The events of one rank on their way to the observer."""

    def __init__(self, rank: Rank, clock: Clock, bound: int = QUEUE_BOUND) -> None:
        self.rank = rank
        self._clock = clock
        self._bound = bound
        self._lock = threading.Lock()
        self._waiting: list[Stamped] = []
        self._dropped = 0
        self._seq = 0
        #: The time of the newest event.
        self._told_at = 0.0

    def tell(self, event: Event, at: float | None = None) -> None:
        """Stamp an event that was decided at that time (None: now) and queue it; called from any thread."""
        with self._lock:
            if len(self._waiting) >= self._bound:
                self._dropped += 1
                self._seq += 1
            else:
                self._waiting.append(self._stamped(event, at))

    def _stamped(self, event: Event, at: float | None) -> Stamped:
        self._told_at = max(self._told_at, self._clock.now() if at is None else at)
        self._seq += 1
        return Stamped(self._told_at, self.rank, self._seq - 1, event)  # type: ignore[arg-type]

    def take(self) -> list[Stamped]:
        """What is queued, at most a batch; [] when nothing is."""
        with self._lock:
            batch = self._waiting[:BATCH_BOUND]
            del self._waiting[:BATCH_BOUND]
            if self._dropped and not self._waiting:
                batch.append(self._stamped(EventsDropped(self._dropped), None))
                self._dropped = 0
            return batch

    def drain(self, send: Callable[[list[Stamped]], None]) -> None:
        """Send all that is queued."""
        while batch := self.take():
            send(batch)
