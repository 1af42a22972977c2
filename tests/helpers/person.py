"""Somebody at a terminal with a plain shell: tmux is the person and the screen.

Which MPI it is depends on the environment: the mpirun beside Python is taken. What is started bears a marker
in its environment: by that, what it leaves behind is found.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.helpers.mpirun import (
    MARKER,
    REPOSITORY,
    SessionFolder,
    find_mpirun,
    flavour,
    marked,
    missing,
    rank_of,
)
from tests.helpers.pty_screen import eventually

_reason = missing() or (
    "needs /proc" if sys.platform != "linux" else "needs tmux" if shutil.which("tmux") is None else None
)
needs_terminal = pytest.mark.skipif(_reason is not None, reason=_reason or "")


class Person:
    """Use `person`, which sends this one home."""

    def __init__(self, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self._socket = f"tui-torrent-{uuid.uuid4().hex[:12]}"
        self.marker = uuid.uuid4().hex
        self._session = SessionFolder()
        theirs = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color"}
        theirs |= self._session.environment | environment
        for name in ("TMUX", "TEXTUAL_DRIVER", "ENV", "COLORTERM", *({"NO_COLOR"} - environment.keys())):
            theirs.pop(name, None)
        launcher = find_mpirun()
        assert launcher is not None
        self._mpirun = launcher
        if flavour() == "openmpi":
            theirs |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
            self._mpirun += " --oversubscribe"
        library = Path(launcher).parents[1] / "lib" / "libmpi.so.12"
        if flavour() == "mpich" and library.exists():
            # Else a system's MPI may be loaded. (MPI4PY_MPIABI=mpich alone would not find this library.)
            theirs |= {"MPI4PY_LIBMPI": str(library)}
        size = ("-x", str(columns), "-y", str(rows))
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, f"TERM={theirs['TERM']} sh -i", env=theirs)
        self.tty = self._format("pane_tty")
        self.before = self.settings()
        eventually(lambda: self.screen().strip(), "the shell's prompt")

    def tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        run = subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words], env=env, capture_output=True, text=True, timeout=10
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _format(self, name: str) -> str:
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    # What there is to see ------------------------------------------------------------------------

    def screen(self, *flags: str) -> str:
        return self.tmux("capture-pane", "-p", *flags)

    def settings(self) -> str:
        run = subprocess.run(["stty", "-g", "-F", self.tty], capture_output=True, text=True, check=True)
        return run.stdout

    @property
    def draws(self) -> bool:
        """Whether a program has the whole screen."""
        return self._format("alternate_on") == "1" and self.settings() != self.before

    def is_as_before(self) -> bool:
        modes = [self._format(name) for name in ("alternate_on", "cursor_flag", "mouse_any_flag")]
        return modes == ["0", "1", "0"] and self.settings() == self.before

    def sees(self, words: str, seconds: float = 15) -> None:
        eventually(lambda: words in self.screen(), words, seconds)

    def sees_a_clean_terminal(self) -> None:
        """Everything is as before, stays so, and the shell answers."""
        eventually(self.is_as_before, "a clean terminal", 8)
        # mpirun takes what is typed until it is gone.
        eventually(lambda: self._format("pane_current_command") == "sh", "the shell's turn")
        self.types("echo all' 'well")
        eventually(lambda: "\nall well\n" in self.screen(), "the shell's answer")
        assert self.is_as_before()

    # What a person does --------------------------------------------------------------------------

    def types(self, line: str) -> None:
        self.tmux("send-keys", "-l", line)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.3 if key == "Escape" else 0.02)

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def runs(self, ranks: int, command: str) -> None:
        """Type an mpirun of that command, which follows Python's name."""
        self.types(f"{MARKER}={self.marker} {self._mpirun} -np {ranks} {sys.executable} {command}")

    # What runs -----------------------------------------------------------------------------------

    def processes(self) -> dict[int, dict[str, str]]:
        """The environments of all that was started and lives, by process id."""
        return marked(self.marker)

    def pid(self, rank: int) -> int:
        return next(pid for pid, theirs in self.processes().items() if rank_of(theirs) == rank)

    def launcher(self) -> int:
        """The pid of mpirun: the child of the shell among the ranks' ancestors."""
        shell, pid = int(self._format("pane_pid")), self.pid(0)
        while (parent := _parent(pid)) != shell:
            pid = parent
        return pid

    def leaves(self) -> None:
        socket = self._format("socket_path")
        self.tmux("kill-server")
        Path(socket).unlink(missing_ok=True)
        end = time.monotonic() + 2
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._session.cleanup()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@contextmanager
def person(columns: int = 80, rows: int = 24, **environment: str) -> Iterator[Person]:
    """Somebody at a terminal of that size, with that in the environment."""
    somebody = Person(columns, rows, **environment)
    try:
        yield somebody
    finally:
        somebody.leaves()
