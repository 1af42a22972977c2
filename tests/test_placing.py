"""What a client owns and wants is put in place step by step: it answers meanwhile, and is heard to live."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.placing import AT_ONCE
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from tests.helpers.alone import Alone
from tests.helpers.virtual import declared


class SlowDisk(MemoryBacking):
    """Files take as many steps as they have segments, of so many bytes each."""

    step = AT_ONCE

    def place(self, manifest: Manifest) -> Iterator[int]:
        for _ in range(manifest.segments):
            yield self.step
        self.finish(manifest)


def owner(disk: MemoryBacking, segments: dict[str, int], *wants: str) -> Alone:
    store = SegmentStore(disk)
    for name, length in segments.items():
        store.add_owned(declared(name, length))
    alone = Alone(Downloader(Rank(1), 3, store, (*segments, *wants), SwarmConfig(), Random(0)))
    alone.hear(TRACKER, msg.InitAck())
    return alone


def completed(client: Alone) -> list[str]:
    return [event.file for event in client.told if isinstance(event, ev.FileCompleted)]


def sent(client: Alone, kind: type[msg.Message]) -> int:
    return sum(isinstance(message, kind) for _, message in client.sent)


def test_small_files_are_in_place_at_once() -> None:
    disk = SlowDisk()
    disk.step = 1
    client = owner(disk, {"a": 1, "b": 2})
    assert completed(client) == disk.finished == ["a", "b"]
    assert sent(client, msg.AllComplete) == 1


def test_between_two_steps_it_hears_and_tells() -> None:
    client = owner(SlowDisk(), {"a": 3, "b": 1})
    steps = 0
    while not sent(client, msg.AllComplete):
        # A step takes its time, and a message comes meanwhile.
        client.now += SwarmConfig.client_timeout / 4
        client.hear(2, msg.BitfieldMessage(()))
        client.wakes()
        steps += 1
        assert sent(client, msg.Alive) >= steps - 1
    assert completed(client) == ["a", "b"]
    assert steps == 4


def test_who_fetches_something_too_asks_for_it_first() -> None:
    client = owner(SlowDisk(), {"a": 3}, "other")
    assert (sent(client, msg.SwarmRequest), completed(client)) == (1, [])
