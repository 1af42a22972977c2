"""Which launcher has started this process, and whether the host has room for its ranks."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_core.runtime import launcher
from mpi_core.runtime.ancestry import Process, ancestry
from mpi_core.runtime.launcher import find_launcher, slurm_tasks_here
from mpi_core.runtime.room import DESCRIPTORS, MPICH_PER_RANK, lack_of_room

OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4"}
SLURM = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6"}


def among(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the ancestors of this process have those names, the nearest first."""

    def told() -> Iterator[Process]:
        for pid, name in enumerate(("python3", *names, "bash", "systemd")):
            yield Process(pid, name, pid + 1, 1, 0, -1)

    monkeypatch.setattr(launcher, "ancestry", told)


@pytest.mark.parametrize(
    ("ancestors", "environment", "expected"),
    [
        (["hydra_pmi_proxy", "mpirun"], MPICH, (3, 4)),
        (["prterun"], OPEN_MPI, (1, 2)),
        (["slurmstepd"], MPICH | SLURM, (3, 4)),
        (["slurmstepd"], SLURM, (5, 6)),
        # The one that started us counts, whatever an outer one has left.
        (["hydra_pmi_proxy", "mpirun", "prterun"], OPEN_MPI | MPICH, (3, 4)),
        (["prted", "slurmstepd"], OPEN_MPI | MPICH | SLURM, (1, 2)),
        (["hydra_pmi_proxy", "slurmstepd"], MPICH | SLURM, (3, 4)),
        (["slurmstepd"], OPEN_MPI | SLURM, (5, 6)),
        # What is left over where no launcher is.
        ([], SLURM, None),
        (["hydra_pmi_proxy"], SLURM, None),
        (["prterun"], MPICH, None),
        # A launcher that nobody knows, or one that is not to be seen from a container.
        (["palsd"], MPICH, (3, 4)),
        ([], OPEN_MPI, (1, 2)),
    ],
)
def test_the_launcher_that_started_this_process_counts(
    ancestors: list[str],
    environment: dict[str, str],
    expected: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in OPEN_MPI | MPICH | SLURM:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    among(monkeypatch, *ancestors)
    found = find_launcher()
    assert (found and (found.rank, found.size)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_ancestors_of_a_process_begin_with_itself() -> None:
    script = (
        "from mpi_core.runtime.ancestry import ancestry; import os; "
        "p = list(ancestry()); print(p[0].pid == os.getpid(), p[1].pid == os.getppid(), p[1].name)"
    )
    shell = f"exec -a '(odd) name' {sys.executable} -c \"{script}\""
    run = subprocess.run(["bash", "-c", f"{shell}; :"], capture_output=True, text=True, timeout=30)
    assert run.stdout.split()[:2] == ["True", "True"], run.stderr
    assert next(ancestry()).parent > 0


@pytest.mark.parametrize(
    ("node", "tasks"), [("0", 2), ("1", 1), ("3", 1), ("4", 16), ("5", 0), ("", 0), ("x", 0)]
)
def test_slurms_word_on_the_tasks_of_a_node(node: str, tasks: int) -> None:
    told = {"SLURM_NODEID": node, "SLURM_STEP_TASKS_PER_NODE": "2,1(x3),16"}
    assert slurm_tasks_here(told) == tasks


def test_shared_memory_is_looked_at_before_mpich_dies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Status:
        f_bavail, f_frsize = (64 << 20) // 4096, 4096

    monkeypatch.setattr("os.statvfs", lambda path: Status)
    fits = (64 << 20) // MPICH_PER_RANK
    assert fits == 12
    assert lack_of_room({"MPI_LOCALNRANKS": "12"}) is None
    line = lack_of_room({"MPI_LOCALNRANKS": "13"})
    assert line is not None
    assert line.startswith("expected 70 MB of shared memory in /dev/shm for 13 ranks of MPICH on this host, ")
    assert "found 67 MB" in line
    slurm = {"PMI_RANK": "0", "SLURM_NODEID": "0", "SLURM_STEP_TASKS_PER_NODE": "18"}
    assert "for 18 ranks" in (lack_of_room(slurm) or "")
    # Others, and whoever shares no memory, have needs that nobody has measured here.
    for other in ({"I_MPI_MPIRUN": "mpirun"}, {"MPIR_CVAR_NOLOCAL": "1"}):
        assert lack_of_room({"MPI_LOCALNRANKS": "1000"} | other) is None
    assert lack_of_room({}) is None
    monkeypatch.undo()
    assert lack_of_room({"MPI_LOCALNRANKS": "1000"}, str(tmp_path / "nowhere")) is None


@pytest.mark.parametrize(
    ("soft", "hard", "left"), [(32, 4096, DESCRIPTORS), (32, 32, None), (1024, 4096, 1024)]
)
def test_too_few_open_files_are_more_or_one_line(soft: int, hard: int, left: int | None) -> None:
    script = (
        "import resource; from mpi_core.runtime.room import lack_of_room; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
        "print(lack_of_room({})); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    said, limit = run.stdout.splitlines()
    if left is None:
        assert said == f"expected room for at least 64 open files in each rank (ulimit -n), found {soft}"
    else:
        assert (said, int(limit)) == ("None", left)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= hard
