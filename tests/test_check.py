"""``check``: with a scenario, from standard input, and of lines and headers that are wrong."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import ScenarioError
from mpi_core.runtime.journal import read_journal
from tests.helpers.lawful import Plan, Telling, alter, digest, journal, lawful, place
from tui_torrent.check import run_check
from tui_torrent.cli import main
from tui_torrent.view.conformance import Rule

Told = dict[int, list[Telling]]

#: One client owns a file of 12 segments, another wants it.
PLAN = Plan(files={"f": 12}, owns=(("f",), ()), wants=((), ("f",)), every=10, trouble=False)


def written(folder: Path, told: Told) -> Path:
    path = folder / "run.jsonl"
    path.write_bytes(to_lines(journal(told)))
    return path


def scenario(folder: Path, wants: str = "f", every: int = 12) -> Path:
    """The plan as in-files."""
    folder = folder / "scenario"
    folder.mkdir()
    hashes = "\n".join(digest("f", index) for index in range(every))
    (folder / "in1.txt").write_text(f"1\nf {every}\n{hashes}\n0\n")
    (folder / "in2.txt").write_text(f"0\n1\n{wants}\n" if wants else "0\n0\n")
    return folder


def checked(path: Path, against: Path | None = None) -> tuple[int, str]:
    lines: list[str] = []
    code = run_check(str(path), lines.append, None if against is None else str(against))
    return code, "".join(lines)


# With the scenario ------------------------------------------------------------------------------


def test_a_lawful_run_is_its_scenarios(tmp_path: Path) -> None:
    code, said = checked(written(tmp_path, lawful(PLAN)), scenario(tmp_path))
    assert code == 0
    assert "18/18 rules hold\n" in said
    assert f"ok   {Rule.SCENARIO.value}: 2 clients were compared with the scenario, and alike.\n" in said


def test_without_a_scenario_there_is_no_such_rule(tmp_path: Path) -> None:
    assert Rule.SCENARIO.value not in checked(written(tmp_path, lawful(PLAN)))[1]


def idle() -> Told:
    """A run in which client 2 wants nothing, lawful by itself."""
    return lawful(Plan(files={"f": 12}, owns=(("f",), ()), wants=((), ()), every=10, trouble=False))


def test_a_client_that_declares_no_wants_is_named_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, idle())
    assert checked(path)[0] == 0
    code, said = checked(path, scenario(tmp_path))
    assert code == 1
    assert "client 2 wants 'f', but does not say so" in said.splitlines()[0]
    assert "InitAckReceived" in said.splitlines()[0]


def test_a_client_that_wants_more_than_the_scenario_is_named(tmp_path: Path) -> None:
    code, said = checked(written(tmp_path, lawful(PLAN)), scenario(tmp_path, wants=""))
    assert code == 1
    assert "client 2 does not want 'f', but says so" in said


def test_a_client_that_claims_to_own_what_it_was_to_fetch_is_named(tmp_path: Path) -> None:
    told = lawful(Plan(files={"f": 12}, owns=(("f",), ("f",)), wants=((), ("f",)), every=10, trouble=False))
    code, said = checked(written(tmp_path, told), scenario(tmp_path))
    assert code == 1
    assert "client 2 does not own 'f', but says so" in said


def test_the_hashes_are_the_scenarios(tmp_path: Path) -> None:
    told = lawful(PLAN)
    register = place(told, ev.FileRegistered)
    event = told[0][register[1]].event
    assert isinstance(event, ev.FileRegistered)
    alter(told, register, digests=("other", *event.digests[1:]))
    alter(told, place(told, ev.SegmentStored, lambda e: e.segment == 0), digest="other")
    path = written(tmp_path, told)
    assert checked(path)[0] == 0
    code, said = checked(path, scenario(tmp_path))
    assert code == 1
    assert "'f' is registered with other hashes than the scenario's" in said


def test_the_number_of_clients_is_the_scenarios(tmp_path: Path) -> None:
    path = written(tmp_path, lawful(PLAN))
    folder = scenario(tmp_path)
    (folder / "in3.txt").write_text("0\n1\nf\n")
    code, said = checked(path, folder)
    assert code == 1
    assert "the scenario has 3 clients, the run 2" in said


@pytest.mark.parametrize("every", [12, 99])
def test_the_update_rule_is_10_whatever_the_header_says(every: int, tmp_path: Path) -> None:
    told = lawful(PLAN)
    due = place(told, ev.SwarmRequested, rank=2, nth=1)
    del told[2][due[1]]
    del told[0][place(told, ev.SwarmServed, nth=1)[1]]
    alter(told, place(told, ev.RunStarted), swarm_update=every)
    path = written(tmp_path, told)
    assert checked(path)[0] == 0
    code, said = checked(path, scenario(tmp_path))
    assert code == 1
    assert "without the update that was due after 10 segments" in said


@pytest.mark.parametrize(
    ("share", "want", "found"),
    [
        ('["*"]', '["f"]', None),
        ('["f"]', '["**/*"]', None),
        ('["g"]', '["f"]', "client 1 does not share 'f', but says so"),
        ('["f"]', '["g"]', "client 2 does not want 'f', but says so"),
        ('["f"]', "[]", "client 2 does not want 'f', but says so"),
    ],
)
def test_a_toml_scenario_says_who_shares_and_wants_what(
    share: str, want: str, found: str | None, tmp_path: Path
) -> None:
    """No disk is read: the roots may be on other hosts."""
    toml = tmp_path / "s.toml"
    toml.write_text(f'[[client]]\nroot = "/nowhere"\nshare = {share}\n[[client]]\nwant = {want}\n')
    code, said = checked(written(tmp_path, lawful(PLAN)), toml)
    assert (code == 1) == (found is not None)
    assert found is None or found in said


def test_a_scenario_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, lawful(PLAN))
    assert main(["check", str(path), "--scenario", str(tmp_path / "nothing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# A program's own journal ------------------------------------------------------------------------

EXTRA = (ev.FileRegistered, ev.DownloadStarted, ev.RankPlaced, ev.TrackerLoad, ev.ShareHashed)


def basic(plan: Plan = PLAN) -> Told:
    """What a program tells that knows the basic kinds alone."""
    told = lawful(plan)
    return {rank: [t for t in tellings if not isinstance(t.event, EXTRA)] for rank, tellings in told.items()}


def test_a_program_that_tells_of_no_digests_is_judged_by_the_other_rules(tmp_path: Path) -> None:
    code, said = checked(written(tmp_path, basic()))
    assert code == 0
    assert said.endswith("16/17 rules hold, 1 not judged\n")
    assert "nobody tells of any file's digests" in said


def test_a_program_that_tells_of_no_digests_is_judged_by_the_scenarios(tmp_path: Path) -> None:
    path, folder = written(tmp_path, basic()), scenario(tmp_path)
    assert checked(path, folder)[0] == 0
    told = basic()
    alter(told, place(told, ev.SegmentStored, nth=5), digest="other")
    code, said = checked(written(tmp_path, told), folder)
    assert code == 1
    assert "hashes to 'other', not to" in said


def test_a_program_that_tells_of_no_manifests_completes_whole_files_alone(tmp_path: Path) -> None:
    told = basic()
    segment = told[2][place(told, ev.SegmentStored, nth=3)[1]].event
    assert isinstance(segment, ev.SegmentStored)
    same = (segment.file, segment.segment)
    moves = (ev.SegmentRequested, ev.SegmentStored, ev.SegmentSent)
    for rank in (1, 2):
        told[rank] = [
            t
            for t in told[rank]
            if not (isinstance(t.event, moves) and (t.event.file, t.event.segment) == same)
        ]
    code, said = checked(written(tmp_path, told))
    assert code == 1
    assert "'f' is completed with 11 of its 12 segments stored" in said


# Lines and headers ------------------------------------------------------------------------------

LINES = to_lines(journal(lawful(PLAN)))


def problem(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as caught:
        list(read_journal(path))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{tmp_path}/", "")


def line_of(word: bytes) -> int:
    return next(at for at, line in enumerate(LINES.splitlines(), 1) if word in line)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"SegmentStored", b"SegmentStord", "found 'SegmentStord' (did you mean SegmentStored?)"),
        (
            b'"source"',
            b'"sorce"',
            "SegmentRequested: expected the field source, found 'sorce' (did you mean source?)",
        ),
        (b'"unfinished"', b'"x"', "SwarmRequested: expected the field unfinished, found 'x'"),
        (b'"seq":7', b'"sq":7', "expected the field seq, found 'sq' (did you mean seq?)"),
        (b'"rank":2,"seq":3', b'"rank":"2","seq":3', "expected rank to be a whole number, found a string"),
        (b'"event":{"kind":"AllCompleted"}', b'"event":7', "expected event to be an object, found 7"),
    ],
)
def test_a_line_that_is_no_event_says_what_was_expected(
    before: bytes, after: bytes, expected: str, tmp_path: Path
) -> None:
    line = line_of(before)
    said = problem(tmp_path, LINES.replace(before, after, 1))
    assert said.startswith(f"run.jsonl:{line}: expected an event as JSON: ")
    assert said.endswith(expected)


@pytest.mark.parametrize("t", ["NaN", "Infinity", "1e999", '"1.0"', "null", "true"])
def test_a_time_is_a_number_of_seconds(t: str, tmp_path: Path) -> None:
    lines = LINES.splitlines(keepends=True)
    lines[4] = b'{"t":' + t.encode() + lines[4][lines[4].index(b',"rank"') :]
    assert problem(tmp_path, b"".join(lines)).startswith(
        "run.jsonl:5: expected an event as JSON: expected t to be seconds, found "
    )


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    lines = LINES.splitlines(keepends=True)
    path = tmp_path / "run.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf\n \r\n" + b"\n".join(lines[:5]) + b"\n\t\n" + b"".join(lines[5:]) + b"\n\n"
    )
    reader = read_journal(path)
    assert list(reader) == journal(lawful(PLAN))
    assert not reader.torn
    assert checked(path)[0] == 0


def test_lines_are_counted_with_the_blank_ones(tmp_path: Path) -> None:
    told = lawful(PLAN)
    alter(told, place(told, ev.SegmentStored), digest="other")
    lines = to_lines(journal(told)).splitlines(keepends=True)
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\n\n" + b"\n".join(lines))
    at = next(at for at, line in enumerate(lines) if b'"other"' in line)
    assert checked(path)[1].startswith(f"First violation: Line {3 + 2 * at} ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clients", 10**9),
        ("clients", 2**62),
        ("clients", 0),
        ("clients", -1),
        ("clients", 20_000),
        ("window", -1),
        ("swarm_update", 0),
        ("swarm_update", -10),
    ],
)
@pytest.mark.parametrize("command", ["check", "replay"])
def test_a_header_that_no_run_has_is_refused_at_once(
    command: str, field: str, value: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = lawful(PLAN)
    alter(told, place(told, ev.RunStarted), **{field: value})
    path = written(tmp_path, told)
    began = time.process_time()
    assert main([command, str(path)]) == 2
    assert time.process_time() - began < 1.0
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = captured.err.splitlines()
    assert f"run.jsonl:1: RunStarted: expected {field}" in line
    assert line.endswith(f"found {value}")


def test_a_header_may_have_any_seed(tmp_path: Path) -> None:
    told = lawful(PLAN)
    alter(told, place(told, ev.RunStarted), seed=-(2**63))
    assert checked(written(tmp_path, told))[0] == 0


# Standard input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "said"), [(LINES, 0, "17/17"), (b"junk\n", 2, "<stdin>:1: expected")]
)
def test_standard_input_is_read(content: bytes, code: int, said: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tui_torrent", "check", "-"], input=content, capture_output=True, timeout=30
    )
    assert run.returncode == code
    assert said in (run.stdout + run.stderr).decode()


def test_standard_input_that_is_closed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(ScenarioError, match="<stdin>: cannot read the journal"):
        run_check("-", lambda text: None)


# What is said -----------------------------------------------------------------------------------


def test_counts_have_the_right_plural(tmp_path: Path) -> None:
    plan = Plan(files={"f": 1}, owns=(("f",),), wants=((),), every=10, trouble=False)
    said = checked(written(tmp_path, lawful(plan)))[1]
    assert "1 client sent INIT, once and before anything else." in said
    assert "1 INIT_ACK was sent" in said
    assert "0 files were completed" in said
    assert "1 outcome was told" in said
