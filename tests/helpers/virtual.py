"""A whole swarm in one thread: the real machines, and a network whose every delivery a test can bend.

Messages pass through the codec, first in first out for each (sender, receiver, tag). Delays, dead clients
and corrupt payloads come from the test; time jumps from event to event.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.events import Event, NonsenseReceived, RunEnded, RunStarted, Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effects, Emit, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader


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
    #: Clients whose payloads are spoiled with this probability.
    corrupt: Mapping[int, float] = field(default_factory=dict)


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
        self.rng = Random(seed)
        self.now = 0.0
        self.plans = {Rank(rank): plan for rank, plan in enumerate(plans, start=1)}
        self.tracker = Tracker(len(plans), self.config, Random(seed))
        self.stores: dict[Rank, SegmentStore] = {}
        self.machines: dict[tuple[Rank, msg.Port], Machine] = {(Rank(0), "tracker"): self.tracker}
        for rank, plan in self.plans.items():
            store = self.stores[rank] = SegmentStore(MemoryBacking())
            for manifest in plan.owns:
                store.add_owned(manifest)
            self.machines[rank, "downloader"] = Downloader(
                rank,
                len(plans),
                store,
                plan.wants,
                self.config,
                Random(seed * 1000 + rank),
                patterns=plan.patterns,
            )
            self.machines[rank, "uploader"] = Uploader(rank, len(plans), store, self.config)
        self.halted: set[tuple[Rank, msg.Port]] = set()
        self.sent: list[tuple[float, Rank, Rank, msg.Message]] = []
        self.effects: list[object] = []
        self.journal: list[Stamped] = []
        self._seqs = {rank: count() for rank in (Rank(0), *self.plans)}
        self._heap: list[tuple[float, int, Rank, Rank, msg.Stimulus]] = []
        self._order = count()
        self._last: dict[tuple[Rank, Rank, int], float] = {}
        c = self.config
        self._tell(
            Rank(0),
            RunStarted(1, len(plans), "virtual", c.strategy, seed, c.swarm_update, c.requests_in_flight),
        )

    # Running ----------------------------------------------------------------------------------

    def run(self, until: float = 3600.0, steps: int = 2_000_000) -> VirtualSwarm:
        """Go on to the end; AssertionError where the swarm does not end."""
        for (rank, port), machine in list(self.machines.items()):
            self._perform(rank, port, machine.start(self.now))
        for _ in range(steps):
            if not self._step(until):
                break
        else:
            raise AssertionError(f"no end after {steps} steps, at {self.now:.1f} s")
        assert self.over, f"the swarm stands still at {self.now:.1f} s: {self.unfinished()}"
        outcome = ("complete", "incomplete", "failed", "failed")[self.tracker.exit_code]
        self._tell(Rank(0), RunEnded(outcome))
        return self

    @property
    def over(self) -> bool:
        return all(key in self.halted or self.is_dead(key[0]) for key in self.machines)

    def unfinished(self) -> list[tuple[Rank, msg.Port]]:
        return [key for key in self.machines if key not in self.halted and not self.is_dead(key[0])]

    def is_dead(self, rank: Rank) -> bool:
        return self.now >= self.faults.dead_at.get(rank, float("inf"))

    def _step(self, until: float) -> bool:
        """The next delivery or deadline; False at the end."""
        live = self.unfinished()
        alarms = [(at, key) for key in live if (at := self.machines[key].wake_at) is not None]
        alarm = min(alarms, key=lambda pair: pair[0], default=None)
        if not live or (not self._heap and alarm is None):
            return False
        if self._heap and (alarm is None or self._heap[0][0] <= alarm[0]):
            at, _, sender, to, message = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            self._deliver(sender, to, message)
        else:
            assert alarm is not None
            self.now = max(self.now, alarm[0])
            if not self.is_dead(alarm[1][0]):
                self._perform(*alarm[1], self.machines[alarm[1]].wake(self.now))
        return self.now < until

    def _deliver(self, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        key = (to, message.port)
        if self.is_dead(to) or key in self.halted:
            return
        try:
            effects = self.machines[key].receive(self.now, sender, message)
        except RemoteProtocolError as error:
            self._tell(to, NonsenseReceived(sender, str(error)))
            return
        self._perform(to, message.port, effects)

    def _perform(self, rank: Rank, port: msg.Port, effects: Effects) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case Send(to, message):
                    self._post(rank, to, message)
                case Emit(event):
                    self._tell(rank, event)
                case Halt():
                    self.halted.add((rank, port))

    def _post(self, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        at = self.now
        if isinstance(message, msg.Message):
            self.sent.append((self.now, sender, to, message))
            at += self.faults.delay(self.rng, sender, to, message)
            channel = (sender, to, int(message.tag))
            at = self._last[channel] = max(at, self._last.get(channel, 0.0))
            if isinstance(message, msg.SendSegment):
                self._push(at, sender, sender, msg.Sent(to, message.ticket))
                message = msg.SendSegment(message.ticket, self._spoiled(sender, bytes(message.payload)))
            else:
                message = decode(message.tag, encode(message))
        self._push(at, sender, to, message)

    def _push(self, at: float, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        heapq.heappush(self._heap, (at, next(self._order), sender, to, message))

    def _spoiled(self, sender: Rank, payload: bytes) -> bytes:
        if self.rng.random() < self.faults.corrupt.get(sender, 0.0):
            return payload[:-1] + bytes([payload[-1] ^ 1]) if payload else b"?"
        return payload

    def _tell(self, rank: Rank, event: Event) -> None:
        self.journal.append(Stamped(self.now, rank, next(self._seqs[rank]), event))  # type: ignore[arg-type]

    # Asking -----------------------------------------------------------------------------------

    def events(self, kind: type[Event], rank: int | None = None) -> list[Event]:
        return [s.event for s in self.journal if isinstance(s.event, kind) and rank in (None, s.rank)]

    def holds(self, rank: int, name: str) -> bool:
        held = self.stores[Rank(rank)].bitfield(name)
        return held is not None and held.is_full
