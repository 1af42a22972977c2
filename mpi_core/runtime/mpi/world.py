"""A rank among all: its endpoints, its way to the observer, and the end that all share."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from array import array
from collections.abc import Callable, Set

from mpi4py import MPI

from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import MpiError, RankEnded
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.runtime import watchdog
from mpi_core.runtime.backoff import LONGEST_PAUSE, MEETING_PAUSE, Backoff, wait_until
from mpi_core.runtime.bell import Bells
from mpi_core.runtime.beside import VIEW, ranks_beside, view_of_files
from mpi_core.runtime.launcher import find_launcher, ranks_leave_alone, ranks_may_die
from mpi_core.runtime.mpi import library
from mpi_core.runtime.mpi.clocks import CLOCK_ID, clock_id, measured
from mpi_core.runtime.mpi.endpoint import DEATHS, MpiEndpoint, Outbox, begun, done, probe, unless_dead
from mpi_core.runtime.mpi.pulse import PROCESS_ENDED, Pulse
from mpi_core.runtime.transport import Delivery

#: So many ranks before and after this one are connected to at the start.
HANDSHAKES = 16
#: The tag of the word that the run has begun.
START = 2
_PORTS: tuple[msg.Port, ...] = ("tracker", "downloader", "uploader", "observer")

#: Seconds for MPI's end, where all ranks have come to it, and where some are lost: MPI may wait for those.
LEAVING, LEAVING_THE_LOST = 10.0, 2.0

#: mpi4py's communicator, for those who may not import it.
Intracomm = MPI.Intracomm


class World:
    """This rank among all: its endpoints, its way to the observer, and the end that all share."""

    def __init__(self, comm: Intracomm = MPI.COMM_WORLD) -> None:
        """Raises MpiError where this MPI cannot carry a run, or where a rank has died."""
        self._comm = comm
        self.rank = Rank(self._comm.Get_rank())
        self.size = self._comm.Get_size()
        self.host = MPI.Get_processor_name()
        self._check()
        try:
            self._connect()
        except MPI.Exception as error:
            if error.Get_error_class() not in DEATHS:
                raise
            raise RankEnded("another rank ended before all had met") from None

    def _connect(self) -> None:
        # All ranks meet asleep, not spinning: those still importing need the cores.
        self._bells = Bells(self.rank)
        told = self._told_by_all(view_of_files() + clock_id() + self._bells.name)
        #: Ranks that can open this one's files, and it theirs, by the same names.
        self.beside = ranks_beside(self.rank, [each[:VIEW] for each in told])
        self._bells.know([each[VIEW + CLOCK_ID :] for each in told], self.beside)
        self._comms: dict[msg.Port, MPI.Comm] = {port: self._comm.Dup() for port in _PORTS}
        self._payloads = self._comm.Dup()
        #: Ranks without which there is no run.
        self.needed = {TRACKER}
        self._local: dict[msg.Port, queue.SimpleQueue[Delivery]] = {p: queue.SimpleQueue() for p in _PORTS}
        self._pulse = Pulse(self._comm.Dup(), self._lost, self._asked_to_leave)
        self._pulse.start()
        self._shake_hands()
        #: How far this rank's clock is from that of rank 0.
        self.clock = measured(self._comm, [each[VIEW : VIEW + CLOCK_ID] for each in told])
        self._endpoints: list[MpiEndpoint] = []
        self._outboxes: list[Outbox] = []

    @classmethod
    def start(cls) -> World:
        """The world of a command, which starts MPI and ends it (``leave``). Raises MpiError, and then MPI has
        ended as well."""
        library.start()
        try:
            return cls()
        except RankEnded:
            raise  # MPI's end would wait for that rank.
        except MpiError:
            library.finalize()
            raise

    @classmethod
    def within(cls, comm: Intracomm | None) -> World:
        """The world of a call from another program: on a copy of its communicator (None: all ranks'). To be
        closed, and not left."""
        return cls((MPI.COMM_WORLD if comm is None else comm).Dup())

    def _told_by_all(self, mine: bytes) -> list[bytes]:
        """What each rank tells, in their order; all tell equally much."""
        every = bytearray(len(mine) * self.size)
        wait_until(self._comm.Iallgather([mine, MPI.BYTE], [every, MPI.BYTE]).Test, timeout=None)
        return [bytes(every[at : at + len(mine)]) for at in range(0, len(every), len(mine))]

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
        endpoint = MpiEndpoint(
            self.rank, port, self._comms, self._payloads, self._local, self._bells, self.lost, self._died
        )
        self._endpoints.append(endpoint)
        return endpoint

    # Who lives -------------------------------------------------------------------------------

    @property
    def lost(self) -> Set[int]:
        """The ranks that are lost; it grows."""
        return self._pulse.lost

    def _died(self, rank: int) -> None:
        self._pulse.lose(rank, PROCESS_ENDED)

    def _lost(self, rank: int, why: str) -> None:
        """Tell this rank's machines; each knows whom it has to do with."""
        self._tell_own(
            "tracker" if self.rank == TRACKER else "downloader", self.rank, msg.Lost(Rank(rank), why)
        )

    def interrupted(self, by: signal.Signals) -> None:
        """A signal has asked this rank to leave. Rank 0 hears of it by the pulse; its own ends the run."""
        if self.rank == TRACKER:
            self._abort(TRACKER, by, "")

    def _asked_to_leave(self, rank: int, by: signal.Signals) -> None:
        """A signal has asked that rank to leave. Where the others can go on without it they do; where the
        run needs it, or the launcher ends all ranks when one has left, the run is over."""
        if rank not in self.needed and ranks_leave_alone():
            self._pulse.lose(rank, f"left on {by.name}")
        else:
            self._abort(rank, by, f"rank {rank}: ")

    def _abort(self, rank: int, by: signal.Signals, who: str) -> None:
        self._tell_own("tracker", Rank(rank), msg.Abort(128 + by, f"{who}interrupted by {by.name}"))

    def _tell_own(self, port: msg.Port, sender: Rank, message: msg.Stimulus) -> None:
        """Tell a machine of this rank; from any thread, and from a signal's handler."""
        self._local[port].put((sender, message))
        self._bells.ring(self.rank, port)

    # Beside the machines ----------------------------------------------------------------------

    def sender(self, to: Rank, tag: msg.Tag) -> Callable[[bytes], None]:
        """A function, for one thread, that sends buffers (STATUS, KEYS) to the observer port of ``to``."""
        outbox, comm = Outbox(self.lost), self._comms["observer"]
        self._outboxes.append(outbox)

        def send(buffer: bytes) -> None:
            outbox.send(comm, to, tag, buffer)
            self._bells.ring(to, "observer")

        return send

    def listen(self, deliver: Callable[[Rank, int, bytearray], None], stop: threading.Event) -> None:
        """Hand what comes to this rank's observer port (sender, tag, buffer) to ``deliver`` until ``stop``.

        For a thread of its own: MPI moves little between two tests, so a few of them at each frame of a
        screen would fall behind.
        """
        status, backoff = MPI.Status(), Backoff(self._bells.bell("observer"))
        while not stop.is_set():
            message = probe(self._comms["observer"], status, self._died)
            if message is None:
                backoff.sleep(time.monotonic(), LONGEST_PAUSE)
                continue
            backoff.reset()
            buffer = bytearray(status.Get_count(MPI.BYTE))
            message.Recv([buffer, MPI.BYTE])
            deliver(Rank(status.Get_source()), status.Get_tag(), buffer)

    # Together ---------------------------------------------------------------------------------

    def meet(self) -> float:
        """Wait, asleep, until every rank has come here; when rank 0 went on, in seconds of this rank's own
        monotonic clock: the run's start, the same moment for all, to the error of ``clock``."""
        wait_until(self._all_here(), timeout=None)
        start = array("d", [time.monotonic() + self.clock.seconds])
        if self.rank == 0:
            told = [begun(self._comm, rank, START, start) for rank in range(1, self.size)]
            wait_until(lambda: all(map(done, told)), timeout=None)
        else:
            receive = self._comm.Irecv
            hears = unless_dead(lambda: receive([start, MPI.DOUBLE], 0, START), MPI.REQUEST_NULL)
            wait_until(lambda: done(hears), timeout=None)
        watchdog.call_off()
        return start[0] - self.clock.seconds

    def _all_here(self) -> Callable[[], bool]:
        flag = array("i", [1])
        request = self._comm.Iagree(flag) if ranks_may_die() else self._comm.Ibarrier()
        # What all have agreed on lies in the array, which must live as long as the request does.
        return lambda: done(request) and flag[0] == 1

    def agree(self, code: int, timeout: float | None) -> int | None:
        """The highest code of all ranks that are not lost; this rank's own where rank 0 is lost; None where
        not all came in time.

        What was sent to a machine that has halted is received and dropped, so that every send ends.
        """

        def drained() -> bool:
            for endpoint in self._endpoints:
                endpoint.discard()
            sends: list[Outbox | MpiEndpoint] = [*self._outboxes, *self._endpoints]
            return all(sender.reap() for sender in sends)

        def agreed() -> bool:
            left = drained()
            self._pulse.step()
            return left and self._pulse.agreed is not None

        if not wait_until(drained, timeout):
            return None
        self._pulse.arrive(code)
        if not wait_until(agreed, timeout, longest=20e-3 if timeout is None else MEETING_PAUSE):
            return None
        for endpoint in self._endpoints:
            endpoint.close()
        return self._pulse.agreed

    def tell_all(self, text: str) -> str:
        """The text of rank 0, on every rank; each rank's own where some are lost."""
        if self.lost:
            return text
        size = array("q", [len(text.encode())])
        wait_until(self._comm.Ibcast([size, MPI.INT64_T]).Test, timeout=None)
        buffer = bytearray(text.encode() if self.rank == 0 else size[0])
        wait_until(self._comm.Ibcast([buffer, MPI.BYTE]).Test, timeout=None)
        return buffer.decode()

    def close(self) -> None:
        """Give back what was made, when all have agreed; the program goes on."""
        self._pulse.stop()
        self._bells.close()
        if not ranks_may_die() and not self.lost:
            for comm in (*self._comms.values(), self._payloads, self._pulse.comm, self._comm):
                comm.Free()

    def forsake(self) -> None:
        """The program goes on without an end of the run: nothing more is told or heard beside it."""
        self._pulse.stop()

    def leave(self, code: int) -> None:
        """Meet those who are not lost once more, and finalize: what still comes is then received. Where MPI
        waits for a lost rank all the same, this process ends with that code."""
        sys.stdout.flush()
        watchdog.end_in(LEAVING_THE_LOST if self.lost else LEAVING, code)
        self._pulse.stop()
        if not self.lost:
            here = self._all_here()

            def met() -> bool:
                self._pulse.drain()
                return here()

            wait_until(met, timeout=None)
        library.finalize()

    def abort(self, code: int) -> None:
        """End every rank at once: the last resort."""
        watchdog.end_in(LEAVING_THE_LOST, code)
        self._comm.Abort(code)
