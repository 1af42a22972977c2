"""Who lives, and with which exit code all leave.

Every rank tells rank 0 every BEAT seconds that it lives, and rank 0 tells every rank, in a thread of its own:
whatever else a rank is at. A rank that is silent for LOST_AFTER seconds is lost; under ULFM, MPI says so
before. Rank 0 tells all whom it knows to be lost. The same words carry, at the end, each rank's exit code to
rank 0, and from there the highest of them; and the signal that has asked a rank to leave.

So nobody waits for a dead rank, and the end needs no rank but rank 0: where that is lost, each leaves with
its own code.
"""

from __future__ import annotations

import signal
import threading
from array import array
from collections.abc import Callable

from mpi4py import MPI

from mpi_core.runtime.awake import Awake
from mpi_core.runtime.interrupt import noted
from mpi_core.runtime.mpi.endpoint import Outbox, probe

#: Seconds between two words, and between two looks at what has come.
BEAT = 2.0
LOOK = 0.1
#: A rank is lost when it was silent for longer than this (seconds). After a link came back within 25 s, TCP
#: repeats what was swallowed 25 s after the break at the latest.
LOST_AFTER = 28.0

#: A signal is meant for all ranks where rank 0 gets it too within this time (seconds).
TOGETHER = 0.5

#: The root of all words.
ROOT = 0
#: Not known yet.
NONE = -1

PROCESS_ENDED = "its process ended"


class Pulse:
    """One rank's part in it.

    ``on_lost(rank, why)`` is called once for each rank that is lost, in any thread; on rank 0,
    ``on_leaving(rank, signal)`` for each other that a signal has asked to leave, unless it asked rank 0 too.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        on_lost: Callable[[int, str], None],
        on_leaving: Callable[[int, signal.Signals], None],
    ) -> None:
        self.comm = comm
        self._rank, size = comm.Get_rank(), comm.Get_size()
        self._on_lost, self._on_leaving = on_lost, on_leaving
        self._others = [rank for rank in range(size) if rank != ROOT] if self._rank == ROOT else [ROOT]
        #: Ranks that are lost; it only grows. This rank is one of them where the others went on without it.
        self.lost: set[int] = set()
        #: The exit code with which all leave, when it is known.
        self.agreed: int | None = None
        self._codes: dict[int, int] = {}
        #: On rank 0, who was asked to leave: by which signal, and when that is to count; None when it did.
        self._leaving: dict[int, tuple[int, float] | None] = {}
        self._awake = Awake()
        now = self._awake.now()
        self._heard = dict.fromkeys(self._others, now)
        #: The word told last, and when.
        self._told: tuple[array[int], float] | None = None
        self._outbox = Outbox(self.lost)
        self._status = MPI.Status()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell and hear nothing more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            self.step()

    def arrive(self, code: int) -> None:
        """This rank is at its end, with that exit code."""
        with self._lock:
            self._codes[self._rank] = code
            self.step()

    def lose(self, rank: int, why: str) -> None:
        """That rank is lost; may be called in any thread."""
        with self._lock:
            if rank in self.lost:
                return
            self.lost.add(rank)
        if rank != self._rank:
            self._on_lost(rank, why)

    def step(self) -> None:
        """Hear, tell, and look who is silent."""
        with self._lock:
            now = self._awake.now()
            while message := probe(self.comm, self._status, self._has_died):
                words = array("i", bytes(self._status.Get_count(MPI.BYTE)))
                message.Recv([words, MPI.BYTE])
                self._hear(self._status.Get_source(), words, now)
            for rank in self._others:
                if rank not in self.lost and now > self._heard[rank] + LOST_AFTER:
                    self.lose(rank, f"silent for {LOST_AFTER:g} s")
            if self._rank == ROOT:
                self._look_who_leaves(now)
            self._agree()
            self._tell(now)

    def _has_died(self, rank: int) -> None:
        self.lose(rank, PROCESS_ENDED)

    def _hear(self, rank: int, words: array[int], now: float) -> None:
        self._heard[rank] = now
        code, number, *lost = words
        if self._rank != ROOT:
            for other in lost:
                self.lose(other, PROCESS_ENDED)
            if code != NONE:
                self.agreed = code
            return
        if code != NONE:
            self._codes[rank] = code
        if number:
            self._leaving.setdefault(rank, (number, now + TOGETHER))
        if rank in self.lost:
            # It was thought dead; it is to hear how the run ended.
            self._send(rank, self._word())

    def _look_who_leaves(self, now: float) -> None:
        for rank, leaving in list(self._leaving.items()):
            # Where rank 0 is to leave as well, that is the end of all.
            if leaving is not None and now >= leaving[1] and noted() is None:
                self._leaving[rank] = None
                self._on_leaving(rank, signal.Signals(leaving[0]))

    def _agree(self) -> None:
        own = self._codes.get(self._rank)
        if own is None or self.agreed is not None:
            return
        if self._rank != ROOT:
            if ROOT in self.lost:
                self.agreed = own
        elif all(rank in self._codes or rank in self.lost for rank in self._others):
            self.agreed = max(self._codes.values())

    def _word(self) -> array[int]:
        number = noted() or 0
        if self._rank != ROOT:
            return array("i", [self._codes.get(self._rank, NONE), number])
        return array("i", [NONE if self.agreed is None else self.agreed, number, *sorted(self.lost)])

    def _tell(self, now: float) -> None:
        word = self._word()
        if self._told is None or self._told[0] != word or now >= self._told[1] + BEAT:
            self._told = word, now
            # A rank that was silent for too long may still live. It, too, must hear the run's exit code.
            ended = self._rank == ROOT and self.agreed is not None
            for rank in self._others:
                if ended or rank not in self.lost:
                    self._send(rank, word)
        self._outbox.reap()

    def _send(self, rank: int, word: array[int]) -> None:
        self._outbox.send(self.comm, rank, 0, word.tobytes())

    def drain(self) -> None:
        """Receive and drop what still comes; all have agreed."""
        while message := probe(self.comm, self._status):
            message.Recv([bytearray(self._status.Get_count(MPI.BYTE)), MPI.BYTE])
        self._outbox.reap()
