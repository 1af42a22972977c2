"""The launcher: what its environment says before MPI is started."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mpi_core.runtime.ancestry import ancestry

#: Open MPI's programs that start ranks.
_OPEN_MPI = frozenset(("mpirun", "mpiexec", "orterun", "orted", "prterun", "prted", "prte"))
#: MPICH's, which Intel MPI and MVAPICH have too.
_HYDRA = frozenset(("hydra_pmi_proxy", "hydra_bstrap_pr"))
_SLURM = frozenset(("slurmstepd",))


@dataclass(frozen=True, slots=True)
class _Variables:
    """The environment variables in which launchers tell a process its place."""

    rank: str
    #: "" where the number of ranks is not told.
    size: str
    #: The programs that set them.
    set_by: frozenset[str]


_VARIABLES = (
    _Variables("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", _OPEN_MPI),
    _Variables("PMI_RANK", "PMI_SIZE", _HYDRA | _SLURM),
    _Variables("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", _SLURM),
    _Variables("PMIX_RANK", "", _OPEN_MPI | _SLURM),
)
_LAUNCHERS = _OPEN_MPI | _HYDRA | _SLURM


def ranks_may_die() -> bool:
    """Whether this run lives on when a rank dies: under ``mpirun --with-ft ulfm`` of Open MPI."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable") == "1"  # noqa: SIM112


def ranks_leave_alone() -> bool:
    """Whether one rank may leave while the others go on: so under ULFM, and where srun itself has started us.
    The mpirun of MPICH, which may use srun for its own processes, ends all then, and so does Open MPI's."""
    environment = os.environ
    by_srun = "SLURM_PROCID" in environment and "PMI_HOSTNAME" not in environment
    return ranks_may_die() or (
        by_srun and environment.get("PMI_SIZE") == environment.get("SLURM_STEP_NUM_TASKS")
    )


@dataclass(frozen=True, slots=True)
class Launcher:
    """The launcher's word on this process."""

    rank: int
    #: The number of ranks, or 0 where the launcher does not say.
    size: int


def find_launcher() -> Launcher | None:
    """The word of the launcher that started this process, or None where it was started without one.

    Variables outlive their launcher: a shell inside a job has them, and so has an mpirun that is started
    there. So only those count that the nearest launcher among this process's ancestors sets. Where none is
    to be seen (an unknown launcher, a container with processes of its own), those of MPI's launchers count.
    """
    nearest = next((process.name for process in ancestry() if process.name in _LAUNCHERS), None)
    for variables in _VARIABLES:
        if nearest not in variables.set_by and (nearest or variables.set_by == _SLURM):
            continue
        rank, size = os.environ.get(variables.rank, ""), os.environ.get(variables.size, "")
        if rank.isdigit() and (size.isdigit() or not variables.size):
            return Launcher(int(rank), int(size or 0))
    return None


def slurm_tasks_here(environment: Mapping[str, str]) -> int:
    """How many tasks of its Slurm step run on this node; 0 where Slurm does not say.

    SLURM_STEP_TASKS_PER_NODE is such as ``2,1(x3)``: two on the first node, one on each of three more.
    """
    node = environment.get("SLURM_NODEID", "")
    if not node.isdigit():
        return 0
    left = int(node)
    for tasks, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")):
        nodes = int(times or 1)
        if left < nodes:
            return int(tasks)
        left -= nodes
    return 0
