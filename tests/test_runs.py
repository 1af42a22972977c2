"""Whole runs of the classic scenario under mpirun: outputs, exit codes, report, journal, conformance."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mpi_core.runtime.journal import read_journal
from tests.helpers.generated import Generated, generate, one_seed, wrong_outputs
from tests.helpers.mpirun import Run, alone, mpirun, needs_mpirun
from tests.helpers.runs import judged
from tui_torrent.view.problems import MOST
from tui_torrent.view.report import to_json

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(60)]

REPORT = {
    "schema", "outcome", "elapsed_s", "strategy", "seed", "clients", "tracker", "traffic", "fairness",
    "conformance",
}  # fmt: skip
CLIENT = {
    "rank", "files", "downloaded", "uploaded", "rejects_sent", "rejects_received", "bytes_down", "bytes_up",
    "finished_at_s",
}  # fmt: skip
FILE = {"name", "segments", "verified", "complete"}

#: Scenarios by the seed that draws them.
SEEDS = (3, 4, 8, 13, 14, 22, 24, 25)


class Outcome:
    """A run of a scenario, and everything that it wrote."""

    def __init__(self, scenario: Generated, folder: Path, *options: object) -> None:
        self.scenario = scenario
        self.out, self.journal = folder / "out", folder / "run.jsonl"
        report_file = folder / "report.json"
        where = scenario.write(folder / "in")
        files = ("--out", self.out, "--report", report_file, "--journal", self.journal)
        self.run: Run = mpirun(scenario.clients + 1, where, *files, *options)
        self.report_line = report_file.read_bytes()
        self.report: dict[str, Any] = json.loads(self.report_line)

    def must_be_right(self) -> None:
        assert wrong_outputs(self.out, self.scenario.outputs) == [], self.run
        assert self.run.code == self.scenario.exit_code, self.run
        broken = [finding for finding in self.report["conformance"] if finding["holds"] is not True]
        assert broken == []
        assert len(self.report["conformance"]) >= 10
        assert self.report["outcome"] == ("incomplete" if self.scenario.unavailable else "complete")
        assert self.unavailable == self.scenario.unavailable
        assert self.downloaded == self.scenario.transfers
        assert self.run.seconds < 10

    @property
    def unavailable(self) -> set[tuple[int, str]]:
        return {
            (client["rank"], file["name"])
            for client in self.report["clients"]
            for file in client["files"]
            if file["unavailable"] is not None
        }

    @property
    def downloaded(self) -> int:
        return sum(client["downloaded"] for client in self.report["clients"])


def folded(journal: Path) -> bytes:
    """The report that a journal folds into."""
    return to_json(judged(read_journal(journal))) + b"\n"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_scenario_runs_right(seed: int, tmp_path: Path) -> None:
    strategy = ("swarm", "classic")[seed % 2]
    outcome = Outcome(generate(Random(seed)), tmp_path, "--strategy", strategy, "--seed", seed)
    outcome.must_be_right()
    assert outcome.run.complaints == []
    # Law 7: a live run and the fold of its journal give the same report, byte for byte.
    assert folded(outcome.journal) == outcome.report_line
    assert alone("check", outcome.journal).code == 0
    clients = json.loads(outcome.report_line)["clients"]
    told = {(c["rank"], f["name"]) for c in clients for f in c["files"] if f["unavailable"]}
    assert told == set(outcome.scenario.unavailable)
    names = {name for _, name in told}
    if len(names) <= MOST:
        assert all(f"{name!r} unavailable: nobody owns it" in outcome.run.stdout for name in names)


@pytest.mark.parametrize("strategy", ["swarm", "classic"])
def test_the_longest_scenario_of_the_issue(strategy: str, tmp_path: Path) -> None:
    scenario = generate(Random(5), clients=11, files=25, all_had=True)
    assert scenario.transfers > 1000
    Outcome(scenario, tmp_path, "--strategy", strategy).must_be_right()


def test_everybody_serves_where_one_has_what_all_want(tmp_path: Path) -> None:
    outcome = Outcome(one_seed(Random(1)), tmp_path)
    outcome.must_be_right()
    # One run may be unlucky; what the median must be, tests.bench.scenarios tells.
    assert outcome.report["fairness"]["origin_share"] < 0.5
    assert outcome.report["fairness"]["jain"] > 0.6
    assert all(client["uploaded"] for client in outcome.report["clients"])


def test_one_client_alone_with_its_own_file(tmp_path: Path) -> None:
    own = Generated(1, {1: b"1\nown 2\naa\nbb\n1\nown"}, {"client1_own": b"aa\nbb\n"}, frozenset(), 0)
    Outcome(own, tmp_path).must_be_right()


def test_one_client_that_has_and_wants_nothing(tmp_path: Path) -> None:
    outcome = Outcome(Generated(1, {1: b"0\n0\n"}, {}, frozenset(), 0), tmp_path)
    outcome.must_be_right()
    assert outcome.report["fairness"] == {"jain": None, "origin_share": None}


def test_outputs_go_to_the_current_folder_unless_told(tmp_path: Path) -> None:
    scenario = one_seed(Random(1), downloaders=2, segments=3)
    scenario.write(tmp_path / "in")
    here = tmp_path / "here"
    here.mkdir()
    assert mpirun(4, "../in", cwd=here).code == 0
    assert wrong_outputs(here, scenario.outputs) == []


def test_json_lines_end_with_the_report(tmp_path: Path) -> None:
    outcome = Outcome(one_seed(Random(1), downloaders=3), tmp_path, "--json", "--rate", "1600")
    outcome.must_be_right()
    lines = [json.loads(line) for line in outcome.run.stdout.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"progress"}
    assert lines[-1].pop("type") == "report"
    assert lines[-1] == outcome.report
    report = outcome.report
    assert set(report) >= REPORT
    assert [client["rank"] for client in report["clients"]] == [1, 2, 3, 4]
    for client in report["clients"]:
        assert set(client) >= CLIENT
        assert client["finished_at_s"] <= report["elapsed_s"]
        assert all(set(file) >= FILE for file in client["files"])
    assert (report["strategy"], report["seed"]) == ("swarm", 0)
    assert set(report["fairness"]) == {"jain", "origin_share"}
    assert all(set(finding) == {"rule", "holds", "detail"} for finding in report["conformance"])
    assert all(type(row) is list and len(row) == 4 for row in report["traffic"])
    # Each number is there once more, from the other side.
    assert sum(row[2] for row in report["traffic"]) == sum(c["downloaded"] for c in report["clients"])
    assert sum(row[3] for row in report["traffic"]) == sum(c["bytes_down"] for c in report["clients"])
    came = [c["downloaded"] + c["corrupt_received"] + c["duplicates"] for c in report["clients"]]
    assert sum(came) <= sum(c["uploaded"] for c in report["clients"])
    messages = report["tracker"]["messages"]
    assert messages["INIT"] == messages["INIT_ACK"] == messages["ALL_COMPLETE"] == messages["STOP"] == 4
    assert messages["FILE_COMPLETE"] == 3
    assert messages["SWARM_REQUEST"] == messages["SWARM_RESPONSE"]


def test_plain_lines_come_at_their_pace(tmp_path: Path) -> None:
    outcome = Outcome(one_seed(Random(1), downloaders=3), tmp_path, "--rate", "1600")
    outcome.must_be_right()
    lines = outcome.run.stdout.splitlines()
    assert all(line.startswith("[") and " s] " in line for line in lines)
    # One at the start, one for each 10 % or second, the summary.
    assert len(lines) <= 2 + 10 + outcome.report["elapsed_s"]
    assert any("segments  " in line and " done, 1 seed" in line for line in lines)
    assert "complete in" in lines[-1]


# The journal ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The lines of a run in which nothing is wrong."""
    outcome = Outcome(one_seed(Random(1), downloaders=3, segments=30), tmp_path_factory.mktemp("journal"))
    outcome.must_be_right()
    return [json.loads(line) for line in outcome.journal.read_bytes().splitlines()]


