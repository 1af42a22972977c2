"""How busy a machine is: how long it takes for a message, and how many wait behind it.

Machines know no clock, so their driver measures. What it finds is told about once a second, as two small
histograms: a busy tracker costs one event a second more, an idle one none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from mpi_core.protocol.events import TrackerLoad
from mpi_core.protocol.histogram import bin_of, packed
from mpi_core.protocol.messages import Stimulus
from mpi_core.protocol.units import Rank
from mpi_core.runtime.transport import Delivery, Endpoint

#: Seconds between two tellings.
TOLD_EVERY = 1.0
#: Messages that are taken in before the first of them is served: MPI keeps what is beyond.
TAKEN_IN = 4096


class Inbox:
    """An endpoint that takes in all that has come before it gives the first: so one knows how many wait.

    Not for a port on which payloads come: those are valid until the next ``receive`` only.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waiting: deque[Delivery] = deque()

    def __len__(self) -> int:
        """The messages that wait."""
        return len(self._waiting)

    def send(self, to: Rank, message: Stimulus) -> None:
        self._endpoint.send(to, message)

    def receive(self, timeout: float) -> Delivery | None:
        while len(self._waiting) < TAKEN_IN:
            delivery = self._endpoint.receive(0.0)
            if delivery is None:
                break
            self._waiting.append(delivery)
        return self._waiting.popleft() if self._waiting else self._endpoint.receive(timeout)


class Meter:
    """The load of the tracker's machine, whose messages come through ``inbox``."""

    def __init__(self, inbox: Inbox, tell: Callable[[TrackerLoad], None]) -> None:
        self._inbox = inbox
        self._tell = tell
        #: Bins of microseconds, and of messages that waited while one was served.
        self._service: Counter[int] = Counter()
        self._waiting: Counter[int] = Counter()
        self._told_at = 0.0

    def served(self, began: float, ended: float) -> None:
        """A message was taken at ``began`` and all that followed from it was done at ``ended`` (seconds)."""
        self._service[bin_of(round((ended - began) * 1e6))] += 1
        self._waiting[bin_of(len(self._inbox))] += 1

    def look(self, now: float) -> None:
        """Tell, where it is time."""
        if self._service and now >= self._told_at + TOLD_EVERY:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Tell what is not told yet."""
        if self._service:
            self._tell(TrackerLoad(packed(self._service), packed(self._waiting)))
            self._service.clear()
            self._waiting.clear()
        self._told_at = now
