"""Real files under mpirun: every byte and mode arrives; a share that breaks on the way is named."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest

from mpi_core.protocol.manifest import MIN_SEGMENT_LENGTH
from tests.helpers.disk import mode_of, tree_of
from tests.helpers.mpirun import HOST, Job, Run, mpirun, needs_mpirun
from tests.helpers.trees import Tree, client_tables, grow, link_below, wrong_files

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(90)]

MIB = 1024 * 1024

#: Name → size, mode. Sizes about the length of a segment, and far from it.
TREE: Tree = {
    "empty": (0, 0o644),
    "one": (1, 0o600),
    "notes.txt": (5_000, 0o400),
    "models/big.bin": (8 * MIB, 0o644),
    "models/big+1.bin": (4 * MIB + 1, 0o640),
    "models/exact.bin": (MIB, 0o755),
    "models/v2/weights.bin": (3_333_333, 0o644),
    "shards/a/0.bin": (MIN_SEGMENT_LENGTH, 0o644),
    "shards/a/1.bin": (MIN_SEGMENT_LENGTH - 1, 0o644),
    "shards/a/2.bin": (MIN_SEGMENT_LENGTH + 1, 0o644),
    "shards/a/deep/er/3.bin": (70_000, 0o600),
    "shards/b/0.bin": (65_536, 0o644),
    "with blanks/a b  c.txt": (100, 0o644),
    "with blanks/ leading": (200, 0o755),
    "ünïcödé/данные-日本.bin": (12_345, 0o644),
    ".hidden/.file": (77, 0o600),
    "bin/run.sh": (300, 0o755),
    "bin/x.part": (40_000, 0o644),
    'quotes/it\'s "so" \\ so': (99, 0o644),
    **{f"many/{at:02}.dat": (at * at * 997, (0o644, 0o755, 0o400, 0o600)[at % 4]) for at in range(20)},
}
#: What the first owner has; the second has the rest, and some of it too.
FIRST = ("models/**/*", "shards", "one", "bin", "many/0*.dat")
SECOND_TOO = ("models/big.bin", "shards/a/1.bin", "many/03.dat", "one")


def matched(everything: Path, patterns: tuple[str, ...]) -> set[str]:
    """The names that patterns mean, by pathlib."""
    names: set[str] = set()
    for pattern in patterns:
        plain = everything / pattern
        found = [plain] if plain.exists() else list(everything.glob(pattern))
        found += [below for path in found if path.is_dir() and path == plain for below in path.rglob("*")]
        names |= {str(path.relative_to(everything)) for path in found if path.is_file()}
    return names


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files."""
    return grow(tmp_path_factory.mktemp("tree") / "all", TREE, Random(7))


@pytest.mark.parametrize(
    "options",
    [(), ("--over-mpi",), ("--digest", "sha256", "--strategy", "classic")],
    ids=["blake3", "over-mpi", "sha256"],
)
def test_every_byte_and_mode_arrives(options: tuple[str, ...], everything: Path, tmp_path: Path) -> None:
    first = matched(everything, FIRST)
    second = (TREE.keys() - first) | set(SECOND_TOO)
    roots = (link_below(tmp_path / "a", everything, first), link_below(tmp_path / "b", everything, second))
    wants: tuple[tuple[str, ...], ...] = (
        (),
        ("models", "shards/**/*"),
        ("**/*",),
        ("models/big.bin", "with blanks/a b  c.txt", "ünïcödé", "many/1?.dat"),
        ("shards/a/*", "*", "models/big.bin", "models/big.bin"),
        ("many/[13579]*.dat", "**/*.bin"),
    )
    shares = (("**/*",), ("with blanks", ".hidden", "**/*", "one"))
    scenario = tmp_path / "scenario.toml"
    scenario.write_text(client_tables(zip(roots, shares, strict=True), wants))
    out, report_file = tmp_path / "out", tmp_path / "report.json"
    run = mpirun(7, scenario, "--out", out, "--report", report_file, "--seed", "3", *options)
    assert run.code == 0, run
    assert run.complaints == []
    for rank, patterns in enumerate(wants, 1):
        expected = matched(everything, patterns)
        assert wrong_files(out / f"client{rank}", everything, expected) == [], (rank, patterns)
    assert {path.name for path in out.iterdir()} == {f"client{rank}" for rank in range(2, 7)}
    report = json.loads(report_file.read_bytes())
    assert all(finding["holds"] is True for finding in report["conformance"])
    assert sum(client["corrupt_received"] for client in report["clients"]) == 0


