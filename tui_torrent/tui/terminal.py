"""The terminal where `mpirun` was started, as seen from inside a rank.

An MPI launcher gives its ranks pipes, or ptys of its own, and a process group or session of their
own. None of these is the terminal a person looks at. It is found by walking up /proc, and it is
opened by its path. The rules kept here:

- Nothing imports textual, rich or mpi4py: rank 0 forwards keys and draws nothing.
- A terminal is never opened in a way that makes it our controlling terminal, and nothing here may
  be stopped by SIGTTIN or SIGTTOU: a rank is always in a background process group.
- Whoever changes the terminal holds a `Guardian`, which puts it right after any kind of death.

Linux only, by nature. Elsewhere `find_terminal` says why there is none.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mpi_core.protocol.errors import reason
from mpi_core.runtime.ancestry import Process, ancestry
from mpi_core.runtime.launcher import find_launcher

#: Seconds between two looks at a stop flag, at the keys, or at the window's size.
POLL = 0.1

_DEV_TTY = os.makedev(5, 0)

#: Undoes all that a Textual driver asks of a terminal, in an order that is harmless if it asked for
#: nothing: synchronized output, mouse, focus, paste, in-band resize, line wrap, the kitty keyboard
#: (before the alternate screen is left: each screen has its own stack), colours, screen, cursor. The
#: screen is cleared first for terminals without an alternate one, such as the Linux console.
RESET = (
    "\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l"
    "\x1b[?2004l\x1b[?2048l\x1b[?7h\x1b[<u\x1b[0m\x1b[H\x1b[2J\x1b[?1049l\x1b[?25h"
)
#: The Linux console: old kernels would print the end of a private sequence they do not know.
RESET_LINUX = RESET.replace("\x1b[<u", "")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal that a person sees, and whether someone else reads its keys.

    `path` is the device, such as /dev/pts/3. `launcher_reads` is true if fd 0 of the launcher is
    this terminal: then the launcher takes keys away from any other reader, and hands them to rank 0.
    """

    path: str
    launcher_reads: bool


# ---------------------------------------------------------------------------------------- finding


