"""The port between a machine's thread and the other ranks, and one of in-process queues for tests.

A transport is reliable, and first in first out for each (sender, receiver, tag), as MPI is (law 5).
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Protocol

from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.messages import Message, Port, SendSegment, Sent, Stimulus
from mpi_core.protocol.units import Rank

#: Who spoke, and what: what ``Endpoint.receive`` gives.
Delivery = tuple[Rank, Stimulus]


class Endpoint(Protocol):
    """One port of one rank; only one thread may call ``receive``, and the same one ``send``."""

    def send(self, to: Rank, message: Stimulus) -> None:
        """Send without waiting for the receiver."""

    def receive(self, timeout: float) -> Delivery | None:
        """The next message; None after ``timeout`` seconds without one. The payload of a SEND_SEGMENT is
        valid until the next call. Raises RemoteProtocolError for what is no message."""


class LocalNetwork:
    """All ranks in one process: each port is a queue. Messages pass through the codec as they would
    through MPI; ``fault`` may alter or withhold (None) what is on its way."""

    def __init__(self, fault: Callable[[Rank, Rank, Message], Message | None] | None = None) -> None:
        self._queues: dict[tuple[Rank, Port], queue.SimpleQueue[Delivery]] = {}
        self._fault = fault

    def endpoint(self, rank: Rank, port: Port) -> LocalEndpoint:
        return LocalEndpoint(self, rank, self._queue(rank, port))

    def _queue(self, rank: Rank, port: Port) -> queue.SimpleQueue[Delivery]:
        return self._queues.setdefault((rank, port), queue.SimpleQueue())

    def deliver(self, sender: Rank, to: Rank, message: Stimulus) -> None:
        if isinstance(message, Message):
            faulty = self._fault(sender, to, message) if self._fault else message
            if faulty is None:
                return
            if isinstance(faulty, SendSegment):
                message = SendSegment(faulty.ticket, bytes(faulty.payload))
            else:
                message = decode(faulty.tag, encode(faulty))
        self._queue(to, message.port).put((sender, message))


class LocalEndpoint:
    """An endpoint of a :class:`LocalNetwork`."""

    def __init__(self, network: LocalNetwork, rank: Rank, inbox: queue.SimpleQueue[Delivery]) -> None:
        self._network = network
        self._rank = rank
        self._inbox = inbox

    def send(self, to: Rank, message: Stimulus) -> None:
        self._network.deliver(self._rank, to, message)
        if isinstance(message, SendSegment):
            self._inbox.put((self._rank, Sent(to, message.ticket)))

    def receive(self, timeout: float) -> Delivery | None:
        try:
            return self._inbox.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None
