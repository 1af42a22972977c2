"""One call within an MPI program: every rank has its files, or hears why not; and the program goes on."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from tests.helpers.mpirun import HOST, REPOSITORY, mpirun, needs_mpirun
from tests.helpers.trees import Tree, grow, wrong_files

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(60)]

TREE: Tree = {"model.bin": (1_000_000, 0o644), "shards/a": (300_000, 0o600), "shards/b": (1, 0o644)}

#: Evaluates expressions of ``rank``: the arguments of a call, or None where that rank makes none. Notes what
#: came of the calls, and that nothing is left of them.
PROGRAM = """
import json, os, signal, sys, threading
from mpi4py import MPI
import tui_torrent

folder, *calls = sys.argv[1:]
world = MPI.COMM_WORLD
rank, told = world.rank, []
before = signal.getsignal(signal.SIGINT), threading.active_count(), os.listdir("/proc/self/fd")
for call in calls:
    arguments = eval(call)
    comm = world.Split(MPI.UNDEFINED if arguments is None else 0)
    try:
        report = None if arguments is None else tui_torrent.distribute(comm, **arguments)
        told.append("ok" if report is None else report.outcome)
    except tui_torrent.DistributionError as error:
        told.append([error.exit_code, str(error)])
    assert world.allreduce(rank) == sum(range(world.size))
after = signal.getsignal(signal.SIGINT), threading.active_count(), os.listdir("/proc/self/fd")
assert before[:2] == after[:2]
assert len(after[2]) <= len(before[2]) + 2, after[2]
with open(f"{folder}/told{rank}", "w") as file:
    json.dump(told, file)
"""


def told(folder: Path, ranks: int, *calls: str) -> list[list[object]]:
    """What each rank was told by each of the calls."""
    run = mpirun(ranks, folder, *calls, program=("-c", PROGRAM), cwd=folder)
    assert (run.code, run.stdout, run.complaints) == (0, "", []), run
    return [json.loads((folder / f"told{rank}").read_bytes()) for rank in range(ranks)]


def test_every_file_arrives_where_each_rank_wants_it(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", TREE, Random(1))
    sharing, wanting = "dict(root='all', share='**/*')", "dict(want='**/*', out='two')"
    first = f"({{}}, {sharing}, {wanting}, dict(want=['shards'], out='three'))"
    # A part of the ranks, among whom others have other numbers.
    second = f"(None, {{}}, {sharing}, dict(want='model.bin', out='again', rate=1e9))"
    answers = told(tmp_path, 4, f"{first}[rank]", f"{second}[rank]", f"{first}[rank]")
    assert answers == [["complete", "ok", "complete"], ["ok", "complete", "ok"], ["ok"] * 3, ["ok"] * 3]
    assert wrong_files(tmp_path / "two", everything, set(TREE)) == []
    assert wrong_files(tmp_path / "three", everything, {"shards/a", "shards/b"}) == []
    assert wrong_files(tmp_path / "again", everything, {"model.bin"}) == []


def test_what_cannot_be_had_is_told_to_every_rank_and_the_program_goes_on(tmp_path: Path) -> None:
    grow(tmp_path / "all", TREE, Random(1))
    cases = {
        "dict(want='nothing', out='o') if rank == 2 else {}": [1, "'nothing' unavailable"],
        "dict(root='nowhere', share='x') if rank == 1 else {}": [2, ": expected root to be a folder"],
        "dict(root='all', share='y*') if rank == 2 else {}": [2, ": share 'y*': expected at least one"],
        "dict(want='../x') if rank == 1 else {}": [2, "rank 1: expected want to name files below root"],
        "dict(want='x')": [2, "rank 0 is the tracker"],
        "dict(rate=0) if rank == 2 else {}": [2, "rank 2: expected rate to be bytes a second"],
        "dict(journal='/nowhere/j') if rank == 0 else {}": [2, "--journal '/nowhere/j': expected a file"],
        "dict(root='all', share='*') if rank == 1 else dict(want='*', out='all/model.bin') if rank else {}": [
            2,
            "expected a folder, found a file",
        ],
        "dict(root='all', share='**/*', want='model.bin', out='mine') if rank == 1 else "
        "dict(want='*', out='all/model.bin') if rank else {}": [1, f"client 2 on {HOST}: "],
        "{} if rank == 1 else None": [2, "expected at least 2 ranks, found 1"],
    }
    by_rank = told(tmp_path, 3, *cases)
    for at, (call, (code, words)) in enumerate(cases.items()):
        for rank, answers in enumerate(by_rank):
            if "None" in call and rank != 1:
                continue
            answer = answers[at]
            assert isinstance(answer, list), (call, rank, answer)
            assert answer[0] == code, (call, rank, answer)
            assert str(words) in answer[1], (call, rank, answer)


def test_the_example_runs(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", TREE, Random(1))
    program = (str(REPOSITORY / "demo" / "library.py"),)
    run = mpirun(4, tmp_path / "all", tmp_path / "out", program=program, cwd=tmp_path)
    assert (run.code, run.complaints) == (0, []), run
    assert run.stdout.startswith("2 ranks have all files, after ")
    for rank in (2, 3):
        assert wrong_files(tmp_path / "out" / f"rank{rank}", everything, set(TREE)) == []
