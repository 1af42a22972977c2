"""Serve, within its slots: the upload half of a client.

Every REQUEST_SEGMENT gets exactly one answer, SEND_SEGMENT or REJECT, and the answers go round the
requesters, so that one that asks for much does not keep the others waiting. A few payloads are on the way
at once (the slots); what waits behind them costs no memory but its request. Who waits long hears PENDING:
slow is not dead.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.machine import Effects, Emit, Halt, Send
from mpi_core.swarm.store import SegmentStore


@dataclass(slots=True)
class Waiting:
    """A request in the queue."""

    request: msg.RequestSegment
    since: float


class Uploader:
    """One client's upload machine."""

    def __init__(self, rank: Rank, clients: int, store: SegmentStore, config: SwarmConfig) -> None:
        self._rank = rank
        self._clients = clients
        self._store = store
        self._config = config
        #: What each requester waits for; requesters with nothing waiting are not in it. The first is next.
        self._queues: dict[Rank, deque[Waiting]] = {}
        self._queued = 0
        #: Payloads on the way → since when.
        self._sending: dict[tuple[Rank, Ticket], float] = {}
        #: When the rate allows the next payload.
        self._free_at = 0.0
        self._pending_at = 0.0
        self._halted = False

    def start(self, now: float) -> Effects:
        return []

    @property
    def wake_at(self) -> float | None:
        if not self._queued and not self._sending:
            return None
        if self._queued and len(self._sending) < self._config.slots and self._config.rate:
            return min(self._free_at, self._pending_at)
        return self._pending_at

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        if self._halted:
            raise RemoteProtocolError(f"{type(message).__name__} after STOP")
        match message:
            case msg.RequestSegment():
                return self._on_request(now, sender, message) + self._serve(now)
            case msg.Cancel():
                return self._on_cancel(sender, message.ticket)
            case msg.Sent():
                self._sending.pop((message.to, message.ticket), None)
                return self._serve(now)
            case msg.Shutdown() if sender == self._rank:
                self._halted = True
                return [Emit(ev.ServingEnded()), Halt()]
        raise RemoteProtocolError(f"{type(message).__name__} to an uploader")

    def wake(self, now: float) -> Effects:
        return self._serve(now)

    def _on_request(self, now: float, sender: Rank, request: msg.RequestSegment) -> Effects:
        if not 1 <= sender <= self._clients:
            raise RemoteProtocolError(f"rank {sender} asks for a segment")
        queue = self._queues.get(sender, ())
        known = (sender, request.ticket) in self._sending
        if known or any(waiting.request.ticket == request.ticket for waiting in queue):
            raise RemoteProtocolError(f"ticket {request.ticket} of rank {sender} is in use")
        held = self._store.bitfield(request.name)
        if held is None or not 0 <= request.index < held.length or not held.has(request.index):
            return self._refuse(sender, request, "absent")
        if self._queued >= self._config.max_queue:
            return self._refuse(sender, request, "busy")
        if not self._queued and not self._sending:
            self._pending_at = now + self._config.pending_interval
        self._queues.setdefault(sender, deque()).append(Waiting(request, now))
        self._queued += 1
        return []

    def _on_cancel(self, sender: Rank, ticket: Ticket) -> Effects:
        for waiting in self._queues.get(sender, ()):
            if waiting.request.ticket == ticket:
                self._remove(sender, waiting)
                return self._refuse(sender, waiting.request, "cancelled")
        # Not in the queue: its answer is on the way, and one answer is all it gets.
        return []

    def _refuse(self, to: Rank, request: msg.RequestSegment, reason: msg.RejectReason) -> Effects:
        return [
            Send(to, msg.Reject(request.ticket, reason)),
            Emit(ev.SegmentRefused(to, request.name, request.index, reason)),
        ]

    def _remove(self, sender: Rank, waiting: Waiting) -> None:
        queue = self._queues[sender]
        queue.remove(waiting)
        self._queued -= 1
        if not queue:
            del self._queues[sender]

    def _next(self) -> tuple[Rank, msg.RequestSegment]:
        """Take the oldest request of the requester whose turn it is, who then goes to the end."""
        sender = next(iter(self._queues))
        queue = self._queues.pop(sender)
        waiting = queue.popleft()
        self._queued -= 1
        if queue:
            self._queues[sender] = queue
        return sender, waiting.request

    def _serve(self, now: float) -> Effects:
        effects: Effects = []
        while self._queued and len(self._sending) < self._config.slots and now >= self._free_at:
            to, request = self._next()
            payload = self._store.read(request.name, request.index)
            if payload is None:
                effects += self._refuse(to, request, "absent")
                continue
            self._sending[to, request.ticket] = now
            if self._config.rate:
                # A late wake-up is made good by the next payloads, up to a tenth of a second.
                start = max(self._free_at, now - 0.1)
                self._free_at = start + len(payload) / self._config.rate
            effects.append(Send(to, msg.SendSegment(request.ticket, payload)))
            effects.append(Emit(ev.SegmentSent(to, request.name, request.index, len(payload))))
        if now >= self._pending_at and (self._queued or self._sending):
            effects += self._tell_pending(now)
        return effects

    def _tell_pending(self, now: float) -> Effects:
        interval = self._config.pending_interval
        self._pending_at = now + interval
        waiting: dict[Rank, list[Ticket]] = {}
        for (rank, ticket), since in self._sending.items():
            if now - since >= interval:
                waiting.setdefault(rank, []).append(ticket)
        for rank, queue in self._queues.items():
            tickets = [w.request.ticket for w in queue if now - w.since >= interval]
            if tickets:
                waiting.setdefault(rank, []).extend(tickets)
        return [Send(rank, msg.Pending(tuple(tickets))) for rank, tickets in waiting.items()]
