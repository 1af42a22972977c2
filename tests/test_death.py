"""A rank that is killed where the launcher lets the others live on: they finish, and the report names it.

So it is under Open MPI's ULFM, and under srun.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.mpirun import Run, flavour, missing, needs_mpirun, started
from tests.helpers.slurm import Cluster, cluster, needs_slurm

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(150)]

needs_ulfm = pytest.mark.skipif(
    missing() is None and flavour() != "openmpi",
    reason="needs Open MPI: the mpirun of MPICH ends the run when a rank is killed",
)
needs_mpich = pytest.mark.skipif(
    missing() is None and flavour() != "mpich",
    reason="needs MPICH: Open MPI does not start under srun's PMI-2",
)

MIB = 1024 * 1024


def killed(
    victim: int,
    scenario: Path,
    folder: Path,
    after: float = 0.5,
    *,
    how: signal.Signals = signal.SIGKILL,
    monitored: bool = False,
    slurm: Cluster | None = None,
) -> tuple[Run, dict[str, Any]]:
    """The run and its report; the rank gets the signal when segments have moved for so many seconds."""
    report = folder / "report.json"
    options = ("--out", folder / "out", "--report", report, "--request-timeout", "1")
    ranks = scenario.read_text().count("[[client]]") + 1 + monitored
    with started(
        ranks,
        scenario,
        *options,
        *(["--monitor"] if monitored else []),
        flags=("--with-ft", "ulfm"),
        launcher=None if slurm is None else slurm.launcher(ranks),
        environment={} if slurm is None else slurm.environment,
    ) as job:
        job.begins()
        time.sleep(after)
        os.kill(job.ranks()[victim], how)
        run = job.wait(75)
    assert "Traceback" not in run.stderr
    return run, json.loads(report.read_bytes())


def test_the_end_is_waited_for_longer_than_it_takes_to_know_that_a_rank_is_lost() -> None:
    """Rank 0 needs that long after a rank was killed just before the end. If the others waited for less time,
    they would leave with 3."""
    words = """
import mpi4py
mpi4py.rc.initialize = False
from mpi_core.runtime.mpi.pulse import BEAT, LOST_AFTER
from tui_torrent.feed import LAST_WORDS
from tui_torrent.launch import AGREEMENT
assert AGREEMENT > BEAT + LOST_AFTER + LAST_WORDS, AGREEMENT
"""
    tried = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60)
    assert tried.returncode == 0, tried.stderr


def has_all(folder: Path, rank: int) -> None:
    for name in ("big.bin", "small.bin"):
        copy = folder / "out" / f"client{rank}" / name
        assert copy.read_bytes() == (folder / name).read_bytes()


def shared(folder: Path, *tables: str) -> Path:
    """A scenario with two files, in which uploads take their time."""
    (folder / "big.bin").write_bytes(os.urandom(6 * MIB))
    (folder / "small.bin").write_bytes(os.urandom(MIB))
    scenario = folder / "swarm.toml"
    scenario.write_text("\n".join(f'[[client]]\nrate = "2 MiB/s"\n{table}' for table in tables))
    return scenario


@needs_ulfm
def test_the_others_finish_without_a_client_that_was_fetching(tmp_path: Path) -> None:
    want = 'want = ["*.bin"]'
    run, report = killed(3, shared(tmp_path, 'share = ["*.bin"]', want, want, want), tmp_path)
    assert run.code == 1, run
    assert report["outcome"] == "incomplete"
    assert [client["lost"] for client in report["clients"]] == [None, None, "its process ended", None]
    for rank in (2, 4):
        assert all(file["complete"] for file in report["clients"][rank - 1]["files"])
        has_all(tmp_path, rank)
    assert [finding for finding in report["conformance"] if finding["holds"] is False] == []


@needs_ulfm
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


WANT = 'want = ["*.bin"]'


@needs_ulfm
def test_without_the_tracker_the_clients_finish_from_one_another(tmp_path: Path) -> None:
    run, report = killed(0, shared(tmp_path, 'share = ["*.bin"]', WANT, WANT, WANT), tmp_path)
    for rank in (2, 3, 4):
        has_all(tmp_path, rank)
    assert report["outcome"] == "interrupted"
    assert run.seconds < 40


@needs_ulfm
def test_the_death_of_the_monitor_ends_nobody(tmp_path: Path) -> None:
    scenario = shared(tmp_path, 'share = ["*.bin"]', WANT, WANT)
    run, report = killed(4, scenario, tmp_path, monitored=True)
    for rank in (2, 3):
        has_all(tmp_path, rank)
    assert report["outcome"] == "interrupted"
    assert run.seconds < 40


@pytest.fixture(scope="module")
def slurm() -> Iterator[Cluster]:
    with cluster() as four_nodes:
        yield four_nodes


@needs_mpich
@needs_slurm
@pytest.mark.parametrize("victim", [0, 3])
def test_under_srun_the_others_finish(victim: int, tmp_path: Path, slurm: Cluster) -> None:
    scenario = shared(tmp_path, 'share = ["*.bin"]', WANT, WANT, WANT)
    run, report = killed(victim, scenario, tmp_path, slurm=slurm)
    assert run.code == 137, run
    for rank in {2, 3, 4} - {victim}:
        has_all(tmp_path, rank)
    if victim:
        assert report["outcome"] == "incomplete"
        assert report["clients"][victim - 1]["lost"] == "silent for 28 s"
    else:
        assert report["outcome"] == "interrupted"
    assert run.seconds < 50


@needs_mpich
@needs_slurm
@pytest.mark.parametrize("after", [0.5, 2.5])
def test_under_srun_a_client_that_is_terminated_says_so_and_the_others_go_on(
    after: float, tmp_path: Path, slurm: Cluster
) -> None:
    """Also where it hears, before it leaves, how the others' run has ended."""
    scenario = shared(tmp_path, 'share = ["*.bin"]', WANT, WANT, WANT)
    run, report = killed(3, scenario, tmp_path, after, how=signal.SIGTERM, slurm=slurm)
    assert run.code == 143, run
    assert report["clients"][2]["lost"] == "left on SIGTERM"
    for rank in (2, 4):
        has_all(tmp_path, rank)
    assert list((tmp_path / "out" / "client3").rglob("*.part")) == []
    assert run.seconds < 30


@needs_mpich
@needs_slurm
def test_a_job_that_is_cancelled_leaves_one_line_and_a_report(tmp_path: Path, slurm: Cluster) -> None:
    scenario = shared(tmp_path, 'share = ["*.bin"]', WANT, WANT, WANT)
    report = tmp_path / "report.json"
    with started(
        5,
        scenario,
        "--out",
        tmp_path / "out",
        "--report",
        report,
        launcher=slurm.launcher(5),
        environment=slurm.environment,
    ) as job:
        job.begins()
        slurm.cancel_all()
        run = job.wait(30)
    assert run.code == 143, run
    ours = [line for line in run.complaints if line.startswith("tui_torrent: ")]
    assert ours == ["tui_torrent: interrupted by SIGTERM"]
    assert json.loads(report.read_bytes())["outcome"] == "interrupted"
