"""A cluster of Debian's Slurm on this machine: munged, slurmctld and four slurmd, with ports of their own.

Everything they write stands in one temporary folder, and what was started is ended by its process id.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

NODES = 4
_PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "scancel", "sinfo")

_CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MpiDefault=pmi2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait={kill_wait}
FirstJobId={first_job}
MaxNodeCount=16
{nodes}
PartitionName=all Nodes=c[1-{count}] Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
"""


def missing() -> str | None:
    """Why there can be no such cluster here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    absent = [program for program in _PROGRAMS if _found(program) is None]
    return f"needs Debian's slurm-wlm and munge: no {', '.join(absent)}" if absent else None


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


needs_slurm = pytest.mark.skipif(missing() is not None, reason=missing() or "")


class Cluster:
    """Use :func:`cluster`, which ends it."""

    #: Seconds between the TERM and the KILL of a job that is cancelled, or whose time is up.
    KILL_WAIT = 30

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tt-slurm-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        #: What srun and its kin need to find this cluster, and a rank to find its MPI: mpirun would say it.
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        library = Path(sys.prefix) / "lib" / "libmpi.so.12"
        if library.exists():
            self.environment |= {"MPI4PY_LIBMPI": str(library)}

    def start(self) -> None:
        folder = self.folder
        folder.chmod(0o755)
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o600)
        ports = _free_ports(1 + NODES)
        host = socket.gethostname()
        nodes = "\n".join(
            f"NodeName=c{at} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN"
            for at, port in enumerate(ports[1:], 1)
        )
        (folder / "slurm.conf").write_text(
            _CONFIGURATION.format(
                host=host,
                ctld=ports[0],
                folder=folder,
                nodes=nodes,
                count=NODES,
                kill_wait=self.KILL_WAIT,
                # MPICH names its shared memory by the job's number, and a killed run leaves it there.
                first_job=random.randrange(1, 60_000_000),
            )
        )
        munge = {name: f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")}
        self._run("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge.values())
        self._until(lambda: (folder / "munge.socket").exists(), "munged")
        self._run("slurmctld", "-D", "-i", "-f", folder / "slurm.conf")
        for at in range(1, NODES + 1):
            (folder / f"spool.c{at}").mkdir()
            self._run("slurmd", "-D", "-N", f"c{at}", "-f", folder / "slurm.conf")
        self._until(self._is_idle, "four idle nodes")

    def launcher(self, ranks: int) -> list[str]:
        """The words before Python's name that start so many ranks, on all nodes."""
        return ["env", "-u", "MPI4PY_MPIABI", "srun", f"-N{min(NODES, ranks)}", f"-n{ranks}", "--mpi=pmi2"]

    def cancel_all(self) -> None:
        """Cancel every job, as its time limit does."""
        words = [_found("scancel") or "", "--user=root"]
        subprocess.run(words, timeout=20, check=True, env=os.environ | self.environment)

    def _is_idle(self) -> bool:
        words = [_found("sinfo") or "", "-h", "-t", "idle", "-o", "%D"]
        said = subprocess.run(
            words, capture_output=True, text=True, timeout=20, env=os.environ | self.environment
        )
        return said.stdout.strip() == str(NODES)

    def _run(self, program: str, *words: object) -> None:
        with (self.folder / f"{program}-{len(self._processes)}.out").open("wb") as out:
            self._processes.append(
                subprocess.Popen(
                    [_found(program) or program, *map(str, words)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=os.environ | self.environment,
                    start_new_session=True,
                )
            )

    def _until(self, holds: object, what: str) -> None:
        assert callable(holds)
        deadline = time.monotonic() + 30
        while not holds():
            dead = [p.args for p in self._processes if p.poll() is not None]
            if dead or time.monotonic() > deadline:
                said = "".join(f.read_text(errors="replace")[-2000:] for f in self.folder.glob("*.out"))
                raise RuntimeError(f"Slurm: no {what}: {dead} {said}")
            time.sleep(0.1)

    def end(self) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    with_ports = [socket.socket() for _ in range(count)]
    try:
        for each in with_ports:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in with_ports]
    finally:
        for each in with_ports:
            each.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Four idle nodes, c1 to c4, until the block is left."""
    slurm = Cluster()
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.end()
