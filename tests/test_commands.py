"""The commands without MPI as words: help, one line for what is wrong, journals that come through pipes."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from mpi_core.protocol.codec import to_lines
from tests.helpers.lawful import journal, lawful
from tests.helpers.mpirun import mpirun, needs_mpirun
from tests.helpers.refused import refusal
from tui_torrent.check import run_check
from tui_torrent.cli import main
from tui_torrent.commands import COMMANDS

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_each_command_has_help(command: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, word]) == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m tui_torrent {command} ")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_names_its_own_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, command, "--nope", "journal")
    assert line.startswith("unrecognized arguments: --nope")
    assert line.endswith(f" (see python -m tui_torrent {command} --help)")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "simulate --seed 9223372036854775808",
            "--seed: expected a whole number from -9223372036854775808",
        ),
        ("simulate --window 1000000001", "--window: expected a whole number from 1 to 1000000000"),
        ("simulate --swarm-update 0", "--swarm-update: expected a whole number from 1 to 1000000000"),
        ("simulate --clients 1e9", "--clients: expected a whole number from 1 to 1000000000, found '1e9'"),
        ("attach --port 65536", "--port: expected a port, found '65536'"),
        ("attach --token-file=", "--token-file: expected a path, found nothing"),
        ("check", "required: JOURNAL"),
        ("check one two", "unrecognized arguments: two"),
    ],
)
def test_what_is_wrong_is_one_line(words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refusal(capsys, *words.split())


@pytest.mark.parametrize("words", [("check", ""), ("replay", ""), ("attach", "")])
def test_an_empty_path_is_said_to_be_nothing(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected a path, found nothing" in refusal(capsys, *words)


@pytest.mark.parametrize("seed", [-(2**63), 2**63 - 1])
def test_a_journal_with_any_seed_that_is_taken_can_be_replayed(seed: int, tmp_path: Path) -> None:
    path, report = str(tmp_path / "run.jsonl"), str(tmp_path / "report.json")
    size = ["--clients", "2", "--segments", "2"]
    assert main(["simulate", *size, "--seed", str(seed), "--journal", path]) == 0
    assert main(["replay", path, "--report", report]) == 0
    assert f'"seed":{seed},' in Path(report).read_text()


# A journal that comes through a pipe ----------------------------------------------------------


def test_a_reader_may_wait_for_who_writes(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    codes: list[int] = []
    reader = threading.Thread(target=lambda: codes.append(run_check(path, lambda text: None)), daemon=True)
    reader.start()
    assert main(["simulate", "--clients", "2", "--segments", "2", "--journal", path]) == 0
    reader.join(20)
    assert codes == [0]


@pytest.mark.parametrize("kind", ["by name", "of a descriptor"])
def test_a_pipe_that_somebody_writes_to_is_read_to_its_end(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = to_lines(journal(lawful()))
    if kind == "by name":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
        # One who opens a pipe to read and write waits for nobody.
        end, other = os.open(path, os.O_RDWR), None
    else:
        other, end = os.pipe()
        path = f"/dev/fd/{other}"

    def write() -> None:
        with open(end, "wb", buffering=0) as pipe:
            for start in range(0, len(content), 1000):
                pipe.write(content[start : start + 1000])

    # It begins late: what has a writer is waited for.
    writer = threading.Timer(0.3, write)
    writer.start()
    try:
        assert main(["check", path]) == 0
    finally:
        writer.join(10)
        if other is not None:
            os.close(other)
    assert capsys.readouterr().out.endswith("17/17 rules hold\n")


@pytest.mark.mpirun
@needs_mpirun
@pytest.mark.parametrize("words", ["check /nowhere", "simulate --clients 0", "simulate --plot /nowhere/x"])
def test_under_mpirun_a_command_that_is_refused_ends(words: str, tmp_path: Path) -> None:
    """Each rank answers for itself, since a command trusts no launcher; some may be killed before."""
    run = mpirun(3, *words.split(), cwd=tmp_path)
    assert run.code == 2
    # A launcher may put two ranks' lines together, and end the others when the first has left.
    said = set(re.findall(r"tui_torrent: (.*?)(?=tui_torrent: |\n|$)", run.stderr))
    assert len(said - {"interrupted by SIGTERM"}) == 1
