"""Words and runs that are refused: one line, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.mpirun import Run, mpirun
from tui_torrent.cli import main

#: An owner and two who want.
OWNER = "1\nfile1 2\naa\nbb\n0\n"
WANTER = "0\n1\nfile1\n"

#: Ends in seconds; a start of so many Pythons on a busy machine included.
SECONDS = 10.0


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that answers wrong words."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line.removeprefix("tui_torrent: ")


def refused(run: Run, *expected: str, out: Path | None = None) -> None:
    """One line on stderr that holds each of ``expected``, nothing else, and nothing written."""
    assert run.code == 2, run
    assert run.seconds < SECONDS, run
    assert "Traceback" not in run.stdout + run.stderr
    assert len(run.complaints) == 1, run
    assert [part for part in expected if part not in run.complaints[0]] == [], run
    assert run.stdout == ""
    assert out is None or not out.is_dir() or list(out.rglob("*")) == []


def refused_run(folder: Path, ranks: int, scenario: Path, *options: object, says: tuple[str, ...]) -> None:
    out = folder / "out"
    run = mpirun(ranks, scenario, "--out", out, *options)
    refused(run, *says, out=out)
