"""Stamp, batch, bound and send a rank's events to the observer.

Machines' threads only append here; one thread of the rank sends a batch every so often. The queue is
bounded: what does not fit is dropped, counted, and the count is itself an event, so the observer shows the
loss instead of hiding it.
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
        self._rank = rank
        self._clock = clock
        self._bound = bound
        self._lock = threading.Lock()
        self._waiting: list[Stamped] = []
        self._dropped = 0
        self._seq = 0

    def tell(self, event: Event) -> None:
        """Stamp an event and queue it; called from any thread of the rank."""
        with self._lock:
            if len(self._waiting) >= self._bound:
                self._dropped += 1
                self._seq += 1
            else:
                self._append(event)

    def _append(self, event: Event) -> None:
        self._waiting.append(Stamped(self._clock.now(), self._rank, self._seq, event))  # type: ignore[arg-type]
        self._seq += 1

    def take(self) -> list[Stamped]:
        """What is queued, at most a batch; [] when nothing is."""
        with self._lock:
            batch = self._waiting[:BATCH_BOUND]
            del self._waiting[:BATCH_BOUND]
            if self._dropped and not self._waiting:
                batch.append(Stamped(self._clock.now(), self._rank, self._seq, EventsDropped(self._dropped)))
                self._seq += 1
                self._dropped = 0
            return batch

    def drain(self, send: Callable[[list[Stamped]], None]) -> None:
        """Send all that is queued."""
        while batch := self.take():
            send(batch)
