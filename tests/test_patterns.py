"""Patterns mean what pathlib's glob means, on a disk and off it."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol.patterns import glob_regex, match_names, pattern_problem
from tui_torrent.scenario.shares import ShareError, all_shares

NAMES = ("model.bin", "shards/a/1.bin", "shards/a/2.txt", "shards/b/1.bin", "shards/top.bin", "x/y")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("model.bin", ["model.bin"]),
        ("./model.bin", ["model.bin"]),
        ("model", []),
        ("model.bin/", []),
        ("shards/a", ["shards/a/1.bin", "shards/a/2.txt"]),
        ("shards/a/", ["shards/a/1.bin", "shards/a/2.txt"]),
        ("shards//a/.", ["shards/a/1.bin", "shards/a/2.txt"]),
        ("shard", []),
        (".", list(NAMES)),
        ("*", ["model.bin"]),
        ("*.bin", ["model.bin"]),
        ("*/*", ["shards/top.bin", "x/y"]),
        ("*/", []),
        ("shards/*", ["shards/top.bin"]),
        ("shards/**", ["shards/a/1.bin", "shards/a/2.txt", "shards/b/1.bin", "shards/top.bin"]),
        ("shards/**/*", ["shards/a/1.bin", "shards/a/2.txt", "shards/b/1.bin", "shards/top.bin"]),
        ("**/1.bin", ["shards/a/1.bin", "shards/b/1.bin"]),
        ("**/model.bin", ["model.bin"]),
        ("shards/[!a]/?.bin", ["shards/b/1.bin"]),
        ("shards/[ab]/1.*", ["shards/a/1.bin", "shards/b/1.bin"]),
        ("**", list(NAMES)),
        ("", []),
        ("/model.bin", []),
        ("../*", []),
        ("shards/../model.bin", []),
    ],
)
def test_a_pattern_is_a_name_then_a_folder_then_a_glob(pattern: str, expected: list[str]) -> None:
    assert list(match_names(pattern, NAMES)) == expected


def test_a_name_with_glob_characters_means_itself() -> None:
    assert match_names("a[1].txt", ("a1.txt", "a[1].txt")) == ("a[1].txt",)
    assert match_names("a[1]", ("a1", "a[1]/x")) == ("a[1]/x",)


@pytest.mark.parametrize("pattern", ["", "/etc/passwd", "..", "a/../../b", "a\0b"])
def test_a_pattern_that_leaves_its_folder_has_a_problem(pattern: str) -> None:
    assert pattern_problem(pattern)
    assert match_names(pattern, NAMES) == ()


def test_twenty_thousand_names_are_matched_in_no_time() -> None:
    names = [f"data/{i % 100:02}/part-{i}-aaaaaaaaaaaaaaaaaaaaaaaaaaaa.bin" for i in range(20_000)]
    start = time.perf_counter()
    assert len(match_names("**/part-*.bin", names)) == 20_000
    assert len(match_names("data/7?/*", names)) == 2_000
    assert match_names("**/*a*a*a*a*a*a*a*a*a*a*a*b*c/**/d/**/e", names) == ()
    assert time.perf_counter() - start < 2


def test_no_pattern_takes_exponential_time() -> None:
    start = time.perf_counter()
    assert not glob_regex(("*a" * 50 + "b",)).fullmatch("a" * 5_000)
    assert not glob_regex(("**", "a") * 30 + ("b",)).fullmatch("a/" * 2_000 + "a")
    assert time.perf_counter() - start < 2


# Against pathlib on a real tree ---------------------------------------------------------------

COMPONENTS = st.text("ab.[]!-", min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))
TREES = st.lists(st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)
WILD = st.text("ab.*?[]!-", min_size=1, max_size=5).filter(lambda text: "**" not in text)
PATTERNS = st.lists(
    st.one_of(COMPONENTS, WILD, st.just("*"), st.just("**")).filter(lambda text: text not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


def grown(folder: str, tree: list[str]) -> list[str]:
    """The names of the files made below ``folder``, those left out that clash with another."""
    for name in tree:
        path = Path(folder, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    return sorted(
        os.path.relpath(os.path.join(top, file), folder)
        for top, _, files in os.walk(folder)
        for file in files
    )


def by_pathlib(folder: str, pattern: str) -> list[str]:
    root = Path(folder)
    path = root / pattern
    if path.is_file():
        found = {path}
    elif path.is_dir():
        found = set(path.rglob("*"))
    else:
        # Before Python 3.13 a trailing ** meant folders alone.
        found = set(root.glob(pattern + "/*" if pattern.endswith("**") else pattern))
    return sorted(str(path.relative_to(root)) for path in found if path.is_file())


@settings(deadline=None)
@given(tree=TREES, pattern=PATTERNS)
def test_names_and_shares_are_those_that_pathlib_finds(tree: list[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = grown(folder, tree)
        expected = by_pathlib(folder, pattern)
        assert sorted(match_names(pattern, names)) == expected
        try:
            shared = [share.name for share in all_shares(folder, [pattern]).shares]
        except ShareError:
            shared = []
        assert shared == expected
