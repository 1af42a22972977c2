"""Lawful runs, small and random, as the events that each rank tells; and unlawful ones made from them.

A ``Script`` plays a swarm without machines: it keeps each rank's own order as the protocol wants it, and
lets chance choose all that the protocol leaves open. ``merged`` interleaves what the ranks tell as batches
might arrive. A mutation changes what a rank tells before it is stamped, so that what is broken is the
protocol, not the journal.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import JOURNAL_VERSION, AnyEvent, Event, Stamped
from mpi_core.protocol.histogram import bin_of, packed
from mpi_core.protocol.units import Rank, SegmentIndex

SIZE = 100


@dataclass(frozen=True)
class Plan:
    """A scenario: who owns and who wants what. Rank *i* + 1 is client *i*."""

    #: Name → number of segments, of every file that somebody owns.
    files: dict[str, int]
    owns: tuple[tuple[str, ...], ...]
    wants: tuple[tuple[str, ...], ...]
    every: int = 3
    monitored: bool = False
    trouble: bool = True

    @property
    def clients(self) -> int:
        return len(self.owns)


#: The first owns a file and the third another; both are wanted by others, and nobody has the ghost.
SMALL = Plan(
    files={"a": 7, "b": 4},
    owns=(("a",), (), ("b",)),
    wants=(("a", "b"), ("a", "b"), ("a", "ghost")),
)


#: Many segments and updates, no mishaps: what a mutation changes is what it means to change.
CALM = Plan(
    files={"a": 7, "b": 4},
    owns=(("a",), (), ("b",)),
    wants=(("a", "b"), ("a", "b"), ("a", "ghost")),
    every=3,
    trouble=False,
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any scenario of 1 to 4 clients and 0 to 4 files; some files are owned by nobody."""
    clients = draw(st.integers(1, 4))
    names = [f"file{number}" for number in range(draw(st.integers(0, 4)))]
    sizes = {name: draw(st.integers(0, 9)) for name in names}
    some = st.lists(st.sampled_from(names), unique=True) if names else st.just([])
    owns = tuple(tuple(draw(some)) for _ in range(clients))
    wants = tuple(tuple(draw(some)) for _ in range(clients))
    owned = {name: sizes[name] for name in names if any(name in o for o in owns)}
    return Plan(owned, owns, wants, draw(st.integers(1, 4)), draw(st.booleans()), draw(st.booleans()))


def digest(name: str, index: int) -> str:
    return hashlib.sha256(f"{name}/{index}".encode()).hexdigest()[:16]


@dataclass
class Telling:
    """An event that a rank tells, and when."""

    t: float
    event: AnyEvent


