"""Hard and symbolic links in the output folder stand where they belong, or are named, and nothing is left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpi_core.protocol.entries import Entry
from mpi_core.protocol.events import LOSSES_LISTED, NotKept
from mpi_core.runtime.files import RealFiles
from mpi_core.runtime.tree import Losses
from tests.helpers.forest import differences
from tests.helpers.grove import moved


def put(place: Path, content: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("depth", [1, 7, 8, 9, 10, 17])
@pytest.mark.parametrize("other_depth", [1, 8, 9, 10])
@pytest.mark.parametrize("above", ["", "p/q"])
def test_twins_are_linked_in_their_own_folders_however_deep(
    depth: int, other_depth: int, above: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    deep = tree / above / "/".join(f"a{at}" for at in range(depth))
    other = tree / above / "/".join(f"b{at}" for at in range(other_depth))
    put(deep / "first", b"twin")
    put(deep / "x", b"not its twin")
    other.mkdir(parents=True)
    os.link(deep / "first", other / "x")
    os.link(deep / "first", other / "first")
    grove = moved(tmp_path, tree)
    assert differences(tree, grove.out(2)) == []


def test_what_an_earlier_run_left_is_no_twin(tmp_path: Path) -> None:
    put(tmp_path / "first", b"old, and not verified")
    put(tmp_path / "other", b"mine")
    files = RealFiles(tmp_path, {})
    files.expect((), [("first", "other")])
    why = "'first', which is the same file, is not there"
    assert files.settle() == (NotKept("unmade", (("other", why),), 1),)
    files.close(remove_partial=True)
    assert (tmp_path / "other").read_bytes() == b"mine"


@pytest.mark.parametrize("refused", ["replace", "link"])
def test_a_link_that_cannot_be_made_leaves_nothing_half_made(
    refused: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "first", b"1")
    put(tmp_path / "other", b"mine")
    os.symlink("elsewhere", tmp_path / "link")
    # Its share lies in the output folder: it is in its place from the start.
    files = RealFiles(tmp_path, {"first": str(tmp_path / "first")})
    files._tree.files.add("first")
    files.expect([Entry("link", 0o777, target="here")], [("first", "other")])
    monkeypatch.setattr(os, refused, no_space)
    losses = files.settle()
    monkeypatch.undo()
    files.close(remove_partial=True)
    named = {name for loss in losses for name, _ in loss.files}
    assert named == ({"link", "other"} if refused == "replace" else {"other"})
    assert sorted(os.listdir(tmp_path)) == ["first", "link", "other"]
    assert (tmp_path / "other").read_bytes() == b"mine"


def no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_that_lacks_both_mode_and_time_counts_once() -> None:
    losses = Losses("attributes")
    names = [f"f{at}" for at in range(LOSSES_LISTED + 500)]
    for name in names:
        losses.add(name, "mode: refused")
        losses.add(name, "time: refused")
    (event,) = losses.take()
    assert event.count == len(names)
    assert event.files == tuple((name, "mode: refused") for name in names[:LOSSES_LISTED])
    assert losses.take() == ()
