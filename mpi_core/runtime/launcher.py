"""The launcher: what its environment says before MPI is started, and whether it still lives."""

from __future__ import annotations

import os
from dataclasses import dataclass

#: For each launcher: the variables that bear this process's rank and the number of ranks.
_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("PMIX_RANK", ""),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


_PARENT = os.getppid()


def leave_if_orphaned() -> None:
    """Interrupt the main thread if the launcher's process has ended: Open MPI's ranks would else live on.

    Raises KeyboardInterrupt, so that what was made for the run is removed as it is after ctrl+c.
    """
    if os.getppid() != _PARENT:
        raise KeyboardInterrupt("the launcher's process has ended")


def ranks_may_die() -> bool:
    """Whether this run lives on when a rank dies: under ``mpirun --with-ft ulfm`` of Open MPI."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable") == "1"  # noqa: SIM112


@dataclass(frozen=True, slots=True)
class Launcher:
    """The launcher's word on this process."""

    rank: int
    #: The number of ranks, or 0 where the launcher does not say.
    size: int


def find_launcher() -> Launcher | None:
    """What the launcher says, or None where this process was started without one."""
    for rank_name, size_name in _VARIABLES:
        rank, size = os.environ.get(rank_name, ""), os.environ.get(size_name, "")
        # A shell inside a Slurm allocation has SLURM_PROCID as well, but no step of several tasks.
        if rank.isdigit() and (size.isdigit() or rank_name == "PMIX_RANK"):
            return Launcher(int(rank), int(size or 0))
    return None
