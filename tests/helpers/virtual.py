"""A whole swarm in one thread: the real machines, and a network whose every delivery a test can bend.

Delays, dead clients and corrupt payloads come from the test; time jumps from event to event. What every
machine was given is kept (``stimuli``), and so is what it made of it (``effects``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.events import Event, NonsenseReceived, RunEnded, RunStarted, Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effect, Effects, Emit, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.network import VirtualNetwork

Key = tuple[Rank, msg.Port]

#: The message and its sender; None: the machine is woken at its deadline.
Stimulus = tuple[float, tuple[Rank, msg.Stimulus] | None]

NEVER = float("inf")


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
    #: When each of these clients dies: from then on it neither sends nor receives.
    dead_at: Mapping[int, float] = field(default_factory=dict)
    #: When the library under the tracker notices such a death, if it does.
    noticed_at: Mapping[int, float] = field(default_factory=dict)
    #: Whether a payload for a dead client leaves its sender all the same.
    dead_take_payloads: bool = True
    #: Clients whose payloads are spoiled with this probability.
    corrupt: Mapping[int, float] = field(default_factory=dict)
    #: A sender learns that its payload has left after so many times the payload's own delay.
    sent_after: Callable[[Random], float] = lambda rng: rng.random() * 1.5


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
        self.now = 0.0
        self.plans = {Rank(rank): plan for rank, plan in enumerate(plans, start=1)}
        self.backings: dict[Rank, MemoryBacking] = {}
        self.stores: dict[Rank, SegmentStore] = {}
        self.machines = self.fresh_machines()
        self.halted: set[Key] = set()
        #: Every message as it was sent: when, by whom, to whom.
        self.sent: list[tuple[float, Rank, Rank, msg.Message]] = []
        #: Those messages and the events, in one order: when, by whom, what.
        self.story: list[tuple[float, Rank, Send | Event]] = []
        self.stimuli: dict[Key, list[Stimulus]] = {key: [] for key in self.machines}
        #: What each client's uploader said of its load when its machines were given those.
        self.loads: dict[Key, list[int]] = {key: [] for key in self.machines}
        self.effects: dict[Key, list[Effect]] = {key: [] for key in self.machines}
        self.journal: list[Stamped] = []
        self._seqs = {rank: count() for rank in (TRACKER, *self.plans)}
        self.network = VirtualNetwork(lambda a, b, m: self.faults.delay(self.rng, a, b, m))
        for rank, at in self.faults.noticed_at.items():
            self.network.tell(at, TRACKER, msg.Lost(Rank(rank)))
        self._alarms: dict[Key, float] = {}
        c = self.config
        header = RunStarted(1, len(plans), "virtual", c.strategy, seed, c.swarm_update, c.requests_in_flight)
        self._tell(TRACKER, header)

    def fresh_machines(self) -> dict[Key, Machine]:
        """All machines as they are before the run, on stores of their own."""
        clients = len(self.plans)
        self.tracker = Tracker(clients, self.config, Random(self.seed))
        machines: dict[Key, Machine] = {(TRACKER, "tracker"): self.tracker}
        for rank, plan in self.plans.items():
            self.backings[rank] = MemoryBacking()
            store = self.stores[rank] = SegmentStore(self.backings[rank])
            for manifest in plan.owns:
                store.add_owned(manifest)
            rng = Random(self.seed * 1000 + rank)
            machines[rank, "downloader"] = Downloader(
                rank, clients, store, plan.wants, self.config, rng, patterns=plan.patterns
            )
            machines[rank, "uploader"] = Uploader(rank, clients, store, self.config)
        return machines

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
        for (rank, port), machine in self.machines.items():
            if not self.is_dead(rank):
                self._perform((rank, port), machine.start(self.now))

    def end(self) -> VirtualSwarm:
        assert self.over, f"the swarm stands still at {self.now:.1f} s: {self.unfinished()}"
        outcome = ("complete", "incomplete", "failed", "failed")[self.tracker.exit_code]
        self._tell(TRACKER, RunEnded(outcome))
        return self

    @property
    def over(self) -> bool:
        return not self.unfinished()

    def unfinished(self) -> list[Key]:
        return [key for key in self.machines if key not in self.halted and not self.is_dead(key[0])]

    def is_dead(self, rank: int) -> bool:
        return self.now >= self.faults.dead_at.get(rank, NEVER)

    def step(self) -> bool:
        """The next delivery or deadline; False at the end."""
        alarm = min(self._alarms.values(), default=NEVER)
        at = min(self.network.next_at, alarm)
        if at == NEVER or self.over:
            return False
        self.now = max(self.now, at)
        if self.network.next_at <= alarm:
            _, sender, to, message = self.network.take()
            self.deliver(sender, to, message)
        else:
            key = next(key for key, at in self._alarms.items() if at == alarm)
            del self._alarms[key]
            if not self.is_dead(key[0]):
                self._note(key, None)
                self._perform(key, self.machines[key].wake(self.now))
        return True

    def deliver(self, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        """Hand a message in, as if it had just arrived."""
        key = (to, message.port)
        if self.is_dead(to) or key in self.halted:
            return
        if isinstance(message, msg.Sent) and self.is_dead(message.to) and not self.faults.dead_take_payloads:
            return
        self._note(key, (sender, message))
        try:
            effects = self.machines[key].receive(self.now, sender, message)
        except RemoteProtocolError as error:
            self._tell(to, NonsenseReceived(sender, str(error)))
            return
        self._perform(key, effects)

    def _note(self, key: Key, delivery: tuple[Rank, msg.Stimulus] | None) -> None:
        self.stimuli[key].append((self.now, delivery))
        self.loads[key].append(self.stores[key[0]].load if key[0] in self.stores else 0)

    def _perform(self, key: Key, effects: Effects) -> None:
        self.effects[key] += effects
        for effect in effects:
            match effect:
                case Send(to, msg.Message() as message):
                    self._post(key[0], to, message)
                case Send(_, msg.Local() as message):
                    self.network.tell(self.now, key[0], message)
                case Emit(event):
                    self._tell(key[0], event)
                case Halt():
                    self.halted.add(key)
        wake_at = None if key in self.halted else self.machines[key].wake_at
        if wake_at is None:
            self._alarms.pop(key, None)
        else:
            self._alarms[key] = wake_at

    def _post(self, sender: Rank, to: Rank, message: msg.Message) -> None:
        self.sent.append((self.now, sender, to, message))
        self.story.append((self.now, sender, Send(to, message)))
        if not isinstance(message, msg.SendSegment):
            self.network.post(self.now, sender, to, message)
            return
        payload = self._spoiled(sender, bytes(message.payload))
        at = self.network.post(self.now, sender, to, msg.SendSegment(message.ticket, payload))
        left_at = self.now + (at - self.now) * self.faults.sent_after(self.rng)
        self.network.tell(left_at, sender, msg.Sent(to, message.ticket))

    def _spoiled(self, sender: Rank, payload: bytes) -> bytes:
        if self.rng.random() < self.faults.corrupt.get(sender, 0.0):
            return payload[:-1] + bytes([payload[-1] ^ 1]) if payload else b"?"
        return payload

    def _tell(self, rank: Rank, event: Event) -> None:
        self.story.append((self.now, rank, event))
        self.journal.append(Stamped(self.now, rank, next(self._seqs[rank]), event))  # type: ignore[arg-type]

    # Asking -----------------------------------------------------------------------------------

    def events(self, kind: type[Event], rank: int | None = None) -> list[Event]:
        return [s.event for s in self.journal if isinstance(s.event, kind) and rank in (None, s.rank)]

    def holds(self, rank: int, name: str) -> bool:
        held = self.stores[Rank(rank)].bitfield(name)
        return held is not None and held.is_full

    def living(self) -> list[Rank]:
        return [rank for rank in self.plans if not self.is_dead(rank)]
