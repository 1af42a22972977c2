"""Runs under the mpirun of this environment, watched from outside.

Which MPI it is depends on the environment: the mpirun beside the interpreter is taken, else that on PATH.
Every process of a run bears a marker in its environment. By that, what a run leaves behind is found; and
nothing else is ever killed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

REPOSITORY = Path(__file__).parents[2]
MARKER = "TUI_TORRENT_TEST_RUN"

#: The host that every line of a run names here.
HOST = socket.gethostname()

#: What every rank runs, unless its test says otherwise: Python's arguments.
PROGRAM = ("-m", "tui_torrent")

#: Seconds that a run of the suite may take unless its test says otherwise, and those until the processes
#: of a run that has ended must be gone.
TIMEOUT = 30.0
GONE_AFTER = 5.0

_RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
#: prctl's PR_CAPBSET_DROP and the capabilities that let root read and write what it may not.
_DROP = 24
_OVERRIDES = (1, 2)

Flavour = Literal["mpich", "openmpi"]


@cache
def find_mpirun() -> str | None:
    """The mpirun of this interpreter's environment, else the one on PATH."""
    beside = Path(sys.executable).with_name("mpirun")
    return str(beside) if beside.exists() else shutil.which("mpirun")


@cache
def flavour() -> Flavour:
    """Whose mpirun it is."""
    found = find_mpirun()
    assert found is not None
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=20, env=_environment()
    )
    return "openmpi" if "open mpi" in (said.stdout + said.stderr).lower() else "mpich"


@cache
def missing() -> str | None:
    """Why nothing can be run, or None."""
    if find_mpirun() is None:
        return "needs mpirun, and there is none beside Python or on PATH"
    try:
        import mpi4py  # noqa: F401
    except ImportError:
        return "needs mpi4py"
    return None


needs_mpirun = pytest.mark.skipif(missing() is not None, reason=missing() or "")
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")


