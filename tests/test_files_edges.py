"""Hashing what is shared, writing what is declared, and the output folder itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpi_core.protocol.errors import LocalProtocolError, ScenarioError
from mpi_core.protocol.manifest import MIN_SEGMENT_LENGTH, Algorithm, Manifest
from mpi_core.runtime.files import (
    DeclaredFiles,
    HashingStopped,
    OutputError,
    check_output,
    hash_file,
)
from tests.helpers.disk import LENGTH, mode_of, segments_of, tree_of

# Hashing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
@pytest.mark.parametrize("size", [0, 1, LENGTH, LENGTH + 1, 10 * LENGTH])
def test_a_hashed_file_verifies(tmp_path: Path, algorithm: Algorithm, size: int) -> None:
    data = bytes(range(size))
    path = tmp_path / "f"
    path.write_bytes(data)
    steps: list[int] = []
    manifest = hash_file("n/f", path, 0o4750, algorithm, LENGTH, steps.append)
    assert (manifest.name, manifest.size, manifest.segment_length) == ("n/f", size, LENGTH)
    assert (manifest.algorithm, manifest.mode) == (algorithm, 0o750)
    payloads = segments_of(manifest, data)
    assert len(payloads) == manifest.segments
    assert all(manifest.verifies(index, payload) for index, payload in enumerate(payloads))
    assert steps == [len(payload) for payload in payloads]


def test_the_segment_length_follows_from_the_size(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    assert hash_file("f", path, 0o644, "sha256").segment_length == MIN_SEGMENT_LENGTH


def test_hashing_stops_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    steps: list[int] = []
    with pytest.raises(HashingStopped):
        hash_file("f", path, 0o644, "sha256", LENGTH, steps.append, lambda: len(steps) == 3)
    assert len(steps) == 3


@pytest.mark.parametrize("size", [0, 50, 99, 101, 200])
def test_a_file_that_changes_while_it_is_hashed_is_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    with pytest.raises(
        OSError, match=r"^cannot read '.*/f': (changed while it was hashed|shorter than it was)$"
    ):
        hash_file("f", path, 0o644, "sha256", LENGTH, lambda _: os.truncate(path, size))


def test_what_cannot_be_hashed_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    kinds = {"pipe": "not a regular file", "nothing": "No such file or directory", ".": "not a regular file"}
    for name, problem in kinds.items():
        with pytest.raises(OutputError, match=rf"^cannot read '.*': {problem}$"):
            hash_file("f", tmp_path / name, 0o644, "sha256")
    with pytest.raises(LocalProtocolError):
        hash_file("f", tmp_path / "x", 0o644, "declared")


# Declared files -------------------------------------------------------------------------------


def test_declared_files_are_lists_of_hashes(tmp_path: Path) -> None:
    manifests = [
        Manifest.declared("f", ("aa", "NONE", "aa")),
        Manifest.declared("f.part", ("x" * 64,)),
        Manifest.declared("empty", ()),
        Manifest.declared("n" * 240, ("ü",)),
    ]
    files = DeclaredFiles(tmp_path, 3)
    for manifest in manifests:
        files.begin(manifest)
        for index, digest in enumerate(manifest.digests):
            files.write(manifest, index, memoryview(digest))
        files.finish(manifest)
    files.close(remove_partial=True)
    assert tree_of(tmp_path) == {
        "client3_f": b"aa\nNONE\naa\n",
        "client3_f.part": b"x" * 64 + b"\n",
        "client3_empty": b"",
        "client3_" + "n" * 240: "ü\n".encode(),
    }
    assert mode_of(tmp_path / "client3_f") & 0o644 == 0o644


def test_an_owned_declared_file_is_written_from_its_manifest(tmp_path: Path) -> None:
    DeclaredFiles(tmp_path, 11).finish(Manifest.declared("f", ("a", "b")))
    assert tree_of(tmp_path) == {"client11_f": b"a\nb\n"}


def test_a_declared_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "client1_d").mkdir()
    files = DeclaredFiles(tmp_path, 1)
    for name, problem in (("n" * 300, "File name too long"), ("d", "Is a directory")):
        with pytest.raises(OutputError, match=rf"^cannot write '.*client1_{name}': {problem}$"):
            files.finish(Manifest.declared(name, ("a",)))
    with pytest.raises(OutputError, match="holds no separator"):
        files.finish(Manifest.declared("a/b", ("a",)))
    with pytest.raises(OutputError, match=r"'.*/nowhere/client1_a': No such file or directory"):
        DeclaredFiles(tmp_path / "nowhere", 1).finish(Manifest.declared("a", ("a",)))
    assert tree_of(tmp_path) == {}


# The output folder ----------------------------------------------------------------------------


def test_the_output_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "folder")
    check_output(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        ("{0}/file", "expected a folder, found a file"),
        ("{0}/file/below", "expected a folder that can be written: Not a directory"),
        ("/proc/nowhere", "expected a folder that can be written: No such file or directory"),
        ("/proc", "expected a folder that can be written: "),
        ("{0}/two\nlines\0", "expected a folder that can be written: "),
        ("{0}/" + "x" * 300, "expected a folder that can be written: File name too long"),
    ],
)
def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path, out: str, problem: str) -> None:
    (tmp_path / "file").touch()
    path = Path(out.format(tmp_path))
    with pytest.raises(ScenarioError) as caught:
        check_output(path)
    assert str(caught.value).startswith(f"--out {str(path)!r}: {problem}")
    assert str(caught.value).isprintable()
