"""A client whose tracker is lost: it finishes from its neighbours, serves them while they ask, and leaves."""

from __future__ import annotations

import time
from random import Random

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.runtime import awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.reporter import Reporter
from mpi_core.runtime.transport import LocalNetwork
from mpi_core.swarm.bystander import Bystander
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.orphan import UNTOLD
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.uploader import Uploader
from tests.helpers.alone import Alone, Leecher, leecher, payload, request
from tests.helpers.virtual import declared
from tui_torrent.client import _crew

ME = 1
LOST = msg.Lost(TRACKER, "silent for 28 s")
QUIET = SwarmConfig.request_timeout


def code(client: Alone) -> int:
    assert isinstance(client.machine, Downloader | Bystander)
    return client.machine.exit_code


def fetches_all(client: Leecher, of: int = 2) -> None:
    done = 0
    while len(requests := client.requests(to=of)) > done:
        for asked in requests[done:]:
            client.hear(of, payload(asked))
            done += 1
        client.wait(0.01)


def test_it_finishes_from_the_neighbours_it_knows_and_leaves_with_0() -> None:
    client = leecher({"file1": 25})
    client.joins({"file1": [2]})
    client.hear(ME, LOST)
    before = len(client.sent)
    fetches_all(client)
    assert client.held() == "x" * 25
    assert [to for to, _ in client.sent[before:] if to == TRACKER] == []
    client.wait(QUIET - 0.5)
    assert not client.halted
    client.wait(1.0)
    assert client.halted
    assert client.messages(msg.Shutdown, ME) == [msg.Shutdown()]
    assert code(client) == 0


def test_what_the_tracker_had_not_told_of_cannot_be_had() -> None:
    client = leecher({"file1": 2, "file2": 2})
    client.hear(ME, LOST)
    assert client.events(ev.FileUnavailable) == [
        ev.FileUnavailable(name, UNTOLD) for name in ("file1", "file2")
    ]
    client.wait(QUIET + 0.5)
    assert client.halted
    assert code(client) == 1


def test_where_not_all_inits_were_in_it_leaves_at_once() -> None:
    store = SegmentStore(MemoryBacking())
    client = Alone(Downloader(Rank(ME), 2, store, ["file1"], SwarmConfig(), Random(0), ["*.bin"]))
    client.hear(ME, LOST)
    client.wait(0.5)
    assert client.halted
    assert [event.file for event in client.events(ev.FileUnavailable)] == ["file1", "*.bin"]
    assert code(client) == 1


def test_an_owner_serves_as_long_as_it_is_asked() -> None:
    store = SegmentStore(MemoryBacking())
    store.add_owned(declared("file1", 100))
    config = SwarmConfig()
    owner = Alone(Downloader(Rank(ME), 2, store, [], config, Random(0)))
    uploader = Alone(Uploader(Rank(ME), 2, store, config))
    owner.hear(0, msg.InitAck())
    assert owner.messages(msg.AllComplete)
    owner.hear(ME, LOST)
    for index in range(5):
        for alone in (owner, uploader):
            alone.wait(QUIET - 1)
        uploader.hear(2, request(index, ticket=index))
        uploader.hear(ME, msg.Sent(Rank(2), Ticket(index)))
    owner.wait(QUIET - 1)
    assert not owner.halted
    owner.wait(2)
    assert owner.halted
    assert code(owner) == 0


class SlowDisk(MemoryBacking):
    """Reading a segment takes longer than a process is thought to run without a look at its clock."""

    def read(self, manifest: Manifest, index: int) -> bytes:
        time.sleep(0.3)
        return super().read(manifest, index)


def test_an_owner_with_a_slow_disk_serves_as_long_as_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "STOPPED", 0.2)
    network, clock, count = LocalNetwork(), Clock(), 12
    store = SegmentStore(SlowDisk())
    store.add_owned(declared("file1", count))
    config = SwarmConfig(request_timeout=2.0)
    machines = {
        "download": Downloader(Rank(ME), 2, store, [], config, Random(0)),
        "upload": Uploader(Rank(ME), 2, store, config),
    }
    endpoints = {
        "download": network.endpoint(Rank(ME), "downloader"),
        "upload": network.endpoint(Rank(ME), "uploader"),
    }
    neighbour = network.endpoint(Rank(2), "downloader")
    network.endpoint(TRACKER, "tracker").send(Rank(ME), msg.InitAck())
    network._queue(Rank(ME), "downloader").put((Rank(ME), LOST))
    with _crew(Rank(ME), machines, endpoints, clock, Reporter(Rank(ME), clock), False) as crew:
        for index in range(count):
            neighbour.send(Rank(ME), request(index, ticket=index))
            answers = iter(lambda: neighbour.receive(5.0), None)
            assert any(isinstance(message, msg.SendSegment) for _, message in answers), index
        assert crew.ended.wait(30)


def test_a_bystander_leaves_with_its_own_code() -> None:
    bystander = Alone(Bystander(Rank(ME), msg.Abort(2, "no input")))
    bystander.hear(ME, msg.Lost(Rank(2)))
    assert not bystander.halted
    bystander.hear(ME, LOST)
    assert bystander.halted
    assert code(bystander) == 2


def test_only_this_rank_itself_tells_who_is_lost() -> None:
    client = leecher({"file1": 1})
    with pytest.raises(RemoteProtocolError, match="rank 2 says that 0 is lost"):
        client.hear(2, LOST)


def test_what_was_asked_of_a_lost_client_is_asked_of_another_at_once() -> None:
    client = leecher({"file1": 8}, window=4)
    client.joins({"file1": [2, 3]})
    assert client.requests(to=2)
    client.hear(ME, msg.Lost(Rank(2)))
    fetches_all(client, of=3)
    assert client.held() == "x" * 8
    assert client.now < QUIET