def test_a_second_run_writes_over_the_first(tmp_path: Path) -> None:
    tree: Tree = {"a": (100, 0o644), "b/c": (200_000, 0o400)}
    everything = grow(tmp_path / "all", tree, Random(1))
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), ("**/*",)]))
    for _ in range(2):
        assert mpirun(3, scenario, "--out", tmp_path / "out").code == 0
        assert wrong_files(tmp_path / "out" / "client2", everything, set(tree)) == []


def test_a_wanted_name_that_nobody_shares_is_named_and_the_rest_arrives(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", {"here": (1000, 0o644)}, Random(1))
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(everything, ("*",))], [(), ("here", "not/here.bin")]))
    run = mpirun(3, scenario, "--out", tmp_path / "out")
    assert run.code == 1, run
    assert f"client 2 on {HOST}: 'not/here.bin' unavailable" in run.stdout
    assert wrong_files(tmp_path / "out" / "client2", everything, {"here"}) == []


@pytest.mark.alike
@pytest.mark.parametrize(
    ("taken", "problem"),
    [
        ("data/a", "cannot write '{}': a folder is there"),
        ("data", "cannot make the folder '{}': a file is there"),
    ],
)
def test_a_place_of_a_pattern_that_is_taken_is_one_line_and_nothing_is_lost(
    taken: str, problem: str, tmp_path: Path
) -> None:
    """What a pattern matches is known only when the run has begun: it is bad input all the same."""
    everything = grow(tmp_path / "all", {"data/a": (300_000, 0o644), "b": (300_000, 0o644)}, Random(1))
    scenario, report = tmp_path / "s.toml", tmp_path / "report.json"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), ("**/*",)]))
    report.write_text("of an earlier run")
    client = tmp_path / "out" / "client2"
    kept = client / taken / "kept" if "folder is" in problem else client / taken
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"kept")
    run = mpirun(3, scenario, "--out", tmp_path / "out", "--report", report)
    why = problem.format(client / taken)
    line = f"tui_torrent: client 2 on {HOST}: {why}; it lacks 2 of 2 files"
    assert (run.code, run.stdout, run.complaints) == (2, "", [line]), run
    assert kept.read_bytes() == b"kept"
    assert not list(client.rglob("*.part"))
    told = json.loads(report.read_bytes())
    assert (told["aborted"], told["clients"][1]["failed"]) == (None, why)


@pytest.mark.alike
def test_clients_of_one_table_have_files_where_it_says(tmp_path: Path) -> None:
    """As on hosts of their own; on one, whoever comes second is told so, and the first has all."""
    everything = grow(tmp_path / "all", {"data/a": (300_000, 0o644)}, Random(1))
    scenario, place = tmp_path / "s.toml", tmp_path / "scratch" / "data"
    tables = client_tables([(everything, ("**/*",))], [(), ("**/*",)]) + f'out = "{place}"\ntimes = '
    scenario.write_text(tables + "2")
    run = mpirun(4, scenario)
    assert run.code == 1, run
    why = f"on {HOST}: cannot write into '{place}': another client writes there; it lacks 'data/a'"
    assert why in run.stdout
    assert wrong_files(place, everything, {"data/a"}) == []
    shutil.rmtree(place)
    run = mpirun(4, scenario, "--strict")
    assert run.code == 2, run
    assert f" on {HOST}: cannot write into '{place}': another client writes there" in "".join(run.complaints)
    scenario.write_text(tables + "1")
    run = mpirun(3, scenario)
    assert run.code == 0, run
    assert wrong_files(place, everything, {"data/a"}) == []


# Shares that break while they are served ------------------------------------------------------


def cut_short(file: Path) -> None:
    os.truncate(file, 300_000)


def cut_a_quarter_short(file: Path) -> None:
    """Of the small files, which lie beside the big one: the last quarter in their order."""
    for small in sorted(file.parent.glob("s???"))[150:]:
        os.truncate(small, 7)


def spoil(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"?" * file.stat().st_size)


BREAKS: Mapping[str, Callable[[Path], None]] = {
    "cut_short": cut_short,
    "spoil": spoil,
    "bundle": cut_a_quarter_short,
}
BREAKABLE: Tree = {"big.bin": (8 * MIB, 0o644), "small": (50, 0o600)}
#: Enough of them to travel as a bundle.
SMALL_ONES: Tree = {f"s{at:03}": (30_000, 0o640) for at in range(200)}
MANY_SMALL: Tree = {"big.bin": (8 * MIB, 0o644)} | SMALL_ONES


