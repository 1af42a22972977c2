"""The terminal from inside a rank, without MPI: ptys stand for the screen, small scripts for mpirun."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tui_torrent.tui.terminal import (
    RESET,
    Guardian,
    Terminal,
    forward_keys,
    get_attributes,
    must_forward,
    open_terminal,
    raw_attributes,
    redirect_output,
    restore_attributes,
    set_attributes,
    stty_settings,
    window_size,
)

pytest.importorskip("pyte")
from tests.helpers.pty_screen import Pty, eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and ptys as Linux has them")

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(HERE.parent)}
for _name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "TEXTUAL_DRIVER", "NO_COLOR"):
    ENVIRONMENT.pop(_name, None)


@pytest.fixture
def screen() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.close()


class Probe:
    """The tiny monitor of terminal_probe.py, on a pty, in a session without a terminal of its own."""

    def __init__(self, screen: Pty, folder: Path, source: str = "own", term: str = "xterm-256color") -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "helpers" / "terminal_probe.py"), str(folder), screen.path, source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, "TERM": term},
            start_new_session=True,
        )
        eventually(lambda: "probe 80x24" in screen.screen(), "the first frame")

    def keys(self) -> list[str]:
        path = self.folder / "keys"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def ends(self) -> int:
        """Waits for the end, and gives the exit code. Nothing may have been printed."""
        assert self.process.wait(10) is not None
        assert self.process.stdout is not None
        assert self.process.stdout.read() == b""
        return self.process.returncode


@pytest.fixture
def start(screen: Pty, tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    started: list[Probe] = []

    def start(*source: str, **more: str) -> Probe:
        started.append(Probe(screen, tmp_path, *source, **more))
        return started[-1]

    yield start
    for probe in started:
        probe.process.kill()
        probe.process.wait()
        for pipe in (probe.process.stdin, probe.process.stdout):
            if pipe:
                pipe.close()


FOURTEEN = [b"a", b"b", b"\x1b[A", b"\x1b[B", b"\r", b"\x03", b"\x1b[D", b"\x1b[15~", b"\t", b"\x1b", b"x"]
FOURTEEN += ["é".encode(), b"\x1b[5~", b"q"]
NAMES = ["a", "b", "up", "down", "enter", "ctrl+c", "left", "f5", "tab", "escape", "x", "é", "pageup", "q"]


# ------------------------------------------------------------------------------------- the whole way


@pytest.mark.parametrize("source", ["own", "stdin"])
def test_all_keys_arrive_and_the_terminal_is_restored(
    screen: Pty, start: Callable[..., Probe], source: str
) -> None:
    before = screen.settings()
    probe = start(source)
    assert "äöü ▁▂▃" in screen.screen()
    assert {1049, 1000, 1006, 2004, -25} <= screen.modes()
    assert screen.settings() == raw_attributes(before)
    assert probe.process.stdin is not None
    for key in FOURTEEN:
        if source == "own":
            screen.type(key)
        else:
            probe.process.stdin.write(key)
            probe.process.stdin.flush()
        time.sleep(0.3 if key == b"\x1b" else 0.02)  # else escape and x are alt+x
    assert probe.ends() == 0
    assert probe.keys() == NAMES
    eventually(lambda: not screen.modes(), "the modes' end")
    assert screen.settings() == before


def test_mouse_and_paste_arrive(screen: Pty, start: Callable[..., Probe]) -> None:
    probe = start()
    screen.type(b"\x1b[<0;6;3M\x1b[<0;6;3m")
    screen.type(b"\x1b[200~two words\x1b[201~")
    eventually(lambda: len(probe.keys()) == 2, "click and paste")
    assert probe.keys() == ["click 5,2", "paste two words"]


def test_a_resize_is_noticed_without_a_signal(screen: Pty, start: Callable[..., Probe]) -> None:
    start()
    screen.resize(100, 30)
    eventually(lambda: "probe 100x30" in screen.screen(), "the new size", 2)


def test_the_terminal_is_read_once_forwarding_ends(screen: Pty, start: Callable[..., Probe]) -> None:
    probe = start("stdin")
    assert probe.process.stdin is not None
    probe.process.stdin.write(b"a")
    probe.process.stdin.flush()
    eventually(lambda: probe.keys() == ["a"], "the forwarded key")
    probe.process.stdin.close()
    probe.process.stdin = None
    time.sleep(0.3)
    screen.type(b"bq")
    assert probe.ends() == 0
    assert probe.keys() == ["a", "b", "q"]


def test_kill_9_leaves_a_clean_terminal(screen: Pty, start: Callable[..., Probe]) -> None:
    before = screen.settings()
    probe = start()
    assert screen.settings() != before
    probe.process.kill()
    eventually(lambda: screen.settings() == before, "the settings", 3)
    eventually(lambda: not screen.modes(), "the modes' end", 3)
    assert screen.drawn.endswith(RESET.encode())


def test_the_linux_console_gets_nothing_it_would_print(screen: Pty, start: Callable[..., Probe]) -> None:
    probe = start(term="linux")
    screen.type(b"q")
    assert probe.ends() == 0
    eventually(lambda: not screen.modes(), "the modes' end")
    assert not re.search(rb"\x1b\[[<>]|\$p", screen.drawn)


def test_a_closed_window_ends_the_app(screen: Pty, start: Callable[..., Probe]) -> None:
    probe = start()
    screen.close()
    assert probe.ends() == 129


# -------------------------------------------------------------------------------- finding the terminal

RANK = """
import sys
from tui_torrent.tui.terminal import find_terminal
found = repr(find_terminal())
open(sys.argv[1] + ".new", "w").write(found)
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""
#: As MPICH's proxy does (a session for each rank) and as Open MPI does (a group for each).
LAUNCHER = """
import os, subprocess, sys
style, rank, answer = sys.argv[1:]
marks = {"PMI_RANK": "0", "PMI_SIZE": "1"} if style == "mpich" else {"PMIX_RANK": "0"}
subprocess.run(
    [sys.executable, "-c", rank, answer], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, env=os.environ | marks,
    start_new_session=style == "mpich", preexec_fn=os.setpgrp if style == "ompi" else None)
"""


