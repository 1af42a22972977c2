"""Ranks that can open each other's files copy payloads there: what is told, what is copied, and by whom."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.bundle import bundle
from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.errors import UnreadableError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Digest, Rank, SegmentIndex, Ticket
from mpi_core.runtime.beside import VIEW, ranks_beside, view_of_files
from mpi_core.runtime.disk import PIECE
from mpi_core.runtime.files import OutputError, RealFiles
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.store import Backing, MemoryBacking, SegmentStore
from mpi_core.swarm.uploader import LATELY, Uploader
from tests.helpers.alone import Alone, request
from tests.helpers.disk import download, manifest_of, owning, segments_of, shared, tree_of
from tests.helpers.mpirun import mpirun, needs_mpirun, needs_proc
from tests.helpers.virtual import declared

DATA = b"123456789"


def copied(folder: Path, manifest: Manifest, index: int, places: tuple[msg.Place, ...]) -> Digest | None:
    """What a client makes of a segment that another tells it of: its digest, if it holds it then."""
    files = RealFiles(folder / "copy", {})
    store = SegmentStore(files)
    store.begin(manifest)
    try:
        digest = store.copy(manifest.name, index, places)
        held = store.bitfield(manifest.name)
        assert held is not None
        assert held == Bitfield.of(manifest.segments, [index] if digest else [])
        if digest:
            assert manifest.verifies(index, store.read(manifest.name, index))
        return digest
    finally:
        files.close(remove_partial=True)


def in_one(path: Path | str, offset: int = 4, length: int = 4) -> tuple[msg.Place, ...]:
    return (msg.Place((os.fsencode(path),), offset, length),)


def bundle_of(contents: Mapping[str, bytes]) -> Manifest:
    return bundle("small", [manifest_of(name, data, length=64) for name, data in contents.items()])


# What is copied -------------------------------------------------------------------------------


def test_a_segment_is_copied_before_and_after_its_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = RealFiles(Path("out"), {})  # The others may be in another folder: relative names would not do.
    manifest = manifest_of("d/\udcff", DATA)
    files.begin(manifest)
    for index, payload in enumerate(segments_of(manifest, DATA)):
        files.write(manifest, index, payload)
    told = [files.locate(manifest, index) for index in range(3)]

    def copies() -> list[Digest | None]:
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir("/")
            return [copied(tmp_path, manifest, index, told[index]) for index in range(3)]

    assert copies() == list(manifest.digests)
    files.finish(manifest)
    assert os.listdir(b"out/d") == [b"\xff"]
    assert copies() == list(manifest.digests), "told before, copied after"


def test_an_owned_file_is_copied_from_where_its_owner_has_it(tmp_path: Path) -> None:
    files = owning(tmp_path / "out", shared(tmp_path / "home", {"a": DATA}))
    manifest = manifest_of("a", DATA)
    assert copied(tmp_path, manifest, 2, files.locate(manifest, 2)) == manifest.digests[2]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_long_segment_is_copied_piece_by_piece(algorithm: Algorithm, more: int, tmp_path: Path) -> None:
    data = Random(1).randbytes(3 * PIECE + more)
    length = 2 * PIECE
    digests = tuple(segment_hasher(algorithm)(part) for part in (data[:length], data[length:]))
    manifest = Manifest("a", len(data), length, algorithm, digests)
    files = owning(tmp_path / "out", shared(tmp_path, {"a": data}))
    for index, digest in enumerate(digests):
        assert copied(tmp_path, manifest, index, files.locate(manifest, index)) == digest


@pytest.mark.parametrize("place", [(4, 3), (4, 5), (4, 0), (4, -1), (0, 4), (2**40, 5)])
def test_what_has_another_digest_or_length_is_not_held(place: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    assert copied(tmp_path, manifest_of("a", DATA), 1, in_one(tmp_path / "a", *place)) is None


@pytest.mark.parametrize("count", [0, 2])
def test_a_segment_lies_in_one_place(count: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    assert copied(tmp_path, manifest_of("a", DATA), 1, count * in_one(tmp_path / "a")) is None


@pytest.mark.parametrize("offset", [6, -1, -2, 2**70])
def test_what_is_not_there_is_unreadable(offset: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    with pytest.raises(UnreadableError):
        copied(tmp_path, manifest_of("a", DATA), 1, in_one(tmp_path / "a", offset))


def test_names_that_cannot_be_read_are_unreadable_and_none_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    names = (tmp_path / "pipe", tmp_path, tmp_path / "nothing", "", "a\0b")
    nameless = (msg.Place((), 0, 4),)
    for manifest in manifest_of("a", DATA), bundle_of({"a": b"1234"}):
        for places in (*(in_one(name, 0) for name in names), nameless):
            with pytest.raises(UnreadableError):
                copied(tmp_path, manifest, 0, places)


def test_what_was_written_of_a_corrupt_copy_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"bad!" + DATA[4:])
    (tmp_path / "good").write_bytes(DATA)
    manifest, files = manifest_of("f", DATA), RealFiles(tmp_path / "out", {})
    store = SegmentStore(files)
    store.begin(manifest)
    assert store.copy("f", 0, in_one(tmp_path / "bad", 0)) is None
    with pytest.raises(UnreadableError):
        store.read("f", 0)
    for index, length in enumerate((4, 4, 1)):
        assert store.copy("f", index, in_one(tmp_path / "good", 4 * index, length)) == manifest.digests[index]
    store.finish("f")
    assert tree_of(tmp_path / "out") == {"f": DATA}


def test_what_cannot_be_written_is_no_fault_of_who_told_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(DATA)

    def full(fd: int, data: object, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=r"cannot write '.*copy/a': No space left on device"):
        copied(tmp_path, manifest_of("a", DATA), 1, in_one(tmp_path / "a"))


SMALL = {"b/0": b"12", "b/1": b"345", "c/empty": b"", "d": b"6"}


def test_small_files_are_copied_from_an_owner_and_from_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = bundle_of(SMALL)
    owner = owning(Path("out"), {name: Path("in", name) for name in shared(tmp_path / "in", SMALL)})
    assert copied(tmp_path, whole, 0, owner.locate(whole, 0)) == whole.digests[0]
    assert tree_of(tmp_path / "copy") == SMALL
    again = RealFiles(Path("copy"), {}).locate(whole, 0)
    assert [place.length for place in again] == [2, 3, 0, 1]
    assert copied(tmp_path / "more", whole, 0, again) == whole.digests[0]
    assert tree_of(tmp_path / "more/copy") == SMALL


def test_small_files_get_their_names_only_if_all_are_right(tmp_path: Path) -> None:
    whole = bundle_of(SMALL)
    owner = owning(tmp_path / "out", shared(tmp_path / "in", SMALL | {"d": b"7"}))
    assert copied(tmp_path, whole, 0, owner.locate(whole, 0)) is None
    assert copied(tmp_path, whole, 0, owner.locate(whole, 0)[:3]) is None
    (tmp_path / "in/b/1").unlink()
    with pytest.raises(UnreadableError):
        copied(tmp_path, whole, 0, owner.locate(whole, 0))
    assert tree_of(tmp_path / "copy") == {}


@pytest.mark.parametrize("is_sent", [True, False])
def test_what_cannot_be_read_where_it_lies_is_asked_for_as_a_payload(is_sent: bool, tmp_path: Path) -> None:
    """Whoever cannot send it either is taken not to have it."""
    files = RealFiles(tmp_path, {})
    config, manifest = SwarmConfig(), manifest_of("a", DATA[:4])
    client = Alone(Downloader(Rank(3), 3, SegmentStore(files), ["a"], config, Random(0)))
    client.hear(0, msg.InitAck((), ()))
    swarm = msg.Swarm("a", (msg.SwarmMember(Rank(1), "seed"),))
    (asked,) = asked_of(1, client.hear(0, msg.SwarmResponse((manifest,), (swarm,))))
    (again,) = asked_of(1, client.hear(1, msg.SegmentAt(asked.ticket, in_one(tmp_path / "nothing", 0))))
    rejected = ev.RequestRejected(Rank(1), "a", SegmentIndex(0), "unreadable", "No such file or directory")
    assert client.events(ev.RequestRejected) == [rejected]
    assert (asked.as_payload, again.as_payload) == (False, True)
    if is_sent:
        client.hear(1, msg.SendSegment(again.ticket, DATA[:4]))
        assert tree_of(tmp_path) == {"a": DATA[:4]}
    else:
        assert asked_of(1, client.hear(1, msg.Reject(again.ticket, "unreadable"))) == []
    files.close(remove_partial=True)


def asked_of(source: int, sent: list[tuple[int, msg.Stimulus]]) -> list[msg.RequestSegment]:
    return [m for to, m in sent if isinstance(m, msg.RequestSegment) and to == source]


def test_who_keeps_payloads_in_memory_cannot_read_others_files() -> None:
    store = SegmentStore(MemoryBacking())
    store.begin(declared("file1", 1))
    with pytest.raises(UnreadableError):
        store.copy("file1", 0, in_one("/dev/null", 0, 7))
    assert store.bitfield("file1") == Bitfield(1)


# What is told ---------------------------------------------------------------------------------


def uploader(backing: Backing, *manifests: Manifest, **choices: int) -> Alone:
    """Client 1, which owns these; client 3 is beside it."""
    store = SegmentStore(backing)
    for manifest in manifests:
        store.add_owned(manifest)
    config = SwarmConfig(**choices)  # type: ignore[arg-type]
    return Alone(Uploader(Rank(1), 5, store, config, frozenset({Rank(3)})))


def test_who_is_beside_is_told_where_and_takes_no_slot(tmp_path: Path) -> None:
    manifest = manifest_of("a", DATA)
    client = uploader(owning(tmp_path, shared(tmp_path, {"a": DATA})), manifest, slots=1)
    name = os.fsencode(tmp_path / "a")
    assert client.hear(2, request(0, 0, "a")) == [(2, msg.SendSegment(Ticket(0), b"1234"))]
    assert client.hear(4, request(0, 0, "a")) == [], "the slot is taken"
    for ticket, (index, place) in enumerate([(1, (4, 4)), (2, (8, 1)), (0, (0, 4))]):
        told = msg.SegmentAt(Ticket(ticket), (msg.Place((name,), *place),))
        assert client.hear(3, request(index, ticket, "a")) == [(3, told)]
    assert client.hear(1, msg.Sent(Rank(2), Ticket(0))) == [(4, msg.SendSegment(Ticket(0), b"1234"))]
    assert [event.target for event in client.events(ev.SegmentSent)] == [2, 3, 3, 3, 4]
    assert client.events(ev.SegmentSent)[2] == ev.SegmentSent(Rank(3), "a", SegmentIndex(2), 1)


def test_who_is_beside_is_told_no_faster_than_the_rate(tmp_path: Path) -> None:
    manifest = manifest_of("a", DATA)
    client = uploader(owning(tmp_path, shared(tmp_path, {"a": DATA})), manifest, rate=10)
    assert client.hear(3, request(0, 0, "a"))
    assert client.hear(3, request(1, 1, "a")) == []
    assert client.wait(0.39) == []
    assert [to for to, _ in client.wait(0.02)] == [3]


def test_who_tells_where_has_something_to_send_for_a_while(tmp_path: Path) -> None:
    manifest = manifest_of("a", DATA)
    client = uploader(owning(tmp_path, shared(tmp_path, {"a": DATA})), manifest)
    assert not client.machine._store.sending  # type: ignore[attr-defined]
    client.hear(3, request(0, 0, "a"))
    assert client.machine.wake_at == pytest.approx(LATELY)
    client.wait(0.99 * LATELY)
    assert client.machine._store.sending  # type: ignore[attr-defined]
    client.wait(0.02 * LATELY)
    assert not client.machine._store.sending  # type: ignore[attr-defined]


def test_who_is_beside_and_cannot_read_it_gets_the_payload(tmp_path: Path) -> None:
    manifest = manifest_of("a", DATA)
    client = uploader(owning(tmp_path, shared(tmp_path, {"a": DATA})), manifest)
    asked = msg.RequestSegment("a", SegmentIndex(0), Ticket(0), 4, as_payload=True)
    assert client.hear(3, asked) == [(3, msg.SendSegment(Ticket(0), b"1234"))]


def test_what_lies_in_no_file_is_sent_and_takes_a_slot() -> None:
    client = uploader(MemoryBacking(), declared("file1", 3), slots=1)
    assert client.hear(3, request(0, 0)) == [(3, msg.SendSegment(Ticket(0), b"file1-0"))]
    assert client.hear(3, request(1, 1)) == []


def test_of_a_bundle_it_is_told_where_each_member_is(tmp_path: Path) -> None:
    small = {"b/0": b"12", "b/1": b"345"}
    files = owning(tmp_path, shared(tmp_path, small))
    client = uploader(files, bundle_of(small), slots=1)
    places = tuple(msg.Place((os.fsencode(tmp_path / name),), 0, len(data)) for name, data in small.items())
    for ticket in range(2):
        told = msg.SegmentAt(Ticket(ticket), places)
        assert client.hear(3, request(0, ticket, "small")) == [(3, told)]
    assert client.hear(2, request(0, 0, "small")) == [(2, msg.SendSegment(Ticket(0), b"12345"))]
    assert client.events(ev.SegmentSent)[0] == ev.SegmentSent(Rank(3), "small", SegmentIndex(0), 5)


def test_a_download_is_told_of_under_both_its_names(tmp_path: Path) -> None:
    files = RealFiles(tmp_path, {})
    manifest = manifest_of("a", DATA)
    files.begin(manifest)
    names = os.fsencode(tmp_path / "a.part"), os.fsencode(tmp_path / "a")
    assert files.locate(manifest, 1) == (msg.Place(names, 4, 4),)
    whole = (os.fsencode(tmp_path / "b"),) * 2
    assert files.locate(download(files, "b", DATA), 2) == (msg.Place(whole, 8, 1),)


# Who is beside whom ---------------------------------------------------------------------------


def test_those_with_one_view_are_beside_each_other() -> None:
    views = [b"a", b"b", b"a", b"a", b"c"]
    beside = [ranks_beside(Rank(rank), views) for rank in range(5)]
    assert beside == [{2, 3}, set(), {0, 3}, {0, 2}, set()]


@needs_proc
def test_a_process_has_one_view() -> None:
    assert len(view_of_files()) == VIEW
    assert view_of_files() == view_of_files()


SCRIPT = """
from mpi_core.runtime.mpi import World
world = World()
print(f"{world.rank} {sorted(world.beside)}\\n", end="", flush=True)
world.leave()
"""


@pytest.mark.mpirun
@needs_mpirun
@needs_proc
def test_the_ranks_of_one_host_are_beside_each_other() -> None:
    run = mpirun(3, program=("-c", SCRIPT))
    assert sorted(run.stdout.splitlines()) == ["0 [1, 2]", "1 [0, 2]", "2 [0, 1]"], run
