"""What neighbours tell of the segments that they hold: checked, and kept until it can be understood.

A BITFIELD or an ANNOUNCE may come before the manifest of its file does: the neighbour has had its answer from
the tracker sooner.
"""

from __future__ import annotations

from collections.abc import Container

from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank
from mpi_core.swarm.checks import gained
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.early import Early
from mpi_core.swarm.machine import Effects
from mpi_core.swarm.neighbours import Neighbours, unpack
from mpi_core.swarm.picker import Picker
from mpi_core.swarm.store import SegmentStore


class Hearsay:
    """What one downloader is told by others."""

    def __init__(
        self,
        rank: Rank,
        clients: int,
        store: SegmentStore,
        picker: Picker,
        neighbours: Neighbours,
        config: SwarmConfig,
    ) -> None:
        self._rank = rank
        self._clients = clients
        self._store = store
        self._picker = picker
        self._neighbours = neighbours
        #: The names that are fetched, and those of them that are not done; None until INIT_ACK tells.
        self._names: Container[str] | None = None
        self._unfinished: Container[str] = ()
        #: What neighbours told of files whose manifest is still on its way here.
        self._early = Early(config.neighbours)

    def expect(self, names: Container[str], unfinished: Container[str]) -> None:
        """INIT_ACK has come: those are fetched; ``unfinished`` shrinks as they are done."""
        self._names, self._unfinished = names, unfinished

    def bitfield(self, now: float, sender: Rank, message: msg.BitfieldMessage) -> Effects:
        for holding in message.holdings:
            self._known(sender, holding.name, holding.length)
            unpack(holding)
        known = [holding for holding in message.holdings if self._store.manifest(holding.name)]
        for holding in message.holdings if len(known) < len(message.holdings) else ():
            if self._store.manifest(holding.name) is None:
                self._early.keep(sender, holding)
        return self._neighbours.met(sender, known, now)

    def announce(self, now: float, sender: Rank, message: msg.Announce) -> None:
        # Most messages of a swarm are this one: all is checked before any is believed, in one go.
        told: list[tuple[msg.Gain, int | None]] = []
        for gain in message.gains:
            manifest = self._known(sender, gain.name, None)
            told.append((gain, None if manifest is None else gained(gain, len(manifest.digests))))
        for gain, bits in told:
            if bits is None:
                self._early.keep(sender, gain)
            else:
                self._has_gained(sender, gain.name, bits, now)
        self._neighbours.loaded(sender, message.load, now)

    def begun(self, manifest: Manifest, now: float) -> Effects:
        """A manifest has come: take in what was told of its file before."""
        effects: Effects = []
        for rank, fact in self._early.take(manifest.name):
            if isinstance(fact, msg.Holding):
                if fact.length == manifest.segments:
                    effects += self._neighbours.met(rank, [fact], now)
                continue
            bits = 0
            for index in fact.indices:
                if 0 <= index < manifest.segments:
                    bits |= 1 << index
            self._has_gained(rank, fact.name, bits, now)
        return effects

    def _known(self, sender: Rank, name: str, length: int | None) -> Manifest | None:
        """The manifest of a file of which a client speaks to us, if it has come; raises RemoteProtocolError
        unless the client may."""
        if not 1 <= sender <= self._clients or sender == self._rank:
            raise RemoteProtocolError(f"rank {sender} speaks of segments")
        manifest = self._store.manifest(name)
        if manifest is None and self._names is not None and name not in self._names:
            raise RemoteProtocolError(f"a bitfield of {name!r}, which is neither wanted nor owned here")
        if manifest is not None and length is not None and length != manifest.segments:
            raise RemoteProtocolError(f"a bitfield of {length} segments for {manifest.segments}")
        return manifest

    def _has_gained(self, rank: Rank, name: str, bits: int, now: float) -> None:
        if name in self._unfinished:
            file = self._picker.file(name)
            if file is not None:
                self._neighbours.holds(rank, file, bits << file.base, now)