def found_under(screen: Pty, style: str, job: str, answer: Path, term: str = "xterm") -> str:
    """What a rank finds whose launcher a shell with job control started on that terminal."""

    def take_terminal() -> None:
        fcntl.ioctl(screen.slave, termios.TIOCSCTTY, 0)

    environment = {**ENVIRONMENT, "TERM": term, "LAUNCHER": LAUNCHER, "RANK": RANK}
    launch = f'{sys.executable} -c "$LAUNCHER" {style} "$RANK" {answer}'
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f"set -m; {job.format(launch)}\nwhile [ ! -e {answer} ]; do sleep 0.1; done"],
        stdin=screen.slave,
        stdout=screen.slave,
        stderr=screen.slave,
        env=environment,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    try:
        shell.wait(15)
    finally:
        shell.kill()
        shell.wait()
    return answer.read_text()


@pytest.mark.parametrize("style", ["mpich", "ompi"])
@pytest.mark.parametrize(
    ("job", "reads"),
    [("{}", True), ("{} </dev/null", False), ("{} >/dev/null 2>&1", True), ("(cd /; {})", True)],
)
def test_the_terminal_of_a_foreground_job(
    screen: Pty, tmp_path: Path, style: str, job: str, reads: bool
) -> None:
    assert found_under(screen, style, job, tmp_path / "answer") == repr(Terminal(screen.path, reads))


@pytest.mark.parametrize("style", ["mpich", "ompi"])
@pytest.mark.parametrize("job", ["{} &", "{} </dev/null >/dev/null 2>&1 &"])
def test_a_background_job_has_none_though_its_shell_has(
    screen: Pty, tmp_path: Path, style: str, job: str
) -> None:
    assert found_under(screen, style, job, tmp_path / "answer") == "'the job runs in the background'"


@pytest.mark.parametrize(("term", "reason"), [("dumb", "TERM is dumb"), ("", "TERM is not set")])
def test_a_terminal_that_cannot_place_text(screen: Pty, tmp_path: Path, term: str, reason: str) -> None:
    assert reason in found_under(screen, "mpich", "{}", tmp_path / "answer", term)


def test_a_job_without_any_terminal(tmp_path: Path) -> None:
    orphan = f"""
import os, sys, time
sys.argv = ["", {str(tmp_path / "answer")!r}]
os.setsid()
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    exec({RANK!r})
"""
    subprocess.run([sys.executable, "-c", orphan], env=ENVIRONMENT, timeout=10, check=True)
    eventually((tmp_path / "answer").exists, "the orphan's answer")
    answer = (tmp_path / "answer").read_text()
    if "Terminal(" in answer or "background" in answer:
        pytest.skip("orphans here are adopted by a process with a terminal")
    assert answer == "'the job was not started from a terminal on this host'"


def test_rank_0_need_not_import_what_draws() -> None:
    check = "import sys, tui_torrent.tui.terminal as t; print({'textual', 'rich', 'mpi4py'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", check], env=ENVIRONMENT, capture_output=True, text=True, timeout=10, check=True
    )
    assert run.stdout == "set()\n"


