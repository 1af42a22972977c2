"""Trees arrive as they are: any tree, from the walk to the last folder's time, in one process."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.errors import ScenarioError
from tests.helpers.forest import MIB, differences, looks, plant, small_tree
from tests.helpers.grove import Grove, moved
from tests.helpers.runs import judged
from tui_torrent.scenario.plan import expanded


def test_a_tree_with_all_there_is_arrives_as_it_is(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 400)
    grove = Grove(tmp_path, [(tree, ["**/*"]), None, None], [(), ["**/*"], ["**"]])
    grove.run()
    for rank in (2, 3):
        assert differences(tree, grove.out(rank)) == []
        assert grove.losses(rank) == []
    assert grove.tracker.exit_code == 0
    assert [finding for finding in judged(grove.journal).conformance if finding.holds is False] == []


def test_a_second_run_over_the_first_leaves_all_as_it_is(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 100)
    for seed in (2, 3):
        grove = moved(tmp_path, tree)
        assert differences(tree, grove.out(2)) == [], seed


def test_what_an_earlier_tree_left_is_replaced(tmp_path: Path) -> None:
    """Links where files and folders are now, and the other way round."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "was a link to a folder").symlink_to("folder")
    (old / "was a link").symlink_to("/nowhere")
    (old / "was a file").write_bytes(b"old")
    (old / "folder").mkdir()
    (old / "folder" / "x").write_bytes(b"old")
    (old / "other").symlink_to("was a link")
    (new / "was a link to a folder").mkdir()
    (new / "was a link to a folder" / "x").write_bytes(b"new")
    (new / "was a link").write_bytes(b"new")
    (new / "was a file").symlink_to("/etc/hostname")
    (new / "folder").mkdir()
    (new / "other").symlink_to("was a file")
    moved(tmp_path, old)
    grove = moved(tmp_path, new)
    assert grove.losses(2) == []
    assert (grove.out(2) / "folder" / "x").read_bytes() == b"old"
    (grove.out(2) / "folder" / "x").unlink()
    os.utime(grove.out(2) / "folder", ns=(0, (new / "folder").stat().st_mtime_ns))
    assert differences(new, grove.out(2)) == []


# Any tree -------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "a.part", "é", "\udcff", "d e"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["file", "empty", "folder", "link", "hard", "sparse"])


@st.composite
def growths(draw: st.DrawFn) -> Callable[[Path], Path]:
    """What makes a small tree of any shape."""
    steps = draw(st.lists(st.tuples(PATHS, KINDS, PATHS, st.integers(0, 0o7777)), min_size=1, max_size=12))

    def grow(root: Path) -> Path:
        root.mkdir()
        made: list[Path] = []
        for name, kind, other, mode in steps:
            path = root / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if os.path.lexists(path):
                    continue
                if kind == "folder":
                    path.mkdir()
                elif kind == "link":
                    path.symlink_to(other)
                elif kind == "hard":
                    os.link(root / other, path, follow_symlinks=False)
                else:
                    path.write_bytes(name.encode(errors="replace") * mode if kind == "file" else b"")
                    if kind == "sparse":
                        os.truncate(path, 300_000)
                    os.chmod(path, mode | stat.S_IRUSR)
            except OSError:
                continue
            made.append(path)
        # No folder's mode may keep us from what is in it, if we are not root.
        for at, path in enumerate(sorted(made, key=lambda path: -len(path.parts))):
            if path.is_dir() and not path.is_symlink():
                path.chmod((0o700, 0o2750, 0o1777)[at % 3])
            os.utime(path, ns=(0, 10**18 + at), follow_symlinks=False)
        (root / "last").touch()
        return root

    return grow