@dataclass
class Script:
    """Plays a plan; ``told`` is what each rank tells, in its own order."""

    plan: Plan
    random: Random
    #: A client that falls silent for good once it has taken so many steps; 0: nobody does.
    dies: int = 0
    told: dict[int, list[Telling]] = field(default_factory=dict)
    now: float = 0.0

    def __post_init__(self) -> None:
        clients = range(1, self.plan.clients + 1)
        self.dead: set[int] = set()
        self.held = {r: {n: set(range(self.plan.files[n])) for n in self.plan.owns[r - 1]} for r in clients}
        self.wants = {r: [n for n in self.plan.wants[r - 1] if n not in self.held[r]] for r in clients}
        self.open = {r: list(names) for r, names in self.wants.items()}
        self.stored = dict.fromkeys(clients, 0)
        self.finished: set[int] = set()
        #: Requests that expired: who answers, and what.
        self.unanswered: list[tuple[int, ev.SegmentRefused]] = []

    def tell(self, rank: int, event: AnyEvent) -> None:
        # No two events have one time, also when it is rounded: what follows from another is told later.
        self.now += 2e-4 + self.random.random() / 50
        if rank not in self.dead:
            self.told.setdefault(rank, []).append(Telling(round(self.now, 4), event))

    def play(self) -> dict[int, list[Telling]]:
        self._begin()
        clients = list(self.held)
        while any(self._can_go_on(rank) for rank in clients):
            rank = self.random.choice([rank for rank in clients if self._can_go_on(rank)])
            self._fetch(rank)
            if self.dies == rank and rank not in self.dead and self.random.random() < 0.3:
                self._lose(rank)
        for rank in clients:
            for name in list(self.open[rank]):
                self._give_up(rank, name, "no live holder")
            self._finish(rank)
        self._end(clients)
        return self.told

    def _begin(self) -> None:
        plan, clients = self.plan, list(self.held)
        observer = plan.clients + 1 if plan.monitored else 0
        header = ev.RunStarted(JOURNAL_VERSION, plan.clients, "plan", "swarm", 7, plan.every, 8)
        self.tell(observer, header)
        for rank in (0, *clients):
            self.tell(rank, ev.RankPlaced(f"n{rank % 2}"))
        for rank in self.random.sample(clients, len(clients)):
            if self.random.random() < 0.5:
                self.tell(rank, ev.ShareHashed(SIZE, SIZE))
            owned = tuple(ev.OwnedFile(name, len(held)) for name, held in self.held[rank].items())
            self.tell(rank, ev.InitSent(owned))
            self.tell(0, ev.InitReceived(Rank(rank), len(owned)))
        for name, segments in plan.files.items():
            digests = tuple(digest(name, index) for index in range(segments))
            self.tell(0, ev.FileRegistered(name, segments * SIZE, segments, "declared", digests))
        for rank in clients:
            for name in self.held[rank]:
                self.tell(0, ev.SwarmListed(Rank(rank), name, "seed"))
        for rank in clients:
            self.tell(0, ev.InitAckSent(Rank(rank)))
        for rank in self.random.sample(clients, len(clients)):
            self._open(rank)

    def _open(self, rank: int) -> None:
        self.tell(rank, ev.InitAckReceived(self.plan.wants[rank - 1]))
        for name in self.plan.wants[rank - 1]:
            if name in self.plan.owns[rank - 1]:
                self.tell(rank, ev.FileCompleted(name))
        self._update(rank)
        for name in self.wants[rank]:
            if name not in self.plan.files:
                self._give_up(rank, name, "nobody owns it")
                continue
            segments = self.plan.files[name]
            self.held[rank][name] = set()
            self.tell(rank, ev.DownloadStarted(name, segments, segments * SIZE))
            if not segments:
                self._complete(rank, name)
        self._finish(rank)

    def _update(self, rank: int) -> None:
        names = tuple(self.open[rank])
        if names:
            self.tell(rank, ev.SwarmRequested(len(names), names))
            for name in names:
                if name in self.plan.files and name not in self.held[rank]:
                    self.tell(0, ev.SwarmListed(Rank(rank), name, "peer"))
            self.tell(0, ev.SwarmServed(Rank(rank), len(names), 0, 1))

    def _sources(self, rank: int, name: str, index: int) -> list[int]:
        return [r for r, held in self.held.items() if r not in self.dead and index in held.get(name, ())]

    def _missing(self, rank: int) -> Iterator[tuple[str, int]]:
        for name in self.open[rank]:
            for index in range(self.plan.files[name]):
                if index not in self.held[rank][name] and self._sources(rank, name, index):
                    yield name, index

    def _can_go_on(self, rank: int) -> bool:
        return rank not in self.dead and next(self._missing(rank), None) is not None

    def _fetch(self, rank: int) -> None:
        name, index = self.random.choice(list(self._missing(rank)))
        source = self.random.choice(self._sources(rank, name, index))
        here, there, segment = Rank(rank), Rank(source), SegmentIndex(index)
        self.tell(rank, ev.SegmentRequested(there, name, segment))
        luck = self.random.random() if self.plan.trouble else 1.0
        if luck < 0.05:
            self.tell(source, ev.SegmentRefused(here, name, segment, "busy"))
            self.tell(rank, ev.RequestRejected(there, name, segment, "busy"))
            return
        if luck < 0.1:
            self.tell(rank, ev.RequestExpired(there, name, segment))
            self.unanswered.append((source, ev.SegmentRefused(here, name, segment, "cancelled")))
            self._update(rank)
            return
        self.tell(source, ev.SegmentSent(here, name, segment, SIZE))
        if luck < 0.15:
            self.tell(rank, ev.SegmentDropped(there, name, segment, SIZE, "corrupt"))
            return
        self.tell(rank, ev.SegmentStored(there, name, segment, SIZE, digest(name, index)))
        self.held[rank][name].add(index)
        self.stored[rank] += 1
        if len(self.held[rank][name]) == self.plan.files[name]:
            self._complete(rank, name)
        if self.stored[rank] % self.plan.every == 0:
            self._update(rank)
        self._finish(rank)

    def _complete(self, rank: int, name: str) -> None:
        self.open[rank].remove(name)
        self.tell(rank, ev.FileCompleted(name))
        if rank not in self.dead:
            self.tell(0, ev.FileCompleteReceived(Rank(rank), name))
            self.tell(0, ev.SwarmListed(Rank(rank), name, "seed"))

    def _give_up(self, rank: int, name: str, reason: str) -> None:
        self.open[rank].remove(name)
        self.tell(rank, ev.FileUnavailable(name, reason))

    def _finish(self, rank: int) -> None:
        if self.open[rank] or rank in self.finished:
            return
        self.finished.add(rank)
        self.tell(rank, ev.AllCompleted())
        if rank not in self.dead:
            self.tell(0, ev.AllCompleteReceived(Rank(rank)))

    def _load(self) -> ev.TrackerLoad:
        took = Counter(bin_of(self.random.randrange(2000)) for _ in range(20))
        return ev.TrackerLoad(packed(took), ((0, 18), (self.random.randrange(1, 9), 2)))

    def _lose(self, rank: int) -> None:
        self.dead.add(rank)
        self.tell(0, ev.ClientLost(Rank(rank), "its process ended"))

    def _end(self, clients: list[int]) -> None:
        self.tell(0, self._load())
        for rank in clients:
            self.tell(0, ev.StopSent(Rank(rank)))
        self.tell(0, self._load())
        for rank in self.random.sample(clients, len(clients)):
            self.tell(rank, ev.Stopped())
            for source, refusal in self.unanswered:
                if source == rank and self.random.random() < 0.5:
                    self.tell(rank, refusal)
            self.tell(rank, ev.ServingEnded())
        lacking = self.dead or any(
            name not in self.plan.files for names in self.wants.values() for name in names
        )
        observer = self.plan.clients + 1 if self.plan.monitored else 0
        self.tell(observer, ev.RunEnded("incomplete" if lacking else "complete"))


