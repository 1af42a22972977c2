"""Ranks whose clocks differ tell times on the tracker's clock, to the error that they measured."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.runtime.journal import read_journal
from tests.helpers.causality import received_before_sent, stamped_before_sent, times_fall
from tests.helpers.mpirun import REPOSITORY, mpirun, needs_mpirun

#: Seconds by which the monotonic clock of each of these ranks is ahead.
AHEAD = {2: 1000, 3: 500_000}

#: The command line; those ranks have a time namespace of their own, as if they ran on other hosts.
ELSEWHERE = f"""
import os, sys
from mpi_core.runtime.launcher import find_launcher
ahead = {AHEAD}.get(find_launcher().rank)
words = [sys.executable, "-m", "tui_torrent", *sys.argv[1:]]
if ahead:
    words = ["unshare", "--time", "--monotonic", str(ahead), *words]
os.execvp(words[0], words)
"""


@cache
def has_time_namespaces() -> bool:
    try:
        tried = subprocess.run(
            ["unshare", "--time", "--monotonic", "9", "true"], capture_output=True, timeout=20
        )
    except OSError:
        return False
    return tried.returncode == 0


@pytest.mark.mpirun
@needs_mpirun
@pytest.mark.skipif(not has_time_namespaces(), reason="needs root and Linux's time namespaces")
def test_clocks_of_other_hosts_are_measured_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    options = ("--out", tmp_path / "out", "--journal", path, "--rate", "3000")
    run = mpirun(5, REPOSITORY / "demo" / "classic", *options, program=("-c", ELSEWHERE))
    assert run.code == 0, run
    events = list(read_journal(path))
    errors = {s.rank: s.event.clock_error for s in events if isinstance(s.event, ev.RankPlaced)}
    assert sorted(errors) == [0, 1, 2, 3, 4]
    for rank, error in errors.items():
        assert (0 < error < 0.25) if rank in AHEAD else error == 0, errors
    assert max(s.t for s in events) < run.seconds
    assert times_fall(events) == []
    assert received_before_sent(events) == []
    assert stamped_before_sent(events) == []
