"""The TOML form: shares are what pathlib would find, and every mistake has its line."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpi_core.protocol.errors import OwnTrouble, ScenarioError
from tests.helpers.scenarios import complaint_of, damaged, plan_of
from tui_torrent.scenario import ClientPlan, open_scenario


def toml(folder: Path, text: str) -> Path:
    path = folder / "swarm.toml"
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files to share."""
    for name in ("model.bin", "shards/a/1.bin", "shards/a/2.bin", "shards/b/1.bin", "odd [1].txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "model.bin").chmod(0o750)
    return tmp_path


@pytest.mark.parametrize(
    ("share", "names"),
    [
        ([], []),
        (["model.bin"], ["model.bin"]),
        (["shards"], ["shards/a/1.bin", "shards/a/2.bin", "shards/b/1.bin"]),
        (["shards/**/1.*", "shards/a"], ["shards/a/1.bin", "shards/a/2.bin", "shards/b/1.bin"]),
        (["odd [1].txt"], ["odd [1].txt"]),
        (["*.bin", "./model.bin"], ["model.bin"]),
        (["linked/"], ["linked/1.bin", "linked/2.bin"]),
        (["linked/*"], ["linked/1.bin", "linked/2.bin"]),
        (["**/2.bin"], ["shards/a/2.bin"]),
    ],
)
def test_shares_are_sorted_once_each_and_links_that_are_written_out_lead_to_folders(
    tree: Path, share: list[str], names: list[str]
) -> None:
    (tree / "link.bin").symlink_to("model.bin")
    (tree / "linked").symlink_to("shards/a")
    (tree / "shards" / "circle").symlink_to("..")
    plan = plan_of(toml(tree, f"[[client]]\nshare = {share}\n"))
    assert [found.name for found in plan.shares] == names
    for found in plan.shares:
        path = Path(found.path)
        assert path.read_text() == str(path.resolve().relative_to(tree))
        assert found.size == path.stat().st_size


def results_beside(holder: Path, link: Path, to: str) -> None:
    """A folder with a model and the half of a result, and a link to the folder or to one below it."""
    for name in ("model.bin", "out/read.me", "out/client2/deep/g.part"):
        (holder / name).parent.mkdir(parents=True, exist_ok=True)
        (holder / name).touch()
    (holder / "self").symlink_to(".")
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(holder / to)


def shares_of(folder: Path, share: str) -> str:
    tables = f'[[client]]\nroot = "root"\nshare = ["{share}"]\n[[client]]\nwant = ["*"]\n'
    return str(toml(folder, tables))


@pytest.mark.parametrize("holder", ["root/data", "beside"])
@pytest.mark.parametrize(
    ("share", "names"),
    [
        ("linked/", ["linked/model.bin", "linked/out/read.me"]),
        ("linked/**", ["linked/model.bin", "linked/out/read.me"]),
        ("linked/**/*", ["linked/model.bin", "linked/out/read.me"]),
        ("**/linked/**", ["linked/model.bin", "linked/out/read.me"]),
        ("linked/**/*.*", ["linked/model.bin", "linked/out/read.me"]),
        ("linked/self/**", ["linked/self/model.bin", "linked/self/out/read.me"]),
        ("linked/out/", ["linked/out/read.me"]),
        ("linked/o*/**", ["linked/out/read.me"]),
    ],
)
def test_where_results_go_is_not_shared_through_a_link(
    tmp_path: Path, holder: str, share: str, names: list[str]
) -> None:
    results_beside(tmp_path / holder, tmp_path / "root" / "linked", ".")
    scenario = open_scenario(shares_of(tmp_path, share), 3)
    found = scenario.client(1, tmp_path / holder / "out").found
    assert [share.name for share in found.shares] == names
    assert [entry.name for entry in found.entries if "client2" in entry.name] == []


@pytest.mark.parametrize("holder", ["root/data", "beside"])
@pytest.mark.parametrize("to", ["out/client2", "out/client2/deep"])
@pytest.mark.parametrize("share", ["linked/", "linked/*", "linked/**"])
def test_a_link_to_where_results_go_is_not_followed(tmp_path: Path, holder: str, to: str, share: str) -> None:
    results_beside(tmp_path / holder, tmp_path / "root" / "linked", to)
    scenario = open_scenario(shares_of(tmp_path, share), 3)
    with pytest.raises(OwnTrouble, match="where this run writes is never shared"):
        scenario.client(1, tmp_path / holder / "out")
    scenario = open_scenario(shares_of(tmp_path, "linked"), 3)
    found = scenario.client(1, tmp_path / holder / "out").found
    assert [entry.name for entry in found.entries if entry.target] == ["linked"]


def test_a_root_is_found_from_the_toml_file_and_from_home(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tree / "shards"))
    clients = [f'[[client]]\nroot = "{root}"\nshare = ["1.bin"]\n' for root in ("shards/b", "~/a", tree)]
    path = toml(tree, "\n".join(clients))
    assert [share.name for share in plan_of(path, 1).shares] == ["1.bin"]
    assert os.path.samefile(plan_of(path, 2).shares[0].path, tree / "shards" / "a" / "1.bin")
    assert "expected at least one file below" in complaint_of(path, 3)
    monkeypatch.chdir(tree)
    assert open_scenario("swarm.toml", 3).client(1).shares[0].path == "shards/b/1.bin"