def lawful(plan: Plan = SMALL, seed: int = 0, dies: int = 0) -> dict[int, list[Telling]]:
    """What each rank tells in a lawful run of ``plan``."""
    return Script(plan, Random(seed), dies).play()


def stamped(told: dict[int, list[Telling]]) -> dict[int, list[Stamped]]:
    return {
        rank: [Stamped(telling.t, Rank(rank), seq, telling.event) for seq, telling in enumerate(tellings)]
        for rank, tellings in told.items()
    }


def merged(ranks: dict[int, list[Stamped]], random: Random) -> list[Stamped]:
    """A journal: any interleaving in batches that keeps each rank's order, header first, outcome last."""
    left = {rank: list(events) for rank, events in ranks.items()}
    head = [event for events in left.values() for event in events if isinstance(event.event, ev.RunStarted)]
    tail = [event for events in left.values() for event in events if isinstance(event.event, ev.RunEnded)]
    left = {rank: [e for e in events if e not in (*head, *tail)] for rank, events in left.items()}
    body: list[Stamped] = []
    while any(left.values()):
        events = left[random.choice([rank for rank in sorted(left) if left[rank]])]
        batch = random.randint(1, len(events))
        body += events[:batch]
        del events[:batch]
    return [*head, *body, *tail]


def journal(told: dict[int, list[Telling]], seed: int = 0) -> list[Stamped]:
    return merged(stamped(told), Random(seed))


def place(
    told: dict[int, list[Telling]],
    kind: type[Event],
    which: Callable[[Any], bool] = lambda event: True,
    rank: int | None = None,
    nth: int = 0,
) -> tuple[int, int]:
    """The rank and the position there of the ``nth`` such event (−1: the last)."""
    found = [
        (teller, at)
        for teller in sorted(told)
        if rank in (None, teller)
        for at, telling in enumerate(told[teller])
        if isinstance(telling.event, kind) and which(telling.event)
    ]
    return found[nth]


def alter(told: dict[int, list[Telling]], spot: tuple[int, int], **changes: object) -> tuple[int, int]:
    """Change the fields of the event in that spot, which is returned."""
    rank, at = spot
    telling = told[rank][at]
    told[rank][at] = Telling(telling.t, msgspec.structs.replace(telling.event, **changes))
    return spot


def insert(told: dict[int, list[Telling]], rank: int, at: int, event: AnyEvent) -> tuple[int, int]:
    """Tell one event more, at that place; returns where it is."""
    told[rank].insert(at, Telling(told[rank][min(at, len(told[rank]) - 1)].t, event))
    return rank, at
