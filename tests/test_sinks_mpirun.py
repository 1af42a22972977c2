"""Runs and what they are asked to write: a full disk ends a recording alone; refused, nothing is changed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.runtime.journal import read_journal
from tests.helpers.mpirun import REPOSITORY, flavour, mpirun, needs_mpirun, needs_proc, started
from tests.helpers.scenarios import folder_of

pytestmark = [pytest.mark.mpirun, pytest.mark.alike, needs_mpirun, pytest.mark.timeout(60)]

CLASSIC = REPOSITORY / "demo" / "classic"
#: An owner and one who wants, and one who wants what nobody has.
OWNER, WANTER, MISSING = "1\nfile1 2\naa\nbb\n0\n", "0\n1\nfile1\n", "0\n1\nfile2\n"
NO_SPACE = "No space left on device"

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


# A full disk ----------------------------------------------------------------------------------


@needs_full
@pytest.mark.parametrize("option", ["--journal", "--report"])
@pytest.mark.parametrize("monitor", [False, True])
def test_the_files_come_and_the_exit_code_tells(option: str, monitor: bool, tmp_path: Path) -> None:
    more = ("--monitor",) if monitor else ()
    run = mpirun(5 + monitor, CLASSIC, "--out", tmp_path / "out", option, "/dev/full", *more)
    assert run.code == 2, run
    assert run.complaints == [f"tui_torrent: cannot write '/dev/full': {NO_SPACE}"]
    assert "complete in" in run.stdout
    assert len(list((tmp_path / "out").iterdir())) == 7


@needs_full
def test_what_could_not_be_had_weighs_more(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, MISSING)
    run = mpirun(3, scenario, "--out", tmp_path / "out", "--journal", "/dev/full")
    assert run.code == 1, run


@needs_full
def test_viewers_are_no_part_of_the_outcome(tmp_path: Path) -> None:
    program = (
        "import sys, tempfile\n"
        "tempfile.TemporaryFile = lambda prefix: open('/dev/full', 'r+b', buffering=0)\n"
        "from tui_torrent.cli import main\n"
        "sys.exit(main())\n"
    )
    files = ("--out", tmp_path / "out", "--journal", tmp_path / "run.jsonl")
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    run = mpirun(5, CLASSIC, *files, "--serve", environment=runtime, program=("-c", program))
    assert run.code == 0, run
    assert [line for line in run.complaints if NO_SPACE in line] == run.complaints[1:]
    assert len(run.complaints) == 2
    assert isinstance(list(read_journal(tmp_path / "run.jsonl"))[-1].event, ev.RunEnded)


# Refused --------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuses(folder: Path, ranks: int, *arguments: object, says: str) -> None:
    """One line, exit code 2, and every file is what it was."""
    before, folders = contents(folder), sorted(filter(Path.is_dir, folder.rglob("*")))
    run = mpirun(ranks, *arguments, cwd=folder)
    assert run.code == 2, run
    (line,) = run.complaints
    assert says in line
    assert contents(folder) == before
    assert sorted(filter(Path.is_dir, folder.rglob("*"))) == folders


@pytest.mark.parametrize("option", ["--report", "--journal"])
@pytest.mark.parametrize("monitor", [False, True])
def test_an_output_that_is_the_scenario(option: str, monitor: bool, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('[[client]]\nshare = ["x"]\n[[client]]\n')
    (tmp_path / "x").write_bytes(b"x")
    more = ("--monitor",) if monitor else ()
    words = ("s.toml", "--out", "out", option, tmp_path / "s.toml", *more)
    refuses(tmp_path, 3 + monitor, *words, says="found 's.toml', which is read")


@pytest.mark.parametrize("option", ["--report", "--journal"])
def test_an_output_that_is_an_in_file(option: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    words = ("in", "--out", "out", option, "in/../in/in2.txt")
    refuses(tmp_path, 3, *words, says="found 'in/in2.txt', which is read")


@pytest.mark.parametrize("option", ["--report", "--journal"])
def test_an_output_that_a_client_shares(option: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(b"precious")
    (tmp_path / "s.toml").write_text('[[client]]\nroot = "data"\nshare = ["*"]\n[[client]]\nwant = ["*"]\n')
    refuses(tmp_path, 3, "s.toml", "--out", "out", option, "data/x", says="found 'data/x', which is")


def test_one_file_for_two_outputs(tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    words = ("in", "--out", "out", "--report", "x", "--journal", "./x")
    refuses(tmp_path, 3, *words, says="--journal 'x': expected a file of its own, found that of --rep")


def test_a_wrong_number_of_ranks_leaves_earlier_outputs(tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    (tmp_path / "r").write_text("old report")
    (tmp_path / "j").write_text("old journal")
    words = ("in", "--out", "out", "--report", "r", "--journal", "j")
    refuses(tmp_path, 4, *words, says="mpirun -np 3")


def test_a_bad_in_file_leaves_earlier_outputs_and_makes_no_journal(tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, "x")
    (tmp_path / "r").write_text("old report")
    words = ("in", "--out", "out", "--report", "r", "--journal", "new")
    refuses(tmp_path, 3, *words, says="in2.txt:1")


def test_no_folder_is_left_of_the_output_path(tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    (tmp_path / "there").mkdir()
    words = ("in", "--out", "there/a/b", "--journal", "no/such/j")
    refuses(tmp_path, 3, *words, says="No such file or directory")


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_earlier_report_is_left_to_be_taken_for_that_of_a_run_that_was_ended(
    how: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "r").write_text("old report")
    (tmp_path / "j").write_text("old journal")
    with started(4, "--report", "r", "--journal", "j", cwd=tmp_path) as job:
        job.begins()
        os.kill(job.process.pid, how)
        run = job.wait(15)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "r"]
    report = json.loads((tmp_path / "r").read_bytes())
    assert report["outcome"] == "interrupted"
    told = [stamped.event for stamped in read_journal(tmp_path / "j")]
    assert len(told) > 10
    if flavour() == "mpich" and how != signal.SIGKILL:
        assert run.code == 128 + how
        assert run.complaints == [f"tui_torrent: interrupted by {how.name}"]
        assert report["aborted"]["code"] == 128 + how
        assert told[-1] == ev.RunEnded("interrupted")


def test_a_report_to_stdout_is_a_line_of_its_own(tmp_path: Path) -> None:
    run = mpirun(5, CLASSIC, "--out", tmp_path / "out", "--report", "/dev/stdout")
    assert run.code == 0, run
    (report,) = [line for line in run.stdout.splitlines() if line.startswith("{")]
    assert json.loads(report)["outcome"] == "complete"
