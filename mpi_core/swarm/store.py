"""Verified segments only.

The one thing that a client's two machines share. Of segments the downloader alone writes; the uploader reads.
Beside them each leaves the other a few words, each of which has one writer.
A payload is verified and kept by the backing, and only then is a new immutable bitfield published, so
whoever sees a segment in a bitfield can read it (law 3: nothing unverified, and it only grows).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar, Protocol

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.bundle import is_small
from mpi_core.protocol.entries import Entry, Twins
from mpi_core.protocol.errors import LocalProtocolError, UnreadableError, why_unreadable
from mpi_core.protocol.events import NotKept
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Place
from mpi_core.protocol.units import Digest, Payload


class Backing(Protocol):
    """Where payloads lie: in memory, or on a disk. Errors of the disk are OSError."""

    #: Whether each lies in the file that it is of, which other processes of this host may read.
    in_files: ClassVar[bool] = False

    def begin(self, manifest: Manifest) -> None:
        """Make room for a file that is to be downloaded."""

    def write(self, manifest: Manifest, index: int, payload: Payload) -> None:
        """Keep the payload of one segment; the memory is the caller's again afterwards."""

    def read(self, manifest: Manifest, index: int) -> bytes | bytearray:
        """The payload of a segment that was written or is owned."""

    def locate(self, manifest: Manifest, index: int) -> tuple[Place, ...]:
        """Where that payload lies, if payloads lie in files."""
        raise LocalProtocolError("payloads lie in no files here")

    def copy(self, manifest: Manifest, index: int, places: Sequence[Place]) -> Digest:
        """Keep the payload of one segment that lies in others' files, and tell its digest. What has not that
        of the segment is not kept, though it may be written where the segment will be. Raises
        UnreadableError."""
        raise UnreadableError("payloads lie in no files here")

    def finish(self, manifest: Manifest) -> None:
        """Every segment is here: put the file where its user wants it."""

    def place(self, manifest: Manifest) -> Iterator[int]:
        """``finish`` of an owned file, in steps: the bytes of each that is not the last."""
        self.finish(manifest)
        yield from ()

    def expect(self, entries: Sequence[Entry], twins: Sequence[Twins]) -> None:
        """What belongs beside the files that will come, before the first of them does."""
        return

    def settle(self) -> tuple[NotKept, ...]:
        """Every file is here that could be had: make the links and folders that were expected, and give all
        folders the modes and times that they are to have. What could not be made or kept."""
        return ()


class MemoryBacking(Backing):
    """Payloads in a dict; for declared files and tests."""

    def __init__(self) -> None:
        self.payloads: dict[tuple[str, int], bytes] = {}
        self.finished: list[str] = []

    def begin(self, manifest: Manifest) -> None:
        pass

    def write(self, manifest: Manifest, index: int, payload: Payload) -> None:
        self.payloads[manifest.name, index] = bytes(payload)

    def read(self, manifest: Manifest, index: int) -> bytes:
        payload = self.payloads.get((manifest.name, index))
        if payload is not None:
            return payload
        if manifest.algorithm == "declared":
            return manifest.digests[index]
        raise FileNotFoundError(f"{manifest.name}, segment {index}")

    def finish(self, manifest: Manifest) -> None:
        self.finished.append(manifest.name)


