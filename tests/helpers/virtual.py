"""A whole swarm in one thread: the real machines in the simulator, over a network that a test can bend.

Delays, dead clients and corrupt payloads come from the test. What every machine was given is kept, and so is
what it made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.errors import OutputError
from mpi_core.protocol.events import Event, RunEnded, RunStarted, Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Payload, Rank
from mpi_core.sim.network import Link, LinkedNetwork, Network
from mpi_core.sim.simulation import NEVER, Key, Simulation
from mpi_core.swarm.bystander import Bystander
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effects, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.network import DrawnNetwork

#: What a full disk says.
FULL = "No space left on device"


def declared(name: str, segments: int) -> Manifest:
    """A file of declared segments, each with a hash of its own."""
    return Manifest.declared(name, tuple(f"{name}-{index}" for index in range(segments)))


@dataclass
class Plan:
    """What one client owns and wants."""

    owns: Sequence[Manifest] = ()
    wants: Sequence[str] = ()
    patterns: Sequence[str] = ()


@dataclass
class Faults:
    """What is to go wrong. Times in seconds."""

    #: The delay of one message; the default is small and random.
    delay: Callable[[Random, Rank, Rank, msg.Message], float] = lambda rng, a, b, m: rng.random() * 0.002
    #: Bytes a second up and down, rank by rank: links, on which each message takes what it takes, instead.
    links: Sequence[tuple[float, float]] = ()
    #: When each of these clients dies: from then on it neither sends nor receives.
    dead_at: Mapping[int, float] = field(default_factory=dict)
    #: When the library under the tracker notices such a death, if it does.
    noticed_at: Mapping[int, float] = field(default_factory=dict)
    #: Whether a payload for a dead client leaves its sender all the same.
    dead_take_payloads: bool = True
    #: Clients whose disks are full after so many files begun, segments written and files finished.
    full_after: Mapping[int, int] = field(default_factory=dict)
    #: Clients that can write nothing, as they know from the start; and those that take no part at all.
    unwritable: Collection[int] = ()
    absent: Collection[int] = ()
    #: Clients whose payloads are spoiled with this probability.
    corrupt: Mapping[int, float] = field(default_factory=dict)
    #: A sender learns that its payload has left after so many times the payload's own delay.
    sent_after: Callable[[Random], float] = lambda rng: rng.random() * 1.5


class FullDisk(MemoryBacking):
    """A disk on which there is room for so many files begun, segments written and files finished."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def _takes(self, name: str) -> None:
        if not self._room:
            raise OutputError(f"cannot write {name!r}: {FULL}")
        self._room -= 1

    def begin(self, manifest: Manifest) -> None:
        self._takes(manifest.name)
        super().begin(manifest)

    def write(self, manifest: Manifest, index: int, payload: Payload) -> None:
        self._takes(manifest.name)
        super().write(manifest, index, payload)

    def finish(self, manifest: Manifest) -> None:
        self._takes(manifest.name)
        super().finish(manifest)


class Recorded:
    """A machine, all that it was given and all that it made of it."""

    def __init__(self, machine: Machine, store: SegmentStore | None) -> None:
        self.machine = machine
        self._store = store
        #: When, what its client's uploader said of its load and of payloads on the way then, and the message
        #: and its sender; None: it was woken at its deadline.
        self.stimuli: list[tuple[float, tuple[int, bool], tuple[Rank, msg.Stimulus] | None]] = []
        self.effects: Effects = []

    @property
    def wake_at(self) -> float | None:
        return self.machine.wake_at

    def start(self, now: float) -> Effects:
        return self._made(self.machine.start(now))

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        self._given(now, (sender, message))
        return self._made(self.machine.receive(now, sender, message))

    def wake(self, now: float) -> Effects:
        self._given(now, None)
        return self._made(self.machine.wake(now))

    def _given(self, now: float, delivery: tuple[Rank, msg.Stimulus] | None) -> None:
        words = (self._store.load, self._store.sending) if self._store else (0, False)
        self.stimuli.append((now, words, delivery))

    def _made(self, effects: Effects) -> Effects:
        self.effects += effects
        return effects


