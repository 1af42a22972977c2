"""One client's trouble is its own: it is named with its host and serves on what it holds; others finish."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.helpers.mpirun import HOST, Run, alone, mpirun, needs_mpirun, started
from tests.helpers.trees import Tree, client_tables, grow, wrong_files

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(120)]

MIB = 1024 * 1024
TREE: Tree = {"a.bin": (2 * MIB, 0o644), "d/b.bin": (300_000, 0o600)}
OWN: Tree = {"only.bin": (MIB, 0o644)}

#: Runs the command line; on one rank a function of ``os`` fails with an error's number, from the fourth call
#: on, or with certain flags.
PROGRAM = """
import os, sys
launchers = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")
rank = next(int(os.environ[name]) for name in launchers if name in os.environ)
victim, name, number, flags = (sys.argv.pop(1) for _ in range(4))
real, calls = getattr(os, name), []

def refusing(*arguments, **more):
    calls.append(None)
    if int(flags) & arguments[1] if int(flags) else len(calls) > 3:
        raise OSError(int(number), os.strerror(int(number)))
    return real(*arguments, **more)

if str(rank) == victim:
    setattr(os, name, refusing)
from tui_torrent.cli import main
sys.exit(main())
"""
#: What the disk of client 3 says, and how.
DISKS = {
    "full": (3, "pwrite", errno.ENOSPC, 0),
    "broken": (3, "pwrite", errno.EIO, 0),
    "read-only": (3, "open", errno.EROFS, os.O_CREAT),
}


def refusing_run(folder: Path, disk: str, *options: object) -> tuple[Run, dict[str, Any]]:
    """A seed, two clients that want all, and between them one that also has a file of its own; the report."""
    everything, own = grow(folder / "all", TREE, Random(1)), grow(folder / "own", OWN, Random(2))
    scenario = folder / "s.toml"
    tables = client_tables([(everything, ("**/*",))], [(), ("**/*",)])
    tables += (
        f'\n[[client]]\nroot = "{own}"\nshare = ["only.bin"]\nwant = ["**/*"]\n[[client]]\nwant = ["**/*"]\n'
    )
    scenario.write_text(tables)
    words = (*DISKS[disk], scenario, "--out", folder / "out", "--report", folder / "report.json", *options)
    run = mpirun(5, *words, program=("-c", PROGRAM))
    assert "Traceback" not in run.stdout + run.stderr
    assert not list((folder / "out").rglob("*.part"))
    return run, json.loads((folder / "report.json").read_bytes())


@pytest.mark.parametrize("disk", DISKS)
def test_all_others_finish_and_have_what_that_client_alone_holds(disk: str, tmp_path: Path) -> None:
    run, report = refusing_run(tmp_path, disk)
    assert run.code == 1, run
    why = os.strerror(DISKS[disk][2])
    (line,) = [line for line in run.stdout.splitlines() if why in line]
    assert f"] client 3 on {HOST}: " in line
    for rank in (2, 4):
        place = tmp_path / "out" / f"client{rank}"
        assert (place / "only.bin").read_bytes() == (tmp_path / "own" / "only.bin").read_bytes()
        (place / "only.bin").unlink()
        assert wrong_files(place, tmp_path / "all", set(TREE)) == []
    assert report["outcome"] == "incomplete"
    assert [why in (client["failed"] or "") for client in report["clients"]] == [False, False, True, False]
    assert [finding for finding in report["conformance"] if not finding["holds"]] == []


def test_strict_ends_the_run(tmp_path: Path) -> None:
    run, report = refusing_run(tmp_path, "full", "--strict")
    assert run.code == 2, run
    (line,) = run.complaints
    assert line.startswith(f"tui_torrent: client 3 on {HOST}: cannot write ")
    assert line.endswith(": No space left on device")
    assert report["aborted"]["culprit"] == 3


def test_where_nobody_could_do_anything_it_is_bad_input(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", TREE, Random(1))
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), ("**/*",), ("**/*",)]))
    (tmp_path / "out").touch()
    run = mpirun(4, scenario, "--out", tmp_path / "out")
    why = f"--out '{tmp_path / 'out'}': expected a folder, found a file; they lack 4 of 4 files"
    assert (run.code, run.complaints) == (2, [f"tui_torrent: clients 2 and 3 on {HOST}: {why}"]), run


def test_what_only_a_client_without_its_root_had_is_missing_for_that(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", TREE, Random(1))
    scenario = tmp_path / "s.toml"
    roots = [(everything, ("**/*",)), (tmp_path / "none", ("x",))]
    scenario.write_text(client_tables(roots, [(), (), ("**/*", "x")]))
    run = mpirun(4, scenario, "--out", tmp_path / "out")
    assert run.code == 1, run
    assert f"client 3 on {HOST}: 'x' unavailable: client 2 on {HOST}: " in run.stdout
    assert "expected root to be a folder" in run.stdout
    assert wrong_files(tmp_path / "out" / "client3", everything, set(TREE)) == []


def test_thousands_of_files_are_missing_for_one_reason_and_ten_are_named(tmp_path: Path) -> None:
    """The source is removed while the files are on their way."""
    files: Tree = {f"d{at % 7}/f{at:04}": (3000, 0o644) for at in range(5000)}
    everything = grow(tmp_path / "all", files, Random(1))
    scenario, journal, report = tmp_path / "s.toml", tmp_path / "run.jsonl", tmp_path / "report.json"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), *[("**/*",)] * 4]))
    words = (scenario, "--out", tmp_path / "out", "--rate", 2 * MIB, "--request-timeout", "1")
    with started(6, *words, "--journal", journal, "--report", report) as job:
        deadline = time.monotonic() + 30
        while not any((tmp_path / "out").rglob("f????")):
            assert time.monotonic() < deadline, job.complained()
            time.sleep(0.02)
        shutil.rmtree(everything)
        run = job.wait(60)
    assert run.code == 1, run
    cause = f"client 1 on {HOST}: vanished since it was hashed"
    told = [line.partition("] ")[2] for line in run.stdout.splitlines() if "unavailable: " in line]
    assert len(told) == 11
    assert all(line.endswith(f" unavailable: {cause}") for line in told)
    missing = {
        file["name"]
        for c in json.loads(report.read_bytes())["clients"]
        for file in c["files"]
        if file["unavailable"]
    }
    assert told[-1] == f"×{len(missing) - 10} more files unavailable: {cause}"
    assert any(remark.endswith(cause) for remark in json.loads(report.read_bytes())["remarks"])
    replayed = alone("replay", journal)
    assert replayed.code == 1
    assert [
        line.partition("] ")[2] for line in replayed.stdout.splitlines() if "unavailable: " in line
    ] == told
