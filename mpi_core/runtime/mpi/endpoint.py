"""One port of a rank over MPI, and how what it sends leaves.

Payloads travel bare, from the buffer that was read to the one that the receiver had posted before it asked;
the ticket of the request is their tag.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Set
from typing import Any, TypeVar

from mpi4py import MPI

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.runtime.backoff import Backoff
from mpi_core.runtime.bell import Bells
from mpi_core.runtime.buffers import Buffer, Buffers
from mpi_core.runtime.launcher import ranks_may_die
from mpi_core.runtime.transport import Delivery

T = TypeVar("T")
#: Bytes of a payload that any MPI sends at once; a larger one moves in steps, at tests on both sides.
EAGER = 1024
#: What says that a rank has died where the others live on (ULFM).
DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING) if ranks_may_die() else ()


def unless_dead(call: Callable[[], T], otherwise: T) -> T:
    """What the call gives, or ``otherwise`` where it failed because a rank has died."""
    try:
        return call()
    except MPI.Exception as error:
        if error.Get_error_class() not in DEATHS:
            raise
        return otherwise


def probe(comm: MPI.Comm, status: MPI.Status, died: Callable[[int], Any] = int) -> MPI.Message | None:
    """What has come from anyone. After a death it fails until that is acknowledged, on each communicator."""
    try:
        return comm.Improbe(status=status)
    except MPI.Exception as error:
        if error.Get_error_class() not in DEATHS:
            raise
    comm.Ack_failed()
    failed = comm.Get_failed()
    for rank in failed.Translate_ranks(range(failed.Get_size()), comm.Get_group()):
        died(rank)
    return None


def begun(comm: MPI.Comm, to: int, tag: int, buffer: Any) -> MPI.Request:
    """A send that has begun; one to a dead rank has left."""
    return unless_dead(lambda: comm.Isend([buffer, MPI.BYTE], dest=to, tag=tag), MPI.REQUEST_NULL)


def done(request: MPI.Request) -> bool:
    """Whether it has ended, be it by the other's death."""
    return unless_dead(request.Test, True)


class Outbox:
    """Sends that have begun and may not have left yet; their buffers are kept until they have."""

    def __init__(self, lost: Set[int]) -> None:
        """``lost`` are the ranks that no send is waited for to."""
        self._lost = lost
        self._sends: list[tuple[int, MPI.Request, Any]] = []
        #: At the end, the main thread waits for what another thread may still be sending.
        self._lock = threading.Lock()

    def send(self, comm: MPI.Comm, to: int, tag: int, buffer: bytes) -> None:
        with self._lock:
            self.keep(to, begun(comm, to, tag, buffer), buffer)
        if len(self._sends) >= 64:
            self.reap()

    def keep(self, to: int, request: MPI.Request, buffer: Any) -> None:
        self._sends.append((to, request, buffer))

    def reap(self) -> bool:
        """Forget the sends that have left; whether none is waiting."""
        if self._sends:
            with self._lock:
                self._sends = [send for send in self._sends if not done(send[1])]
        return all(to in self._lost for to, _, _ in self._sends)


