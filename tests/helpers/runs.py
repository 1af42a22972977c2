"""Scripted runs: plausible streams of events, made without a swarm, the same for the same arguments.

A round of the script lets each client that misses something fetch one segment from somebody who has it,
until all are done. Times are evenly spaced. What a real swarm decides better is of no interest here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from mpi_core.protocol import events as ev
from mpi_core.protocol.digest import Algorithm
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.histogram import bin_of, packed
from mpi_core.protocol.units import Rank, SegmentIndex
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.ledger import Finding
from tui_torrent.view.report import Report, build
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

TRACKER = Rank(0)


@dataclass(frozen=True)
class File:
    name: str
    segments: int
    owners: tuple[int, ...]
    wanted: tuple[int, ...]


#: One seed of one file, another of two, four who want some of them.
FILES = (
    File("model.bin", 120, (1,), (2, 3, 4, 5, 6)),
    File("notes.txt", 24, (2,), (3, 4)),
    File("shards/a.bin", 56, (2,), (1, 5, 6)),
)


def scripted(
    clients: int = 6,
    files: Sequence[File] = FILES,
    *,
    duration: float = 20.0,
    segment_size: int = 256 * 1024,
    corrupt_every: int = 0,
    reject_every: int = 0,
    unavailable: str = "",
    lost: int = 0,
    strategy: str = "swarm",
    scenario: str = "scripted",
) -> list[Stamped]:
    """Everything from RunStarted to RunEnded. Clients above the sixth want every file.

    ``unavailable`` is a name that the last client wants and nobody has; ``lost`` a client whose last
    words are its INIT.
    """
    more = tuple(range(7, clients + 1))
    files = [File(f.name, f.segments, f.owners, f.wanted + more) for f in files]
    script = _Script(clients, files, Random(7), segment_size)
    script.open(strategy, scenario, unavailable, lost)
    rounds = max(1, max((script.missing(rank) for rank in script.alive), default=1))
    step = duration / rounds / max(1, len(script.alive)) * 0.6
    busy = True
    while busy:
        busy = False
        for rank in script.alive:
            script.t += step
            busy |= script.fetch(rank, corrupt_every, reject_every)
    script.close(unavailable)
    return script.events


class _Script:
    def __init__(self, clients: int, files: Sequence[File], random: Random, segment_size: int) -> None:
        self.clients = [Rank(rank) for rank in range(1, clients + 1)]
        self.alive = list(self.clients)
        self.files = files
        self.random = random
        self.segment_size = segment_size
        self.t = 0.0
        self.events: list[Stamped] = []
        self.seq: dict[Rank, int] = {}
        self.held = {(rank, f.name): set(range(f.segments)) for f in files for rank in f.owners}
        self.got: dict[Rank, int] = dict.fromkeys(self.clients, 0)
        self.finished: set[Rank] = set()
        self.turns = 0

    def tell(self, rank: int, event: AnyEvent) -> None:
        at = self.seq.get(Rank(rank), 0)
        self.seq[Rank(rank)] = at + 1
        self.events.append(Stamped(round(self.t, 4), Rank(rank), at, event))

    def wanted(self, rank: int) -> list[File]:
        return [f for f in self.files if rank in f.wanted]

    def missing(self, rank: int) -> int:
        return sum(f.segments - len(self.held.get((rank, f.name), ())) for f in self.wanted(rank))

    def open(self, strategy: str, scenario: str, unavailable: str, lost: int) -> None:
        self.tell(0, ev.RunStarted(1, len(self.clients), scenario, strategy, 7, 10, 8))
        for rank in self.clients:
            self.t += 0.01
            owned = tuple(ev.OwnedFile(f.name, f.segments) for f in self.files if rank in f.owners)
            if owned:
                self.tell(rank, ev.ShareHashed(1, 1))
            self.tell(rank, ev.InitSent(owned))
            self.tell(0, ev.InitReceived(rank, len(owned)))
        for f in self.files:
            size = f.segments * self.segment_size
            algorithm: Algorithm = "blake3" if self.segment_size > 1024 else "declared"
            self.tell(0, ev.FileRegistered(f.name, size, f.segments, algorithm, ()))
            for owner in f.owners:
                self.tell(0, ev.SwarmListed(Rank(owner), f.name, "seed"))
        for rank in self.clients:
            self.t += 0.01
            self.tell(0, ev.InitAckSent(rank))
            if rank == lost:
                continue
            extra = (unavailable,) if unavailable and rank == self.clients[-1] else ()
            names = tuple(f.name for f in self.wanted(rank)) + extra
            self.tell(rank, ev.InitAckReceived(names))
            if names:
                self.tell(rank, ev.SwarmRequested(len(names), names))
                for f in self.wanted(rank):
                    self.tell(0, ev.SwarmListed(rank, f.name, "peer"))
                self.tell(0, ev.SwarmServed(rank, len(names), len(names), len(self.clients)))
            for f in self.wanted(rank):
                self.tell(rank, ev.DownloadStarted(f.name, f.segments, f.segments * self.segment_size))
            self._finish_if_done(rank)
        if lost:
            self.t += 0.5
            self.alive.remove(Rank(lost))
            self.tell(0, ev.ClientLost(Rank(lost), "silent for 5 s"))

    def fetch(self, rank: Rank, corrupt_every: int, reject_every: int) -> bool:
        """One segment for ``rank``; False where it misses none that somebody has."""
        choices = []
        for f in self.wanted(rank):
            mine = self.held.setdefault((rank, f.name), set())
            absent = [index for index in range(f.segments) if index not in mine]
            if absent:
                choices.append((f, absent))
        if not choices:
            return False
        f, absent = self.random.choice(choices)
        index = SegmentIndex(self.random.choice(absent[:24]))
        sources = [other for other in self.alive if index in self.held.get((other, f.name), ())]
        if not sources:
            return False
        # The owners are asked less as others have it too, as rarest first would have it.
        source = self.random.choice(sources[-3:])
        self.turns += 1
        self.tell(rank, ev.SegmentRequested(source, f.name, index))
        if reject_every and self.turns % reject_every == 0:
            self.tell(source, ev.SegmentRefused(rank, f.name, index, "busy"))
            self.tell(rank, ev.RequestRejected(source, f.name, index, "busy"))
            return True
        self.tell(source, ev.SegmentSent(rank, f.name, index, self.segment_size))
        if corrupt_every and self.turns % corrupt_every == 0:
            self.tell(rank, ev.SegmentDropped(source, f.name, index, self.segment_size, "corrupt"))
            return True
        self.tell(rank, ev.SegmentStored(source, f.name, index, self.segment_size, "00"))
        mine = self.held[rank, f.name]
        mine.add(index)
        self.got[rank] += 1
        if len(mine) == f.segments:
            self.tell(rank, ev.FileCompleted(f.name))
            self.tell(0, ev.FileCompleteReceived(rank, f.name))
            self.tell(0, ev.SwarmListed(rank, f.name, "seed"))
        unfinished = tuple(name.name for name in self.wanted(rank) if self.missing(rank))
        if self.got[rank] % 10 == 0 and unfinished:
            self.tell(rank, ev.SwarmRequested(len(unfinished), unfinished))
            self.tell(0, ev.SwarmServed(rank, len(unfinished), 0, self.random.randrange(3)))
        self._finish_if_done(rank)
        return True

    def _finish_if_done(self, rank: Rank) -> None:
        if rank not in self.finished and not self.missing(rank):
            self.finished.add(rank)
            self.tell(rank, ev.AllCompleted())
            self.tell(0, ev.AllCompleteReceived(rank))

    def close(self, unavailable: str) -> None:
        incomplete = bool(unavailable) or any(self.missing(rank) for rank in self.alive)
        if unavailable:
            self.tell(self.clients[-1], ev.FileUnavailable(unavailable, "nobody has it"))
        for rank in self.alive:
            self.t += 0.01
            self.tell(0, ev.StopSent(rank))
            self.tell(rank, ev.Stopped())
            self.tell(rank, ev.ServingEnded())
        self.tell(0, ev.RunEnded("incomplete" if incomplete else "complete"))


def with_facts(events: Sequence[Stamped], hosts: int) -> list[Stamped]:
    """The same run, told by ranks on so many hosts (in blocks), under a tracker that tells its load."""
    header, *rest = events
    ranks = sorted({stamped.rank for stamped in events})
    told = [header, *(_placed(rank, f"node{rank * hosts // len(ranks)}") for rank in ranks)]
    random, due = Random(5), 1.0
    for stamped in rest:
        if stamped.t >= due:
            took = Counter(bin_of(int(random.lognormvariate(4, 0.8))) for _ in range(40))
            waited = Counter(bin_of(int(random.expovariate(0.8))) for _ in range(40))
            told.append(Stamped(stamped.t, Rank(0), 0, ev.TrackerLoad(packed(took), packed(waited))))
            due += 1.0
        told.append(stamped)
    seq = Counter[Rank]()
    for at, stamped in enumerate(told):
        told[at] = Stamped(stamped.t, stamped.rank, seq[stamped.rank], stamped.event)
        seq[stamped.rank] += 1
    return told


def _placed(rank: Rank, host: str) -> Stamped:
    return Stamped(0.0, rank, 0, ev.RankPlaced(host))


def fold(events: Iterable[Stamped], until: float = float("inf")) -> tuple[SwarmView, Tail]:
    """The view and the tail of everything up to ``until``."""
    view, tail = SwarmView(), Tail()
    for stamped in events:
        if stamped.t <= until:
            view.apply(stamped)
            tail.add(stamped)
    return view, tail


def view_of(*told: tuple[float, int, AnyEvent]) -> SwarmView:
    """The view of what was told: when, by whom, what."""
    view = SwarmView()
    for seq, (t, rank, event) in enumerate(told):
        view.apply(Stamped(t, Rank(rank), seq, event))
    return view


def judged(events: Iterable[Stamped]) -> Report:
    """The report of a journal, with what the trace checker says of it."""
    view, checker = SwarmView(), Conformance()
    for stamped in events:
        view.apply(stamped)
        checker.see(stamped)
    return build(view, checker.result())


class Ticks:
    """A viewer's time, moved by the test."""

    t = 1000.0

    def __call__(self) -> float:
        return self.t


class Scripted:
    """A source that plays a script; ``now`` is moved by the test, or by ``step`` at each poll."""

    def __init__(
        self,
        events: Sequence[Stamped],
        *,
        now: float = 0.0,
        step: float = 0.0,
        findings: Sequence[Finding] = (),
    ) -> None:
        self.events = events
        self.now = now
        self.step = step
        self.view, self.tail = SwarmView(), Tail()
        self.over = False
        self.findings = findings
        self.polls = 0
        self._next = 0

    def poll(self) -> None:
        self.polls += 1
        self.now += self.step
        while self._next < len(self.events) and self.events[self._next].t <= self.now:
            stamped = self.events[self._next]
            self.view.apply(stamped)
            self.tail.add(stamped)
            self.over = isinstance(stamped.event, ev.RunEnded)
            self._next += 1
