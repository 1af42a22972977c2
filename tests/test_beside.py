"""Ranks that can open each other's files read payloads there: what is told, what is read, and by whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bundle import bundle
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.runtime.beside import VIEW, Reader, ranks_beside, view_of_files
from mpi_core.runtime.files import RealFiles
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.store import Backing, MemoryBacking, SegmentStore
from mpi_core.swarm.uploader import LATELY, Uploader
from tests.helpers.alone import Alone, request
from tests.helpers.disk import download, manifest_of, owning, segments_of, shared
from tests.helpers.mpirun import mpirun, needs_mpirun, needs_proc
from tests.helpers.virtual import declared

T = Ticket(7)
DATA = b"123456789"


def at(path: Path | str, offset: int = 0, length: int = 4) -> msg.SegmentAt:
    return msg.SegmentAt(T, msg.Place((os.fsencode(path),), offset, length))


def read(files: RealFiles, manifest: Manifest) -> list[bytes]:
    """Each segment, as another process reads it."""
    reader, found = Reader(), []
    for index in range(manifest.segments):
        place = files.locate(manifest, index)
        answer = reader.read(msg.SegmentAt(T, place), place.length)
        assert isinstance(answer, msg.SendSegment)
        found.append(bytes(answer.payload))
    return found


# What is read ---------------------------------------------------------------------------------


def test_a_payload_is_read_where_it_lies_before_and_after_its_file_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = RealFiles(Path("out"), {})  # The others may be in another folder: relative names would not do.
    manifest = manifest_of("d/\udcff", DATA)
    files.begin(manifest)
    for index, payload in enumerate(segments_of(manifest, DATA)):
        files.write(manifest, index, payload)
    told = msg.SegmentAt(T, files.locate(manifest, 2))
    monkeypatch.chdir("/")
    assert Reader().read(told, 4) == msg.SendSegment(T, b"9")
    monkeypatch.chdir(tmp_path)
    files.finish(manifest)
    assert Reader().read(told, 4) == msg.SendSegment(T, b"9"), "told before, read after"
    assert read(files, manifest) == segments_of(manifest, DATA)


def test_an_owned_file_is_read_where_its_owner_has_it(tmp_path: Path) -> None:
    files = owning(tmp_path / "out", shared(tmp_path / "home", {"a": DATA}))
    manifest = manifest_of("a", DATA)
    assert read(files, manifest) == segments_of(manifest, DATA)
    assert not (tmp_path / "out").exists()


def test_the_memory_is_the_readers_again_at_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(250)) * 100)
    reader = Reader()
    for offset, length in ((0, 1), (3, 20_000), (24_999, 1), (10, 8_000), (0, 0)):
        answer = reader.read(at(tmp_path / "a", offset, length), length)
        assert answer == msg.SendSegment(T, (bytes(range(250)) * 100)[offset : offset + length])


@pytest.mark.parametrize("place", [(0, 5), (0, -1), (6, 4), (-1, 4), (2**70, 4)])
def test_what_is_not_there_or_was_not_asked_for_is_rejected(place: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    assert Reader().read(at(tmp_path / "a", *place), 4) == msg.Reject(T, "unreadable")


def test_names_that_cannot_be_read_are_rejected_and_none_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing", "", "a\0b"):
        assert Reader().read(at(path), 4) == msg.Reject(T, "unreadable")


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
        told = msg.SegmentAt(Ticket(ticket), msg.Place((name,), *place))
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


def test_what_lies_in_no_file_is_sent_and_takes_a_slot() -> None:
    client = uploader(MemoryBacking(), declared("file1", 3), slots=1)
    assert client.hear(3, request(0, 0)) == [(3, msg.SendSegment(Ticket(0), b"file1-0"))]
    assert client.hear(3, request(1, 1)) == []


def test_bundles_are_sent_and_take_a_slot(tmp_path: Path) -> None:
    small = {"b/0": b"12", "b/1": b"345"}
    files = owning(tmp_path, shared(tmp_path, small))
    whole = bundle("small", [manifest_of(name, data, length=64) for name, data in small.items()])
    client = uploader(files, whole, slots=1)
    assert client.hear(3, request(0, 0, whole.name)) == [(3, msg.SendSegment(Ticket(0), b"12345"))]
    assert client.hear(3, request(0, 1, whole.name)) == []


def test_a_download_is_told_of_under_both_its_names(tmp_path: Path) -> None:
    files = RealFiles(tmp_path, {})
    manifest = manifest_of("a", DATA)
    files.begin(manifest)
    assert files.locate(manifest, 1) == msg.Place(
        (os.fsencode(tmp_path / "a.part"), os.fsencode(tmp_path / "a")), 4, 4
    )
    assert files.locate(download(files, "b", DATA), 2) == msg.Place((os.fsencode(tmp_path / "b"),) * 2, 8, 1)


# Who is beside whom ---------------------------------------------------------------------------


def test_those_with_one_view_are_beside_each_other() -> None:
    views = b"".join(view * VIEW for view in (b"a", b"b", b"a", b"a", b"c"))
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
