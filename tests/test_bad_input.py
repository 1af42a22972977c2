"""A bad scenario ends every rank in seconds, with exit code 2 and one line, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.helpers.mpirun import modes_bind, mpirun, needs_mpirun
from tests.helpers.refused import OWNER, WANTER, refused, refused_run
from tests.helpers.scenarios import folder_of

pytestmark = [pytest.mark.mpirun, needs_mpirun, pytest.mark.timeout(60)]

# In-files -------------------------------------------------------------------------------------

#: What in2.txt of two holds (None: it is missing), and what the line says of it.
IN_FILES: Mapping[str, tuple[str | bytes | None, str]] = {
    "missing": (None, "in2.txt: missing: expected the files that client 2 owns and wants"),
    "empty": ("", "in2.txt:1: expected the number of files owned (0 or more), found an empty file"),
    "owned_too_big": ("2\nf 1\naa\n0\n", "in2.txt:4: expected the name and the number of segments"),
    "owned_too_small": ("0\nf 1\naa\n0\n", "in2.txt:2: expected the number of files wanted"),
    "owned_negative": ("-1\n0\n", "in2.txt:1: expected the number of files owned (0 or more), found '-1'"),
    "owned_no_number": ("two\n0\n", "in2.txt:1: expected the number of files owned"),
    "segments_too_big": ("1\nf 3\naa\nbb\n0\n", "in2.txt:"),
    "segments_too_small": ("1\nf 1\naa\nbb\n0\n", "in2.txt:4: expected the number of files wanted"),
    "segments_negative": ("1\nf -3\naa\n0\n", "in2.txt:2: expected the number of segments of 'f'"),
    "segments_no_number": ("1\nf x\naa\n0\n", "in2.txt:2: expected the number of segments of 'f'"),
    "segments_huge": ("1\nf 4000000000\naa\n0\n", "in2.txt:"),
    "wanted_too_big": ("0\n2\nfile1\n", "in2.txt:4: expected the name, without white space, of wanted"),
    "wanted_too_small": ("0\n1\nfile1\nfile1\n", "in2.txt:4: expected the end of the file"),
    "wanted_negative": ("0\n-2\nfile1\n", "in2.txt:2: expected the number of files wanted"),
    "wanted_no_number": ("0\nfile1\n", "in2.txt:2: expected the number of files wanted"),
    "truncated_in_hashes": ("1\nf 9\naa\nbb", "in2.txt:5: expected a hash without white space (segment 3"),
    "truncated_before_wanted": ("1\nf 1\naa\n", "in2.txt:4: expected the number of files wanted"),
    "hash_with_blank": ("1\nf 2\na a\nbb\n0\n", "in2.txt:3: expected a hash without white space"),
    "name_with_separator": ("1\na/b 1\naa\n0\n", "in2.txt:2: expected a name without a path separator"),
    "wanted_with_separator": ("0\n1\n../etc/passwd\n", "in2.txt:3: expected a name without a path separator"),
    "owned_twice": ("2\nf 1\naa\nf 1\naa\n0\n", "in2.txt:4: expected each owned file once"),
    "nul": (b"1\nf 1\na\0a\n0\n", "in2.txt:3: expected text"),
    "binary": (b"\xff\xfe\x80\n", "in2.txt:1: expected text in UTF-8"),
    "more_than_all": ("0\n0\nmore\n", "in2.txt:3: expected the end of the file"),
}  # fmt: skip


@pytest.mark.alike
@pytest.mark.parametrize("name", IN_FILES)
def test_a_bad_in_file(name: str, tmp_path: Path) -> None:
    content, says = IN_FILES[name]
    scenario = folder_of(tmp_path / "in", OWNER, content)
    if content is None:
        folder_of(scenario, OWNER, None, WANTER)
    refused_run(tmp_path, 3 + (content is None), scenario, says=(says,))


@pytest.mark.parametrize("rank", [1, 3])
def test_whichever_rank_it_is(rank: int, tmp_path: Path) -> None:
    contents: list[str | None] = [OWNER, WANTER, WANTER]
    contents[rank - 1] = "1\n"
    scenario = folder_of(tmp_path / "in", *contents)
    refused_run(tmp_path, 4, scenario, says=(f"in{rank}.txt:2: expected",))


def test_every_in_file_bad_is_still_one_line(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", "x", "x", "x", "x")
    refused_run(tmp_path, 5, scenario, says=(".txt:1: expected the number of files owned",))


@pytest.mark.alike
def test_a_folder_in_the_place_of_an_in_file(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, None, WANTER)
    (scenario / "in2.txt").mkdir()
    refused_run(tmp_path, 4, scenario, says=("in2.txt: expected a file, found a folder",))


@pytest.mark.alike
def test_a_pipe_in_the_place_of_an_in_file_is_not_waited_for(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, None, WANTER)
    os.mkfifo(scenario / "in2.txt")
    refused_run(tmp_path, 4, scenario, says=("in2.txt: expected a regular file",))


@pytest.mark.alike
def test_an_in_file_that_may_not_be_read(tmp_path: Path) -> None:
    if not modes_bind():
        pytest.skip("modes do not bind this user")
    scenario = folder_of(tmp_path / "in", OWNER, WANTER)
    (scenario / "in2.txt").chmod(0)
    run = mpirun(3, scenario, "--out", tmp_path / "out", powerless=True)
    refused(run, "in2.txt: expected a file that can be read: Permission denied", out=tmp_path / "out")


@pytest.mark.alike
@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("1\nf 2\naa\nbb\n0\n", "1\nf 2\naa\ncc\n0\n", "different segments, the first 'bb' and 'cc'"),
        ("1\nf 2\naa\nbb\n0\n", "1\nf 1\naa\n0\n", "2 and 1 segments"),
        ("1\nf 0\n0\n", "1\nf 1\naa\n0\n", "0 and 1 segments"),
    ],
)
def test_two_owners_who_differ_are_both_named(first: str, second: str, says: str, tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", WANTER, first, WANTER, second)
    refused_run(tmp_path, 5, scenario, says=("2 and 4 both own 'f'", says))


# How many ranks -------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [2, 5, 7])
def test_another_number_of_ranks_is_told_the_right_one(ranks: int, tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, WANTER, WANTER)
    refused_run(tmp_path, ranks, scenario, says=("mpirun -np 4", f"-np {ranks} "))


def test_with_the_monitor_it_is_one_rank_more(tmp_path: Path) -> None:
    scenario = folder_of(tmp_path / "in", OWNER, WANTER, WANTER)
    run = mpirun(4, scenario, "--monitor")
    assert run.code == 2
    assert [line for line in run.complaints if "mpirun -np 5" in line] == run.complaints
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("ranks", "options", "least"), [(1, (), 2), (2, ("--monitor",), 3), (1, ("--monitor",), 3)]
)
def test_too_few_ranks(ranks: int, options: tuple[str, ...], least: int, tmp_path: Path) -> None:
    refused(
        mpirun(ranks, *options, cwd=tmp_path), f"at least {least} ranks (mpirun -np {least})", out=tmp_path
    )


# The scenario as a whole ----------------------------------------------------------------------


@pytest.mark.alike
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "found nothing"),
        (lambda path: path.mkdir(), "found none"),
        (lambda path: path.write_text("[[client]]\n"), "found another file"),
        (lambda path: path.symlink_to(path), "expected a folder of in<R>.txt files or a TOML file"),
        (lambda path: folder_of(path, OWNER).joinpath("in0.txt").touch(), "rank 0 is the tracker"),
    ],
)
def test_no_scenario_is_there(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario"
    make(scenario)
    refused_run(tmp_path, 3, scenario, says=("scenario", says))


TOML: Mapping[str, tuple[str | bytes, str]] = {
    "broken": ("[[client]]\nshare = [\n", "s.toml:3: expected TOML"),
    "empty": ("", "s.toml:1: expected a [[client]] table"),
    "single_brackets": ('[client]\nshare = ["a"]\n', "s.toml:1: expected [[client]] in double brackets"),
    "unknown_key": ('[[client]]\nshares = ["a"]\n[[client]]\n', "s.toml:2: client 1: expected root, share"),
    "no_list": ('[[client]]\nshare = "a"\n[[client]]\n', "s.toml:2: client 1: expected share to be a list"),
    "share_that_climbs": ('[[client]]\nshare = ["../a"]\n[[client]]\n', "s.toml:2: client 1:"),
    "want_that_climbs": ('[[client]]\n[[client]]\nwant = ["../../x"]\n', "s.toml:3: client 2:"),
    "absolute_share": ('[[client]]\nshare = ["/etc/passwd"]\n[[client]]\n', "s.toml:2: client 1:"),
    "no_such_share": ('[[client]]\n[[client]]\nshare = ["no"]\n', "s.toml:3: client 2: share 'no': expected"),
    "no_such_root": ('[[client]]\nroot = "no"\nshare = ["a"]\n[[client]]\n', "s.toml:2: client 1: expected"),
    "root_that_is_a_file": ('[[client]]\n[[client]]\nroot = "s.toml"\n', "s.toml:3: client 2: expected root"),
    "rate_beyond_all": ("[[client]]\n[[client]]\nrate = 0x" + "f" * 4000, "s.toml:3: client 2: expected"),
    "no_match": ('[[client]]\nshare = ["*.none"]\n[[client]]\n', "s.toml:2: client 1: share '*.none'"),
}  # fmt: skip


@pytest.mark.alike
@pytest.mark.parametrize("name", TOML)
def test_a_bad_toml_file(name: str, tmp_path: Path) -> None:
    content, says = TOML[name]
    scenario = tmp_path / "s.toml"
    scenario.write_bytes(content.encode() if isinstance(content, str) else content)
    refused_run(tmp_path, 3, scenario, says=(says,))


@pytest.mark.alike
def test_toml_for_another_number_of_ranks(tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text("[[client]]\n" * 5)
    refused_run(tmp_path, 3, scenario, says=("needs 5 clients", "mpirun -np 6"))


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [(b"one", b"two", "segments"), (b"one", b"three", "3 and 5 bytes"), (b"", b"three", "0 and 1 segments")],
)
def test_two_owners_of_real_files_who_differ(first: bytes, second: bytes, says: str, tmp_path: Path) -> None:
    for folder, data in (("a", first), ("b", second)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_bytes(data)
    scenario = tmp_path / "s.toml"
    tables = [f'[[client]]\nroot = "{root}"\nshare = ["same"]\n' for root in "ab"]
    scenario.write_text("".join(tables) + '[[client]]\nwant = ["same"]\n')
    refused_run(tmp_path, 4, scenario, says=("1 and 2 both own 'same'", says))


@pytest.mark.alike
def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "x").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"file")
    (tmp_path / "b" / "x" / "y").write_bytes(b"below it")
    scenario = tmp_path / "s.toml"
    tables = [f'[[client]]\nroot = "{root}"\nshare = ["**/*"]\n' for root in "ab"]
    scenario.write_text("".join(tables) + '[[client]]\nwant = ["**/*"]\n')
    refused_run(tmp_path, 4, scenario, says=("'x'", "'x/y'"))
