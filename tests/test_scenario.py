"""Whatever the input is, a scenario gives plans or one line that says what is wrong where."""

from __future__ import annotations

import os
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
from tests.helpers.scenarios import EXAMPLE, complaint_of, damaged, folder_of, plan_of
from tui_torrent.scenario import ClientPlan, Scenario, open_scenario, wrong_size
from tui_torrent.scenario.classic import parse_client


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


# Which -np ------------------------------------------------------------------------------------


class Four(Scenario):
    description = "demo/x"
    client_count = 4

    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
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