class MpiEndpoint:
    """One port of this rank. All calls come from the thread of the machine that listens on it."""

    def __init__(
        self,
        rank: Rank,
        port: msg.Port,
        comms: dict[msg.Port, MPI.Comm],
        payloads: MPI.Comm,
        local: dict[msg.Port, queue.SimpleQueue[Delivery]],
        bells: Bells,
        lost: Set[int],
        died: Callable[[int], None],
    ) -> None:
        """``lost`` are the ranks that are known to be lost; ``died`` is told whom MPI reports as failed."""
        self._rank = rank
        self._comms = comms
        self._inbox = comms[port]
        self._lost, self._died = lost, died
        self._payloads = payloads
        self._local = local
        self._own = local[port]
        self._outbox = Outbox(lost)
        #: Payloads on the way out: whom for, the request's ticket, the send, its buffer.
        self._leaving: list[tuple[Rank, Ticket, MPI.Request, Any]] = []
        #: Posted buffers by ticket: from whom, the receive, the memory.
        self._posted: dict[Ticket, tuple[Rank, MPI.Request, Buffer]] = {}
        self._buffers = Buffers()
        #: The buffer of the payload delivered last; ours again at the next call.
        self._lent: Buffer | None = None
        self._status = MPI.Status()
        self._bells = bells
        bell = bells.bell(port)
        self._backoff = Backoff(bell)
        #: Whether all ranks are on this host.
        self._all_near = bell.all_ring
        self._messages_first = False
        #: Bytes of the largest payload that was asked for.
        self._largest = 0

    # Sending ----------------------------------------------------------------------------------

    def send(self, to: Rank, message: msg.Stimulus) -> None:
        self._begin(to, message)
        self._bells.ring(self._rank if isinstance(message, msg.Local) else to, message.port)

    def _begin(self, to: Rank, message: msg.Stimulus) -> None:
        if isinstance(message, msg.Local):
            self._local[message.port].put((self._rank, message))
            return
        if isinstance(message, msg.SendSegment):
            request = begun(self._payloads, to, message.ticket, message.payload)
            self._leaving.append((to, message.ticket, request, message.payload))
            return
        if isinstance(message, msg.RequestSegment):
            self._post(to, message)
        self._outbox.send(self._comms[message.port], to, message.tag, encode(message))

    def _post(self, to: Rank, request: msg.RequestSegment) -> None:
        self._largest = max(self._largest, request.length)
        buffer = self._buffers.take(request.length)
        room = [memoryview(buffer)[: request.length], MPI.BYTE]
        receive = self._payloads.Irecv(room, source=to, tag=request.ticket)
        self._posted[request.ticket] = (to, receive, buffer)

    # Receiving --------------------------------------------------------------------------------

    def receive(self, timeout: float) -> Delivery | None:
        if self._lent is not None:
            self._buffers.give(self._lent)
            self._lent = None
        now = time.monotonic()
        deadline = now + timeout
        while True:
            delivery = self._poll()
            if delivery is not None:
                self._backoff.reset()
                return delivery
            if now >= deadline:
                return None
            in_steps = self._largest > EAGER or bool(self._leaving)
            self._backoff.sleep(now, deadline - now, in_steps)
            now = time.monotonic()

    def _poll(self) -> Delivery | None:
        if not self._own.empty():
            return self._own.get_nowait()
        # In turn: neither payloads nor messages may keep the others waiting.
        self._messages_first = not self._messages_first
        if self._messages_first:
            return self._poll_messages() or self._poll_payloads() or self._poll_leaving()
        return self._poll_payloads() or self._poll_leaving() or self._poll_messages()

    def _poll_messages(self) -> Delivery | None:
        message = probe(self._inbox, self._status, self._died)
        if message is None and self._all_near:
            # The first test looked at what is known, and then let MPI take in what has come: this one sees
            # that. Between hosts a test costs more than it finds.
            message = probe(self._inbox, self._status, self._died)
        if message is None:
            self._outbox.reap()
            return None
        sender, tag = Rank(self._status.Get_source()), self._status.Get_tag()
        buffer = bytearray(self._status.Get_count(MPI.BYTE))
        message.Recv([buffer, MPI.BYTE])
        try:
            decoded = decode(tag, buffer)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(str(error), sender) from None
        if isinstance(decoded, msg.Reject | msg.SegmentAt):
            self._withdraw(sender, decoded.ticket)
        if isinstance(decoded, msg.RequestSegment) and self._has_arrived(sender, decoded.ticket):
            self._own.put((sender, decoded))
            return self._rank, msg.Sent(sender, decoded.ticket)
        return sender, decoded

    def _has_arrived(self, to: Rank, ticket: Ticket) -> bool:
        """Whether a payload of that ticket is on the way to a rank that uses the ticket again: then it is
        there, though MPI does not say so yet, and the machine must hear that first."""
        for place, (receiver, used, request, payload) in enumerate(self._leaving):
            if (receiver, used) == (to, ticket):
                del self._leaving[place]
                self._outbox.keep(to, request, payload)
                return True
        return False

    def _withdraw(self, sender: Rank, ticket: Ticket) -> None:
        """No payload will come for that ticket: take the posted buffer back, if there is one."""
        if ticket in self._posted and self._posted[ticket][0] == sender:
            _, receive, buffer = self._posted.pop(ticket)
            receive.Cancel()
            unless_dead(receive.Wait, True)
            self._buffers.give(buffer)

    def _poll_payloads(self) -> Delivery | None:
        if not self._posted:
            return None
        # All in one call: a test of each would look at every connection each time.
        receives = [receive for _, receive, _ in self._posted.values()]
        try:
            place, has_come = MPI.Request.Testany(receives, self._status)
            if not has_come:
                return None
            size = self._status.Get_count(MPI.BYTE)
        except MPI.Exception as error:
            if error.Get_error_class() in DEATHS:
                # All that was asked of the dead one has failed at once.
                self._posted = {t: p for t, p in self._posted.items() if p[1] != MPI.REQUEST_NULL}
                return None
            if error.Get_error_class() != MPI.ERR_TRUNCATE:
                raise
            # More came than was asked for: no digest will match what is left of it.
            place, size = receives.index(MPI.REQUEST_NULL), 0
        ticket, (source, _, self._lent) = list(self._posted.items())[place]
        del self._posted[ticket]
        return source, msg.SendSegment(ticket, memoryview(self._lent)[:size])

    def _poll_leaving(self) -> Delivery | None:
        for place, (to, ticket, request, payload) in enumerate(self._leaving):
            has_left = done(request)
            if not has_left and to in self._lost:
                # MPI may still read it; nobody waits for that.
                self._outbox.keep(to, request, payload)
            if has_left or to in self._lost:
                del self._leaving[place]
                return self._rank, msg.Sent(to, ticket)
        return None

    def discard(self) -> None:
        """Receive and drop what still comes; the machine has halted."""
        while message := probe(self._inbox, self._status):
            message.Recv([bytearray(self._status.Get_count(MPI.BYTE)), MPI.BYTE])
        while self._poll_payloads():
            pass

    def reap(self) -> bool:
        """Whether everything that this endpoint sent has left."""
        self._leaving = [send for send in self._leaving if not done(send[2])]
        return self._outbox.reap() and all(to in self._lost for to, _, _, _ in self._leaving)

    def close(self) -> None:
        """Take back the buffers that nothing came for."""
        for _, receive, _ in self._posted.values():
            receive.Cancel()
            unless_dead(receive.Wait, True)
        self._posted.clear()
