"""The files that a client has yet to fetch, and the updates that ask the tracker for their swarms."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.events import NAMES_LISTED, SwarmRequested
from mpi_core.protocol.messages import SwarmRequest


class Wanted:
    """By name; an update bears bitfields over the names of the first SWARM_REQUEST."""

    def __init__(self) -> None:
        #: The names of the first SWARM_REQUEST → their places.
        self.names: dict[str, int] = {}
        #: Those that are neither complete nor given up → the same places.
        self.unfinished: dict[str, int] = {}
        #: Those of which a segment has no live holder → since when.
        self.hopeless: dict[str, float] = {}
        #: The places of ``unfinished`` as a set of bits.
        self._bits = 0

    def begin(self, names: Iterable[str]) -> None:
        """The names of the first SWARM_REQUEST."""
        self.names = {name: place for place, name in enumerate(names)}
        self.unfinished = dict(self.names)
        self._bits = (1 << len(self.names)) - 1

    def close(self, name: str) -> bool:
        """That file is complete or given up; whether it was neither before."""
        place = self.unfinished.pop(name, None)
        if place is None:
            return False
        self._bits &= ~(1 << place)
        self.hopeless.pop(name, None)
        return True

    def close_all(self) -> None:
        """Nothing more is fetched."""
        self.unfinished.clear()
        self.hopeless.clear()
        self._bits = 0

    def lack(self, names: Collection[str], now: float) -> bool:
        """Those are the hopeless files now; whether some of them were not before."""
        new = any(name not in self.hopeless for name in names)
        self.hopeless = {name: self.hopeless.get(name, now) for name in names}
        return new

    @property
    def requested(self) -> SwarmRequested:
        """What is told of a SWARM_REQUEST for all that is unfinished."""
        count = len(self.unfinished)
        return SwarmRequested(count, tuple(self.unfinished) if count <= NAMES_LISTED else ())

    def update(self, stalled: bool) -> SwarmRequest:
        """Ask for what has changed. While segments come, what nobody near has may well be on its way: the
        tracker is asked for strangers only when they no longer do, and the client is ``stalled``."""
        count, lacking = len(self.names), b""
        if stalled and self.hopeless:
            lacking = Bitfield.of(count, (self.unfinished[name] for name in self.hopeless)).to_bytes()
        return SwarmRequest((), Bitfield(count, self._bits).to_bytes(), lacking)
