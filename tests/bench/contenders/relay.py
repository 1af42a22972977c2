"""A pipelined chain, or every client reading from the owner: both are routes along which segments go.

On a route each rank receives a segment from the one before it, passes it on, verifies and writes it. A chain
is one route through all who want a part; a star has a route of its own for each of them. A few segments are
under way between two ranks, so that a link is never idle.
"""

from __future__ import annotations

from mpi4py import MPI

from tests.bench.contenders.common import DIGEST, Part, Pause, Plan, room

#: Messages under way between two ranks.
DEPTH = 16


class Leg:
    """What one rank does on one route: from the rank before it to the rank after it, where there are such."""

    def __init__(self, plan: Plan, comm: MPI.Comm, part: Part, tag: int, before: int, after: int) -> None:
        self._plan, self._comm, self._part, self._tag = plan, comm, part, tag
        self._before, self._after = before, after
        self._buffers = [room(part.segment + DIGEST) for _ in range(DEPTH)]
        #: By buffer: what comes into it, what leaves from it.
        self._coming = [MPI.REQUEST_NULL] * DEPTH
        self._leaving = [MPI.REQUEST_NULL] * DEPTH
        #: Segments that were dealt with, and those that have a buffer.
        self._done = self._posted = 0
        self._post()

    @property
    def finished(self) -> bool:
        """Whether every segment is here."""
        return self._done == self._part.segments

    @property
    def over(self) -> bool:
        """Whether every segment has left too."""
        return self.finished and all(request.Test() for request in self._leaving)

    def _post(self) -> None:
        while self._posted < min(self._done + DEPTH, self._part.segments):
            slot = self._posted % DEPTH
            if not self._leaving[slot].Test():
                return
            if self._before != MPI.PROC_NULL:
                room = [self._buffers[slot], MPI.BYTE]
                self._coming[slot] = self._comm.Irecv(room, self._before, self._tag)
            self._posted += 1

    def step(self) -> bool:
        """Move one segment, if one can be moved."""
        self._post()
        if self._done == self._posted:
            return False
        index, slot = self._done, self._done % DEPTH
        message = self._buffers[slot]
        if self._before == MPI.PROC_NULL:
            self._plan.read(self._part, index, message)
        elif not self._coming[slot].Test():
            return False
        if self._after != MPI.PROC_NULL:
            # First of all: the next rank waits for it, and nobody for the disk.
            length = self._part.place(index)[1] + DIGEST
            self._leaving[slot] = self._comm.Isend([message[:length], MPI.BYTE], self._after, self._tag)
        if self._before != MPI.PROC_NULL:
            self._plan.write(self._part, index, message)
        self._done += 1
        return True


def routes(part: Part, topology: str) -> list[list[int]]:
    if topology == "star":
        return [[part.owner, wanter] for wanter in part.wanters]
    # From the owner on and round: owners that want one another's parts form a ring.
    return [[part.owner, *sorted(part.wanters, key=lambda rank: (rank < part.owner, rank))]]


def main() -> None:
    comm = MPI.COMM_WORLD
    plan = Plan(comm.rank)
    comm.Barrier()
    plan.begin()
    legs = []
    along = [(part, route) for part in plan.parts for route in routes(part, plan.topology)]
    for tag, (part, route) in enumerate(along):
        if comm.rank in route:
            place = route.index(comm.rank)
            before = route[place - 1] if place else MPI.PROC_NULL
            after = route[place + 1] if place + 1 < len(route) else MPI.PROC_NULL
            legs.append(Leg(plan, comm, part, tag, before, after))
    finished, pause = False, Pause()
    while not all(leg.over for leg in legs):
        moved = [leg.step() for leg in legs]
        if not finished and all(leg.finished for leg in legs):
            plan.finish()
            finished = True
        if any(moved):
            pause.reset()
        else:
            pause()
    plan.end()
    comm.Barrier()
