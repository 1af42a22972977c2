"""The live monitor as a whole, in a real terminal: it bears resizes, and leaves the terminal as it was.

Each test starts the demo, or the classic example, under mpirun, and kills one kind of process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.mpirun import REPOSITORY, flavour
from tests.helpers.person import Person, needs_terminal, person
from tests.helpers.pty_screen import eventually

pytestmark = [pytest.mark.mpirun, needs_terminal]

#: The tracker is 0, the monitor the last one.
RANKS = 4
TRACKER, CLIENT, MONITOR = 0, 1, RANKS - 1


def monitored(somebody: Person, suffix: str = "") -> None:
    somebody.runs(RANKS, f"-m tui_torrent --monitor {suffix}")
    somebody.sees(" downloading ")
    assert somebody.draws


def clock(somebody: Person) -> str:
    """The run's time, as the monitor's bar has it."""
    found = re.search(r"running\s+([0-9.]+) s", somebody.screen())
    return found[1] if found else ""


def is_alive_and_fills(somebody: Person, columns: int, rows: int) -> None:
    """The bar is as wide as the window, the tabs are its last line, time goes on, and a key is answered."""

    def fits() -> bool:
        lines = somebody.screen().split("\n")[:-1]
        bar = re.search(r"running +[0-9.]+ s $", lines[0].ljust(columns)[:columns])
        return len(lines) == rows and bool(bar) and "1 overview" in lines[-1] and "q leave" in lines[-1]

    eventually(fits, f"a screen laid out for {columns}×{rows}", 5)
    before = clock(somebody)
    eventually(lambda: clock(somebody) != before, "the next frame", 5)
    somebody.press("5")
    somebody.sees("[5 tracker]")
    somebody.press("1")
    somebody.sees("[1 overview]")


def nothing_is_left(somebody: Person) -> None:
    somebody.sees_a_clean_terminal()
    eventually(lambda: not somebody.processes(), "the end of all processes", 10)


def test_a_storm_of_resizes_and_then_the_death_of_the_monitor() -> None:
    with person() as somebody:
        monitored(somebody)
        began = time.monotonic()
        for step in range(40):
            somebody.resize(60 + 7 * step % 90, 12 + 5 * step % 30)
        somebody.resize(101, 31)
        assert time.monotonic() - began < 8
        is_alive_and_fills(somebody, 101, 31)
        os.kill(somebody.pid(MONITOR), signal.SIGKILL)
        nothing_is_left(somebody)


def is_plain_ascii(somebody: Person) -> None:
    """The console's own 16 colours, and no glyph that its font lacks."""
    assert somebody.screen().isascii()
    assert {"32", "94"} <= colours(somebody) <= {str(code) for code in (*range(30, 50), *range(90, 108))}


def is_without_colour(somebody: Person) -> None:
    assert colours(somebody) <= {"39", "49"}


def is_colourful(somebody: Person) -> None:
    assert "38;5" in somebody.screen("-e")


def colours(somebody: Person) -> set[str]:
    """The codes on the screen that set a colour."""
    codes = re.findall(r"\x1b\[([0-9;]*)m", somebody.screen("-e"))
    return {code for sequence in codes for code in sequence.split(";") if len(code) > 1}


@pytest.mark.parametrize(
    ("victim", "suffix", "environment", "looks_right"),
    [
        ("tracker", "", {"NO_COLOR": "1"}, is_without_colour),
        ("client", "</dev/null", {"TERM": "xterm-256color"}, is_colourful),
        ("mpirun", "", {"TERM": "linux"}, is_plain_ascii),
    ],
)
def test_the_death_of(
    victim: str, suffix: str, environment: dict[str, str], looks_right: Callable[[Person], None]
) -> None:
    with person(**environment) as somebody:
        monitored(somebody, suffix)
        somebody.press("2")
        somebody.sees("[2 client]")
        looks_right(somebody)
        pids = {"tracker": lambda: somebody.pid(TRACKER), "client": lambda: somebody.pid(CLIENT)}
        os.kill(pids.get(victim, somebody.launcher)(), signal.SIGKILL)
        nothing_is_left(somebody)


def test_a_run_that_is_terminated_leaves_no_files_either(tmp_path: Path) -> None:
    with person(TMPDIR=str(tmp_path)) as somebody:
        monitored(somebody)
        assert list(tmp_path.glob("tui_torrent-*"))
        os.kill(somebody.launcher(), signal.SIGTERM)
        nothing_is_left(somebody)
    assert list(tmp_path.glob("tui_torrent-*")) == []


def test_a_run_whose_monitor_was_left_is_interrupted_as_any_other(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with person(columns=120) as somebody:
        monitored(somebody, f"--report {report}; echo code $?")
        somebody.press("q")
        eventually(
            lambda: not somebody.draws and re.search(r"s\] .* 0/\d+ done", somebody.screen()), "plain lines"
        )
        somebody.press("C-c")
        # Open MPI's mpirun kills its ranks at once.
        somebody.sees("code 130" if flavour() == "mpich" else "code 1")
        assert "TERMINATION" not in somebody.screen()
        if flavour() == "mpich":
            assert "tui_torrent: interrupted by SIGINT" in somebody.screen()
        nothing_is_left(somebody)
    assert json.loads(report.read_bytes())["outcome"] == "interrupted"


def test_in_the_background_it_says_so_and_prints_plain_lines(tmp_path: Path) -> None:
    with person() as somebody:
        somebody.runs(6, f"-m tui_torrent --monitor {REPOSITORY / 'demo' / 'classic'} --out {tmp_path} &")
        somebody.sees("no live monitor: the job runs in the background")
        somebody.sees("complete in ")
        nothing_is_left(somebody)
        assert len(list(tmp_path.iterdir())) == 7


@pytest.mark.parametrize(("term", "what"), [("dumb", "dumb"), ("", "not set")])
def test_where_no_text_can_be_placed_it_says_so_once(term: str, what: str, tmp_path: Path) -> None:
    with person(TERM=term) as somebody:
        somebody.runs(6, f"-m tui_torrent --monitor {REPOSITORY / 'demo' / 'classic'} --out {tmp_path}")
        somebody.sees("complete in ")
        screen = somebody.screen("-J")
        assert screen.count(f"no live monitor: the terminal cannot place text (TERM is {what})") == 1
        assert "Traceback" not in screen
        nothing_is_left(somebody)


def test_a_run_that_is_refused_is_told_in_one_line_and_waits_for_no_key(tmp_path: Path) -> None:
    with person(columns=200) as somebody:
        somebody.runs(RANKS, f"-m tui_torrent --monitor {REPOSITORY / 'demo' / 'classic'} --out {tmp_path}")
        somebody.sees("tui_torrent: ")
        nothing_is_left(somebody)
        told = [line for line in somebody.screen().split("\n") if line.startswith("tui_torrent: ")]
        assert ["mpirun -np 6" in line for line in told] == [True]