class VirtualSwarm:
    """Tracker and clients over a virtual network."""

    def __init__(
        self,
        plans: Sequence[Plan],
        config: SwarmConfig | None = None,
        seed: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.config = config or SwarmConfig()
        self.faults = faults or Faults()
        self.seed = seed
        self.rng = Random(seed)
        self.plans = {Rank(rank): plan for rank, plan in enumerate(plans, start=1)}
        self.backings: dict[Rank, MemoryBacking] = {}
        self.stores: dict[Rank, SegmentStore] = {}
        self.machines = self.fresh_machines()
        self.recorded = {key: Recorded(m, self.stores.get(key[0])) for key, m in self.machines.items()}
        #: Every message as it was sent, and every event, in one order: when, by whom, what.
        self.story: list[tuple[float, Rank, Send | Event]] = []
        self.journal: list[Stamped] = []
        self._seqs = {rank: count() for rank in (TRACKER, *self.plans)}
        self.simulation = Simulation(self.recorded, self._tell)
        self.simulation.connect(self)
        self._network = self._wire()
        agenda = self.simulation.agenda
        for rank, at in self.faults.dead_at.items():
            agenda.put(at, self.simulation.kill, Rank(rank))
        for rank, at in self.faults.noticed_at.items():
            agenda.put(at, self.simulation.deliver, TRACKER, TRACKER, msg.Lost(Rank(rank)))
        c = self.config
        header = RunStarted(1, len(plans), "virtual", c.strategy, seed, c.swarm_update, c.requests_in_flight)
        self._tell(0.0, TRACKER, header)

    def fresh_machines(self) -> dict[Key, Machine]:
        """All machines as they are before the run, on stores of their own."""
        clients = len(self.plans)
        self.tracker = Tracker(clients, self.config, Random(self.seed))
        machines: dict[Key, Machine] = {(TRACKER, "tracker"): self.tracker}
        for rank, plan in self.plans.items():
            full_after = self.faults.full_after.get(rank)
            self.backings[rank] = MemoryBacking() if full_after is None else FullDisk(full_after)
            store = self.stores[rank] = SegmentStore(self.backings[rank])
            if rank in self.faults.absent:
                machines[rank, "downloader"] = Bystander(rank, msg.Failed("no such root", serves=False))
                continue
            for manifest in plan.owns:
                store.add_owned(manifest)
            rng = Random(self.seed * 1000 + rank)
            trouble = "no such folder" if rank in self.faults.unwritable else None
            machines[rank, "downloader"] = Downloader(
                rank, clients, store, plan.wants, self.config, rng, plan.patterns, trouble=trouble
            )
            machines[rank, "uploader"] = Uploader(rank, clients, store, self.config)
        return machines

    def _wire(self) -> Network:
        agenda, faults, rng = self.simulation.agenda, self.faults, self.rng
        if faults.links:
            links = [Link(up, down) for up, down in faults.links]
            return LinkedNetwork(agenda, self._arrive, links, latency=0.01, segment_size=5000)
        return DrawnNetwork(
            agenda, self._arrive, lambda *where: faults.delay(rng, *where), lambda: faults.sent_after(rng)
        )

    # Running ----------------------------------------------------------------------------------

    def run(self, until: float = 3600.0, steps: int = 2_000_000) -> VirtualSwarm:
        """Go on to the end; AssertionError where the swarm does not end."""
        self.start()
        for _ in range(steps):
            if self.now >= until or not self.step():
                break
        else:
            raise AssertionError(f"no end after {steps} steps, at {self.now:.1f} s")
        return self.end()

    def start(self) -> None:
        for rank in (TRACKER, *self.plans):
            if self.faults.dead_at.get(rank) == 0.0:
                self.simulation.kill(0.0, rank)
            else:
                self.simulation.start(rank)

    def end(self) -> VirtualSwarm:
        assert self.over, f"the swarm stands still at {self.now:.1f} s: {self.unfinished()}"
        outcome = ("complete", "incomplete", "failed", "failed")[self.tracker.exit_code]
        self._tell(self.now, TRACKER, RunEnded(outcome))
        return self

    @property
    def now(self) -> float:
        return self.simulation.now

    @property
    def over(self) -> bool:
        return self.simulation.over

    def unfinished(self) -> list[Key]:
        return [
            key
            for key, kept in self.recorded.items()
            if Halt() not in kept.effects and not self.is_dead(key[0])
        ]

    def is_dead(self, rank: int) -> bool:
        return rank in self.simulation.dead

    def step(self) -> bool:
        """The next thing that happens; False at the end."""
        if self.over or self.simulation.agenda.next_at == NEVER:
            return False
        self.simulation.step()
        return True

    def deliver(self, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        """Hand a message in, as if it had just arrived."""
        self.simulation.deliver(self.now, sender, to, message)

    def post(self, now: float, sender: Rank, sends: Sequence[tuple[Rank, msg.Message]]) -> None:
        """What travels is written down, spoiled, and passes through the codec; then it is the network's."""
        self.story += [(now, sender, Send(to, message)) for to, message in sends]
        self._network.post(now, sender, [(to, self._passed(sender, message)) for to, message in sends])

    def _passed(self, sender: Rank, message: msg.Message) -> msg.Message:
        if not isinstance(message, msg.SendSegment):
            return decode(message.tag, encode(message))
        payload = bytes(message.payload)
        if self.rng.random() < self.faults.corrupt.get(sender, 0.0):
            payload = payload[:-1] + bytes([payload[-1] ^ 1]) if payload else b"?"
        return msg.SendSegment(message.ticket, payload)

    def _arrive(self, now: float, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        if isinstance(message, msg.Sent) and self.is_dead(message.to) and not self.faults.dead_take_payloads:
            return
        self.simulation.deliver(now, sender, to, message)

    def _tell(self, now: float, rank: Rank, event: Event) -> None:
        self.story.append((now, rank, event))
        self.journal.append(Stamped(now, rank, next(self._seqs[rank]), event))  # type: ignore[arg-type]

    # Asking -----------------------------------------------------------------------------------

    @property
    def sent(self) -> list[tuple[float, Rank, Rank, msg.Message]]:
        """Every message as it was sent: when, by whom, to whom."""
        return [(at, rank, *what) for at, rank, what in self.story if isinstance(what, Send)]

    def events(self, kind: type[Event], rank: int | None = None) -> list[Event]:
        return [s.event for s in self.journal if isinstance(s.event, kind) and rank in (None, s.rank)]

    def holds(self, rank: int, name: str) -> bool:
        held = self.stores[Rank(rank)].bitfield(name)
        return held is not None and held.is_full

    def living(self) -> list[Rank]:
        return [rank for rank in self.plans if not self.is_dead(rank)]
