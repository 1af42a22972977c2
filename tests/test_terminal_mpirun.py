"""The monitor's terminal under a real mpirun, in a real terminal: tmux plays the person and the screen.

Each test has a tmux server of its own, runs terminal_probe.py with three ranks, and afterwards asks for
a terminal just as it was. Which MPI it is depends on the environment: the mpirun beside Python is taken.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_BESIDE_PYTHON = Path(sys.executable).with_name("mpirun")
MPIRUN = str(_BESIDE_PYTHON) if _BESIDE_PYTHON.exists() else shutil.which("mpirun")


def _missing() -> str | None:
    if sys.platform != "linux":
        return "needs /proc"
    if shutil.which("tmux") is None:
        return "needs tmux"
    if MPIRUN is None:
        return "needs mpirun"
    try:
        import mpi4py  # noqa: F401
    except ImportError:
        return "needs mpi4py"
    return None


# Every wait here has a limit of its own; together they stay below pytest's timeout.
pytestmark = [pytest.mark.mpirun, pytest.mark.skipif(_missing() is not None, reason=_missing() or "")]

#: As tmux names them, and as Textual does. Escape must be followed by a pause, else it makes alt+x.
KEYS = "a b Up Down Enter C-c Left F5 Tab Escape x é PageUp q".split()  # noqa: SIM905
NAMES = "a b up down enter ctrl+c left f5 tab escape x é pageup q".split()  # noqa: SIM905


def eventually(true: Callable[[], object], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"in vain waited for: {what}"
        time.sleep(0.05)


class Person:
    """Somebody at a terminal with a plain shell, who starts the probe under mpirun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._socket = f"tui-torrent-{uuid.uuid4().hex[:12]}"
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "TERM": "xterm-256color"}
        for name in ("TMUX", "TEXTUAL_DRIVER", "NO_COLOR", "ENV"):
            environment.pop(name, None)
        assert MPIRUN is not None
        version = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, timeout=20).stdout
        self._mpirun = f"{MPIRUN} -np 3"
        if "Open MPI" in version or "Open RTE" in version:
            environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
            self._mpirun = f"{MPIRUN} --oversubscribe -np 3"
        library = Path(MPIRUN).parents[1] / "lib" / "libmpi.so.12"
        if "HYDRA" in version and library.exists():
            # Else a system's MPI may be loaded. (MPI4PY_MPIABI=mpich alone would not find this library.)
            environment |= {"MPI4PY_LIBMPI": str(library)}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "sh -i", env=environment)
        self.tty = self._format("pane_tty")
        self.before = self.settings()

    def _tmux(self, *words: str, env: dict[str, str] | None = None) -> str:
        run = subprocess.run(
            ["tmux", "-u", "-L", self._socket, *words], env=env, capture_output=True, text=True, timeout=10
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def _format(self, name: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def settings(self) -> str:
        run = subprocess.run(["stty", "-g", "-F", self.tty], capture_output=True, text=True, check=True)
        return run.stdout

    def is_as_before(self) -> bool:
        modes = [self._format(name) for name in ("alternate_on", "cursor_flag", "mouse_any_flag")]
        return modes == ["0", "1", "0"] and self.settings() == self.before

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(0.3 if key == "Escape" else 0.02)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def starts(self, suffix: str = "") -> None:
        probe = f"{sys.executable} {HERE / 'helpers' / 'terminal_probe.py'} {self.folder}"
        self._tmux("send-keys", "-l", f"{self._mpirun} {probe} {suffix}")
        self.press("Enter")

    def sees_the_monitor(self) -> None:
        eventually(lambda: "probe 80x24 äöü ▁▂▃" in self.screen(), "the monitor's first frame")
        assert self._format("alternate_on") == "1"
        assert self.settings() != self.before

    def sees_a_clean_terminal(self) -> None:
        """Everything is as before, stays so, and the shell answers."""
        eventually(self.is_as_before, "a clean terminal", 8)
        # mpirun takes what is typed until it is gone.
        eventually(lambda: self._format("pane_current_command") == "sh", "the shell's turn")
        self._tmux("send-keys", "-l", "echo all' 'well")
        self.press("Enter")
        eventually(lambda: "\nall well\n" in self.screen(), "the shell's answer")
        assert self.is_as_before()

    def noted(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def pid(self, rank: int) -> int:
        return {int(line.split()[0]): int(line.split()[1]) for line in self.noted("pids")}[rank]

    def launcher(self) -> int:
        """The pid of mpirun: the child of the shell among the ranks' ancestors."""
        shell, pid = int(self._format("pane_pid")), self.pid(0)
        while (parent := _parent(pid)) != shell:
            pid = parent
        return pid

    def leaves(self) -> None:
        ranks = {int(line.split()[1]) for line in self.noted("pids")}
        socket = self._format("socket_path")
        self._tmux("kill-server")
        Path(socket).unlink(missing_ok=True)
        end = time.monotonic() + 2
        while any(map(self._is_probe, ranks)) and time.monotonic() < end:
            time.sleep(0.05)
        for pid in filter(self._is_probe, ranks):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_probe(self, pid: int) -> bool:
        """Whether a pid still means one of our ranks: no other command line names our folder."""
        with suppress(OSError):
            return str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    made = Person(tmp_path)
    try:
        eventually(lambda: made.screen().strip(), "the shell's prompt")
        yield made
    finally:
        made.leaves()


@pytest.mark.parametrize(("suffix", "mode"), [("", "forwarded True"), ("</dev/null", "forwarded False")])
def test_all_keys_arrive_and_the_terminal_is_restored(person: Person, suffix: str, mode: str) -> None:
    person.starts(suffix)
    person.sees_the_monitor()
    assert person.noted("mode") == [mode]
    person.resize(100, 30)
    eventually(lambda: "probe 100x30" in person.screen(), "the new size", 3)
    person.press(*KEYS)
    person.sees_a_clean_terminal()
    assert person.noted("keys") == NAMES
    assert "must not reach" not in person.screen()
    assert person.noted("output.2") == ["this must not reach the screen"]


def test_a_background_job_says_why_it_has_no_monitor(person: Person) -> None:
    person.starts("&")
    eventually(lambda: "no monitor: the job runs in the background" in person.screen(), "the reason")
    eventually(lambda: person.screen().count("ends") == 3, "the ranks' ends")
    person.sees_a_clean_terminal()


@pytest.mark.parametrize("victim", ["monitor", "client", "mpirun"])
def test_kill_9_leaves_a_clean_terminal(person: Person, victim: str) -> None:
    person.starts()
    person.sees_the_monitor()
    pid = {"monitor": lambda: person.pid(2), "client": lambda: person.pid(1), "mpirun": person.launcher}[
        victim
    ]()
    os.kill(pid, signal.SIGKILL)
    person.sees_a_clean_terminal()
