"""Law 3: a store never holds a segment whose digest fails, and only grows. Law 4: a finished client got every
segment from someone who had it at that time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.digest import segment_hasher
from mpi_core.protocol.errors import LocalProtocolError, UnreadableError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank, SegmentIndex
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from tests.helpers.schedules import Schedule, schedules
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(min_size=1, max_size=1)), max_size=30))
def test_a_store_holds_what_verifies_and_only_grows(puts: list[tuple[int, bytes]]) -> None:
    manifest = Manifest.declared("file1", ("\0", "\1", "\0", "\2", "\3"))
    backing = MemoryBacking()
    store = SegmentStore(backing)
    store.begin(manifest)
    for index, payload in puts:
        before = store.bitfield("file1")
        digest = store.put("file1", index, payload)
        after = store.bitfield("file1")
        assert before is not None
        assert after is not None
        right = payload == manifest.digests[index]
        assert digest == (payload if right else None)
        assert after == (before.plus(index) if right else before)
        assert all(store.read("file1", at) == manifest.digests[at] for at in after)
        for at in range(-2, 8):
            if not 0 <= at < 5 or not after.has(at):
                with pytest.raises(UnreadableError):
                    store.read("file1", at)


def test_a_segment_is_kept_before_it_is_shown() -> None:
    store: SegmentStore

    class Watching(MemoryBacking):
        def write(self, manifest: Manifest, index: int, payload: bytes | bytearray | memoryview) -> None:
            assert store.bitfield("file1") == Bitfield(2)
            super().write(manifest, index, payload)

    store = SegmentStore(Watching())
    store.begin(declared("file1", 2))
    assert store.put("file1", 1, b"file1-1") == b"file1-1"
    assert store.bitfield("file1") == Bitfield.of(2, [1])


def test_a_store_takes_a_file_once_and_hands_over_only_a_whole_one() -> None:
    store = SegmentStore(MemoryBacking())
    store.begin(declared("file1", 1))
    with pytest.raises(LocalProtocolError, match="in the store already"):
        store.begin(declared("file1", 1))
    with pytest.raises(LocalProtocolError, match="not whole"):
        store.finish("file1")


@given(schedules())
def test_in_a_swarm_stores_only_grow(schedule: Schedule) -> None:
    swarm = schedule.swarm()
    swarm.start()
    held: dict[tuple[Rank, str], Bitfield] = {}
    while swarm.step():
        for rank, store in swarm.stores.items():
            for manifest in store.manifests:
                now = store.bitfield(manifest.name)
                before = held.get((rank, manifest.name))
                assert now is not None
                if now is not before:
                    assert before is None or (before.minus(now).bits == 0 and now.length == before.length)
                    held[rank, manifest.name] = now
    swarm.end()


@given(schedules())
def test_each_segment_came_from_someone_who_had_it_then(schedule: Schedule) -> None:
    swarm = schedule.swarm().run()
    had = {
        (rank, manifest.name, index)
        for rank, plan in swarm.plans.items()
        for manifest in plan.owns
        for index in range(manifest.segments)
    }
    sent = set()
    for rank, event in ((stamped.rank, stamped.event) for stamped in swarm.journal):
        if isinstance(event, ev.SegmentSent):
            assert (rank, event.file, event.segment) in had
            sent.add((rank, event.target, event.file, event.segment))
        elif isinstance(event, ev.SegmentStored):
            assert (event.source, rank, event.file, event.segment) in sent
            had.add((rank, event.file, event.segment))
    for rank, store in swarm.stores.items():
        for manifest in store.manifests:
            assert {(rank, manifest.name, at) for at in store.bitfield(manifest.name) or ()} <= had


def test_a_swarm_of_real_files_obeys_them_too() -> None:
    parts = [bytes([at]) * 3 for at in range(5)]
    manifest = Manifest("dir/real", 15, 3, "blake3", tuple(map(segment_hasher("blake3"), parts)))
    swarm = VirtualSwarm([Plan([manifest]), Plan(wants=["dir/real"]), Plan(patterns=["dir/*"])], seed=3)
    for index, part in enumerate(parts):
        swarm.backings[Rank(1)].write(manifest, SegmentIndex(index), part)
    swarm.run()
    for rank in (2, 3):
        assert [swarm.stores[Rank(rank)].read("dir/real", index) for index in range(5)] == parts
        assert swarm.backings[Rank(rank)].finished == ["dir/real"]


def test_faults_do_what_they_say() -> None:
    file = declared("file1", 30)
    faults = Faults(corrupt={1: 0.5}, dead_at={3: 0.004})
    swarm = VirtualSwarm([Plan([file]), Plan(wants=["file1"]), Plan(wants=["file1"])], faults=faults).run()
    assert any(event.reason == "corrupt" for event in swarm.events(ev.SegmentDropped, 2))
    assert max(at for at, sender, _, _ in swarm.sent if sender == 3) < 0.004
    assert [event.client for event in swarm.events(ev.ClientLost)] == [3]
