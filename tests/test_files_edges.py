"""Hashing what is shared, writing what is declared, and the output folder itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.declared import DeclaredFiles
from mpi_core.runtime.disk import CREATE, PIECE, opened, read_all, read_into, write_all
from mpi_core.runtime.files import OutputError
from mpi_core.runtime.outputs import check_output
from tests.helpers.disk import download, manifest_of, mode_of, owning, shared, tree_of

# A disk that does little at once -------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 8])
def test_what_the_system_reads_and_writes_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    preadv, pread, pwrite = os.preadv, os.pread, os.pwrite
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: preadv(fd, [views[0][:most]], at))
    monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, min(length, most), at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:most], at))
    with opened(str(tmp_path / "f"), CREATE) as fd:
        write_all(fd, memoryview(b"a segment"), 2)
        buffer = bytearray(9)
        read_into(fd, memoryview(buffer), 2)
        assert (buffer, read_all(fd, 9, 2)) == (b"a segment", b"a segment")
        for beyond in (lambda: read_into(fd, memoryview(buffer), 3), lambda: read_all(fd, 9, 3)):
            with pytest.raises(OSError, match="shorter than it was"):
                beyond()
    assert tree_of(tmp_path) == {"f": b"\0\0a segment"}


def test_no_write_is_longer_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, pwrite = [], os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: lengths.append(len(data)) or pwrite(fd, data, at))
    payload = bytes(range(256)) * (PIECE // 128) + b"more"
    with opened(str(tmp_path / "f"), CREATE) as fd:
        write_all(fd, payload, 0)
    assert lengths == [PIECE, PIECE, 4]
    assert tree_of(tmp_path) == {"f": payload}


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


# A copy of an owned file, step by step ---------------------------------------------------------


@pytest.mark.parametrize("meanwhile", ["a.part", "a.part/b"])
def test_a_copy_gives_way_to_a_download_of_its_partial_name(tmp_path: Path, meanwhile: str) -> None:
    out = tmp_path / "out"
    shares = shared(tmp_path, {"a": b"123456789"})
    files = owning(out, shares)
    steps = files.place(manifest_of("a", b"123456789"))
    next(steps)
    download(files, meanwhile, b"other")
    assert sum(steps) > 0
    files.close(remove_partial=True)
    assert tree_of(out) == {"a": b"123456789", meanwhile: b"other"}