def _has_open(pid: int | str, fd: int, tty: int) -> bool:
    """Whether a process's file descriptor is the given terminal."""
    try:
        status = os.stat(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev in (tty, _DEV_TTY)


def _device(tty: int, holders: list[Process]) -> str | None:
    """The path of a terminal's device, or None if it has no name here (another mount namespace)."""
    major, minor = os.major(tty), os.minor(tty)
    names = [f"/dev/pts/{(major - 136) * 256 + minor}"]
    with suppress(OSError), open(f"/sys/dev/char/{major}:{minor}/uevent", encoding="utf-8") as file:
        names += ["/dev/" + line[8:].strip() for line in file if line.startswith("DEVNAME=")]
    for holder in holders:
        for fd in range(3):
            with suppress(OSError):
                names.append(os.readlink(f"/proc/{holder.pid}/fd/{fd}"))
    for name in names:
        with suppress(OSError):
            if os.stat(name).st_rdev == tty:
                return name
    return None


def _launcher(holders: list[Process]) -> Process:
    """The lowest of the processes on a terminal that stands for the whole job.

    Open MPI leaves its ranks the controlling terminal, in a group of their own that is always in the
    background, so the rank itself does not count. Nor does all that is above: the shell of a
    background job is in the foreground.
    """
    first = holders[0]
    is_rank = find_launcher() is not None
    if is_rank and first.pid == os.getpid() and not any(_has_open("self", fd, first.tty) for fd in range(3)):
        above = [process for process in holders if process.group != first.group]
        return above[0] if above else first
    return first


def find_terminal() -> Terminal | str:
    """The terminal this job was started from, or one short sentence that says why there is none."""
    if not os.path.exists("/proc/self/stat"):
        return "a launcher's terminal can only be found on Linux"
    processes = list(ancestry())
    tty = next((process.tty for process in processes if process.tty), 0)
    if not tty:
        return "the job was not started from a terminal on this host"
    term = os.environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return f"the terminal cannot place text (TERM is {term or 'not set'})"
    holders = [process for process in processes if process.tty == tty]
    launcher = _launcher(holders)
    if launcher.group != launcher.foreground:
        return "the job runs in the background"
    path = _device(tty, holders)
    if path is None:
        return "the job's terminal has no name on this host"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError as error:
        return f"{path} cannot be opened ({reason(error).lower()})"
    reads = launcher.pid != os.getpid() and _has_open(launcher.pid, 0, tty)
    return Terminal(path, reads)


def own_terminal() -> Terminal:
    """The terminal that this process's standard input is, where it is one; OSError else.

    /dev/tty is preferred: after `su`, the device itself may not be opened.
    """
    name = os.ttyname(0)
    with suppress(OSError):
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            if os.ttyname(fd) == name:
                name = "/dev/tty"
        finally:
            os.close(fd)
    return Terminal(name, launcher_reads=False)


# ---------------------------------------------------------------------------------- using a terminal


@contextmanager
def _not_stopped() -> Iterator[None]:
    """Within it, the kernel lets this thread use a terminal from the background, or says EIO."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN, signal.SIGTTOU))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def open_terminal(terminal: Terminal) -> int:
    """A new file descriptor of the terminal, for reading and writing.

    A controlling terminal cannot be read from the background, but any other terminal can: so a rank
    in a background group gives it up. A session's leader never does, for that would end its session.
    """
    fd = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    with suppress(OSError):  # ENOTTY: it is not our controlling terminal, there is nothing to give up
        if os.tcgetpgrp(fd) != os.getpgrp() and os.getsid(0) != os.getpid():
            fcntl.ioctl(fd, termios.TIOCNOTTY)
    return fd


def window_size(fd: int) -> tuple[int, int]:
    """Columns and rows of a terminal; 80 by 24 if it does not know. OSError once it has hung up.

    To be polled: SIGWINCH goes to the foreground process group, and no rank is in that.
    """
    columns, rows = os.get_terminal_size(fd)
    return (columns or 80, rows or 24)


def get_attributes(fd: int) -> list[Any]:
    """The terminal's settings, as `termios.tcgetattr` gives them. OSError once it has hung up."""
    try:
        return termios.tcgetattr(fd)
    except termios.error as error:  # an OSError in all but name
        raise OSError(*error.args) from error


def set_attributes(fd: int, attributes: list[Any]) -> None:
    """Change the terminal's settings, from the background too. OSError once it has hung up."""
    with _not_stopped():
        try:
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
        except termios.error as error:
            raise OSError(*error.args) from error


def raw_attributes(attributes: list[Any]) -> list[Any]:
    """The settings under which each key arrives at once, as it is, and unechoed.

    Output stays as it was. No key makes a signal: it would go to the launcher, and end the job.
    """
    raw = list(attributes)
    raw[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    raw[6] = list(raw[6])
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    return raw


def restore_attributes(fd: int, before: list[Any]) -> None:
    """Undo `raw_attributes`, if it is still in force. Says nothing if the terminal has hung up.

    Only ours turn off the signals of keys. If they are on, the launcher was killed, and the shell has
    its line editor on the terminal again: that would not bear other settings than its own.
    """
    with suppress(OSError):
        if not get_attributes(fd)[3] & termios.ISIG:
            set_attributes(fd, before)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, from the background too; say nothing if the terminal has hung up."""
    with suppress(OSError), _not_stopped():
        while data:
            data = data[os.write(fd, data) :]


# ------------------------------------------------------------------------------------ keys by rank 0


def must_forward(terminal: Terminal) -> bool:
    """On rank 0: whether the monitor gets its keys only if this rank forwards its standard input.

    `terminal` is what the *monitor* found. False if the launcher does not read that terminal, or has
    nothing to hand on: then the monitor reads the terminal itself. Both must be asked, as Open MPI 5
    gives rank 0 no end of file for `mpirun </dev/null`.
    """
    return terminal.launcher_reads and not _at_end(0)


def _at_end(fd: int) -> bool:
    """Whether reading would give end of file, found without taking a byte. Never blocks."""
    try:
        status = os.fstat(fd)
    except OSError:
        return True  # closed
    if stat.S_ISCHR(status.st_mode) and not os.isatty(fd):
        return True  # /dev/null
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    if not poller.poll(0):
        return False  # nothing to read *yet*
    try:
        waiting = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
    except OSError:
        return True
    return int.from_bytes(waiting, sys.byteorder) == 0


def forward_keys(send: Callable[[bytes], None], stop: threading.Event) -> None:
    """On rank 0, in a thread: hand standard input to `send`, until `stop` is set or the input ends.

    An empty chunk is sent last, and only if the input ended: it bids the monitor read the terminal
    itself. An exception of `send` ends the loop and is the caller's. Notices `stop` within `POLL`.
    """
    poller = select.poll()
    poller.register(0, select.POLLIN)
    with _not_stopped():
        while not stop.is_set():
            try:
                if not poller.poll(int(POLL * 1000)):
                    continue
                chunk = os.read(0, 4096)
            except BlockingIOError:
                continue
            except OSError:  # EIO: a terminal that is not ours to read; EBADF: closed
                chunk = b""
            send(chunk)
            if not chunk:
                return


# ------------------------------------------------------------------------------------ leaving it clean


#: $1: the settings as `stty -g` writes them, $2: what to write. A line on standard input means that
#: all is well; its end means that the monitor is dead. As `restore_attributes` does, it looks first.
_GUARDIAN = """\
trap '' HUP INT QUIT TERM PIPE TSTP TTIN TTOU
read -r word && exit
exec <&1
case $(stty -a) in *-isig*) stty "$1" || stty sane ;; esac
printf %s "$2"
"""


class Guardian:
    """While entered, the terminal will be as it was before, however this process ends.

    A small shell in a session of its own (so that no launcher's kill reaches it) holds the read end of
    a pipe. If the pipe closes without a word, then this process was killed, and the shell restores the
    terminal. On leaving in the regular way the shell is sent home, and the settings are restored here;
    on leaving by an exception, the screen too.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._reset = RESET_LINUX if os.environ.get("TERM") == "linux" else RESET

    def __enter__(self) -> Guardian:
        with ExitStack() as undo:
            self._fd = os.open(self._terminal.path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            undo.callback(os.close, self._fd)
            self._before = get_attributes(self._fd)
            reading, self._pipe = os.pipe()
            undo.callback(os.close, self._pipe)
            try:
                # Its three streams are none of ours: a launcher waits for the end of those.
                self._shell = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARDIAN, "guardian", stty_settings(self._before), self._reset],
                    stdin=reading,
                    stdout=self._fd,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                )
            finally:
                os.close(reading)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            write_all(self._fd, self._reset.encode())
        restore_attributes(self._fd, self._before)
        # Only now: until here a kill would still find the guardian awake.
        with suppress(OSError):
            os.write(self._pipe, b"ok\n")
        os.close(self._pipe)
        os.close(self._fd)
        with suppress(subprocess.TimeoutExpired):
            self._shell.wait(2)


def stty_settings(attributes: list[Any]) -> str:
    """Settings in the form that `stty -g` prints and `stty` takes."""
    flags = [format(flag, "x") for flag in attributes[:4]]
    codes = [format(code if isinstance(code, int) else ord(code), "x") for code in attributes[6]]
    return ":".join(flags + codes)


def redirect_output(path: str | os.PathLike[str]) -> Callable[[], None]:
    """Point fds 1 and 2 at the end of a log file, and give back the function that undoes it.

    For every rank, as long as the monitor draws: the launcher puts all that a rank prints on the very
    screen that the monitor draws on. Undoing it twice does no harm.
    """

    def flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()

    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    flush()
    saved = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (1, 2)}
    for fd in saved:
        os.dup2(log, fd)
    os.close(log)

    def restore() -> None:
        flush()
        while saved:
            fd, before = saved.popitem()
            os.dup2(before, fd)
            os.close(before)

    return restore
