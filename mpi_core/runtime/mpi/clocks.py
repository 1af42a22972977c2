"""How far this rank's clock is from the tracker's: of a few round trips the shortest counts (Cristian).

Ranks of one boot and one time namespace read the same clock, and measure nothing. The first rank of each
other host asks rank 0 for the time, and tells the others of its host. So rank 0 answers a few messages a
host, and a run on one host costs no message. Clocks that drift apart afterwards are not corrected.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from mpi4py import MPI

from mpi_core.runtime.backoff import FIRST_PAUSE, wait_until

#: Bytes that say which clock a process reads.
CLOCK_ID = 16 + 8
#: Round trips: LEAST_TRIPS, since the first may have to make the connection; more while all together took
#: less than SHORT seconds; MOST_TRIPS at most.
LEAST_TRIPS, SHORT, MOST_TRIPS = 3, 0.01, 10
#: The tag of the questions and their answers.
_TIME = 1
_MORE, _LAST = 0, 1


class Offset(NamedTuple):
    """What to add to this rank's clock for the tracker's time, and how wrong that is at most; in seconds."""

    seconds: float
    error: float


SAME = Offset(0.0, 0.0)


def clock_id() -> bytes:
    """The same CLOCK_ID bytes in two processes that read the same monotonic clock, else others."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = bytes.fromhex(file.read().replace("-", ""))
    except OSError:
        return os.urandom(CLOCK_ID)
    try:
        space = os.stat("/proc/self/ns/time").st_ino
    except OSError:
        space = 0  # A kernel without time namespaces.
    return boot + array("Q", [space]).tobytes()


def measured(comm: MPI.Comm, ids: Sequence[bytes]) -> Offset:
    """This rank's offset from rank 0. All ranks call it together; ``ids`` are their clocks', by rank."""
    rank = comm.Get_rank()
    first = {clock: ids.index(clock) for clock in set(ids)}
    asking = [asker for asker in first.values() if asker]
    if not asking:
        return SAME
    mine = SAME
    if rank == 0:
        _answer(comm, len(asking))
    elif rank in asking:
        mine = _ask(comm)
    told = array("d", [0.0] * (2 * len(ids)))
    everybody = comm.Iallgather([array("d", mine), MPI.DOUBLE], [told, MPI.DOUBLE])
    wait_until(everybody.Test, timeout=None)
    at = 2 * first[ids[rank]]
    return Offset(told[at], told[at + 1])


def _ask(comm: MPI.Comm) -> Offset:
    best, began = Offset(0.0, float("inf")), time.monotonic()
    for trips in count(1):
        long = time.monotonic() > began + SHORT
        last = trips >= LEAST_TRIPS and (long or trips >= MOST_TRIPS)
        theirs, word = array("d", [0.0]), bytes([_LAST if last else _MORE])
        answer = comm.Irecv([theirs, MPI.DOUBLE], source=0, tag=_TIME)
        asked = time.monotonic()
        question = comm.Isend([word, MPI.BYTE], dest=0, tag=_TIME)
        wait_until(answer.Test, timeout=None, longest=FIRST_PAUSE)
        heard = time.monotonic()
        question.Wait()
        trip = Offset(theirs[0] - (asked + heard) / 2, (heard - asked) / 2)
        best = min(best, trip, key=lambda offset: offset.error)
        if last:
            break
    return best


def _answer(comm: MPI.Comm, asking: int) -> None:
    """Tell the time until so many ranks have heard it often enough."""
    status, word = MPI.Status(), bytearray(1)
    sends: list[tuple[MPI.Request, array[float]]] = []

    def all_answered() -> bool:
        nonlocal asking
        while asking and (question := comm.Improbe(tag=_TIME, status=status)):
            question.Recv([word, MPI.BYTE])
            now = array("d", [time.monotonic()])
            sends.append((comm.Isend([now, MPI.DOUBLE], dest=status.Get_source(), tag=_TIME), now))
            asking -= word[0] == _LAST
        return not asking and all(request.Test() for request, _ in sends)

    wait_until(all_answered, timeout=None, longest=FIRST_PAUSE)
