"""The built-in demo without its monitor: real bytes, and nothing left behind."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.helpers.mpirun import mpirun, needs_mpirun
from tui_torrent.scenario.demo import demo_files

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(60)]

#: Bytes a second, so that the demo takes a second or two instead of half a minute.
FAST = 64 * 1024 * 1024


@pytest.mark.parametrize("ranks", [2, 3, 6])
def test_the_demo_ends_and_leaves_nothing(ranks: int, tmp_path: Path) -> None:
    temporary, here = tmp_path / "tmp", tmp_path / "here"
    temporary.mkdir()
    here.mkdir()
    options = ("--rate", FAST, "--report", tmp_path / "report.json")
    run = mpirun(ranks, *options, cwd=here, environment={"TMPDIR": str(temporary)}, timeout=45)
    assert run.code == 0, run
    assert run.complaints == []
    assert list(temporary.glob("tui_torrent-*")) == []
    assert list(here.iterdir()) == []
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert (report["outcome"], report["scenario"]) == ("complete", "demo")
    assert all(finding["holds"] is True for finding in report["conformance"])
    files = [file for client in report["clients"] for file in client["files"]]
    assert len(files) == (ranks - 1) * len(demo_files(ranks - 1))
    assert all(file["complete"] and file["verified"] == file["segments"] for file in files)


def test_with_out_its_files_stay(tmp_path: Path) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    run = mpirun(4, "--rate", FAST, "--out", out, environment={"TMPDIR": str(temporary)}, timeout=45)
    assert run.code == 0, run
    assert list(temporary.glob("tui_torrent-*")) == []
    expected = {file.name: file for file in demo_files(3)}
    contents: list[dict[str, bytes]] = []
    for rank in (1, 2, 3):
        folder = out / f"client{rank}"
        files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        assert files.keys() == expected.keys()
        for name, path in files.items():
            assert path.stat().st_size == expected[name].size
            assert stat.S_IMODE(path.stat().st_mode) == expected[name].mode
        contents.append({name: path.read_bytes() for name, path in files.items()})
    assert contents[0] == contents[1] == contents[2]
