"""The monitor's terminal under a real mpirun: every key arrives, and the terminal is left as it was.

terminal_probe.py, run with three ranks, notes what it is told.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.helpers.mpirun import MARKER, REPOSITORY
from tests.helpers.person import eventually, needs_terminal, person

PROBE = Path(__file__).parent / "helpers" / "terminal_probe.py"

# Every wait here has a limit of its own; together they stay below pytest's timeout.
pytestmark = [pytest.mark.mpirun, needs_terminal]

#: As tmux names them, and as Textual does. Escape must be followed by a pause, else it makes alt+x.
KEYS = "a b Up Down Enter C-c Left F5 Tab Escape x é PageUp q".split()  # noqa: SIM905
NAMES = "a b up down enter ctrl+c left f5 tab escape x é pageup q".split()  # noqa: SIM905


@pytest.mark.alike
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_replay_that_is_ended_from_outside_leaves_a_clean_terminal(how: signal.Signals) -> None:
    journal = REPOSITORY / "demo" / "journals" / "demo.jsonl.zst"
    with person() as somebody:
        somebody.types(
            f"{MARKER}={somebody.marker} {sys.executable} -m tui_torrent replay {journal}; echo code $?"
        )
        somebody.sees("overview")
        (pid,) = somebody.processes()
        os.kill(pid, how)
        somebody.sees(f"code {128 + how}")
        somebody.sees_a_clean_terminal()


@pytest.mark.parametrize(("suffix", "mode"), [("", "forwarded True"), ("</dev/null", "forwarded False")])
def test_all_keys_arrive_and_the_terminal_is_restored(tmp_path: Path, suffix: str, mode: str) -> None:
    def noted(name: str) -> list[str]:
        return (tmp_path / name).read_text().split("\n")[:-1]

    with person() as somebody:
        somebody.runs(3, f"{PROBE} {tmp_path} {suffix}")
        somebody.sees("probe 80x24 äöü ▁▂▃")
        assert somebody.draws
        assert noted("mode") == [mode]
        somebody.resize(100, 30)
        somebody.sees("probe 100x30")
        somebody.press(*KEYS)
        somebody.sees_a_clean_terminal()
        assert noted("keys") == NAMES
        assert "must not reach" not in somebody.screen()
        assert noted("output.2") == ["this must not reach the screen"]


def test_a_background_job_says_why_it_has_no_monitor(tmp_path: Path) -> None:
    with person() as somebody:
        somebody.runs(3, f"{PROBE} {tmp_path} &")
        somebody.sees("no monitor: the job runs in the background")
        eventually(lambda: somebody.screen().count("ends") == 3, "the ranks' ends")
        somebody.sees_a_clean_terminal()
