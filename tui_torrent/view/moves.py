"""The way of each segment: asked of a member of the swarm, sent by one that holds it, stored by who asked.

The asker tells of the first and the last step, the source of the one between, in no common order. So their
numbers are compared, for each asker, source and segment: answers are no more than requests, and nothing is
received that was not sent. What one rank's own order shows alone is judged in its trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Ledger, Rule, Sources, Spot, clip


class Way(NamedTuple):
    """Whom a segment goes to, who sends it, and which it is."""

    asker: Rank
    source: Rank
    file: str
    segment: int

    def __str__(self) -> str:
        return f"segment {self.segment} of {clip(self.file)}"


@dataclass(slots=True)
class Count:
    """How often a segment was asked for on one way, and what became of it."""

    asked: int = 0
    sent: int = 0
    refused: int = 0
    #: Payloads that came, stored or dropped; and REJECTs that came, or places that could not be read.
    taken: int = 0
    rejected: int = 0
    first_asked: Spot | None = None
    last_answer: Spot | None = None
    last_taken: Spot | None = None


class Holding:
    """What one client holds, of which it tells in its own order."""

    def __init__(self) -> None:
        #: Files that it has owned from the start → their segments.
        self.owned: dict[str, int] = {}
        #: Segments that it has stored, by file.
        self.got: dict[str, Sources] = {}

    def has(self, file: str, segment: int) -> bool:
        owned, got = self.owned.get(file), self.got.get(file)
        return (owned is not None and 0 <= segment < owned) or (got is not None and segment in got)


class Moves:
    """The segments that went from client to client."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: Where a request, an answer or its arrival is yet to be told.
        self.uneven: dict[Way, Count] = {}
        self.holdings: dict[Rank, Holding] = {}
        #: Members of the swarms, as the tracker listed them: file → client → role.
        self.listed: dict[str, dict[Rank, str]] = {}
        #: Who was asked for segments of a file and is not listed yet → by which event first.
        self._unlisted: dict[tuple[str, Rank], Spot] = {}
        #: Segments that each client has sent, and requests that it refused, by reason.
        self.sent: Counter[Rank] = Counter()
        self.refused: Counter[tuple[Rank, str]] = Counter()
        self.first_refused: dict[tuple[Rank, str], Spot] = {}
        #: The longest time that any answer took, in seconds of the asker's clock.
        self.slowest = 0.0
        #: Whether REJECTs are told at their senders: not every program does.
        self._refusals_told = False

    # What clients and the tracker tell -----------------------------------------------------------

    def list_member(self, file: str, client: Rank, role: str) -> None:
        self.listed.setdefault(file, {})[client] = role
        if self._unlisted:
            self._unlisted.pop((file, client), None)

    def ask(self, spot: Spot, way: Way) -> None:
        count = self._count(way)
        count.asked += 1
        if count.first_asked is None:
            count.first_asked = spot
        self._even_out(way, count)
        if way.source not in self.listed.get(way.file, ()):
            self._unlisted.setdefault((way.file, way.source), spot)

    def assume_asked(self, way: Way) -> None:
        """A request that was never told, of which that is said already."""
        count = self._count(way)
        count.asked += 1
        self._even_out(way, count)

    def send(self, spot: Spot, way: Way) -> None:
        self.sent[way.source] += 1
        count = self._count(way)
        count.sent += 1
        count.last_answer = spot
        self._even_out(way, count)

    def refuse(self, spot: Spot, way: Way, reason: str) -> None:
        self.refused[way.source, reason] += 1
        self.first_refused.setdefault((way.source, reason), spot)
        self._refusals_told = True
        count = self._count(way)
        count.refused += 1
        count.last_answer = spot
        self._even_out(way, count)

    def take(self, spot: Spot, way: Way) -> None:
        """A payload came."""
        count = self._count(way)
        count.taken += 1
        count.last_taken = spot
        self._even_out(way, count)

    def reject(self, spot: Spot, way: Way) -> None:
        """A REJECT came, or the payload could not be read where it lay."""
        count = self._count(way)
        count.rejected += 1
        count.last_taken = spot
        self._even_out(way, count)

    def _count(self, way: Way) -> Count:
        count = self.uneven.get(way)
        if count is None:
            count = self.uneven[way] = Count()
        return count

    def _even_out(self, way: Way, count: Count) -> None:
        """Forget a way where all that was asked for was answered, and every answer came."""
        answers = count.sent + count.refused
        if count.asked == answers == count.taken + count.rejected and count.taken <= count.sent:
            del self.uneven[way]

    def trace_back(self, spot: Spot, way: Way) -> None:
        """A segment was stored: its source has it from somebody, and so on, but in the end not from here."""
        walked, rank, root = list[Rank](), way.source, False
        for _ in range(len(self.holdings) + 1):
            holding = self.holdings.get(rank)
            if holding is None:
                return
            got = holding.got.get(way.file)
            if way.file in holding.owned or (got is not None and got.is_rooted(way.segment)):
                root = True
                break
            source = None if got is None else got.source(way.segment)
            if source is None:
                return
            if rank == way.asker:
                what = f"{way} came from client {way.source}, which has it from here: nobody held it first"
                self._ledger.broken(Rule.MOVED, spot, what)
                return
            walked.append(rank)
            rank = Rank(source)
        if root:
            for rank in (way.asker, *walked):
                self.holdings[rank].got[way.file].root(way.segment)

    # At the end ----------------------------------------------------------------------------------

    def strays(self, told_all: Callable[[Rank], bool], tracker_told_all: bool) -> Iterator[tuple[Spot, str]]:
        """What breaks the way of a segment where all concerned have told all."""
        for way, count in self.uneven.items():
            if count.taken > count.sent and count.last_taken and told_all(way.source):
                yield count.last_taken, f"{way} was not sent by client {way.source}"
            elif self._is_stray_reject(count) and count.last_taken and told_all(way.source):
                yield count.last_taken, f"client {way.source} has not refused {way}"
            if count.sent + count.refused > count.asked and count.last_answer and told_all(way.asker):
                yield count.last_answer, f"client {way.asker} has not asked for {way} here"
        if tracker_told_all:
            for (file, source), spot in self._unlisted.items():
                yield spot, f"client {source} is no member of the swarm of {clip(file)}"

    def _is_stray_reject(self, count: Count) -> bool:
        return self._refusals_told and count.taken + count.rejected > count.sent + count.refused
