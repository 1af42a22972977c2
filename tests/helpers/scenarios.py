"""Scenarios on the disk, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from mpi_core.protocol.errors import ScenarioError
from tui_torrent.scenario import ClientPlan, open_scenario

#: An in-file.
EXAMPLE = "2\nfile1 3\naa\nbb\naa\nfile2 2\ncc\ndd\n1\nfile3\n"


def folder_of(path: Path, *clients: str | bytes | None) -> Path:
    """A classic scenario; None is a client without a file."""
    path.mkdir(exist_ok=True)
    for rank, content in enumerate(clients, 1):
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            (path / f"in{rank}.txt").write_bytes(data)
    return path


def plan_of(path: Path, rank: int = 1) -> ClientPlan:
    return open_scenario(str(path), 1).client(rank)


def complaint_of(path: Path, rank: int = 1) -> str:
    """The one line, the folder above ``path`` left out."""
    with pytest.raises(ScenarioError) as caught:
        plan_of(path, rank)
    line = str(caught.value)
    assert line.isprintable()
    return line.replace(f"{path.parent}/", "")


def damaged(text: str) -> st.SearchStrategy[bytes]:
    """``text`` cut anywhere, with a piece of it replaced by any bytes."""
    data = text.encode()
    cut = st.integers(0, len(data))
    return st.builds(lambda a, b, junk: data[:a] + junk + data[max(a, b) :], cut, cut, st.binary(max_size=6))
