"""A wrong use ends every rank in seconds, with exit code 2 and one line, and nothing is written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.helpers.mpirun import alone, modes_bind, mpirun, needs_mpirun
from tests.helpers.refused import OWNER, WANTER, refused
from tests.helpers.scenarios import folder_of

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(60)]

# Where things are written ---------------------------------------------------------------------


def test_an_output_folder_that_is_a_file(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, WANTER)
    out = tmp_path / "out"
    out.write_text("mine")
    refused(mpirun(3, scenario, "--out", out), "--out", "out'", "expected a folder")
    assert out.read_text() == "mine"


@pytest.mark.alike
@pytest.mark.parametrize("out", ["/proc/nowhere/out", "below-a-file/out/deep"])
def test_an_output_folder_that_cannot_be(out: str, tmp_path: Path) -> None:
    (tmp_path / "below-a-file").touch()
    folder_of(tmp_path / "in", OWNER, WANTER)
    refused(mpirun(3, "in", "--out", out, cwd=tmp_path), "--out", out, "expected a folder")


@pytest.mark.alike
def test_an_output_folder_that_may_not_be_written(tmp_path: Path) -> None:
    if not modes_bind():
        pytest.skip("modes do not bind this user")
    scenario = folder_of(tmp_path / "in", OWNER, WANTER)
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    run = mpirun(3, scenario, "--out", out, powerless=True)
    refused(run, "--out", "expected a folder that can be written: Permission denied", out=out)


@pytest.mark.alike
@pytest.mark.parametrize(
    ("words", "place"), [(("in",), "client2_file1"), (("--strict",), "client2/notes.txt")]
)
def test_a_folder_in_the_place_of_an_output(words: tuple[str, ...], place: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    (tmp_path / "out" / place).mkdir(parents=True)
    run = mpirun(3, *words, "--out", "out", cwd=tmp_path)
    refused(run, f"--out 'out': expected 'out/{place}' to be a file or missing, found a folder")
    # Client 1 may have put a file of its own in place before it heard of that.
    out = tmp_path / "out"
    files = [path.relative_to(out) for path in out.rglob("*") if not path.is_dir()]
    assert [file for file in files if file != Path("client1/dataset.bin")] == []


@pytest.mark.parametrize("option", ["--report", "--journal"])
@pytest.mark.parametrize("monitor", [False, True])
def test_report_and_journal_need_their_folder(option: str, monitor: bool, tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, WANTER)
    file = tmp_path / "missing" / "file"
    more = ("--monitor",) if monitor else ()
    run = mpirun(3 + monitor, scenario, "--out", tmp_path / "out", option, file, *more)
    assert run.code == 2, run
    (line,) = run.complaints
    assert str(file) in line
    assert "No such file or directory" in line
    assert not (tmp_path / "out").is_dir() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.alike
@pytest.mark.parametrize("option", ["--report", "--journal"])
@pytest.mark.parametrize(("scenario", "place"), [("in", "out/client2_file1"), ("s.toml", "out/client2/f")])
def test_no_output_is_a_result(option: str, scenario: str, place: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "in", OWNER, WANTER)
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "s.toml").write_text('[[client]]\nshare = ["f"]\n[[client]]\nwant = ["f"]\n')
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text("of an earlier run")
    run = mpirun(3, scenario, "--out", "out", option, place, cwd=tmp_path)
    refused(run, f"{option} '{place}': expected a file of its own, found one in the place of results")
    assert (tmp_path / place).read_text() == "of an earlier run"


# Flags ----------------------------------------------------------------------------------------

FLAGS: Mapping[str, tuple[str, ...]] = {
    "unrecognized arguments: --nope": ("--nope",),
    "argument --strategy": ("--strategy", "tit-for-tat"),
    "argument --window": ("--window", "0"),
    "argument --swarm-update": ("--swarm-update", "ten"),
    "argument --rate": ("--rate", "-1"),
    "argument --rate: expected a number": ("--rate", "nan"),
    "argument --request-timeout": ("--request-timeout", "0"),
    "argument --seed": ("--seed", "1.5"),
    "argument --digest": ("--digest", "md5"),
    "argument --out": ("--out", ""),
    "argument --headless": ("--monitor", "--headless"),
    "expected one argument": ("--report",),
    "unrecognized arguments: two": ("one", "two"),
    "argument SCENARIO: expected a path, found nothing": ("",),
    "required: JOURNAL (see python -m tui_torrent check --help)": ("check",),
}


@pytest.mark.alike
@pytest.mark.parametrize("says", FLAGS)
def test_a_wrong_flag_is_told_once_without_mpirun(says: str, tmp_path: Path) -> None:
    run = alone(*FLAGS[says], cwd=tmp_path)
    refused(run, says, out=tmp_path)


@pytest.mark.parametrize("says", ["unrecognized arguments: --nope", "argument --window"])
def test_a_wrong_flag_is_told_once_under_mpirun(says: str, tmp_path: Path) -> None:
    refused(mpirun(4, *FLAGS[says], cwd=tmp_path), says, out=tmp_path)


@pytest.mark.alike
def test_help_answers_without_mpirun(tmp_path: Path) -> None:
    run = alone("--help", cwd=tmp_path)
    assert run.code == 0
    assert run.stderr == ""
    for option in (
        "--out",
        "--json",
        "--report",
        "--journal",
        "--seed",
        "--strategy",
        "--window",
        "--digest",
    ):
        assert option in run.stdout
    for option in ("--swarm-update", "--rate", "--request-timeout", "--monitor", "--headless", "SCENARIO"):
        assert option in run.stdout
    assert "exit codes" in run.stdout


def test_an_empty_scenario_is_told_once_under_mpirun(tmp_path: Path) -> None:
    refused(mpirun(3, "", cwd=tmp_path), "argument SCENARIO: expected a path, found nothing", out=tmp_path)


def test_the_version_is_printed_once_under_mpirun(tmp_path: Path) -> None:
    run = mpirun(3, "--version", cwd=tmp_path)
    assert (run.code, run.stdout, run.complaints) == (0, f"tui_torrent {version('tui_torrent')}\n", [])


def test_help_is_printed_once_under_mpirun(tmp_path: Path) -> None:
    run = mpirun(4, "--help", cwd=tmp_path)
    assert run.code == 0
    assert len(re.findall("^usage:", run.stdout, re.MULTILINE)) == 1
    assert run.complaints == []


def test_a_run_without_mpirun_says_how_it_is_started(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, WANTER)
    refused(alone(scenario), "expected to be started by mpirun")


# What is not bad ------------------------------------------------------------------------------


def test_json_of_a_refused_run_ends_with_a_report(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, "x")
    file = tmp_path / "report.json"
    run = mpirun(3, scenario, "--out", tmp_path / "out", "--json", "--report", file)
    assert run.code == 2
    assert len(run.complaints) == 1
    report = json.loads(run.stdout.splitlines()[-1])
    assert report.pop("type") == "report"
    assert report == json.loads(file.read_bytes())
    assert report["outcome"] == "failed"
    assert "in2.txt:1: expected" in report["aborted"]["reason"]


@pytest.mark.alike
def test_a_path_that_is_no_text_is_a_path(tmp_path: Path) -> None:
    scenario = folder_of(Path(os.fsdecode(bytes(tmp_path) + b"/sc\xe9n")), OWNER, WANTER)
    out, journal, report = scenario / "out", scenario / "journal", scenario / "report"
    run = mpirun(3, scenario, "--out", out, "--journal", journal, "--report", report, "--json")
    assert (run.code, run.complaints) == (0, []), run
    assert json.loads(report.read_bytes())["scenario"] == f"{tmp_path}/sc\\udce9n"
    assert journal.exists()
    assert (out / "client2_file1").read_text() == "aa\nbb\n"
