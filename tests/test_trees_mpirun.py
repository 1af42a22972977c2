"""Trees under mpirun: tens of thousands of entries, across hosts, from hostile owners and off bad disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.bench import netlab
from tests.helpers.forest import differences, looks, others_say, plant
from tests.helpers.mpirun import HOST, REPOSITORY, modes_bind, mpirun, needs_mpirun
from tests.helpers.trees import Tree, client_tables, grow

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(240)]

EVERYTHING = ("**/*",)


def scenario_of(folder: Path, *tables: str) -> Path:
    scenario = folder / "s.toml"
    scenario.write_text("".join(f"[[client]]\n{table}\n" for table in tables))
    return scenario


def test_twenty_thousand_entries_arrive_as_they_are_at_three_clients(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 20_000)
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(tree, EVERYTHING)], [(), EVERYTHING, EVERYTHING, EVERYTHING]))
    run = mpirun(5, scenario, "--out", tmp_path / "out", timeout=120)
    assert (run.code, run.complaints) == (0, []), run
    for rank in (2, 3, 4):
        copy = tmp_path / "out" / f"client{rank}"
        assert differences(tree, copy) == []
        assert others_say(tree, copy) == []


@pytest.mark.skipif(netlab.missing() is not None, reason=f"no lab: {netlab.missing()}")
def test_twenty_thousand_entries_arrive_as_they_are_across_five_hosts(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 20_000)
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(tree, EVERYTHING)], [(), *[EVERYTHING] * 3]))
    words = [sys.executable, "-m", "tui_torrent", scenario, "--out", tmp_path / "out"]
    with netlab.Netlab(5) as lab:
        command = [*lab.mpirun([0, 1, 2, 3, 4]), *map(str, words)]
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=150)
    assert run.returncode == 0, run.stdout + run.stderr
    for rank in (2, 3, 4):
        assert differences(tree, tmp_path / "out" / f"client{rank}") == []
        assert others_say(tree, tmp_path / "out" / f"client{rank}") == []


def test_a_second_run_has_nothing_left_to_change(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 300)
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(tree, EVERYTHING)], [(), EVERYTHING]))
    for _ in range(2):
        run = mpirun(3, scenario, "--out", tmp_path / "out")
        assert (run.code, run.complaints) == (0, []), run
        assert others_say(tree, tmp_path / "out" / "client2") == []


@pytest.mark.alike
def test_no_link_of_one_owner_leads_anothers_file_out_of_the_output_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for folder in (outside, tmp_path / "a", tmp_path / "b" / "d"):
        folder.mkdir(parents=True)
    (tmp_path / "a" / "d").symlink_to(outside)
    (tmp_path / "b" / "d" / "f").write_bytes(b"written")
    (tmp_path / "b" / "other").write_bytes(b"other")
    for first, second in (("a", "b"), ("b", "a")):
        owners = [f'root = "{tmp_path}/{root}"\nshare = ["**/*"]' for root in (first, second)]
        scenario = scenario_of(tmp_path, *owners, 'want = ["**/*"]')
        run = mpirun(4, scenario, "--out", tmp_path / "out")
        assert run.code == 2, run
        (line,) = run.complaints
        link, file = (1, 2) if first == "a" else (2, 1)
        assert f"client {link} shares 'd' as a link and client {file} 'd/f' below it" in line
        assert list(outside.iterdir()) == []


@pytest.mark.alike
def test_no_link_from_before_leads_a_file_out_of_the_output_folder(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out" / "client2"
    for folder in (outside, out, tmp_path / "all" / "d" / "e"):
        folder.mkdir(parents=True)
    for name in ("d/f", "d/e/g"):
        (tmp_path / "all" / name).write_bytes(b"written")
    (out / "d").symlink_to(outside)
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(tmp_path / "all", EVERYTHING)], [(), EVERYTHING]))
    run = mpirun(3, scenario, "--out", tmp_path / "out")
    assert run.code != 0, run
    assert f"cannot use the folder '{out}/d': it leads out of '{out}'" in run.stdout + run.stderr
    assert list(outside.iterdir()) == []


@pytest.mark.alike
@pytest.mark.skipif(not modes_bind(), reason="root reads all here")
def test_what_cannot_be_shared_is_named_at_once_and_the_rest_arrives(tmp_path: Path) -> None:
    tree: Tree = {f"many/{at:03}": (1_000, 0o644) for at in range(200)} | {"big": (3_000_000, 0o644)}
    everything = grow(tmp_path / "all", tree, Random(1))
    os.mkfifo(everything / "fifo")
    (everything / ".#lock").symlink_to("me@host.1234:567")
    scenario, report = tmp_path / "s.toml", tmp_path / "r.json"
    scenario.write_text(client_tables([(everything, EVERYTHING)], [(), EVERYTHING]))
    run = mpirun(3, scenario, "--out", tmp_path / "out", "--report", report)
    assert run.code == 0, run
    assert f"client 1 on {HOST} does not share what no swarm carries: 'fifo' (a FIFO)\n" in run.stdout
    assert differences(everything, tmp_path / "out" / "client2", but=[b"fifo"]) == []
    for name in ("many/003", "many/004"):
        (everything / name).chmod(0)
    (everything / "locked").mkdir(mode=0)
    run = mpirun(3, scenario, "--out", tmp_path / "out2", "--report", report, powerless=True)
    (everything / "locked").chmod(0o700)
    assert run.code == 1, run
    reason = "(Permission denied)"
    named = f"'locked' {reason}, 'many/003' {reason}, 'many/004' {reason}"
    assert f"client 1 on {HOST} cannot share {named}\n" in run.stdout
    for name in ("many/003", "many/004"):
        (everything / name).chmod(0o644)
    before, after = looks(everything), looks(tmp_path / "out2" / "client2")
    assert after.keys() == before.keys() - {b"fifo", b"many/003", b"many/004"}
    assert all(after[name].content == before[name].content for name in after)
    told = json.loads(report.read_bytes())
    assert told["outcome"] == "incomplete"
    losses = {loss["what"]: [name for name, _ in loss["files"]] for loss in told["clients"][0]["not_kept"]}
    assert losses == {"untravelled": ["fifo"], "unreadable": ["locked", "many/003", "many/004"]}


@pytest.mark.alike
def test_a_file_system_that_refuses_modes_costs_one_remark(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", {f"d/{at:03}": (2_000, 0o640) for at in range(100)}, Random(1))
    refusing = tmp_path / "refusing"
    refusing.mkdir()
    (refusing / "sitecustomize.py").write_text(
        "import os\ndef f(*a):\n    raise PermissionError(1, 'Operation not permitted')\nos.fchmod = f\n"
    )
    paths = os.pathsep.join((str(refusing), str(REPOSITORY)))
    scenario = tmp_path / "s.toml"
    scenario.write_text(client_tables([(everything, EVERYTHING)], [(), EVERYTHING]))
    run = mpirun(3, scenario, "--out", tmp_path / "out", environment={"PYTHONPATH": paths})
    assert run.code == 0, run
    remarks = [line for line in run.stdout.splitlines() if "refuses" in line]
    assert len(remarks) == 1, run
    assert f"client 2 on {HOST}: its file system refuses to keep all as it is: " in remarks[0]
    assert "(mode: Operation not permitted)" in remarks[0]
    assert len(list((tmp_path / "out" / "client2" / "d").iterdir())) == 100


@pytest.mark.alike
def test_results_are_not_shared_by_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.bin").write_bytes(os.urandom(300_000))
    scenario_of(tmp_path, 'share = ["**/*"]', 'want = ["**/*"]', 'want = ["src"]\nout = "elsewhere/deep"')
    there: set[str] = set()
    for _ in range(2):
        run = mpirun(4, "s.toml", cwd=tmp_path)
        assert run.code == 0, run
        there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        mine = {"s.toml", "src/a.bin"}
        assert there == mine | {f"client2/{name}" for name in mine} | {"elsewhere/deep/src/a.bin"}


@pytest.mark.alike
def test_a_variable_in_a_path_is_replaced_or_refused_and_never_made(tmp_path: Path) -> None:
    everything = grow(tmp_path / "all", {"a": (1_000, 0o644)}, Random(1))
    share = f'root = "{everything}"\nshare = ["a"]'
    scenario = scenario_of(tmp_path, share, 'want = ["a"]\nout = "$PLACE/x"')
    run = mpirun(3, scenario, cwd=tmp_path, environment={"PLACE": str(tmp_path / "place")})
    assert run.code == 0, run
    assert (tmp_path / "place" / "x" / "a").exists()
    problem = "client 2: expected out to be the path of a folder, found '$PLACE/x': $PLACE is not set"
    run = mpirun(3, scenario, cwd=tmp_path)
    assert (run.code, run.complaints) == (2, [f"tui_torrent: {scenario}:6: {problem}"]), run
    run = mpirun(3, scenario, "--out", "$PLACE", cwd=tmp_path)
    assert run.code == 2, run
    assert "$PLACE is not set" in run.complaints[0]
    assert not [path for path in tmp_path.iterdir() if "$" in path.name]
