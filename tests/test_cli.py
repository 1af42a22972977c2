"""The command line as words: what they mean, and what a start costs in imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mpi_core.protocol.events import SegmentStored
from mpi_core.runtime.journal import JournalWriter, read_journal
from tests.helpers.mpirun import REPOSITORY
from tui_torrent.cli import build_parser, main, parse
from tui_torrent.config import Options
from tui_torrent.words import HelpAsked, UsageError


def test_nothing_means_the_demo_headless() -> None:
    assert parse([]) == Options()
    assert parse(["--headless"]) == Options()
    options = Options()
    assert (options.scenario, options.monitor, options.json, options.out) == (None, False, False, None)
    assert (options.strategy, options.swarm_update, options.seed, options.rate) == ("swarm", 10, 0, None)
    assert (options.digest, options.report, options.journal) == ("blake3", None, None)


def test_every_option() -> None:
    words = (
        "data --monitor --out o --json --report r.json --journal j.jsonl --seed -7 --strategy classic "
        "--window 3 --swarm-update 5 --rate 1e6 --request-timeout 0.5 --digest sha256 --ascii"
    )
    assert parse(words.split()) == Options(
        scenario="data",
        monitor=True,
        out=Path("o"),
        json=True,
        report=Path("r.json"),
        journal=Path("j.jsonl"),
        seed=-7,
        strategy="classic",
        window=3,
        swarm_update=5,
        rate=1e6,
        request_timeout=0.5,
        digest="sha256",
        ascii=True,
    )


def test_options_may_stand_before_and_after_the_scenario() -> None:
    assert parse(["--json", "s.toml", "--seed=3"]) == parse(["--seed", "3", "s.toml", "--json"])


@pytest.mark.parametrize(
    "words",
    [
        "--nope",
        "--jso",
        "one two",
        "--monitor --headless",
        "--seed",
        "--seed x",
        "--seed 9223372036854775808",
        "--seed -9223372036854775809",
        "--seed 1" + 5000 * "0",
        "--window 0",
        "--window -1",
        "--window 1.5",
        "--window 1000000001",
        "--swarm-update 0",
        "--swarm-update 1000000001",
        "--fps 1001",
        "--rate 0",
        "--rate -3",
        "--rate nan",
        "--rate inf",
        "--rate fast",
        "--request-timeout 0",
        "--strategy none",
        "--digest declared",
        "--digest md5",
        "--out=",
        "--report=",
        "--journal=",
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words.split())
    line = str(caught.value)
    assert line.isprintable()
    assert line.endswith(" (see python -m tui_torrent --help)")
    assert len(line) < 300
    wrong = next((word for word in words.split() if word.startswith("--")), "two")
    assert wrong.partition("=")[0] in line or "two" in line


@given(
    st.lists(st.text(max_size=8) | st.sampled_from(["--seed", "--out", "--rate", "--json", "-h"]), max_size=4)
)
def test_any_words_are_options_or_one_line(words: list[str]) -> None:
    line = ""
    try:
        assert isinstance(parse(words), Options)
    except HelpAsked:
        line = "" if "-h" in words else "unasked"
    except UsageError as error:
        line = str(error)
    assert line.isprintable()


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_a_text_not_a_print(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HelpAsked) as caught:
        parse([word])
    assert "exit codes" in str(caught.value)
    assert capsys.readouterr().out == ""


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tui_torrent {version('tui_torrent')}\n"


def test_the_help_tells_every_default() -> None:
    text = " ".join(build_parser().format_help().split())
    defaults = Options()
    for value in (
        "as many as the links need",
        defaults.swarm_update,
        defaults.request_timeout,
        defaults.strategy,
    ):
        assert str(value) in text


def test_a_rate_of_the_command_line_goes_before_the_scenarios() -> None:
    assert parse([]).swarm_config(5.0).rate == 5.0
    assert parse(["--rate", "7"]).swarm_config(5.0).rate == 7.0
    assert parse([]).swarm_config(None).rate is None


def test_the_classic_strategy_has_one_request_in_flight() -> None:
    config = parse(["--strategy", "classic", "--window", "9"]).swarm_config(None)
    assert config.requests_in_flight == 1
    assert parse(["--window", "9"]).swarm_config(None).requests_in_flight == 9


def test_patience_grows_with_the_request_timeout() -> None:
    patient = parse(["--request-timeout", "60"]).swarm_config(None)
    assert patient.request_timeout < patient.give_up_after
    assert patient.request_timeout < patient.client_timeout


LEFT_OVER = (
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
)


@pytest.mark.parametrize(("rank", "size"), LEFT_OVER)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("check /etc/hostname", 2),
        ("replay /etc/hostname", 2),
        ("simulate --clients 0", 2),
        ("simulate --clients 2 --segments 2", 0),
        ("attach /nowhere", 2),
        ("check --help", 0),
    ],
)
def test_a_command_that_needs_no_mpirun_trusts_no_launchers_variables(
    words: str,
    code: int,
    rank: str,
    size: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each task of a Slurm job that checks a journal gets its verdict."""
    monkeypatch.setenv(size, "3")
    for each in ("0", "1", "2"):
        monkeypatch.setenv(rank, each)
        assert main(words.split()) == code
        printed = capsys.readouterr()
        assert printed.out if code == 0 else len(printed.err.splitlines()) == 1


