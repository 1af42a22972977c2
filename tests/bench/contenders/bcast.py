"""A loop over MPI_Bcast: message by message from the owner to all who want the part, verified and written."""

from __future__ import annotations

from mpi4py import MPI

from tests.bench.contenders.common import DIGEST, Plan, room


def main() -> None:
    comm = MPI.COMM_WORLD
    plan = Plan(comm.rank)
    groups = []
    for part in plan.parts:
        ranks = [part.owner, *part.wanters]
        member = comm.rank in ranks
        groups.append(comm.Split(0 if member else MPI.UNDEFINED, ranks.index(comm.rank) if member else 0))
    comm.Barrier()
    plan.begin()
    for part, group in zip(plan.parts, groups, strict=True):
        if group == MPI.COMM_NULL:
            continue
        message = room(part.segment + DIGEST)
        for index in range(part.segments):
            if group.rank == 0:
                plan.read(part, index, message)
            length = part.place(index)[1] + DIGEST
            group.Bcast([message[:length], MPI.BYTE], root=0)
            if group.rank != 0:
                plan.write(part, index, message)
    plan.finish()
    plan.end()
    comm.Barrier()
