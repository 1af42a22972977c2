"""Who is to hear what we hold.

Two downloaders of one file tell each other all they hold, once (BITFIELD), and from then on what they gain
(ANNOUNCE). Gains are gathered and told together, the first at once and the next after a pause, so that a
fast download does not cost a message a segment and neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.messages import Announce, BitfieldMessage, Gain, Holding
from mpi_core.protocol.units import Rank, SegmentIndex
from mpi_core.swarm.machine import Effects, Send
from mpi_core.swarm.store import SegmentStore


class Neighbours:
    """What each neighbour has been told, and what it is still to hear."""

    def __init__(self, store: SegmentStore, interval: float) -> None:
        self._store = store
        self._interval = interval
        #: (rank, file) pairs to which our bitfield was sent.
        self._told: set[tuple[Rank, str]] = set()
        #: For each file, the neighbours that still lack some of it. A dict for its order.
        self._audience: dict[str, dict[Rank, None]] = {}
        self._gains: dict[str, list[SegmentIndex]] = {}
        self._flushed_at = float("-inf")

    def greet(self, rank: Rank, names: Iterable[str]) -> Effects:
        """Tell ``rank`` what we hold of those files, as far as it was not told."""
        holdings = []
        for name in names:
            held = self._store.bitfield(name)
            if held is None or (rank, name) in self._told:
                continue
            self._told.add((rank, name))
            self._audience.setdefault(name, {})[rank] = None
            holdings.append(Holding(name, held.length, held.to_bytes()))
        return [Send(rank, BitfieldMessage(tuple(holdings)))] if holdings else []

    def completed(self, rank: Rank, name: str) -> None:
        """``rank`` has the whole file and needs to hear nothing more of it."""
        self._audience.get(name, {}).pop(rank, None)

    def forget(self, rank: Rank) -> None:
        for audience in self._audience.values():
            audience.pop(rank, None)

    def gained(self, name: str, index: SegmentIndex) -> None:
        self._gains.setdefault(name, []).append(index)

    @property
    def flush_at(self) -> float | None:
        """When the gains gathered so far are to be told."""
        return self._flushed_at + self._interval if self._gains else None

    def flush(self, now: float) -> Effects:
        """Tell every neighbour its share of the gains, if it is time."""
        at = self.flush_at
        if at is None or now < at:
            return []
        self._flushed_at = now
        news: dict[Rank, list[Gain]] = {}
        for name, indices in self._gains.items():
            gain = Gain(name, tuple(indices))
            for rank in self._audience.get(name, {}):
                news.setdefault(rank, []).append(gain)
        self._gains.clear()
        return [Send(rank, Announce(tuple(gains))) for rank, gains in news.items()]


def unpack(holding: Holding) -> Bitfield:
    """The bitfield in a message; raises RemoteProtocolError where it is none."""
    return Bitfield.from_bytes(holding.length, holding.bits)


def told(fact: Holding | Gain, segments: int) -> Bitfield:
    """What a neighbour tells of a file with so many segments; a gain outside them counts for nothing."""
    if isinstance(fact, Holding):
        return unpack(fact)
    return Bitfield.of(segments, (index for index in fact.indices if 0 <= index < segments))
