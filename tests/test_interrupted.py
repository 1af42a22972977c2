"""A run that is ended from outside: no tracebacks, no ranks that live on, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.mpirun import REPOSITORY, flavour, mpirun, needs_mpirun, needs_proc, started

pytestmark = [pytest.mark.mpirun, needs_mpirun, needs_proc, pytest.mark.timeout(60)]


LEFT = """
import os, signal, sys
from tui_torrent.cli import main
code = main(sys.argv[1:])
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGINT)
sys.exit(code)
"""


def test_nothing_interrupts_a_rank_that_has_left(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("nonsense")
    run = mpirun(2, tmp_path / "s.toml", program=("-c", LEFT))
    assert run.code == 2
    assert "s.toml" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_removes_what_the_run_made(how: signal.Signals, tmp_path: Path) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": str(tmp_path)}
    with started(5, "--out", out, "--serve-tcp", environment=environment) as job:
        job.begins()
        assert len(list((tmp_path / "tui_torrent").iterdir())) == 1
        os.kill(job.process.pid, how)
        run = job.wait(15)
    assert run.code != 0
    assert "Traceback" not in run.stdout + run.stderr
    assert [path.name for path in temporary.glob("tui_torrent-*")] == []
    assert list(out.rglob("*.part")) == []
    assert list((tmp_path / "tui_torrent").iterdir()) == []


@pytest.mark.parametrize("wait", [0.1, 0.2, 0.3, 0.4])
def test_ctrl_c_at_the_start_ends_every_rank(wait: float, tmp_path: Path) -> None:
    with started(5, cwd=tmp_path, environment={"TMPDIR": str(tmp_path)}) as job:
        time.sleep(wait)
        os.kill(job.process.pid, signal.SIGINT)
        job.wait(15)
    assert list(tmp_path.glob("tui_torrent-*")) == []


#: Runs the package with a ctrl+c in a callback that swallows exceptions, as the import system has them.
SWALLOWING = """
import runpy, signal, sys, weakref

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "tui_torrent.cli":
            passing = set()
            callback = weakref.ref(passing, lambda _: signal.raise_signal(signal.SIGINT))
            del passing

sys.meta_path.insert(0, Finder())
sys.argv = ["tui_torrent"]
runpy.run_module("tui_torrent", run_name="__main__")
"""


def test_no_ctrl_c_is_lost_while_a_rank_starts() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SWALLOWING], cwd=REPOSITORY, capture_output=True, text=True, timeout=20
    )
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGINT, "", "")


def test_the_ranks_do_not_outlive_mpirun(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with started(5, "--out", tmp_path / "out", environment={"TMPDIR": str(temporary)}) as job:
        job.begins()
        assert sorted(job.ranks()) == [0, 1, 2, 3, 4]
        os.kill(job.process.pid, signal.SIGKILL)
        run = job.wait(15)  # which sees that no process is left
    assert run.code == -signal.SIGKILL
    if flavour() == "openmpi":
        # MPICH kills the ranks outright; these notice themselves, and tidy up.
        assert list(temporary.glob("tui_torrent-*")) == []
