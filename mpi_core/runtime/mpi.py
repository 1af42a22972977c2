"""The only module that imports mpi4py.

Each port of a rank has a communicator of its own, so that no two threads wait for the same message, and
payloads have one more. Nothing here blocks inside MPI, which would spin on a core: every wait is a test
followed by a sleep that grows from 50 µs (measured: faster than blocking calls where ranks share cores).
Payloads travel bare, from the buffer that was read to the one that the receiver had posted before it asked;
the ticket of the request is their tag.
"""

from __future__ import annotations

import queue
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any, TypeVar

from mpi4py import MPI

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.errors import MpiError, RemoteProtocolError
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.runtime.backoff import IDLE_PAUSE, MEETING_PAUSE, Backoff, wait_until
from mpi_core.runtime.beside import VIEW, ranks_beside, view_of_files
from mpi_core.runtime.buffers import Buffer, Buffers
from mpi_core.runtime.launcher import find_launcher, ranks_may_die
from mpi_core.runtime.transport import Delivery

#: So many ranks before and after this one are connected to at the start.
HANDSHAKES = 16
_PORTS: tuple[msg.Port, ...] = ("tracker", "downloader", "uploader", "observer")

T = TypeVar("T")
#: mpi4py's communicator, for those who may not import it.
Intracomm = MPI.Intracomm
#: What says that a rank has died where the others live on (ULFM).
_DEATHS = (MPI.ERR_PROC_FAILED, MPI.ERR_PROC_FAILED_PENDING) if ranks_may_die() else ()


def _unless_dead(call: Callable[[], T], otherwise: T) -> T:
    """What the call gives, or ``otherwise`` where it failed because a rank has died."""
    try:
        return call()
    except MPI.Exception as error:
        if error.Get_error_class() not in _DEATHS:
            raise
        return otherwise


def _probe(comm: MPI.Comm, status: MPI.Status, died: Callable[[int], Any] = int) -> MPI.Message | None:
    """What has come from anyone. After a death it fails until that is acknowledged, on each communicator."""
    try:
        return comm.Improbe(status=status)
    except MPI.Exception as error:
        if error.Get_error_class() not in _DEATHS:
            raise
    comm.Ack_failed()
    failed = comm.Get_failed()
    for rank in failed.Translate_ranks(range(failed.Get_size()), comm.Get_group()):
        died(rank)
    return None


def _send(comm: MPI.Comm, to: int, tag: int, buffer: Any) -> MPI.Request:
    """A send that has begun; one to a dead rank has left."""
    return _unless_dead(lambda: comm.Isend([buffer, MPI.BYTE], dest=to, tag=tag), MPI.REQUEST_NULL)


def _done(request: MPI.Request) -> bool:
    """Whether it has ended, be it by the other's death."""
    return _unless_dead(request.Test, True)


class Outbox:
    """Sends that have begun and may not have left yet; their buffers are kept until they have."""

    def __init__(self) -> None:
        self._sends: list[tuple[MPI.Request, Any]] = []
        #: At the end, the main thread waits for what another thread may still be sending.
        self._lock = threading.Lock()

    def send(self, comm: MPI.Comm, to: int, tag: int, buffer: bytes) -> None:
        with self._lock:
            self.keep(_send(comm, to, tag, buffer), buffer)
        if len(self._sends) >= 64:
            self.reap()

    def keep(self, request: MPI.Request, buffer: Any) -> None:
        self._sends.append((request, buffer))

    def reap(self) -> bool:
        """Forget the sends that have left; whether none is waiting."""
        if self._sends:
            with self._lock:
                self._sends = [send for send in self._sends if not _done(send[0])]
        return not self._sends