def _environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    paths = [str(REPOSITORY), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # A monitor would find the terminal where pytest was started, draw there, and wait for a key.
    environment["TERM"] = "dumb"
    return environment | dict(more or {})


class SessionFolder(tempfile.TemporaryDirectory[str]):
    """Where a run has its temporary files, so that none of one that is killed are left.

    Open MPI's launcher has a folder by its process id among them. Where a killed one has left that, the next
    that gets the same id refuses to start.
    """

    def __init__(self) -> None:
        super().__init__(prefix="tt-", ignore_cleanup_errors=True)
        #: What says so: to all, and to Open MPI 5, for tests that put TMPDIR elsewhere.
        self.environment = {"TMPDIR": self.name, "PRTE_MCA_prte_tmpdir_base": self.name}


@dataclass(frozen=True)
class Run:
    """What a run left."""

    command: str
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr that are not Open MPI's own, which says that a rank's exit code was not 0."""
        lines: list[str] = []
        theirs = False
        for line in self.stderr.splitlines():
            if line.startswith("-" * 40):
                theirs = not theirs
            elif not theirs and line.strip():
                lines.append(line)
        return lines

    def __str__(self) -> str:
        return f"{self.command}: code {self.code} after {self.seconds:.2f} s\n{self.stdout}\n{self.stderr}"


class Job:
    """A run that has begun. Use :func:`started`, which ends it."""

    def __init__(
        self,
        ranks: int,
        arguments: Sequence[object],
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        powerless: bool = False,
        flags: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
        launcher: Sequence[str] | None = None,
    ) -> None:
        """``launcher`` stands in the place of mpirun, its flags and the number of ranks."""
        if launcher is None:
            found = find_mpirun()
            assert found is not None
            extra = [*(["--oversubscribe"] if flavour() == "openmpi" else []), *flags]
            launcher = [found, *extra, "-np", str(ranks)]
        words = [*launcher, sys.executable, *program]
        words += [str(argument) for argument in arguments]
        self.command = " ".join(words[1:])
        self.marker = uuid.uuid4().hex
        self._session = SessionFolder()
        # Files, not pipes: a rank that outlives mpirun would hold a pipe open, and a full one stops it.
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._began = time.monotonic()
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            cwd=cwd,
            env=_environment(self._session.environment | dict(environment or {})) | {MARKER: self.marker},
            start_new_session=True,
            preexec_fn=_drop_overrides if powerless else None,
        )

    def said(self) -> str:
        """What stands on stdout until now."""
        self._out.seek(0)
        return self._out.read().decode(errors="replace")

    def complained(self) -> str:
        """What stands on stderr until now."""
        self._err.seek(0)
        return self._err.read().decode(errors="replace")

    def is_moving(self) -> bool:
        """Whether a line has told how many clients are done, which none does before segments move."""
        said = self.said()
        return " done" in said or '"phase":"swarm"' in said

    def begins(self) -> None:
        """Wait until segments move."""
        deadline = time.monotonic() + 30
        while not self.is_moving():
            assert time.monotonic() < deadline, self.complained()
            time.sleep(0.05)

    def processes(self) -> dict[int, dict[str, str]]:
        """The environments of this run's processes that live, by process id."""
        return marked(self.marker)

    def ranks(self) -> dict[int, int]:
        """The process of each rank that lives."""
        found: dict[int, int] = {}
        for pid, environment in self.processes().items():
            rank = rank_of(environment)
            if rank is not None:
                found[rank] = pid
        return found

    def wait(self, timeout: float = TIMEOUT) -> Run:
        """The end of the run, and that nothing of it is left."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.end()
            pytest.fail(f"hung: {self.command} for {timeout:g} s\n{self.said()}\n{self.complained()}")
        seconds = time.monotonic() - self._began
        run = Run(self.command, code, self.said(), self.complained(), seconds)
        left = self.left()
        self.end()
        assert not left, f"left behind: {left}\n{run}"
        return run

    def left(self, seconds: float = GONE_AFTER) -> dict[int, str]:
        """The processes that are still there after so many seconds, by process id."""
        deadline = time.monotonic() + seconds
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        return {pid: _command_of(pid) for pid in self.processes()}

    def end(self) -> None:
        """Kill what is left of it."""
        if self.process.poll() is None:
            # mpirun takes its ranks with it when it may; else they are found by their marker.
            os.killpg(self.process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        self.end()
        self._out.close()
        self._err.close()
        self._session.cleanup()


@contextmanager
def started(
    ranks: int,
    *arguments: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    powerless: bool = False,
    flags: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
    launcher: Sequence[str] | None = None,
) -> Iterator[Job]:
    """A run that has begun, and that is ended at the latest when the block is left; ``flags`` of mpirun."""
    job = Job(ranks, arguments, cwd, environment, powerless, flags, program, launcher)
    try:
        yield job
    finally:
        job.close()


def mpirun(
    ranks: int,
    *arguments: object,
    timeout: float = TIMEOUT,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    powerless: bool = False,
    program: Sequence[str] = PROGRAM,
) -> Run:
    """Run ``mpirun -np ranks python -m tui_torrent …`` to its end; ``powerless``: root obeys modes too."""
    with started(
        ranks, *arguments, cwd=cwd, environment=environment, powerless=powerless, program=program
    ) as job:
        return job.wait(timeout)


def alone(*arguments: object, timeout: float = TIMEOUT, cwd: Path | None = None) -> Run:
    """Run ``python -m tui_torrent …`` without a launcher."""
    words = [sys.executable, "-m", "tui_torrent", *map(str, arguments)]
    began = time.monotonic()
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        cwd=cwd,
        env=_environment(),
        stdin=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - began
    return Run(" ".join(words[1:]), done.returncode, done.stdout, done.stderr, seconds)


@cache
def modes_bind() -> bool:
    """Whether a process started ``powerless`` cannot read a file of mode 0."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        probe = [sys.executable, "-c", f"open({file.name!r})"]
        try:
            done = subprocess.run(probe, capture_output=True, timeout=20, preexec_fn=_drop_overrides)
        except subprocess.SubprocessError:
            return False
        return done.returncode != 0


def _drop_overrides() -> None:
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in _OVERRIDES:
            if libc.prctl(_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "prctl")


def rank_of(environment: Mapping[str, str]) -> int | None:
    """The rank that a launcher has put into an environment."""
    return next((int(environment[name]) for name in _RANK if name in environment), None)


def marked(marker: str) -> dict[int, dict[str, str]]:
    """The environments of the processes that live and bear that marker, by process id."""
    word = f"{MARKER}={marker}".encode()
    found: dict[int, dict[str, str]] = {}
    for entry in Path("/proc").glob("[0-9]*/environ") if Path("/proc").exists() else ():
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if word in words:
            pairs = (word.decode(errors="replace").partition("=") for word in words)
            found[int(entry.parent.name)] = {name: value for name, _, value in pairs}
    return found


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "(ended meanwhile)"


def processor_seconds(pid: int) -> float:
    """User and system time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
