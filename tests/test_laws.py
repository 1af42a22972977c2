"""Laws 1, 3, 4 and 5 of the design. Law 2 is in test_law_2, law 8 in test_law_8, 6 and 7 in test_swarm_view."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import LocalProtocolError, RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.runtime.transport import LocalNetwork
from mpi_core.swarm.machine import Effects, Machine
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from tests.helpers.network import VirtualNetwork
from tests.helpers.schedules import Schedule, schedules
from tests.helpers.virtual import Faults, Plan, Stimulus, VirtualSwarm, declared

ROOT = Path(__file__).parent.parent


# 1. The same seed and the same stimuli give the same effects --------------------------------------


def replayed(machine: Machine, stimuli: list[Stimulus]) -> Effects:
    """What a fresh machine makes of what another one was given."""
    effects = machine.start(0.0)
    for now, delivery in stimuli:
        try:
            effects += machine.wake(now) if delivery is None else machine.receive(now, *delivery)
        except RemoteProtocolError:
            continue
    return effects


@given(schedules())
def test_a_machine_makes_the_same_of_the_same_stimuli(schedule: Schedule) -> None:
    swarm = schedule.swarm().run()
    effects, stimuli = swarm.effects, swarm.stimuli
    machines = swarm.fresh_machines()
    # An uploader reads what its downloader writes: the store is part of its stimuli, so it is left out here.
    for key in machines:
        if key[1] != "uploader" and swarm.faults.dead_at.get(key[0]) != 0.0:
            assert replayed(machines[key], stimuli[key]) == effects[key]


@given(schedules())
def test_a_swarm_with_the_same_seed_is_the_same_swarm(schedule: Schedule) -> None:
    first, second = schedule.swarm().run(), schedule.swarm().run()
    assert first.effects == second.effects
    assert first.sent == second.sent
    assert to_lines(first.journal) == to_lines(second.journal)


TWELVE_SWARMS = """
import sys
from hypothesis import given, seed, settings
from mpi_core.protocol.codec import to_lines
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared

files = [declared(name, 9) for name in ("alpha", "beta", "gamma/1", "gamma/2")]
names = [file.name for file in files]
plans = [Plan(files[:2]), Plan(files[2:], names[:2]), Plan(wants=[*names, "ghost"]), Plan(patterns=["gamma", "a*"])]
for number in range(12):
    config = SwarmConfig(strategy=("swarm", "classic")[number % 2], swarm_cap=2 + number)
    faults = Faults(corrupt={2: 0.3}, dead_at={1: 0.01 * number} if number > 6 else {})
    sys.stdout.buffer.write(to_lines(VirtualSwarm(plans, config, number, faults).run().journal))
"""


def transcript(hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", TWELVE_SWARMS], env=environment, capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def test_no_hash_seed_changes_a_run() -> None:
    first = transcript("1")
    assert first.count(b"SegmentStored") > 300
    assert transcript("4242") == first


# 3. A store never holds a segment whose digest fails, and only grows ------------------------------


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
        assert all(store.read("file1", at) is None for at in range(-2, 8) if not 0 <= at < 5 or not after.has(at))


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


# 4. A finished client got every segment from someone who had it at that time ----------------------


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


# 5. First in, first out for each (sender, receiver, tag) ------------------------------------------

CHANNELS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["reject", "cancel", "payload"]))


def numbered(kind: str, number: int) -> msg.Message:
    if kind == "payload":
        return msg.SendSegment(Ticket(number), b"")
    return msg.Reject(Ticket(number), "busy") if kind == "reject" else msg.Cancel(Ticket(number))


@given(st.lists(st.tuples(CHANNELS, st.floats(0, 1), st.floats(0, 100)), max_size=40))
def test_the_virtual_network_keeps_the_order_of_each_channel(
    posts: list[tuple[tuple[int, int, str], float, float]],
) -> None:
    delays = iter([delay for _, _, delay in posts])
    network = VirtualNetwork(lambda sender, to, message: next(delays))
    now, sent, came = 0.0, {}, {}
    for number, ((sender, to, kind), pause, _) in enumerate(posts):
        now += pause
        assert network.post(now, Rank(sender), Rank(to), numbered(kind, number)) >= now
        sent.setdefault((sender, to, kind), []).append(number)
    last = 0.0
    for _ in posts:
        at, source, target, message = network.take()
        assert at >= last
        last = at
        kind = {msg.SendSegment: "payload", msg.Reject: "reject", msg.Cancel: "cancel"}[type(message)]
        came.setdefault((source, target, kind), []).append(message.ticket)
    assert came == sent
    assert network.next_at == float("inf")


@given(st.lists(CHANNELS, max_size=40))
def test_the_local_network_keeps_the_order_of_each_channel(posts: list[tuple[int, int, str]]) -> None:
    network = LocalNetwork()
    sent: dict[tuple[int, int, str], list[int]] = {}
    came: dict[tuple[int, int, str], list[int]] = {}
    for number, (sender, to, kind) in enumerate(posts):
        network.endpoint(Rank(sender), "downloader").send(Rank(to), numbered(kind, number))
        sent.setdefault((sender, to, kind), []).append(number)
    for to in range(3):
        for kind, port in (("cancel", "uploader"), ("reject", "downloader")):
            endpoint = network.endpoint(Rank(to), port)
            while (delivery := endpoint.receive(0.0)) is not None:
                sender, message = delivery
                if isinstance(message, msg.Sent):
                    continue
                which = "payload" if isinstance(message, msg.SendSegment) else kind
                came.setdefault((sender, to, which), []).append(message.ticket)
    assert came == sent


def test_the_local_network_keeps_the_order_of_many_threads() -> None:
    network, each = LocalNetwork(), 300

    def talk(sender: int) -> None:
        endpoint = network.endpoint(Rank(sender), "downloader")
        for number in range(each):
            endpoint.send(Rank(9), numbered("reject", number))

    threads = [threading.Thread(target=talk, args=(sender,)) for sender in (1, 2, 3)]
    for thread in threads:
        thread.start()
    inbox = network.endpoint(Rank(9), "downloader")
    came: dict[int, list[int]] = {1: [], 2: [], 3: []}
    for _ in range(3 * each):
        delivery = inbox.receive(5.0)
        assert delivery is not None
        sender, message = delivery
        assert isinstance(message, msg.Reject)
        came[sender].append(message.ticket)
    for thread in threads:
        thread.join()
    assert came == dict.fromkeys((1, 2, 3), list(range(each)))
    assert inbox.receive(0.0) is None


def test_what_travels_the_local_network_is_a_copy_that_went_through_the_codec() -> None:
    network = LocalNetwork()
    payload = bytearray(b"abc")
    network.endpoint(Rank(1), "uploader").send(Rank(2), msg.SendSegment(Ticket(4), memoryview(payload)))
    payload[:] = b"xyz"
    assert network.endpoint(Rank(2), "downloader").receive(1.0) == (1, msg.SendSegment(Ticket(4), b"abc"))
    assert network.endpoint(Rank(1), "uploader").receive(1.0) == (1, msg.Sent(Rank(2), Ticket(4)))


def test_a_swarm_of_real_files_obeys_them_too() -> None:
    parts = [bytes([at]) * 3 for at in range(5)]
    from mpi_core.protocol.manifest import segment_hasher

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