class SegmentStore:
    """The segments of one client, by file name."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._manifests: dict[str, Manifest] = {}
        #: The names of what the client has had from the start.
        self.owned: set[str] = set()
        #: Those of links and folders that are to come.
        self.links: frozenset[str] = frozenset()
        self.folders: frozenset[str] = frozenset()
        #: Replaced as a whole, never changed; a segment's bit is set after its payload is kept.
        self._bitfields: dict[str, Bitfield] = {}
        #: Until INIT_ACK has told which bundles the small files make, and which holes have segments: others
        #: may have been told before.
        self.may_be_bundled = False
        #: Requests that wait at the uploader; 0: who asks now is served at once. Its word to the downloader,
        #: who tells the neighbours.
        self.load = 0
        #: Whether it has a payload on the way; when it last had that, or a request: in a time that the
        #: downloader shares.
        self.sending = False
        self.asked_at = float("-inf")
        #: Whether more fetch than hear of each gain at once: the downloader's word to the uploader.
        self.in_crowd = False
        #: Whether answers take so long that a payload does: the same's word to the same.
        self.is_link_long = False

    def add_owned(self, manifest: Manifest) -> None:
        """A file that the client has had from the start; one with holes can be had of it after INIT_ACK."""
        self._manifests[manifest.name] = manifest
        self.owned.add(manifest.name)
        if not manifest.holes:
            self._bitfields[manifest.name] = Bitfield.full(manifest.segments)

    def expect_bundles(self) -> None:
        self.may_be_bundled = any(m.holes or is_small(m) for m in self._manifests.values())

    def add_bundles(self, manifests: Iterable[Manifest], filled: Collection[str] = ()) -> list[Manifest]:
        """INIT_ACK has come: the bundles that the owned files make, all there are, and which of the files
        with holes are ``filled``. What is in the store since then."""
        holed = [manifest for manifest in self._manifests.values() if manifest.holes]
        settled = [manifest.filled() if manifest.name in filled else manifest for manifest in holed]
        settled += manifests
        for manifest in settled:
            self.add_owned(manifest)
            self._bitfields[manifest.name] = Bitfield.full(manifest.segments)
        self.may_be_bundled = False
        return settled

    def expect(self, entries: Sequence[Entry], twins: Sequence[Twins]) -> None:
        """What belongs beside the files that are wanted."""
        # A name that becomes a hard link is in the way of a file as a link is.
        seconds = (name for names in twins for name in names[1:])
        self.links = frozenset((*(entry.name for entry in entries if entry.is_link), *seconds))
        self.folders = frozenset(entry.name for entry in entries if not entry.is_link)
        self._backing.expect(entries, twins)

    def settle(self) -> tuple[NotKept, ...]:
        """Make what was expected, once nothing is left to fetch; what could not be made or kept."""
        return self._backing.settle()

    def begin(self, manifest: Manifest) -> None:
        """A file to be downloaded; no segment of it is here yet."""
        if manifest.name in self._manifests:
            raise LocalProtocolError(f"{manifest.name} is in the store already")
        self._backing.begin(manifest)
        self._manifests[manifest.name] = manifest
        self._bitfields[manifest.name] = Bitfield(manifest.segments)

    def put(self, name: str, index: int, payload: Payload) -> Digest | None:
        """Verify a payload and keep it; its digest, or None (and nothing kept) where it fails."""
        manifest = self._manifests[name]
        digest = manifest.digest_of(index, payload)
        if digest != manifest.digests[index]:
            return None
        self._backing.write(manifest, index, payload)
        self._bitfields[name] = self._bitfields[name].plus(index)
        return digest

    def copy(self, name: str, index: int, places: Sequence[Place]) -> Digest | None:
        """As ``put``, of a payload that lies in others' files. Raises UnreadableError."""
        manifest = self._manifests[name]
        if tuple(place.length for place in places) != manifest.part_lengths(index):
            return None
        digest = self._backing.copy(manifest, index, places)
        if digest != manifest.digests[index]:
            return None
        self._bitfields[name] = self._bitfields[name].plus(index)
        return digest

    def read(self, name: str, index: int) -> bytes | bytearray:
        """The payload of a segment. Raises UnreadableError where it is not here, or can no longer be read:
        somebody has moved or shortened the file under us."""
        bitfield = self._bitfields.get(name)
        if bitfield is None or not 0 <= index < bitfield.length or not bitfield.has(index):
            raise UnreadableError("not here")
        try:
            return self._backing.read(self._manifests[name], index)
        except OSError as error:
            raise UnreadableError(why_unreadable(error)) from error

    @property
    def is_in_files(self) -> bool:
        """Whether payloads lie in files, of which others can be told."""
        return self._backing.in_files

    def locate(self, name: str, index: int) -> tuple[Place, ...]:
        """Where a segment lies that is here, and in files."""
        return self._backing.locate(self._manifests[name], index)

    def finish(self, name: str) -> None:
        """Hand over a file that is whole."""
        if not self._bitfields[name].is_full:
            raise LocalProtocolError(f"{name} is not whole")
        self._backing.finish(self._manifests[name])

    def place(self, name: str) -> Iterator[int]:
        """Put an owned file where its user wants it, in steps: the bytes of each that is not the last."""
        return self._backing.place(self._manifests[name])

    def manifest(self, name: str) -> Manifest | None:
        return self._manifests.get(name)

    def bitfield(self, name: str) -> Bitfield | None:
        return self._bitfields.get(name)

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Of every file in the store, in the order in which they came."""
        return tuple(self._manifests.values())
