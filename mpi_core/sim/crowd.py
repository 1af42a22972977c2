"""A swarm to simulate: who owns and wants what, over which links, who comes when and what goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Payload, Rank
from mpi_core.sim.network import Link, LinkedNetwork
from mpi_core.sim.simulation import NEVER, Key, Simulation
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Machine
from mpi_core.swarm.store import Backing, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader


@dataclass
class Member:
    """One client. Rates in bytes a second, times in seconds."""

    owns: tuple[Manifest, ...] = ()
    wants: tuple[str, ...] = ()
    up: float = 25e6
    down: float = 25e6
    #: When it begins to download.
    comes_at: float = 0.0
    dies_at: float = NEVER
    #: Whether every payload that it sends is spoiled.
    corrupt: bool = False


class DeclaredBacking(Backing):
    """Declared segments, which their manifest holds already: a store that keeps nothing."""

    def begin(self, manifest: Manifest) -> None:
        """There is nothing to make room for."""

    def write(self, manifest: Manifest, index: int, payload: Payload) -> None:
        """The manifest has it."""

    def read(self, manifest: Manifest, index: int) -> bytes:
        return manifest.digests[index]

    def finish(self, manifest: Manifest) -> None:
        """Nobody reads it."""


class Crowd:
    """A simulated run of tracker and clients, and what it comes to."""

    def __init__(
        self,
        members: Sequence[Member],
        config: SwarmConfig,
        seed: int,
        segment_size: int,
        latency: float = 0.0,
        tracker_rate: float = 1.25e9,
        tell: Callable[[float, Rank, ev.Event], None] | None = None,
        every_message: bool = False,
    ) -> None:
        self.members = {Rank(rank): member for rank, member in enumerate(members, 1)}
        self.tracker = Tracker(len(members), config, Random(f"{seed}/0"))
        self.stores: dict[Rank, SegmentStore] = {}
        self._tell = tell
        #: When each client had all that it wants, and when each of all segments was stored.
        self.done_at: dict[Rank, float] = {}
        self.stored_at: list[float] = []
        #: Clients that gave a file up, and those that the tracker counts as lost.
        self.gave_up: set[Rank] = set()
        self.lost: set[Rank] = set()
        #: Payloads dropped, by their reason.
        self.dropped: Counter[str] = Counter()
        machines: dict[Key, Machine] = {(TRACKER, "tracker"): self.tracker}
        for rank, member in self.members.items():
            store = self.stores[rank] = SegmentStore(DeclaredBacking())
            for manifest in member.owns:
                store.add_owned(manifest)
            rng = Random(f"{seed}/{rank}")
            machines[rank, "downloader"] = Downloader(rank, len(members), store, member.wants, config, rng)
            machines[rank, "uploader"] = Uploader(rank, len(members), store, config)
        self.simulation = Simulation(machines, self._see, every_message)
        links = [Link(tracker_rate, tracker_rate), *(Link(m.up, m.down) for m in members)]
        spoil = self._spoil if any(m.corrupt for m in members) else None
        deliver = self._deliver if any(m.comes_at for m in members) else self.simulation.deliver
        self.network = LinkedNetwork(self.simulation.agenda, deliver, links, latency, segment_size, spoil)
        self.simulation.connect(self.network)
        #: Clients that live and still fetch something.
        self._awaited = {r for r, m in self.members.items() if m.wants}

    def start(self) -> None:
        """Let everybody begin."""
        simulation = self.simulation
        simulation.start(TRACKER)
        for rank, member in self.members.items():
            simulation.start(rank)
            if member.dies_at != NEVER:
                simulation.agenda.put(member.dies_at, self._die, rank)

    def run(self, until: float = NEVER) -> bool:
        """Go on until nobody who lives fetches anything any more, or until that time; whether somebody still
        does, and something is yet to happen."""
        agenda = self.simulation.agenda
        agenda.run(self._awaited, until)
        return bool(self._awaited) and agenda.next_at != NEVER

    def finish(self) -> None:
        """Go on until the tracker has told everybody to stop and all have."""
        agenda = self.simulation.agenda
        while not self.simulation.over and agenda.next_at != NEVER:
            self.simulation.step()

    @property
    def waiting(self) -> list[Rank]:
        """Who lives and still lacks something."""
        return sorted((self._awaited | self.gave_up) - self.simulation.dead)

    @property
    def makespan(self) -> float:
        return max(self.done_at.values(), default=0.0)

    def _deliver(self, now: float, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        """Whoever comes later hears its INIT_ACK only then."""
        if isinstance(message, msg.InitAck) and now < (comes_at := self.members[to].comes_at):
            self.simulation.agenda.put(comes_at, self.simulation.deliver, sender, to, message)
        else:
            self.simulation.deliver(now, sender, to, message)

    def _die(self, now: float, rank: Rank) -> None:
        self.simulation.kill(now, rank)
        self._awaited.discard(rank)

    def _see(self, now: float, rank: Rank, event: ev.Event) -> None:
        match event:
            case ev.SegmentStored():
                self.stored_at.append(now)
            case ev.FileUnavailable():
                self.gave_up.add(rank)
            case ev.ClientLost(client=client):
                self.lost.add(client)
            case ev.AllCompleted():
                if rank not in self.gave_up:
                    self.done_at[rank] = now
                self._awaited.discard(rank)
            case ev.SegmentDropped(reason=reason):
                self.dropped[reason] += 1
        if self._tell is not None:
            self._tell(now, rank, event)

    def _spoil(self, sender: Rank, message: msg.SendSegment) -> msg.SendSegment:
        member = self.members.get(sender)
        if member is None or not member.corrupt:
            return message
        return msg.SendSegment(message.ticket, b"spoiled")