@pytest.fixture(scope="module")
def broken_shares(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Run]]:
    """Runs whose share breaks when it is on its way: the output folder and the end of each.

    All at once, since each has to wait until it is sure that nobody else will have the file.
    """
    jobs: dict[str, tuple[Path, Job]] = {}
    try:
        for name in BREAKS:
            folder = tmp_path_factory.mktemp(name)
            tree = MANY_SMALL if name == "bundle" else BREAKABLE
            everything = grow(folder / "all", tree, Random(1))
            scenario = folder / "s.toml"
            scenario.write_text(client_tables([(everything, ("*",))], [(), ("*",), ("*",)]))
            options: tuple[object, ...] = ("--rate", MIB, "--out", folder / "out", "--request-timeout", "1")
            options += ("--report", folder / "report.json")
            jobs[name] = (folder, Job(4, (scenario, *options)))
        for name, (folder, job) in jobs.items():
            deadline = time.monotonic() + 20
            while not any((folder / "out").rglob("big.bin.part")) or not job.is_moving():
                assert time.monotonic() < deadline, job.complained()
                time.sleep(0.02)
            BREAKS[name](folder / "all" / "big.bin")
        return {name: (folder / "out", job.wait(60)) for name, (folder, job) in jobs.items()}
    finally:
        for _, job in jobs.values():
            job.close()


@pytest.mark.alike
def test_a_file_that_is_cut_short_meanwhile_is_named_and_the_rest_arrives(
    broken_shares: Mapping[str, tuple[Path, Run]],
) -> None:
    out, run = broken_shares["cut_short"]
    assert run.code == 1, run
    assert "17/17 rules hold" in run.stdout
    for rank in (2, 3):
        why = f"client 1 on {HOST}: changed since it was hashed"
        assert f"client {rank} on {HOST}: 'big.bin' unavailable: {why}" in run.stdout
        assert tree_of(out / f"client{rank}").keys() == {"small"}
        assert mode_of(out / f"client{rank}" / "small") == 0o600


@pytest.mark.alike
def test_a_file_that_is_spoiled_meanwhile_is_named(broken_shares: Mapping[str, tuple[Path, Run]]) -> None:
    out, run = broken_shares["spoil"]
    assert run.code == 1, run
    assert "17/17 rules hold" in run.stdout
    for rank in (2, 3):
        why = f"client 1 on {HOST}: changed since it was hashed"
        assert f"client {rank} on {HOST}: 'big.bin' unavailable: {why}" in run.stdout
        assert tree_of(out / f"client{rank}").keys() == {"small"}


@pytest.mark.alike
def test_small_files_that_are_cut_short_meanwhile_are_named_and_the_rest_arrives(
    broken_shares: Mapping[str, tuple[Path, Run]],
) -> None:
    """What shares a segment with them is lost with them, and named as well."""
    out, run = broken_shares["bundle"]
    assert run.code == 1, run
    assert "17/17 rules hold" in run.stdout
    why = f"client 1 on {HOST}: changed since it was hashed"
    lines = [line for line in run.stdout.splitlines() if "unavailable: " in line]
    assert len(lines) == 11
    assert all(line.endswith(f" unavailable: {why}") for line in lines)
    assert "×" in lines[-1]
    report = json.loads((out.parent / "report.json").read_bytes())
    for rank in (2, 3):
        arrived = tree_of(out / f"client{rank}")
        named = {file["name"] for file in report["clients"][rank - 1]["files"] if file["unavailable"] == why}
        assert named
        assert named.isdisjoint(arrived)
        assert named | arrived.keys() == MANY_SMALL.keys()
        assert len(named) <= 50 + 17, "more than the broken ones and the rest of a segment"
        assert {len(content) for name, content in arrived.items() if name in SMALL_ONES} == {30_000}


def test_a_client_uploads_no_faster_than_its_own_rate(tmp_path: Path) -> None:
    for name in ("slow", "fast"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.bin").write_bytes(bytes(MIB))
    tables = (
        '[[client]]\nroot = "slow"\nshare = ["*"]\nrate = "1 MiB/s"',
        '[[client]]\nroot = "fast"\nshare = ["*"]',
        '[[client]]\nwant = ["slow.bin"]',
        '[[client]]\nwant = ["fast.bin"]',
    )
    scenario = tmp_path / "swarm.toml"
    scenario.write_text("\n".join(tables))
    report = tmp_path / "report.json"
    run = mpirun(5, scenario, "--out", tmp_path / "out", "--report", report)
    assert run.code == 0, run
    slow, fast = (client["finished_at_s"] for client in json.loads(report.read_bytes())["clients"][2:])
    assert slow > 0.6
    assert slow > 2 * fast
