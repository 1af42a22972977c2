"""Words that the command line refuses."""

from __future__ import annotations

import pytest

from tui_torrent.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that answers wrong words."""
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line.removeprefix("tui_torrent: ")
