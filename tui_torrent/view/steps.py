"""A client's requests and its answers to others', along its own order: what that order alone shows."""

from __future__ import annotations

from typing import NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Ledger, Rule, Spot
from tui_torrent.view.moves import Holding, Moves, Way

#: A refusal is decided before it is told: that of a segment which was stored only this long ago (in seconds)
#: may have been decided before, and so may those that an uploader decides in one go.
REFUSAL_GRACE = 1.0
REFUSALS_DECIDED = 2
#: The stores that a refusal may have crossed, at most.
RECENT = 64


class Requests:
    """What one client asks for, and what comes."""

    def __init__(self, rank: Rank, ledger: Ledger, moves: Moves, holding: Holding) -> None:
        self._rank = rank
        self._ledger = ledger
        self._moves = moves
        self._holding = holding
        #: Files whose swarms it asked for; None: of some that are not named.
        self._swarms: set[str] | None = set()
        #: Open requests → how many, and when the last was sent.
        self._open: dict[Way, tuple[int, float]] = {}

    def swarms_asked(self, event: ev.SwarmRequested) -> None:
        if len(event.files) < event.unfinished:
            self._swarms = None
        elif self._swarms is not None:
            self._swarms.update(event.files)

    def asked(self, spot: Spot, way: Way, segments: int | None) -> None:
        """A segment of a file of so many (None: not known) was asked for."""
        problem = self._problem(way, segments)
        if problem is not None:
            self._ledger.broken(Rule.MOVED, spot, f"{way} {problem}")
        number, _ = self._open.get(way, (0, 0.0))
        self._open[way] = number + 1, spot.stamped.t
        self._moves.ask(spot, way)

    def _problem(self, way: Way, segments: int | None) -> str | None:
        """Why the client should not ask for that segment."""
        if way.source == self._rank:
            return "is asked of the client itself"
        if self._holding.has(way.file, way.segment):
            return "is asked for, though it is here"
        if segments is not None and way.segment >= segments:
            return f"is asked for where there are {segments}"
        if way.segment < 0:
            return "is asked for, which no file has"
        if self._swarms is not None and way.file not in self._swarms:
            return "is asked for before the swarm of its file"
        return None

    def answered(self, spot: Spot, event: ev.SegmentStored | ev.SegmentDropped | ev.RequestRejected) -> Way:
        """Something came for a request, which is to be there."""
        way = Way(self._rank, event.source, event.file, event.segment)
        number, t = self._open.get(way, (0, 0.0))
        if not number:
            verb = "is stored, but " if isinstance(event, ev.SegmentStored) else ""
            what = f"{way} {verb}was never asked of client {way.source}"
            self._ledger.broken(Rule.MOVED, spot, what)
            self._moves.assume_asked(way)
            return way
        if number == 1:
            del self._open[way]
        else:
            self._open[way] = number - 1, t
        if spot.stamped.t - t > self._moves.slowest:
            self._moves.slowest = spot.stamped.t - t
        return way

    def expired(self, spot: Spot, event: ev.RequestExpired) -> None:
        way = Way(self._rank, event.source, event.file, event.segment)
        if way not in self._open:
            self._ledger.broken(Rule.MOVED, spot, f"{way} was not asked of client {way.source}")


class Store(NamedTuple):
    """A segment that was stored: when, and how much the uploader had told by then."""

    t: float
    told: int


class Uploads:
    """What one client answers to others."""

    def __init__(self, rank: Rank, ledger: Ledger, moves: Moves, holding: Holding) -> None:
        self._rank = rank
        self._ledger = ledger
        self._moves = moves
        self._holding = holding
        #: How much the uploader has told.
        self._told = 0
        self._recent: dict[tuple[str, int], Store] = {}
        #: Segments that were sent before the client was told which bundles are its own; None: it was told.
        self._early: list[tuple[Spot, Way]] | None = []

    def is_told_its_bundles(self) -> None:
        early, self._early = self._early or [], None
        for spot, way in early:
            self._check_held(spot, way)

    def stored(self, file: str, segment: int, t: float) -> None:
        self._recent[file, segment] = Store(t, self._told)
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def sent(self, spot: Spot, event: ev.SegmentSent) -> None:
        self._told += 1
        self._ledger.checked[Rule.HOLDERS] += 1
        way = Way(event.target, self._rank, event.file, event.segment)
        self._moves.send(spot, way)
        if self._early is None:
            self._check_held(spot, way)
        else:
            self._early.append((spot, way))

    def _check_held(self, spot: Spot, way: Way) -> None:
        if not self._holding.has(way.file, way.segment):
            self._ledger.broken(Rule.MOVED, spot, f"{way} is sent by a client that does not hold it")

    def refused(self, spot: Spot, event: ev.SegmentRefused, finished: bool, stopped: bool) -> None:
        self._told += 1
        way = Way(event.target, self._rank, event.file, event.segment)
        self._moves.refuse(spot, way, event.reason)
        if stopped or event.reason != "absent" or not self._holding.has(event.file, event.segment):
            return
        stored = self._recent.get((event.file, event.segment))
        if stored is not None and spot.stamped.t <= stored.t + REFUSAL_GRACE:
            decided = self._told - stored.told
            if decided <= REFUSALS_DECIDED:
                return
        if finished:
            what = f"{way} is refused as absent by a finished client that has it"
            self._ledger.broken(Rule.SERVING, spot, what)
        else:
            self._ledger.broken(Rule.HOLDERS, spot, f"{way} is refused as absent, though it is here")
