"""Whatever the input is, a scenario gives plans or one line that says what is wrong where."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import Roles
from tui_torrent.scenario import ClientPlan, Scenario, open_scenario, wrong_size
from tui_torrent.scenario.classic import parse_client
from tui_torrent.scenario.demo import DEMO_RATE, DEMO_SECONDS, DEMO_SEGMENT_LENGTH, demo_files, fastest


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


# The classic scenario -------------------------------------------------------------------------

EXAMPLE = "2\nfile1 3\naa\nbb\naa\nfile2 2\ncc\ndd\n1\nfile3\n"


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE,
        EXAMPLE.rstrip("\n"),
        EXAMPLE.replace("\n", "\r\n"),
        EXAMPLE.replace("\n", " \t \n"),
        EXAMPLE + "\n \n\r\n",
        "\ufeff" + EXAMPLE,
        EXAMPLE.replace("file1 3", "  file1\t03"),
    ],
)
def test_line_ends_blanks_and_a_byte_order_mark_do_not_matter(tmp_path: Path, text: str) -> None:
    assert plan_of(folder_of(tmp_path / "s", text)) == ClientPlan(
        declared=(
            Manifest.declared("file1", ("aa", "bb", "aa")),
            Manifest.declared("file2", ("cc", "dd")),
        ),
        wants=("file3",),
    )


@pytest.mark.parametrize(
    ("text", "declared", "wants"),
    [
        ("0\n0\n", {}, ()),
        ("1\nf 0\n0\n", {"f": ()}, ()),
        ("1\nf 2\nNONE\nNONE\n1\nf\n", {"f": ("NONE", "NONE")}, ("f",)),
        ("0\n3\nb\na\nb\n", {}, ("b", "a")),
        ("1\nf 2\n" + "8" * 8 + "\n" + "6" * 64 + "\n0\n", {"f": ("8" * 8, "6" * 64)}, ()),
        ("1\nf 1\nh\x0c\n0\n", {"f": ("h",)}, ()),
        ("0\n1\n" + "n" * 5000 + "\n", {}, ("n" * 5000,)),
        ("0\n1\nnaïve-名\n", {}, ("naïve-名",)),
        ("0\n2\n...\na\\b\n", {}, ("...", "a\\b")),
    ],
)
def test_unusual_files_simply_work(
    tmp_path: Path, text: str, declared: dict[str, tuple[str, ...]], wants: tuple[str, ...]
) -> None:
    plan = plan_of(folder_of(tmp_path / "s", text))
    assert plan.declared == tuple(Manifest.declared(*item) for item in declared.items())
    assert plan.wants == wants


OWNED = "the number of files owned (0 or more)"
WANTED = "the number of files wanted (0 or more)"
FIRST = "the name and the number of segments of owned file 1 of 1"
END = "the end of the file"


@pytest.mark.parametrize(
    ("text", "line", "expected", "found"),
    [
        ("", 1, OWNED, "an empty file"),
        (" \r\n\n", 1, OWNED, "an empty file"),
        ("\n0\n0\n", 1, OWNED, "a blank line"),
        ("-3\n0\n", 1, OWNED, "'-3'"),
        ("+3\n0\n", 1, OWNED, "'+3'"),
        ("1.5\n0\n", 1, OWNED, "'1.5'"),
        ("1_0\n0\n", 1, OWNED, "'1_0'"),
        ("٣\n0\n", 1, OWNED, "'٣'"),
        ("x\n", 1, OWNED, "'x'"),
        ("1 2\n", 1, OWNED, "'1 2'"),
        ("0", 2, WANTED, END),
        ("0\n-1\n", 2, WANTED, "'-1'"),
        ("1", 2, FIRST, END),
        ("1\nf\nh\n0\n", 2, FIRST, "'f'"),
        ("1\nmy f 1\nh\n0\n", 2, FIRST, "'my f 1'"),
        ("1\nf -1\n0\n", 2, "the number of segments of 'f' (0 or more)", "'-1'"),
        ("1\nf many\n0\n", 2, "the number of segments of 'f' (0 or more)", "'many'"),
        ("1\nf 2\nh\n\n0\n", 4, "a hash without white space (segment 2 of 2 of 'f')", "a blank line"),
        ("1\nf 1\na b\n0\n", 3, "a hash without white space (segment 1 of 1 of 'f')", "'a b'"),
        ("1\nf 3\na\nb\n", 5, "a hash without white space (segment 3 of 3 of 'f')", END),
        ("1\nf 3\na\nb\n0\n", 6, WANTED, END),
        ("1\nf 1\na\nb\n0\n", 4, WANTED, "'b'"),
        ("2\nf 1\na\n0\n", 4, FIRST.replace("1 of 1", "2 of 2"), "'0'"),
        ("1\nf 1\na\ng 1\nb\n0\n", 4, WANTED, "'g 1'"),
        ("2\nf 1\na\nf 1\na\n0\n", 4, "each owned file once", "'f' again (first on line 2)"),
        ("0\n2\na\n", 4, "the name, without white space, of wanted file 2 of 2", END),
        ("0\n1\na b\n", 3, "the name, without white space, of wanted file 1 of 1", "'a b'"),
        ("0\n1\na\n\nb\n", 5, END, "'b'"),
        ("0\n0\n0\n", 3, END, "'0'"),
        ("0\n1\na/b\n", 3, "a name without a path separator", "'a/b'"),
        ("1\n/etc/x 0\n0\n", 2, "a name without a path separator", "'/etc/x'"),
        ("0\n1\n..\n", 3, "the name of a file", "'..'"),
        ("1\n. 0\n0\n", 2, "the name of a file", "'.'"),
        ("0\n1\na\0b\n", 3, "text", "a NUL byte"),
        ("1\nf 1\n\0\n0\n", 3, "text", "a NUL byte"),
        ("0\n" + "x" * 100 + "\n", 2, WANTED, "'" + "x" * 59 + "…'"),
    ],
)
def test_a_bad_in_file_is_named_with_line_and_what_was_expected(
    tmp_path: Path, text: str, line: int, expected: str, found: str
) -> None:
    scenario = folder_of(tmp_path / "s", text)
    assert complaint_of(scenario) == f"s/in1.txt:{line}: expected {expected}, found {found}"


@pytest.mark.parametrize("count", ["99999", str(10**30), "9" * 5000])
def test_a_count_that_is_too_big_costs_nothing(tmp_path: Path, count: str) -> None:
    for text, line in ((f"{count}\n", 2), (f"1\nf {count}\nh\n", 4), (f"0\n{count}\na\n", 4)):
        complaint = complaint_of(folder_of(tmp_path / "s", text))
        assert complaint.startswith(f"s/in1.txt:{line}: expected ")
        assert complaint.endswith("found the end of the file")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"0\n1\n\xff\n", "in1.txt:3: expected text in UTF-8, found byte 0xff"),
        (b"\xef\xbb\xbf0\n\x80", "in1.txt:2: expected text in UTF-8, found byte 0x80"),
        ("0\n0\n".encode("utf-16"), "in1.txt:1: expected text in UTF-8, found byte 0xff"),
        ("0\n0\n".encode("utf-16-le"), "in1.txt:1: expected text, found a NUL byte"),
    ],
)
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes, problem: str) -> None:
    assert complaint_of(folder_of(tmp_path / "s", data)) == f"s/{problem}"


def test_the_clients_are_counted_by_the_highest_in_file(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "s", "0\n0\n", None, "0\n0\n")
    for other in ("in07.txt", "in9.txt~", "in.txt", "README", "in8.txt.bak"):
        (scenario / other).touch()
    assert open_scenario(str(scenario), 1).client_count == 3
    assert complaint_of(scenario, 2) == "s/in2.txt: missing: expected the files that client 2 owns and wants"


def test_what_is_no_in_file(tmp_path: Path) -> None:
    scenario = tmp_path / "s"
    (scenario / "in1.txt").mkdir(parents=True)
    os.mkfifo(scenario / "in2.txt")
    (scenario / "in3.txt").symlink_to("nowhere")
    assert complaint_of(scenario, 1) == "s/in1.txt: expected a file, found a folder"
    assert complaint_of(scenario, 2) == "s/in2.txt: expected a regular file, found a device, pipe or socket"
    assert complaint_of(scenario, 3).startswith("s/in3.txt: missing: ")
    (scenario / "in0.txt").touch()
    assert complaint_of(scenario) == "s/in0.txt: expected in1.txt, in2.txt …: rank 0 is the tracker"


def test_what_is_no_scenario(tmp_path: Path) -> None:
    kinds = "expected a folder of in<R>.txt files or a TOML file (*.toml)"
    (tmp_path / "empty").mkdir()
    (tmp_path / "in1.txt").write_text("0\n0\n")
    (tmp_path / "deep").symlink_to("deep")
    none = "empty: expected in1.txt, in2.txt …, one for each client, found none"
    assert complaint_of(tmp_path / "empty") == none
    assert complaint_of(tmp_path / "nothing") == f"nothing: {kinds}, found nothing"
    assert complaint_of(tmp_path / "two\nlines") == f"two\\nlines: {kinds}, found nothing"
    assert complaint_of(tmp_path / "nul\0") == f"nul\\x00: {kinds}, found a path that cannot be"
    assert complaint_of(tmp_path / "in1.txt") == f"in1.txt: {kinds}, found another file"
    assert complaint_of(tmp_path / "in1.txt" / "x").endswith(f"{kinds}, found nothing")
    assert complaint_of(tmp_path / "deep").startswith(f"deep: {kinds}: ")


TOKENS = st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1).filter(
    lambda text: len(text.split()) == 1 and text.split()[0] == text and "\ufeff" not in text
)
NAMES = TOKENS.filter(lambda name: "/" not in name and name not in (".", ".."))


@given(
    owned=st.dictionaries(NAMES, st.lists(TOKENS, max_size=5), max_size=4),
    wants=st.lists(NAMES, unique=True, max_size=4),
    end=st.sampled_from(["\n", "\r\n", " \t\n"]),
)
def test_a_written_scenario_reads_the_same(owned: dict[str, list[str]], wants: list[str], end: str) -> None:
    lines = [str(len(owned))]
    for name, hashes in owned.items():
        lines += [f"{name} {len(hashes)}", *hashes]
    lines += [str(len(wants)), *wants]
    plan = parse_client("in1.txt", end.join(lines))
    assert plan.declared == tuple(Manifest.declared(name, tuple(hashes)) for name, hashes in owned.items())
    assert plan.wants == tuple(wants)


def damaged(text: str) -> st.SearchStrategy[bytes]:
    """``text`` cut anywhere, with a piece of it replaced by any bytes."""
    data = text.encode()
    cut = st.integers(0, len(data))
    return st.builds(lambda a, b, junk: data[:a] + junk + data[max(a, b) :], cut, cut, st.binary(max_size=6))


@settings(deadline=None)
@given(data=st.one_of(st.binary(), damaged(EXAMPLE)))
@example(data=b"1\nf 1\n\x1c\n0\n")
def test_any_bytes_are_a_plan_or_a_line_that_names_file_and_line(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scenario = open_scenario(str(folder_of(Path(folder), data)), 1)
        complaint = ""
        try:
            scenario.client(1)
        except ScenarioError as error:
            complaint = str(error)
        if complaint:
            file, line, problem = complaint.split(":", 2)
            assert file == f"{folder}/in1.txt"
            assert 1 <= int(line) <= data.count(b"\n") + 2
            assert problem.startswith(" expected ")
            assert ", found " in problem
            assert problem.isprintable()


# TOML -----------------------------------------------------------------------------------------


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
        (["*.bin", "./model.bin"], ["link.bin", "model.bin"]),
        (["link.bin", "linked"], ["link.bin", "linked/1.bin", "linked/2.bin"]),
        (["linked/*"], ["linked/1.bin", "linked/2.bin"]),
        (["**/2.bin"], ["shards/a/2.bin"]),
    ],
)
def test_shares_are_sorted_once_each_and_links_are_followed(
    tree: Path, share: list[str], names: list[str]
) -> None:
    (tree / "link.bin").symlink_to("model.bin")
    (tree / "linked").symlink_to("shards/a")
    (tree / "shards" / "circle").symlink_to("..")
    plan = plan_of(toml(tree, f"[[client]]\nshare = {share}\n"))
    assert [found.name for found in plan.shares] == names
    for found in plan.shares:
        assert found.path.read_text() == str(found.path.resolve().relative_to(tree))
        assert found.size == found.path.stat().st_size
        assert found.mode == stat.S_IMODE(found.path.stat().st_mode)


def test_a_root_is_found_from_the_toml_file_and_from_home(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tree / "shards"))
    clients = [f'[[client]]\nroot = "{root}"\nshare = ["1.bin"]\n' for root in ("shards/b", "~/a", tree)]
    path = toml(tree, "\n".join(clients))
    assert [share.name for share in plan_of(path, 1).shares] == ["1.bin"]
    assert plan_of(path, 2).shares[0].path.samefile(tree / "shards" / "a" / "1.bin")
    assert "expected at least one file below" in complaint_of(path, 3)
    monkeypatch.chdir(tree)
    assert open_scenario("swarm.toml", 3).client(1).shares[0].path == Path("shards/b/1.bin")


def test_only_the_client_itself_touches_its_root(tmp_path: Path) -> None:
    path = toml(
        tmp_path, '[[client]]\nroot = "/nowhere/else"\nshare = ["x"]\n[[client]]\nwant = ["**", "x", "**"]'
    )
    scenario = open_scenario(str(path), 2)
    assert scenario.client_count == 2
    assert scenario.client(2) == ClientPlan(patterns=("**", "x"))
    problem = "client 1: expected root to be a folder, found none at '/nowhere/else'"
    assert complaint_of(path, 1) == f"swarm.toml:2: {problem}"
    assert complaint_of(path, 3) == "swarm.toml: expected a [[client]] for client 3"


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
            "3: client 2: expected root, share or want, found 'shares' (did you mean share?)",
        ),
        ("[[client]]\nzzz = 1", "2: client 1: expected root, share or want, found 'zzz'"),
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


@pytest.mark.parametrize(
    ("share", "problem"),
    [
        ("nothing", "share 'nothing': expected at least one file below '{0}', found none"),
        ("*.txt/", "share '*.txt/': expected at least one file below '{0}', found none"),
        ("model.bin/", "share 'model.bin/': expected at least one file below '{0}', found none"),
        ("model.bin/*", "share 'model.bin/*': expected at least one file below '{0}', found none"),
        ("shards/*", "share 'shards/*': expected at least one file below '{0}', found none"),
        ("x" * 300, "share '" + "x" * 59 + "…': expected at least one file below '{0}', found none"),
        ("pipes/pipe", "'{0}/pipes/pipe': expected a regular file, found a device, pipe or socket"),
        ("pipes", "'{0}/pipes/pipe': expected a regular file, found a device, pipe or socket"),
        ("links/dangling", "'{0}/links/dangling': expected a file, found a link that leads nowhere"),
        ("links/*", "'{0}/links/dangling': expected a file, found a link that leads nowhere"),
        ("circle", "'{0}/circle': expected a file that can be read: Too many levels of symbolic links"),
        ("circ*", "'{0}/circle': expected a file that can be read: Too many levels of symbolic links"),
        ("names", "'{0}/names/\\udcff': expected a name in UTF-8"),
    ],
)
def test_a_bad_share_is_named(tree: Path, share: str, problem: str) -> None:
    for folder in ("pipes", "links", "names"):
        (tree / folder).mkdir()
    os.mkfifo(tree / "pipes" / "pipe")
    (tree / "links" / "dangling").symlink_to("nowhere")
    (tree / "circle").symlink_to("circle")
    os.close(os.open(os.fsencode(tree) + b"/names/\xff", os.O_CREAT))
    root = str(tree)
    path = toml(tree, f'[[client]]\n\nshare = [\n"{share}"\n]')
    with pytest.raises(ScenarioError) as caught:
        plan_of(path)
    assert str(caught.value) == f"{path}:4: client 1: {problem.format(root)}"


@pytest.mark.parametrize(("share", "culprit"), [("*.bin", "model.bin"), ("shards", "shards/b")])
def test_what_may_not_be_read_is_named(share: str, culprit: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        (tree / "shards" / "b").mkdir(parents=True)
        (tree / "model.bin").touch()
        path = toml(tree, f"[[client]]\nshare = ['{share}']")
        tree.chmod(0o755)
        (tree / culprit).chmod(0o000)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            complaint = complaint_of(path)
        finally:
            if root:
                os.seteuid(0)
            (tree / culprit).chmod(0o700)
        kind = "folder" if "/" in culprit else "file"
        problem = f"expected a {kind} that can be read: Permission denied"
        assert complaint == f"swarm.toml:2: client 1: '{folder}/{culprit}': {problem}".replace(
            f"{folder}/", ""
        )


TOML_EXAMPLE = '[[client]] # one\nroot = "."\nshare = ["a", "b/**"]\n[[client]]\nwant = ["a", \'b/*\']\n'


@settings(deadline=None)
@given(data=st.one_of(st.binary(), damaged(TOML_EXAMPLE), st.text("[]{}client=\"'\n., a1:-", max_size=60)))
@example(data="[[client]]\nshare = " + "[" * 5000)
@example(data="x = " + "1" * 5000)
@example(data="x = 1979-99-99")
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


# The demo -------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 7, 8, 50])
def test_the_demo_keeps_any_number_of_clients_busy_for_a_while(clients: int) -> None:
    files = demo_files(clients)
    assert {rank for file in files for rank in file.owners} <= set(range(1, clients + 1))
    assert all(file.owners for file in files)
    assert sum(-(-file.size // DEMO_SEGMENT_LENGTH) for file in files) > 100
    assert sum(file.size for file in files) < 2 * DEMO_SECONDS * DEMO_RATE
    seconds = fastest([(file.size, set(file.owners)) for file in files], clients) / DEMO_RATE
    assert seconds == pytest.approx(DEMO_SECONDS if clients > 1 else 0, abs=0.01)


def test_the_demo_makes_the_same_bytes_for_every_seed_and_removes_them() -> None:
    demo = [open_scenario(None, 4), open_scenario(None, 4)]
    assert (demo[0].description, demo[0].client_count, demo[0].rate) == ("demo", 4, DEMO_RATE)
    plans = [demo[0].client(2), demo[1].client(4)]
    contents = [{share.name: share.path.read_bytes() for share in plan.shares} for plan in plans]
    common = set(contents[0]) & set(contents[1])
    assert common == {"model.ckpt"}
    assert all(contents[0][name] == contents[1][name] for name in common)
    assert plans[0] == demo[0].client(2)
    for plan in plans:
        assert plan.segment_length == DEMO_SEGMENT_LENGTH
        assert plan.wants == tuple(file.name for file in demo_files(4))
        for share in plan.shares:
            assert (share.size, share.mode) == (share.path.stat().st_size, share.path.stat().st_mode & 0o777)
    for scenario in demo:
        scenario.cleanup()
        scenario.cleanup()
    assert not any(share.path.exists() for plan in plans for share in plan.shares)


def test_no_room_for_the_demo_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(
        ScenarioError, match=r"^demo: expected room for \d+ bytes in a temporary folder: No such"
    ):
        open_scenario(None, 2).client(1)


# Which -np ------------------------------------------------------------------------------------


class Four(Scenario):
    description = "demo/x"
    client_count = 4

    def client(self, rank: int) -> ClientPlan:
        return ClientPlan()


@pytest.mark.parametrize(
    ("size", "monitored", "line"),
    [
        (5, False, None),
        (6, True, None),
        (
            3,
            False,
            "demo/x needs 4 clients, and -np 3 leaves 2: run it with mpirun -np 5 (or -np 6 with --monitor)",
        ),
        (
            1,
            True,
            "demo/x needs 4 clients, and -np 1 leaves none: "
            "run it with mpirun -np 6 (or -np 5 without --monitor)",
        ),
    ],
)
def test_the_wrong_number_of_ranks_is_answered_with_the_right_one(
    size: int, monitored: bool, line: str | None
) -> None:
    assert wrong_size(Four(), Roles(size, monitored)) == line


def test_the_demo_needs_a_client() -> None:
    roles = Roles(1, False)
    line = "demo needs 1 client, and -np 1 leaves none: run it with mpirun -np 2 (or -np 3 with --monitor)"
    assert wrong_size(open_scenario(None, roles.client_count), roles) == line
    assert wrong_size(open_scenario(None, 1), Roles(2, False)) is None


def test_a_classic_client_starts_up_light(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "s", EXAMPLE)
    code = (
        "import sys; from tui_torrent.scenario import open_scenario; "
        f"open_scenario({str(scenario)!r}, 1).client(1); "
        "heavy = {'tempfile', 'tomllib', 'tomli', 'shutil', 'random', 'difflib', 'blake3', 'mpi4py'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