def test_only_the_client_itself_touches_its_root(tmp_path: Path) -> None:
    path = toml(
        tmp_path, '[[client]]\nroot = "/nowhere/else"\nshare = ["x"]\n[[client]]\nwant = ["**", "x", "**"]'
    )
    scenario = open_scenario(str(path), 2)
    assert scenario.client_count == 2
    assert (scenario.shares(1), scenario.shares(2)) == (True, False)
    assert scenario.client(2) == ClientPlan(patterns=("**", "x"))
    problem = "client 1: expected root to be a folder, found none at '/nowhere/else'"
    assert complaint_of(path, 1) == f"swarm.toml:2: {problem}"
    assert complaint_of(path, 3) == "swarm.toml: expected a [[client]] for client 3"


@pytest.mark.parametrize("share", ["", 'share = ["1.bin"]\n'])
@pytest.mark.parametrize("root", ["model.bin", "nowhere"])
def test_a_root_is_a_folder_whether_anything_is_shared_or_not(tree: Path, root: str, share: str) -> None:
    path = toml(tree, f'[[client]]\nroot = "{root}"\n{share}want = ["x"]\n')
    problem = f"client 1: expected root to be a folder, found none at '{tree}/{root}'"
    assert complaint_of(path) == f"swarm.toml:2: {problem}".replace(f"{tree}/", "")


@pytest.mark.parametrize(
    ("rate", "bytes_a_second"),
    [("500000", 5e5), ("2.5e6", 2.5e6), ('"1 MiB/s"', 1 << 20), ('" 1.5kB/s"', 1500), ('"7 B/s"', 7)],
)
def test_a_client_may_have_a_rate_of_its_own(tmp_path: Path, rate: str, bytes_a_second: float) -> None:
    path = toml(tmp_path, f"[[client]]\nrate = {rate}\n[[client]]\n")
    assert (plan_of(path, 1).rate, plan_of(path, 2).rate) == (bytes_a_second, None)


