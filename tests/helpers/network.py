"""A virtual network that is as MPI (law 5): reliable, first in first out per (sender, receiver, tag).

Time is a number that the caller hands in; a delay is drawn for each message as it is posted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.units import Rank

#: When, from whom, to whom, what.
Arrival = tuple[float, Rank, Rank, msg.Stimulus]


class VirtualNetwork:
    """Messages on their way, the next to arrive first. What travels passes through the codec."""

    def __init__(self, delay: Callable[[Rank, Rank, msg.Message], float]) -> None:
        self._delay = delay
        self._heap: list[tuple[float, int, Rank, Rank, msg.Stimulus]] = []
        self._order = count()
        #: Channel → when the last message on it arrives.
        self._last: dict[tuple[Rank, Rank, int], float] = {}

    def post(self, now: float, sender: Rank, to: Rank, message: msg.Message) -> float:
        """Send a message; when it will arrive."""
        channel = (sender, to, int(message.tag))
        at = now + self._delay(sender, to, message)
        at = self._last[channel] = max(at, self._last.get(channel, 0.0))
        if not isinstance(message, msg.SendSegment):
            message = decode(message.tag, encode(message))
        self._push(at, sender, to, message)
        return at

    def tell(self, at: float, rank: Rank, stimulus: msg.Local) -> None:
        """What a rank tells its own machines; it crosses no channel."""
        self._push(at, rank, rank, stimulus)

    def _push(self, at: float, sender: Rank, to: Rank, stimulus: msg.Stimulus) -> None:
        heapq.heappush(self._heap, (at, next(self._order), sender, to, stimulus))

    @property
    def next_at(self) -> float:
        """When the next message arrives; infinity where none is on its way."""
        return self._heap[0][0] if self._heap else float("inf")

    def take(self) -> Arrival:
        """The next arrival."""
        at, _, sender, to, stimulus = heapq.heappop(self._heap)
        return at, sender, to, stimulus