def test_slurms_variables_alone_are_no_launcher(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    assert main([]) == 2
    assert "expected to be started by mpirun" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "near"),
    [("chek x.jsonl", "check"), ("reply run", "replay"), ("simulat", "simulate"), ("atach", "attach")],
)
def test_a_mistyped_command_is_told_its_near_one(
    words: str, near: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no command and no scenario is called '{words.split()[0]}': did you mean {near}?" in line
    # A scenario may have any name.
    (tmp_path / words.split()[0]).mkdir()
    assert main(words.split()[:1]) == 2
    assert "did you mean" not in capsys.readouterr().err


# Where the lines go ---------------------------------------------------------------------------

JOURNAL = str(REPOSITORY / "demo" / "journals" / "classic.jsonl.zst")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("to", "why"), [(">/dev/full", "No space left on device"), (">&-", "it is closed"), ("| head -n 1", "")]
)
@pytest.mark.parametrize(
    "words",
    ["check JOURNAL", "replay JOURNAL", "--help", "replay --help", "simulate --clients 2 --segments 2"],
)
def test_a_stdout_that_takes_no_lines_is_one_line(words: str, to: str, why: str, unbuffered: str) -> None:
    if "full" in to and not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    environment = {name: value for name, value in os.environ.items() if name not in dict(LEFT_OVER)}
    environment |= {"PYTHONUNBUFFERED": unbuffered}
    command = f"{sys.executable} -m tui_torrent {words.replace('JOURNAL', JOURNAL)}"
    done = subprocess.run(
        ["bash", "-c", f"{command} {to}; exit ${{PIPESTATUS[0]}}"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    expected = f"tui_torrent: cannot write to stdout: {why}\n" if why else ""
    assert (done.returncode, done.stderr) == (2 if why else 0, expected)


@pytest.mark.parametrize("unbuffered", ["", "-u"])
def test_whoever_has_read_enough_changes_no_exit_code(unbuffered: str, tmp_path: Path) -> None:
    path = tmp_path / "forged.jsonl"
    with JournalWriter(path) as journal:
        for stamped in read_journal(JOURNAL):
            event = stamped.event
            if isinstance(event, SegmentStored):
                stamped = replace(stamped, event=replace(event, digest="forged"))
            journal.append([stamped])
    check = f"{sys.executable} {unbuffered} -m tui_torrent check {path}"
    done = subprocess.run(
        ["bash", "-c", f"{check} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("First violation: ")


# What a start imports -------------------------------------------------------------------------


def imported(statements: str) -> set[str]:
    """The top-level packages, and our modules, that a fresh Python has after ``statements``."""
    probe = f"{statements}\nimport sys; print(*sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name not in dict(LEFT_OVER)}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, env=environment, check=True
    )
    names = done.stdout.splitlines()[-1].split()
    return {name.partition(".")[0] for name in names} | {name for name in names if name.startswith("tui_")}


#: All that a client of a classic scenario or a TOML file comes by, but for MPI itself.
CLIENT = "\n".join(
    f"import {name}"
    for name in [
        "tui_torrent.cli",
        "tui_torrent.launch",
        "tui_torrent.client",
        "tui_torrent.scenario.classic",
        "tui_torrent.scenario.toml",
        "tui_torrent.scenario.shares",
        *sorted(
            f"mpi_core.runtime.{path.stem}"
            for path in (REPOSITORY / "mpi_core" / "runtime").glob("*.py")
            if path.stem not in ("__init__", "mpi")
        ),
    ]
)


def test_a_clients_start_imports_neither_textual_nor_rich() -> None:
    names = imported(CLIENT)
    assert {"textual", "rich", "pytest", "asyncio", "mpi4py"}.isdisjoint(names)
    assert not any(re.match(r"tui_torrent\.(tui|view)\b", name) for name in names)


def test_the_trackers_start_without_a_monitor_neither() -> None:
    names = imported(f"{CLIENT}\nimport tui_torrent.observer, mpi_core.swarm.tracker")
    assert {"textual", "rich", "asyncio"}.isdisjoint(names)


def test_help_and_wrong_flags_need_no_mpi() -> None:
    names = imported("import tui_torrent.cli as cli\ncli.main(['--nope'])\ncli.main(['check', '/nowhere'])")
    assert {"textual", "rich", "mpi4py", "numpy"}.isdisjoint(names)


def test_what_nobody_has_foreseen_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def surprise(path: str, write: object, scenario: object) -> int:
        raise KeyError(path)

    monkeypatch.setattr("tui_torrent.check.run_check", surprise)
    assert main(["check", "run.jsonl"]) == 3
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "tui_torrent: internal failure: KeyError: 'run.jsonl'\n")
    monkeypatch.setenv("TUI_TORRENT_DEBUG", "1")
    assert main(["check", "run.jsonl"]) == 3
    assert "Traceback" in capsys.readouterr().err