def first(lines: list[dict[str, Any]], kind: str) -> int:
    return next(at for at, line in enumerate(lines) if line["event"]["kind"] == kind)


def forged_hash(lines: list[dict[str, Any]]) -> int:
    at = first(lines, "SegmentStored")
    lines[at]["event"]["digest"] = "forged"
    return at


def asked_too_early(lines: list[dict[str, Any]]) -> int:
    """A request before its INIT_ACK."""
    asked = first(lines, "SegmentRequested")
    event = lines[asked]["event"]
    rank = lines[asked]["rank"]
    told = next(
        at
        for at, line in enumerate(lines)
        if line["rank"] == rank and line["event"]["kind"] == "InitAckReceived"
    )
    lines[asked]["event"], lines[told]["event"] = lines[told]["event"], event
    return told


def a_moving_tracker(lines: list[dict[str, Any]]) -> int:
    at = first(lines, "SegmentSent")
    lines[at]["rank"] = 0
    return at


def complete_twice(lines: list[dict[str, Any]]) -> int:
    at = first(lines, "FileCompleted")
    lines.insert(at + 1, lines[at])
    return at + 1


@pytest.mark.parametrize("tamper", [forged_hash, asked_too_early, a_moving_tracker, complete_twice])
def test_check_names_the_first_line_that_breaks_a_rule(
    tamper: Callable[[list[dict[str, Any]]], int], journal: list[dict[str, Any]], tmp_path: Path
) -> None:
    lines: list[dict[str, Any]] = json.loads(json.dumps(journal))
    broken_at = tamper(lines) + 1
    tampered = tmp_path / "tampered.jsonl"
    tampered.write_text("".join(json.dumps(line) + "\n" for line in lines))
    checked = alone("check", tampered)
    assert checked.code == 1
    assert f"First violation: Line {broken_at} " in checked.stdout.splitlines()[0]
    assert "FAIL" in checked.stdout
    assert checked.stderr == ""


def test_check_judges_what_an_interrupted_journal_shows(
    journal: list[dict[str, Any]], tmp_path: Path
) -> None:
    whole = "".join(json.dumps(line) + "\n" for line in journal)
    torn = tmp_path / "torn.jsonl"
    torn.write_text(whole[: len(whole) * 2 // 3])
    checked = alone("check", torn)
    assert checked.code == 1
    assert "is torn and was left out" in checked.stdout
    (broken,) = (line for line in checked.stdout.splitlines() if line.startswith("FAIL"))
    assert "the journal is whole" in broken
    assert "not judged" in checked.stdout


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        (b"", "found an empty file"),
        (b"not a journal\n", "found something else"),
        (b"\xff\x00\n", "found something else"),
    ],
)
def test_check_of_no_journal_is_one_line(content: bytes | None, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "no.jsonl"
    if content is not None:
        file.write_bytes(content)
    checked = alone("check", file)
    assert checked.code == 2
    assert checked.stdout == ""
    (line,) = checked.stderr.splitlines()
    assert "no.jsonl" in line
    assert expected in line


def test_check_under_mpirun_answers_on_each_rank(journal: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in journal))
    checked = mpirun(3, "check", file)
    assert checked.code == 0
    assert checked.stdout.count("rules hold") == 3


def test_the_script_that_is_run_by_hand_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.scenarios", "--runs", "2", "--timed", "0"],
        capture_output=True, text=True, timeout=50, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    assert done.returncode == 0, done
    assert "2 of 2 right" in done.stdout
