"""How busy the tracker is: what a message took, and how many waited meanwhile, from its own summaries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mpi_core.protocol import events as ev
from mpi_core.protocol.histogram import merge, middle, quantile


@dataclass
class Load:
    """All summaries so far, added; empty for a journal that tells none."""

    #: Bins of microseconds, and of waiting messages, by how often (mpi_core.protocol.histogram).
    service: Counter[int] = field(default_factory=Counter)
    waiting: Counter[int] = field(default_factory=Counter)
    #: The most that waited in the second that was last told of.
    lately: float = 0.0

    def add(self, event: ev.TrackerLoad) -> None:
        merge(self.service, event.service)
        merge(self.waiting, event.waiting)
        self.lately = middle(max((number for number, count in event.waiting if count), default=0))

    def service_s(self, share: float) -> float | None:
        """Seconds that this share (0…1) of the messages took at most; None where nothing is told."""
        took = quantile(self.service, share)
        return None if took is None else round(took / 1e6, 7)

    def queue(self, share: float) -> float | None:
        """How many messages waited at most, this share (0…1) of the times; None where nothing is told."""
        return quantile(self.waiting, share)
