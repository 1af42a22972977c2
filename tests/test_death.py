"""A client that is killed where MPI lets the others live on: they finish, and the report names it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.mpirun import Run, flavour, missing, needs_mpirun, started

pytestmark = [
    pytest.mark.mpirun,
    needs_mpirun,
    pytest.mark.skipif(
        missing() is None and flavour() != "openmpi",
        reason="needs Open MPI: the mpirun of MPICH ends the run when a rank is killed",
    ),
    pytest.mark.timeout(90),
]

MIB = 1024 * 1024


def killed(victim: int, scenario: Path, folder: Path, after: float = 0.5) -> tuple[Run, dict[str, Any]]:
    """The run and its report; the rank is killed when segments have moved for so many seconds."""
    report = folder / "report.json"
    options = ("--out", folder / "out", "--report", report, "--request-timeout", "1")
    ranks = scenario.read_text().count("[[client]]") + 1
    with started(ranks, scenario, *options, flags=("--with-ft", "ulfm")) as job:
        job.begins()
        time.sleep(after)
        os.kill(job.ranks()[victim], signal.SIGKILL)
        run = job.wait(45)
    assert "Traceback" not in run.stderr
    return run, json.loads(report.read_bytes())


def shared(folder: Path, *tables: str) -> Path:
    """A scenario with two files, in which uploads take their time."""
    (folder / "big.bin").write_bytes(os.urandom(6 * MIB))
    (folder / "small.bin").write_bytes(os.urandom(MIB))
    scenario = folder / "swarm.toml"
    scenario.write_text("\n".join(f'[[client]]\nrate = "2 MiB/s"\n{table}' for table in tables))
    return scenario


def test_the_others_finish_without_a_client_that_was_fetching(tmp_path: Path) -> None:
    want = 'want = ["*.bin"]'
    run, report = killed(3, shared(tmp_path, 'share = ["*.bin"]', want, want, want), tmp_path)
    assert run.code == 1, run
    assert report["outcome"] == "incomplete"
    assert [client["lost"] for client in report["clients"]] == [None, None, "its process ended", None]
    for rank in (2, 4):
        assert all(file["complete"] for file in report["clients"][rank - 1]["files"])
        for name in ("big.bin", "small.bin"):
            copy = tmp_path / "out" / f"client{rank}" / name
            assert copy.read_bytes() == (tmp_path / name).read_bytes()
    assert [finding for finding in report["conformance"] if finding["holds"] is False] == []


def test_what_only_the_dead_one_held_is_reported_by_name(tmp_path: Path) -> None:
    tables = ('share = ["big.bin"]', 'share = ["small.bin"]', 'want = ["*.bin"]', 'want = ["*.bin"]')
    run, report = killed(1, shared(tmp_path, *tables), tmp_path)
    assert run.code == 1, run
    assert report["clients"][0]["lost"] == "its process ended"
    for client in report["clients"][2:]:
        files = {file["name"]: file for file in client["files"]}
        assert files["small.bin"]["complete"]
        assert files["big.bin"]["unavailable"]
        assert client["finished_at_s"] is not None
