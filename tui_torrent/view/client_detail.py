"""What one client's own events say of its downloads: whence each segment came, and what it waits for.

All of it is told by that client's downloader, in its own order, so that law 6 holds by itself. A journal
made by hand may name what was never started: such an event changes nothing here.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.units import Rank

#: A gap between two stored segments is a wait from so many seconds on; so many of the longest are kept.
LEAST_WAIT = 0.5
WAITS_KEPT = 32

#: No rank, in ``Detail.sources``; ranks above the last one of 16 bits share that.
NOBODY = 0
_LAST_RANK = 0xFFFF


class Wait(NamedTuple):
    """A client got nothing for so many seconds, until this segment came."""

    seconds: float
    ended: float
    source: Rank
    file: str
    segment: int


@dataclass
class Detail:
    """The downloads of one client."""

    #: For each file that it downloads: the rank that each segment came from, ``NOBODY`` where it is missing.
    sources: dict[str, array[int]] = field(default_factory=dict)
    #: Segments stored, corrupt payloads and unanswered requests, by who sent or owed them.
    got_from: Counter[Rank] = field(default_factory=Counter)
    corrupt_from: Counter[Rank] = field(default_factory=Counter)
    expired_from: Counter[Rank] = field(default_factory=Counter)
    #: Who is asked no more, and why; one that was silent leaves with its next segment.
    avoided: dict[Rank, str] = field(default_factory=dict)
    #: Who was silent at any time. A request may expire at others too: they said that it waits (PENDING).
    fell_silent: set[Rank] = field(default_factory=set)
    #: Requests in flight: (file, segment) → whom → since when.
    open: dict[tuple[str, int], dict[Rank, float]] = field(default_factory=dict)
    #: When a segment came last, or else when downloading began; None before that.
    last_at: float | None = None
    #: The longest waits, longest first, and the seconds of all waits together.
    waits: list[Wait] = field(default_factory=list)
    waited: float = 0.0

    def start(self, file: str, segments: int) -> None:
        """The manifest of a file to download has come."""
        if file not in self.sources:
            self.sources[file] = array("H", bytes(2 * max(0, segments)))

    def requested(self, t: float, event: ev.SegmentRequested) -> None:
        self.open.setdefault((event.file, event.segment), {})[event.source] = t

    def stored(self, t: float, event: ev.SegmentStored) -> None:
        # Whoever else was asked for it is told to forget it.
        self.open.pop((event.file, event.segment), None)
        self.got_from[event.source] += 1
        if self.avoided.get(event.source) == "silent":
            del self.avoided[event.source]
        sources = self.sources.get(event.file)
        if sources is not None and 0 <= event.segment < len(sources):
            sources[event.segment] = min(max(NOBODY, event.source), _LAST_RANK)
        if self.last_at is not None and t - self.last_at >= LEAST_WAIT:
            self._waited(Wait(t - self.last_at, t, event.source, event.file, event.segment))
        self.last_at = t

    def _waited(self, wait: Wait) -> None:
        self.waited += wait.seconds
        self.waits = sorted([*self.waits, wait], reverse=True)[:WAITS_KEPT]

    def dropped(self, event: ev.SegmentDropped) -> None:
        self.answered(event)
        self.corrupt_from[event.source] += event.reason == "corrupt"

    def expired(self, event: ev.RequestExpired) -> None:
        self.answered(event)
        self.expired_from[event.source] += 1

    def avoids(self, event: ev.SourceAvoided) -> None:
        self.avoided[event.source] = event.reason
        if event.reason == "silent":
            self.fell_silent.add(event.source)

    def answered(self, event: ev.SegmentDropped | ev.RequestRejected | ev.RequestExpired) -> None:
        """A request is open no more."""
        asked = self.open.get((event.file, event.segment))
        if asked is not None:
            asked.pop(event.source, None)
            if not asked:
                del self.open[event.file, event.segment]