KEYS = "expected root, share, want, rate, out or times"
TIMES = "expected times to be a number of clients, from 1 to 1000000"
RATE = 'expected rate to be bytes a second, from 1 on, such as 500000 or "1 MiB/s"'
LIST = 'to be a list of strings, {0} = ["…"], found '


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: expected a [[client]] table for each client, found none"),
        ("client = []", "1: expected a [[client]] table for each client, found none"),
        ("client = 3", "1: expected [[client]] tables, found an integer"),
        ("# one\n[client]\nshare = []", "2: expected [[client]] in double brackets, found [client]"),
        ("[[client]]\n[[clients]]", "2: expected [[client]] alone, found 'clients' (did you mean client?)"),
        ("title = 1\n[[client]]", "1: expected [[client]] alone, found 'title'"),
        ("[[client]]\n\nshare =", "3: expected TOML: Invalid value (the end)"),
        ("[[client]]\nshare = [1,,]\n", "2: expected TOML: Invalid value (column 12)"),
        (
            "[[client]]\n[[client]]\nshares = []",
            f"3: client 2: {KEYS}, found 'shares' (did you mean share?)",
        ),
        ("[[client]]\nzzz = 1", f"2: client 1: {KEYS}, found 'zzz'"),
        ("[[client]]\nroot = 1", "2: client 1: expected root to be the path of a folder, found an integer"),
        ('[[client]]\nroot = ""', "2: client 1: expected root to be the path of a folder, found ''"),
        ('[[client]]\nshare = "x"', "2: client 1: expected share " + LIST.format("share") + "a string"),
        (
            "[[client]]\nwant = [true]",
            "2: client 1: expected want " + LIST.format("want") + "a boolean in it",
        ),
        (
            '[[client]]\n[[client]]\nwant = [\n  "a",\n  "/etc/passwd",\n]',
            "5: client 2: expected want to name files below root, found an absolute name: '/etc/passwd'",
        ),
        (
            "[[client]]\nshare = ['../x']",
            "2: client 1: expected share to name files below root, "
            "found a name that leaves its folder: '../x'",
        ),
        (
            '[[client]]\nwant = [""]',
            "2: client 1: expected want to name files below root, found an empty name",
        ),
        ("[[client]]\nrate = 0", f"2: client 1: {RATE}, found 0"),
        ("[[client]]\n[[client]]\n\nrate = -1.5", f"4: client 2: {RATE}, found -1.5"),
        ("[[client]]\nrate = nan", f"2: client 1: {RATE}, found nan"),
        ("[[client]]\nrate = inf", f"2: client 1: {RATE}, found inf"),
        ("[[client]]\nrate = 1" + "0" * 400, f"2: client 1: {RATE}, found 1{'0' * 59}"),
        ("[[client]]\nrate = 0x" + "f" * 4000, f"2: client 1: {RATE}, found 0x{'f' * 58}"),
        ("[[client]]\nrate = 0o" + "7" * 5000, f"2: client 1: {RATE}, found 0x{'f' * 58}"),
        ("[[client]]\nrate = true", f"2: client 1: {RATE}, found a boolean"),
        ("[[client]]\nrate = []", f"2: client 1: {RATE}, found an array"),
        ('[[client]]\nrate = "fast"', f"2: client 1: {RATE}, found 'fast'"),
        ('[[client]]\nrate = "1 MiB"', f"2: client 1: {RATE}, found '1 MiB'"),
        ('[[client]]\nrate = "0.1 B/s"', f"2: client 1: {RATE}, found '0.1 B/s'"),
        ("[[client]]\ntimes = 3\n[[client]]\ntimes = 0", f"4: client 4: {TIMES}, found 0"),
        ("[[client]]\ntimes = true", f"2: client 1: {TIMES}, found a boolean"),
        ("[[client]]\ntimes = 1000001", f"2: client 1: {TIMES}, found 1000001"),
        ("[[client]]\ntimes = 2.0", f"2: client 1: {TIMES}, found a float"),
        ('[[client]]\nout = ""', "2: client 1: expected out to be the path of a folder, found ''"),
        ("[[client]]\nout = 1", "2: client 1: expected out to be the path of a folder, found an integer"),
        (
            'client = [{want = [""]}]',
            " client 1: expected want to name files below root, found an empty name",
        ),
    ],
)
def test_a_bad_toml_file_is_named_with_line_and_what_was_expected(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert complaint_of(toml(tmp_path, text)) == f"swarm.toml:{problem}"


def test_a_table_may_stand_for_several_clients(tree: Path) -> None:
    several = '[[client]]\ntimes = 3\nwant = ["*"]\nout = "/scratch"\n'
    text = '[[client]]\nshare = ["model.bin"]\n' + several + "[[client]]\n"
    scenario = open_scenario(str(toml(tree, text)), 5)
    assert scenario.client_count == 5
    plans = [scenario.client(rank) for rank in range(1, 6)]
    assert [plan.patterns for plan in plans] == [(), ("*",), ("*",), ("*",), ()]
    assert [plan.out for plan in plans] == [None, "/scratch", "/scratch", "/scratch", None]
    assert [len(plan.shares) for plan in plans] == [1, 0, 0, 0, 0]


def test_what_is_wrong_on_one_of_several_clients_names_it_and_the_tables_line(tmp_path: Path) -> None:
    scenario = open_scenario(str(toml(tmp_path, '[[client]]\ntimes = 3\nroot = "nowhere"\n')), 3)
    with pytest.raises(ScenarioError, match=r"swarm.toml:3: client 2: expected root to be a folder"):
        scenario.client(2)


@pytest.mark.parametrize(
    ("share", "problem"),
    [
        ("nothing", "share 'nothing': expected at least one file below '{0}', found none"),
        ("*.txt/", "share '*.txt/': expected at least one file below '{0}', found none"),
        ("model.bin/", "share 'model.bin/': expected at least one file below '{0}', found none"),
        ("model.bin/*", "share 'model.bin/*': expected at least one file below '{0}', found none"),
        ("shards/*", "share 'shards/*': expected at least one file below '{0}', found none"),
        ("x" * 300, "share '" + "x" * 59 + "…': expected at least one file below '{0}', found none"),
    ],
)
def test_a_bad_share_is_named(tree: Path, share: str, problem: str) -> None:
    root = str(tree)
    path = toml(tree, f'[[client]]\n\nshare = [\n"{share}"\n]')
    with pytest.raises(ScenarioError) as caught:
        plan_of(path)
    assert str(caught.value) == f"{path}:4: client 1: {problem.format(root)}"


TOML_EXAMPLE = '[[client]] # one\nroot = "."\nshare = ["a", "b/**"]\n[[client]]\nwant = ["a", \'b/*\']\n'


@settings(deadline=None)
@given(data=st.one_of(st.binary(), damaged(TOML_EXAMPLE), st.text("[]{}client=\"'\n., a1:-", max_size=60)))
@example(data="[[client]]\nshare = " + "[" * 5000)
@example(data="x = " + "1" * 5000)
@example(data="x = 1979-99-99")
@example(data="[[client]]\nrate = 0b1" + "0" * 20000)
def test_any_bytes_are_a_scenario_or_one_line(data: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "swarm.toml")
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        complaint = ""
        try:
            scenario = open_scenario(str(path), 1)
            for rank in range(1, scenario.client_count + 1):
                scenario.client(rank)
        except ScenarioError as error:
            complaint = str(error)
        if complaint:
            assert complaint.startswith(f"{path}:")
            assert " expected " in complaint
            assert complaint.isprintable()