@settings(deadline=None)
@given(growths())
def test_any_tree_arrives_as_it_is(grow: Callable[[Path], Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = grow(Path(folder, "tree"))
        grove = moved(Path(folder), tree)
        assert differences(tree, grove.out(2)) == []


# Parts of a tree ------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path / "tree")


@pytest.mark.parametrize(
    ("want", "names"),
    [
        ("a/deep/x", {"a", "a/deep", "a/deep/x"}),
        ("a/to x", {"a", "a/to x"}),
        ("a/*", {"a", "a/to x"}),
        ("b", {"b", "b/empty", "b/third"}),
        ("b/empty", {"b", "b/empty"}),
        ("**/empty", set()),
        ("c/second", {"c", "c/second"}),
        ("c/**", {"c", "c/first", "c/second"}),
        ("**/?h*", {"b", "b/third"}),
    ],
)
def test_what_is_wanted_brings_the_folders_it_is_in(
    tmp_path: Path, tree: Path, want: str, names: set[str]
) -> None:
    grove = moved(tmp_path, tree, [want])
    there = {str(path.relative_to(grove.out(2))) for path in grove.out(2).rglob("*")}
    assert there == names
    before, after = looks(tree), looks(grove.out(2)) if names else {}
    for name in names:
        assert after[name.encode()] == before[name.encode()]
    assert grove.tracker.exit_code == (0 if names else 1)


def test_twins_that_are_wanted_by_different_patterns_are_fetched_once(tmp_path: Path, tree: Path) -> None:
    grove = moved(tmp_path, tree, ["b/third", "c/second", "c/first"])
    out = grove.out(2)
    assert os.path.samefile(out / "b/third", out / "c/second")
    assert os.path.samefile(out / "c/first", out / "c/second")
    assert len(grove.events(ev.SegmentStored)) == 1


def test_two_owners_of_one_tree_agree(tmp_path: Path) -> None:
    """Though one of them has neither hard links, holes, modes nor times."""
    tree, copy = plant(tmp_path / "tree", 120), tmp_path / "copy"
    for name, seen in sorted(looks(tree).items()):
        path = os.path.join(os.fsencode(copy), name)
        if seen.kind == "d":
            os.makedirs(path, exist_ok=True)
        elif seen.kind == "l":
            os.symlink(os.readlink(os.path.join(os.fsencode(tree), name)), path)
        elif seen.size < 16 * MIB:
            with open(os.path.join(os.fsencode(tree), name), "rb") as source, open(path, "wb") as target:
                target.write(source.read())
    for first, second in ((tree, copy), (copy, tree)):
        grove = Grove(tmp_path, [(first, ["**/*"]), (second, ["**/*"])], [(), (), ["**/*"]])
        grove.run()
        assert grove.tracker.exit_code == 0
        assert [found for found in judged(grove.journal).conformance if found.holds is False] == []
        if first == tree:
            assert differences(tree, grove.out(3)) == []
        senders = {stamped.rank for stamped in grove.journal if isinstance(stamped.event, ev.SegmentSent)}
        assert senders >= {1, 2}


def test_an_owner_that_wants_its_own_tree_has_a_copy(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree", 100)
    grove = Grove(tmp_path, [(tree, ["**/*"])], [["**/*"], ["**/*"]])
    grove.run()
    for rank in (1, 2):
        assert differences(tree, grove.out(rank)) == []


def test_an_owner_whose_tree_is_where_its_results_go_keeps_it_as_it_is(tmp_path: Path) -> None:
    tree = plant(tmp_path / "client1", 100)
    before = looks(tree)
    grove = Grove(tmp_path, [(tree, ["**/*"])], [["**/*"], ["**/*"]])
    grove.run()
    assert looks(tree) == before
    assert differences(tree, grove.out(2)) == []


def test_holes_cost_no_traffic(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "sparse").open("wb") as file:
        file.seek(600 * MIB)
        file.write(b"end")
    (tree / "zeros").write_bytes(bytes(10 * MIB))
    grove = moved(tmp_path, tree)
    sent = [event for event in grove.events(ev.SegmentSent) if isinstance(event, ev.SegmentSent)]
    assert sum(event.size for event in sent) == 3 + 10 * MIB
    assert differences(tree, grove.out(2)) == []
    # Zeros that take room on the owner's disk take it here too.
    assert (grove.out(2) / "zeros").stat().st_blocks >= (tree / "zeros").stat().st_blocks


def test_folders_are_private_until_they_get_their_mode(tmp_path: Path, tree: Path) -> None:
    (tree / "a" / "large").write_bytes(os.urandom(20 * 128 * 1024))
    (tree / "a").chmod(0o755)
    # The second run finds a folder that everybody may read, and is to have another mode.
    for mode in (0o755, 0o711):
        (tree / "a").chmod(mode)
        grove = Grove(tmp_path, [(tree, ["**/*"])], [(), ["**/*"]])
        grove.start()
        seen = set()
        while grove.step():
            with_large = list(grove.out(2).rglob("large.part"))
            seen |= {stat.S_IMODE(path.parent.stat().st_mode) for path in with_large}
        grove.end()
        assert seen == {0o700}
        assert stat.S_IMODE((grove.out(2) / "a").stat().st_mode) == mode


def test_the_current_folder_keeps_its_mode_whatever_tree_comes_into_it(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client2" / "here").mkdir(parents=True)
    (tmp_path / "client2").chmod(0o751)
    monkeypatch.chdir(tmp_path / "client2" / "here")
    grove = moved(tmp_path, tree)
    assert stat.S_IMODE(grove.out(2).stat().st_mode) == 0o751
    assert looks(grove.out(2))[b"a"] == looks(tree)[b"a"]


# Paths ----------------------------------------------------------------------------------------


def test_variables_in_paths_are_replaced_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", "/scratch")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("NOT_SET", raising=False)
    for path, expected in {
        "$SCRATCH/x": "/scratch/x",
        "${SCRATCH}y": "/scratchy",
        "~/$SCRATCH": "/home/me//scratch",
        "a$/b": "a$/b",
        "plain~": "plain~",
    }.items():
        assert expanded(path) == expected
    for path in ("$NOT_SET/x", "x/${NOT_SET}", "~nobody-of-that-name/x"):
        with pytest.raises(ValueError, match=r"\$NOT_SET|\$\{NOT_SET\}|~nobody"):
            expanded(path)


def test_a_variable_that_is_not_set_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_torrent.scenario import open_scenario

    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("PLACE", str(tmp_path))
    path = tmp_path / "s.toml"
    tables = ('want = ["x"]\nout = "$NOT_SET/o"', 'root = "$PLACE"\nout = "$PLACE/o"')
    path.write_text("".join(f"[[client]]\n{table}\n" for table in tables))
    scenario = open_scenario(str(path), 2)
    with pytest.raises(ScenarioError) as caught:
        scenario.client(1)
    problem = "expected out to be the path of a folder, found '$NOT_SET/o': $NOT_SET is not set"
    assert str(caught.value) == f"{path}:3: client 1: {problem}"
    assert scenario.client(2).out == f"{tmp_path}/o"
