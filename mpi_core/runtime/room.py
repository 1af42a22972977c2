"""Whether this host has room for the ranks that MPI is about to start on it.

MPI does not ask: where shared memory ends it dies by SIGBUS or SIGSEGV at the first message, and where file
descriptors end by a message of some transport's own.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping

from mpi_core.runtime.launcher import slurm_tasks_here

SHARED_MEMORY = "/dev/shm"
#: Bytes of shared memory that MPICH maps for each rank of a host (measured with 5.0.2: 5,266 KiB, for 2 to 16
#: ranks, before and after messages between all).
MPICH_PER_RANK = 5266 * 1024
#: File descriptors that a rank needs to start (measured: 3 ranks under MPICH start with 40, not with 32).
DESCRIPTORS = 64


def lack_of_room(environment: Mapping[str, str], shared_memory: str = SHARED_MEMORY) -> str | None:
    """What this host has too little of, in one line; None where nothing is known to be lacking.

    Raises the soft limit of open files where it is too low and the hard one allows it.
    """
    return _lack_of_descriptors() or _lack_of_shared_memory(environment, shared_memory)


def _lack_of_descriptors() -> str | None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS:
        return None
    if hard == resource.RLIM_INFINITY or hard >= DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        return None
    return f"expected room for at least {DESCRIPTORS} open files in each rank (ulimit -n), found {soft}"


def _lack_of_shared_memory(environment: Mapping[str, str], folder: str) -> str | None:
    ranks = _mpich_ranks_here(environment)
    if not ranks:
        return None
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    free, needed = status.f_bavail * status.f_frsize, ranks * MPICH_PER_RANK
    if free >= needed:
        return None
    return (
        f"expected {_megabytes(needed)} of shared memory in {folder} for {ranks} ranks of MPICH on this "
        f"host, found {_megabytes(free)} (docker run --shm-size makes more)"
    )


def _mpich_ranks_here(environment: Mapping[str, str]) -> int:
    """How many ranks MPICH starts on this host; 0 where that is not known, or where they share no memory."""
    # Intel MPI and MVAPICH have the same launcher, and needs of their own.
    if {"I_MPI_MPIRUN", "MV2_COMM_WORLD_RANK"} & environment.keys():
        return 0
    if environment.get("MPIR_CVAR_NOLOCAL", "0") not in ("", "0"):
        return 0
    here = environment.get("MPI_LOCALNRANKS", "")
    if here.isdigit():
        return int(here)
    return slurm_tasks_here(environment) if "PMI_RANK" in environment else 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