class World:
    """This rank among all: its endpoints, its way to the observer, and the end that all share."""

    def __init__(self, comm: Intracomm = MPI.COMM_WORLD) -> None:
        self._comm = comm
        self.rank = Rank(self._comm.Get_rank())
        self.size = self._comm.Get_size()
        self.host = MPI.Get_processor_name()
        self._check()
        # All ranks meet asleep, not spinning: those still importing need the cores.
        mine, views = view_of_files(), bytearray(VIEW * self.size)
        wait_until(self._comm.Iallgather([mine, MPI.BYTE], [views, MPI.BYTE]).Test, timeout=None)
        #: Ranks that can open this one's files, and it theirs, by the same names.
        self.beside = ranks_beside(self.rank, views)
        self._comms: dict[msg.Port, MPI.Comm] = {port: self._comm.Dup() for port in _PORTS}
        self._payloads = self._comm.Dup()
        self._shake_hands()
        self._local: dict[msg.Port, queue.SimpleQueue[Delivery]] = {p: queue.SimpleQueue() for p in _PORTS}
        self._endpoints: list[MpiEndpoint] = []
        self._outboxes: list[Outbox] = []

    @classmethod
    def within(cls, comm: Intracomm | None) -> World:
        """The world of a call from another program: on a copy of its communicator (None: all ranks'). To be
        closed, and not left."""
        return cls((MPI.COMM_WORLD if comm is None else comm).Dup())

    def _check(self) -> None:
        launcher = find_launcher()
        if launcher and launcher.size > 1 and MPI.COMM_WORLD.Get_size() == 1:
            raise MpiError(
                f"mpirun started {launcher.size} processes but each sees only itself: mpi4py uses "
                f"{MPI.Get_library_version().splitlines()[0].strip()}, which is not the launcher's MPI; "
                "expected both from one installation (MPI4PY_LIBMPI=/path/to/libmpi.so chooses)"
            )
        if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise MpiError("this MPI does not offer MPI_THREAD_MULTIPLE, which the clients' two threads need")

    def _shake_hands(self) -> None:
        """Connect to the ranks nearby: the first send to one far away holds all threads up for two trips."""
        near = min(self.size // 2, HANDSHAKES)
        ranks = [(self.rank + step) % self.size for step in range(-near, near + 1) if step]
        both = self._comm.Irecv, self._comm.Isend
        requests = [call([bytearray(), MPI.BYTE], rank) for rank in ranks for call in both]
        wait_until(lambda: bool(MPI.Request.Testall(requests)), timeout=None)

    def endpoint(self, port: msg.Port) -> MpiEndpoint:
        """The endpoint of one of this rank's ports."""
        endpoint = MpiEndpoint(self.rank, port, self._comms, self._payloads, self._local)
        self._endpoints.append(endpoint)
        return endpoint

    # Beside the machines ----------------------------------------------------------------------

    def sender(self, to: Rank, tag: msg.Tag) -> Callable[[bytes], None]:
        """A function, for one thread, that sends buffers (STATUS, KEYS) to the observer port of ``to``."""
        outbox, comm = Outbox(), self._comms["observer"]
        self._outboxes.append(outbox)
        return lambda buffer: outbox.send(comm, to, tag, buffer)

    def listen(self, deliver: Callable[[Rank, int, bytearray], None], stop: threading.Event) -> None:
        """Hand what comes to this rank's observer port (sender, tag, buffer) to ``deliver`` until ``stop``.

        For a thread of its own: MPI moves little between two tests, so a few of them at each frame of a
        screen would fall behind.
        """
        status, backoff = MPI.Status(), Backoff()
        while not stop.is_set():
            message = _probe(self._comms["observer"], status)
            if message is None:
                backoff.sleep(time.monotonic(), IDLE_PAUSE)
                continue
            backoff.reset()
            buffer = bytearray(status.Get_count(MPI.BYTE))
            message.Recv([buffer, MPI.BYTE])
            deliver(Rank(status.Get_source()), status.Get_tag(), buffer)

    # Together ---------------------------------------------------------------------------------

    def meet(self) -> None:
        """Wait, asleep, until every rank has come here."""
        wait_until(self._all_here(), timeout=None)

    def _all_here(self) -> Callable[[], bool]:
        flag = array("i", [1])
        request = self._comm.Iagree(flag) if ranks_may_die() else self._comm.Ibarrier()
        return lambda: _done(request) and bool(flag)

    def _highest(self, code: int) -> tuple[MPI.Request, Callable[[], int]]:
        """The highest code of all ranks; where some may have died, of those that live. Whoever tells it holds
        the arrays, which must live as long as the request."""
        if ranks_may_die():
            # An agreement gives the bits that all flags have: each code takes one out.
            flag = array("i", [~(1 << code)])
            return self._comm.Iagree(flag), lambda: max(bit for bit in range(31) if not flag[0] >> bit & 1)
        mine, highest = array("i", [code]), array("i", [0])
        request = self._comm.Iallreduce([mine, MPI.INT], [highest, MPI.INT], op=MPI.MAX)
        return request, lambda: max(*mine, *highest)

    def agree(self, code: int, timeout: float | None) -> int | None:
        """The highest of all ranks' codes; None where not all came in time.

        What was sent to a machine that has halted is received and dropped, so that every send ends.
        """

        def drained() -> bool:
            for endpoint in self._endpoints:
                endpoint.discard()
            sends: list[Outbox | MpiEndpoint] = [*self._outboxes, *self._endpoints]
            return all(sender.reap() for sender in sends)

        if not wait_until(drained, timeout):
            return None
        request, highest = self._highest(code)

        def agreed() -> bool:
            drained()
            return _done(request)

        if not wait_until(agreed, timeout, longest=20e-3 if timeout is None else MEETING_PAUSE):
            return None
        for endpoint in self._endpoints:
            endpoint.close()
        return highest()

    def tell_all(self, text: str) -> str:
        """The text of rank 0, on every rank."""
        size = array("q", [len(text.encode())])
        wait_until(self._comm.Ibcast([size, MPI.INT64_T]).Test, timeout=None)
        buffer = bytearray(text.encode() if self.rank == 0 else size[0])
        wait_until(self._comm.Ibcast([buffer, MPI.BYTE]).Test, timeout=None)
        return buffer.decode()

    def close(self) -> None:
        """Give back what was made, when all have agreed; the program goes on."""
        if not ranks_may_die():
            for comm in (*self._comms.values(), self._payloads, self._comm):
                comm.Free()

    def leave(self) -> None:
        """Wait for the others (one of them may show a report until a key is pressed), then finalize."""
        wait_until(self._all_here(), timeout=None, longest=20e-3)
        MPI.Finalize()

    def abort(self, code: int) -> None:
        """End every rank at once: the last resort."""
        self._comm.Abort(code)


class MpiEndpoint:
    """One port of this rank. All calls come from the thread of the machine that listens on it."""

    def __init__(
        self,
        rank: Rank,
        port: msg.Port,
        comms: dict[msg.Port, MPI.Comm],
        payloads: MPI.Comm,
        local: dict[msg.Port, queue.SimpleQueue[Delivery]],
    ) -> None:
        self._rank = rank
        self._comms = comms
        self._inbox = comms[port]
        #: Ranks that have died; only the tracker is told.
        self._dead: set[int] | None = set() if port == "tracker" else None
        self._payloads = payloads
        self._local = local
        self._own = local[port]
        self._outbox = Outbox()
        #: Payloads on the way out: whom for, the request's ticket, the send, its buffer.
        self._leaving: list[tuple[Rank, Ticket, MPI.Request, Any]] = []
        #: Posted buffers by ticket: from whom, the receive, the memory.
        self._posted: dict[Ticket, tuple[Rank, MPI.Request, Buffer]] = {}
        self._buffers = Buffers()
        #: The buffer of the payload delivered last; ours again at the next call.
        self._lent: Buffer | None = None
        self._status = MPI.Status()
        self._backoff = Backoff()
        self._messages_first = False

    # Sending ----------------------------------------------------------------------------------

    def send(self, to: Rank, message: msg.Stimulus) -> None:
        if isinstance(message, msg.Local):
            self._local[message.port].put((self._rank, message))
            return
        if isinstance(message, msg.SendSegment):
            request = _send(self._payloads, to, message.ticket, message.payload)
            self._leaving.append((to, message.ticket, request, message.payload))
            return
        if isinstance(message, msg.RequestSegment):
            self._post(to, message)
        self._outbox.send(self._comms[message.port], to, message.tag, encode(message))

    def _post(self, to: Rank, request: msg.RequestSegment) -> None:
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
            self._backoff.sleep(now, deadline - now)
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
        message = _probe(self._inbox, self._status, self._has_died)
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

    def _has_died(self, rank: int) -> None:
        if self._dead is not None and rank not in self._dead:
            self._dead.add(rank)
            self._own.put((self._rank, msg.Lost(Rank(rank))))

    def _has_arrived(self, to: Rank, ticket: Ticket) -> bool:
        """Whether a payload of that ticket is on the way to a rank that uses the ticket again: then it is
        there, though MPI does not say so yet, and the machine must hear that first."""
        for place, (receiver, used, request, payload) in enumerate(self._leaving):
            if (receiver, used) == (to, ticket):
                del self._leaving[place]
                self._outbox.keep(request, payload)
                return True
        return False

    def _withdraw(self, sender: Rank, ticket: Ticket) -> None:
        """No payload will come for that ticket: take the posted buffer back, if there is one."""
        if ticket in self._posted and self._posted[ticket][0] == sender:
            _, receive, buffer = self._posted.pop(ticket)
            receive.Cancel()
            _unless_dead(receive.Wait, True)
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
            if error.Get_error_class() in _DEATHS:
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
        for place, (to, ticket, request, _) in enumerate(self._leaving):
            if _done(request):
                del self._leaving[place]
                return self._rank, msg.Sent(to, ticket)
        return None

    def discard(self) -> None:
        """Receive and drop what still comes; the machine has halted."""
        while message := _probe(self._inbox, self._status):
            message.Recv([bytearray(self._status.Get_count(MPI.BYTE)), MPI.BYTE])
        while self._poll_payloads():
            pass

    def reap(self) -> bool:
        """Whether everything that this endpoint sent has left."""
        self._leaving = [send for send in self._leaving if not _done(send[2])]
        return self._outbox.reap() and not self._leaving

    def close(self) -> None:
        """Take back the buffers that nothing came for."""
        for _, receive, _ in self._posted.values():
            receive.Cancel()
            _unless_dead(receive.Wait, True)
        self._posted.clear()