# ---------------------------------------------------------------------------------------- keys by rank 0


@pytest.fixture
def stdin() -> Iterator[Callable[[int], None]]:
    """Lets a test put another file in place of fd 0."""
    saved = os.dup(0)

    def replace(fd: int) -> None:
        os.dup2(fd, 0)
        os.close(fd)

    yield replace
    os.dup2(saved, 0)
    os.close(saved)


def test_rank_0_forwards_only_what_it_gets(stdin: Callable[[int], None]) -> None:
    reading, writing = os.pipe()
    stdin(reading)
    read_by_launcher = Terminal("/dev/pts/0", launcher_reads=True)
    assert must_forward(read_by_launcher)
    assert not must_forward(Terminal("/dev/pts/0", launcher_reads=False))
    os.write(writing, b"a")
    assert must_forward(read_by_launcher)
    os.close(writing)
    assert must_forward(read_by_launcher), "a key still waits"
    assert os.read(0, 10) == b"a", "looking took nothing"
    assert not must_forward(read_by_launcher)
    stdin(os.open(os.devnull, os.O_RDONLY))
    assert not must_forward(read_by_launcher)


def test_an_empty_chunk_tells_the_end_of_input_but_not_a_stop(stdin: Callable[[int], None]) -> None:
    reading, writing = os.pipe()
    stdin(reading)
    sent: list[bytes] = []
    stop = threading.Event()
    thread = threading.Thread(target=forward_keys, args=(sent.append, stop))
    thread.start()
    os.write(writing, b"ab")
    eventually(lambda: sent == [b"ab"], "the keys")
    stop.set()
    thread.join(1)
    assert not thread.is_alive()
    assert sent == [b"ab"]
    os.close(writing)
    forward_keys(sent.append, threading.Event())
    assert sent == [b"ab", b""]


# --------------------------------------------------------------------------------------- leaving it clean


def test_the_guardian_goes_in_peace_and_leaves_nothing(screen: Pty) -> None:
    fds = os.listdir("/proc/self/fd")
    before = screen.settings()
    with Guardian(Terminal(screen.path, False)) as guardian:
        set_attributes(screen.slave, raw_attributes(get_attributes(screen.slave)))
        shell = guardian._shell
        assert os.getsid(shell.pid) == shell.pid
    assert screen.settings() == before
    assert shell.returncode == 0
    assert screen.drawn == b""
    assert os.listdir("/proc/self/fd") == fds


def test_the_guardian_resets_the_screen_after_an_exception(screen: Pty) -> None:
    with pytest.raises(KeyboardInterrupt), Guardian(Terminal(screen.path, False)):
        raise KeyboardInterrupt
    eventually(lambda: screen.drawn == RESET.encode(), "the reset, once")


def test_the_guardian_survives_signals_to_it(screen: Pty, start: Callable[..., Probe]) -> None:
    before = screen.settings()
    probe = start()
    children = Path(f"/proc/{probe.process.pid}/task/{probe.process.pid}/children").read_text().split()
    assert len(children) == 1
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(int(children[0]), number)
    probe.process.kill()
    eventually(lambda: screen.settings() == before and not screen.modes(), "a clean terminal", 3)


def test_a_line_editors_settings_are_let_alone(screen: Pty) -> None:
    before = get_attributes(screen.slave)
    editing = get_attributes(screen.slave)
    editing[3] &= ~(termios.ECHO | termios.ICANON)
    set_attributes(screen.slave, editing)
    restore_attributes(screen.slave, before)
    assert stty_settings(get_attributes(screen.slave)) == stty_settings(editing)
    set_attributes(screen.slave, raw_attributes(before))
    restore_attributes(screen.slave, before)
    assert screen.settings() == before


def test_settings_are_written_as_stty_writes_them(screen: Pty) -> None:
    run = subprocess.run(["stty", "-g"], stdin=screen.slave, capture_output=True, text=True, check=True)
    assert stty_settings(get_attributes(screen.slave)) == run.stdout.strip()


def test_a_size_of_nothing_is_taken_for_80_by_24(screen: Pty) -> None:
    screen.resize(0, 0)
    fd = open_terminal(Terminal(screen.path, False))
    assert window_size(fd) == (80, 24)
    os.close(fd)


def test_output_goes_to_the_log_and_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fds = os.listdir("/proc/self/fd")
    restore = redirect_output(tmp_path / "log")
    os.write(1, b"one\n")
    subprocess.run(["sh", "-c", "echo two >&2"], check=True)
    restore()
    restore()
    os.write(1, b"three\n")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
    assert capfd.readouterr().out == "three\n"
    assert os.listdir("/proc/self/fd") == fds
