"""The disk side: files arrive whole or not at all, where they belong and nowhere else."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_core.protocol.errors import LocalProtocolError
from mpi_core.protocol.manifest import MIN_SEGMENT_LENGTH, Manifest
from mpi_core.runtime.disk import OPEN_FILES
from mpi_core.runtime.files import OutputError, RealFiles
from mpi_core.runtime.hashing import HashJob, hash_files
from mpi_core.swarm.store import SegmentStore
from tests.helpers.disk import LENGTH, download, manifest_of, mode_of, owning, segments_of, shared, tree_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "client1"


# A file that is downloaded --------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o400, 0o600, 0o666, 0o777])
@pytest.mark.parametrize("data", [b"", b"abc", b"abcd", b"abcde" * 7])
def test_what_was_sent_is_what_is_there_and_its_mode(out: Path, data: bytes, mode: int) -> None:
    files = RealFiles(out, {})
    manifest = download(files, "a/b/c.bin", data, mode)
    assert tree_of(out) == {"a/b/c.bin": data}
    assert mode_of(out / "a/b/c.bin") == mode
    assert [files.read(manifest, index) for index in range(manifest.segments)] == segments_of(manifest, data)


def test_a_file_has_its_name_only_when_it_is_whole(out: Path) -> None:
    files = RealFiles(out, {})
    manifest = manifest_of("a", b"12345678")
    files.begin(manifest)
    assert tree_of(out) == {"a.part": bytes(8)}
    files.write(manifest, 1, memoryview(b"5678"))
    assert tree_of(out) == {"a.part": b"\0\0\0\x005678"}
    assert files.read(manifest, 1) == b"5678"
    files.write(manifest, 0, bytearray(b"1234"))
    assert set(tree_of(out)) == {"a.part"}
    files.finish(manifest)
    assert tree_of(out) == {"a": b"12345678"}


def test_what_an_earlier_run_left_is_replaced(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "a").write_bytes(b"old and longer")
    (out / "a").chmod(0o444)
    (out / "a.part").write_bytes(b"half of it, and longer")
    download(RealFiles(out, {}), "a", b"new")
    assert tree_of(out) == {"a": b"new"}


def test_two_clients_never_write_into_one_folder(out: Path) -> None:
    first, second = RealFiles(out, {}), RealFiles(out, {})
    download(first, "a", b"12345678")
    with pytest.raises(OutputError, match=r"^cannot write into '.*': another client writes there$"):
        download(second, "a", b"87654321")
    first.close(remove_partial=True)
    assert tree_of(out) == {"a": b"12345678"}
    download(second, "a", b"87654321")
    second.close(remove_partial=True)
    assert tree_of(out) == {"a": b"87654321"}


def test_unfinished_files_stay_or_go_as_asked(tmp_path: Path) -> None:
    for remove in (False, True):
        out = tmp_path / f"{remove}" / "client1"
        files = RealFiles(out, {})
        download(files, "done/a", b"whole")
        files.begin(manifest_of("undone/b", b"1234"))
        files.close(remove_partial=remove)
        files.close(remove_partial=remove)
        left = {"done/a": b"whole"} if remove else {"done/a": b"whole", "undone/b.part": bytes(4)}
        assert tree_of(out) == left
        assert (out / "undone").exists() is not remove


def test_nothing_is_left_of_a_run_that_got_nothing(tmp_path: Path) -> None:
    files = RealFiles(tmp_path / "out" / "client1", {})
    files.begin(manifest_of("a/b/c", b"1234"))
    files.close(remove_partial=True)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None)
@given(
    names=st.permutations(
        ["a", "a.part", "a.part.part", "a.part.part.part", "b.part/c", "b", "b.part/c.part"]
    ),
    steps=st.data(),
)
def test_partial_files_and_files_named_like_them_never_clobber_each_other(
    names: list[str], steps: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        files = RealFiles(out, {})
        waiting = [manifest_of(name, f"this is {name}".encode()) for name in names]
        begun: list[Manifest] = []
        while waiting or begun:
            if waiting and (not begun or steps.draw(st.booleans())):
                begun.append(waiting.pop())
                files.begin(begun[-1])
            else:
                manifest = begun.pop(steps.draw(st.integers(0, len(begun) - 1)))
                payloads = segments_of(manifest, f"this is {manifest.name}".encode())
                for index, payload in enumerate(payloads):
                    files.write(manifest, index, payload)
                    assert files.read(manifest, index) == payload
                files.finish(manifest)
        assert tree_of(out) == {name: f"this is {name}".encode() for name in names}
        files.close(remove_partial=True)
        assert len(tree_of(out)) == len(names)


def test_a_name_as_long_as_the_file_system_takes(out: Path) -> None:
    name = "é" * 127 + "x"
    assert len(name.encode()) == 255
    files = RealFiles(out, {})
    download(files, name, b"x")
    download(files, "d/" + "y" * 255, b"y")
    assert tree_of(out) == {name: b"x", "d/" + "y" * 255: b"y"}
    with pytest.raises(OutputError, match=r"^cannot write '.*z': File name too long$"):
        files.begin(manifest_of("z" * 256, b"z"))


# Law 3 ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    data=st.binary(max_size=40),
    puts=st.lists(
        st.tuples(st.integers(0, 9), st.one_of(st.none(), st.binary(max_size=LENGTH))), max_size=30
    ),
)
def test_a_store_on_disk_holds_only_what_verifies_and_only_grows(
    data: bytes, puts: list[tuple[int, bytes | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = RealFiles(Path(folder), {})
        store = SegmentStore(files)
        manifest = manifest_of("f", data)
        right = segments_of(manifest, data)
        store.begin(manifest)
        held: set[int] = set()
        for index, junk in puts:
            if index < manifest.segments:
                payload = right[index] if junk is None else junk
                digest = store.put("f", index, payload)
                assert (digest is not None) == (payload == right[index])
                held |= {index} if digest else set()
            bitfield = store.bitfield("f")
            assert bitfield is not None
            assert set(bitfield) == held
            assert all(store.read("f", at) == right[at] for at in held)
        if len(held) == manifest.segments:
            store.finish("f")
            assert tree_of(Path(folder)) == {"f": data}
        else:
            with pytest.raises(LocalProtocolError):
                store.finish("f")
            assert set(tree_of(Path(folder))) == {"f.part"}
        files.close(remove_partial=True)


# Nothing outside, nothing lost ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["evil/x", "deep/evil/x", "evil/new/x", "evil.part/x"])
def test_a_link_that_leads_out_of_the_output_folder_is_refused(tmp_path: Path, out: Path, name: str) -> None:
    (out / "deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for link in ("evil", "deep/evil", "evil.part"):
        (out / link).symlink_to(tmp_path / "outside")
    with pytest.raises(
        OutputError, match=r"^cannot use the folder '.*/evil(\.part)?': it leads out of '.*'$"
    ):
        RealFiles(out, {}).begin(manifest_of(name, b"x"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_in_place_of_a_file_is_replaced_not_followed(tmp_path: Path, out: Path) -> None:
    out.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for link in ("a", "a.part", "b"):
        (out / link).symlink_to(victim)
    (out / "c").symlink_to(tmp_path / "dangling")
    files = RealFiles(out, {})
    for name in ("a", "b", "c"):
        download(files, name, b"new")
    assert tree_of(out) == {"a": b"new", "b": b"new", "c": b"new"}
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "dangling").exists()


def test_a_link_within_the_output_folder_gives_way_to_a_folder(out: Path) -> None:
    (out / "real").mkdir(parents=True)
    (out / "link").symlink_to("real")
    files = RealFiles(out, {})
    download(files, "link/x", b"x")
    download(files, "real/x", b"y")
    assert tree_of(out) == {"link/x": b"x", "real/x": b"y"}
    assert not (out / "link").is_symlink()


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a", "a/b/c"), ("a/b/c", "a/b")])
def test_a_file_and_a_folder_of_one_name_clash(out: Path, first: str, second: str) -> None:
    files = RealFiles(out, {})
    download(files, first, b"1")
    with pytest.raises(OutputError) as caught:
        files.begin(manifest_of(second, b"2"))
    clash = min(first, second, key=len)
    assert str(caught.value) == f"cannot write '{out}/{clash}': it is a file and a folder at once"
    assert tree_of(out) == {first: b"1"}


def test_what_stands_in_the_way_is_named(out: Path) -> None:
    (out / "folder").mkdir(parents=True)
    (out / "file").touch()
    files = RealFiles(out, {})
    with pytest.raises(OutputError, match=r"^cannot write '.*/folder': a folder is there$"):
        files.begin(manifest_of("folder", b"1"))
    with pytest.raises(OutputError, match=r"^cannot make the folder '.*/file': a file is there$"):
        files.begin(manifest_of("file/x", b"1"))
    with pytest.raises(OutputError, match=r"^cannot make the folder '.*/file': a file is there$"):
        RealFiles(out / "file", {}).begin(manifest_of("x", b"1"))
    with pytest.raises(OutputError, match=r"^cannot write '/proc/nowhere/x': No such file or directory$"):
        RealFiles(Path("/proc/nowhere"), {}).begin(manifest_of("x", b"1"))


def test_a_shared_file_is_never_written_over(out: Path) -> None:
    shares = shared(out, {"x": b"precious", "y.part": b"precious"})
    files = owning(out, {"other": shares["x"], "another": shares["y.part"]})
    with pytest.raises(OutputError, match=r"^cannot write '.*/x': a file that is shared is there$"):
        files.begin(manifest_of("x", b"1"))
    download(files, "y", b"new")
    assert tree_of(out) == {"x": b"precious", "y": b"new", "y.part": b"precious"}


# A file that the client owns ------------------------------------------------------------------


def test_an_owned_file_is_read_where_it_is_and_copied_when_wanted(tmp_path: Path, out: Path) -> None:
    shares = shared(tmp_path / "home", {"d/a": b"123456789", "empty": b""})
    files = owning(out, shares)
    for name, mode in (("d/a", 0o750), ("empty", 0o400)):
        manifest = manifest_of(name, shares[name].read_bytes(), mode)
        assert all(files.read(manifest, index) for index in range(manifest.segments))
        assert not (out / name).exists()
        files.finish(manifest)
        assert mode_of(out / name) == mode
    assert tree_of(out) == {"d/a": b"123456789", "empty": b""}


def test_an_owned_file_that_is_in_place_is_left_alone(out: Path) -> None:
    shares = shared(out, {"a": b"1234"})
    before = (out / "a").stat()
    owning(out, shares).finish(manifest_of("a", b"1234", 0o600))
    assert (out / "a").stat() == before


@pytest.mark.parametrize(
    ("now", "problem"),
    [(b"1234567X", "changed since it was hashed"), (b"12345", "shorter than it was"), (None, "No such file")],
)
def test_an_owned_file_that_changed_is_not_copied(
    tmp_path: Path, out: Path, now: bytes | None, problem: str
) -> None:
    shares = shared(tmp_path, {"a": b"12345678"})
    manifest = manifest_of("a", b"12345678")
    shares["a"].unlink() if now is None else shares["a"].write_bytes(now)
    files = owning(out, shares)
    with pytest.raises(OutputError, match=rf"^cannot read '{shares['a']}': {problem}"):
        files.finish(manifest)
    assert tree_of(out) == {}


def test_a_read_that_comes_short_is_an_error(tmp_path: Path, out: Path) -> None:
    shares = shared(tmp_path, {"a": b"12345"})
    files = owning(out, shares)
    manifest = manifest_of("a", b"12345678")
    assert files.read(manifest, 0) == b"1234"
    with pytest.raises(OSError, match="shorter than it was"):
        files.read(manifest, 1)
    with pytest.raises(FileNotFoundError):
        files.read(manifest_of("unknown", b"1"), 0)


# Cost -----------------------------------------------------------------------------------------


def test_few_files_are_open_however_many_are_begun(tmp_path: Path, out: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    shares = shared(tmp_path / "home", {f"s{i}": b"12345678" for i in range(3 * OPEN_FILES)})
    files = owning(out, shares)
    manifests = [manifest_of(f"d{i}", b"12345678") for i in range(3 * OPEN_FILES)]
    for manifest in manifests:
        files.begin(manifest)
    for index in (1, 0):
        for manifest in manifests:
            files.write(manifest, index, b"5678" if index else b"1234")
            assert files.read(manifest, index) == (b"5678" if index else b"1234")
        for name in shares:
            assert files.read(manifest_of(name, b"12345678"), index)
    assert len(os.listdir("/proc/self/fd")) <= before + 2 * OPEN_FILES + 1
    for manifest in manifests:
        files.finish(manifest)
        assert files.read(manifest, 0) == b"1234"
    files.close(remove_partial=True)
    assert len(os.listdir("/proc/self/fd")) == before
    assert tree_of(out) == {f"d{i}": b"12345678" for i in range(3 * OPEN_FILES)}


def test_thousands_of_small_files_are_cheap(out: Path) -> None:
    files = RealFiles(out, {})
    manifests = [manifest_of(f"{i % 20}/{i}", b"1234") for i in range(4_000)]
    start = time.perf_counter()
    for manifest in manifests:
        files.begin(manifest)
    for manifest in manifests:
        files.write(manifest, 0, b"1234")
        files.finish(manifest)
    assert time.perf_counter() - start < 4
    files.close(remove_partial=True)


def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tracemalloc sees no memory that is mapped.
    monkeypatch.setattr("mmap.mmap", lambda _, size: bytearray(size))
    path = tmp_path / "big"
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(b"x" * MIN_SEGMENT_LENGTH)
    tracemalloc.start()
    try:
        job = HashJob("big", str(path), path.stat().st_size)
        (manifest,) = hash_files([job], "blake3", workers=1)
        assert isinstance(manifest, Manifest)
        assert manifest.segments == 64
        files = owning(out, {"big": path})
        files.finish(manifest)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIN_SEGMENT_LENGTH
    finally:
        tracemalloc.stop()
    assert (out / "big").stat().st_size == 64 * MIN_SEGMENT_LENGTH


def test_one_thread_may_read_while_the_other_writes(out: Path) -> None:
    """Partial files are moved and finished under the reader, and descriptors are short."""
    files = RealFiles(out, {})
    store = SegmentStore(files)
    names = [f"f{i}{part}" for i in range(2 * OPEN_FILES) for part in ("", ".part", ".part.part")]
    data = {name: f"the content of {name}".encode() for name in names}
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for name in names:
                bitfield = store.bitfield(name)
                for index in bitfield or ():
                    if store.read(name, index) != data[name][index * LENGTH : (index + 1) * LENGTH]:
                        wrong.append(f"{name} {index}")

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for name in names:
            store.begin(manifest_of(name, data[name]))
            store.put(name, 0, data[name][:LENGTH])
        for name in names:
            for index, payload in enumerate(segments_of(manifest_of(name, data[name]), data[name])):
                store.put(name, index, payload)
            store.finish(name)
    finally:
        done.set()
        reader.join()
        files.close(remove_partial=True)
    assert wrong == []
    assert tree_of(out) == data
