"""A file as the swarm knows it: name, size, segment length, and a digest for each segment.

BEP 3 calls this the metainfo. There are two kinds of segment. A *real* one is a slice of a file,
named by its hash. A *declared* one (the classic scenario) exists only as the hash in a list: the
message that carries it bears that hash as its payload, and verification compares the two.

A real file of several slices may have no segments for its *holes*, those that are zeros alone. What is a hole
is told by the content, so that all owners agree, whatever room it takes on their disks. Where the zeros take
room on the first owner's, the file is *filled*: they travel like all else, and take room everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

import msgspec
from msgspec.structs import replace

from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.names import is_canonical
from mpi_core.protocol.units import Digest, Payload

#: Segments of real files: at least this long …
MIN_SEGMENT_LENGTH = 128 * 1024
#: … and twice as long where a file would have more than this many of them, twice again where it would have
#: more than three quarters as many: each costs its clients CPU, and a long file can do with fewer …
MANY_SEGMENTS = 512
#: … but never longer than this, since a client's memory is its window of them.
MAX_SEGMENT_LENGTH = 4 * 1024 * 1024
#: What a manifest on arrival may ask a client to make room for at once.
LONGEST_SEGMENT = 64 * 1024 * 1024

#: Slices of zeros that a file may have segments for.
MOST_FILLED = 1 << 20

#: All permission bits: read, write and execute of three, setuid, setgid and sticky.
MODES = 0o7777


_NO_COMPONENTS = frozenset(("", ".", ".."))


def segment_length_for(size: int) -> int:
    """The segment length, in bytes, that every owner of a real file of ``size`` bytes uses."""
    length, many = MIN_SEGMENT_LENGTH, MANY_SEGMENTS
    while length < MAX_SEGMENT_LENGTH and size > length * many:
        length, many = length * 2, many * 3 // 4
    return length


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be a file's name in a swarm, or None. Names are relative POSIX paths."""
    if not name:
        return "an empty name"
    if "\0" in name:
        return "a name with a NUL in it"
    if name.startswith("/"):
        return f"an absolute name: {name!r}"
    if not _NO_COMPONENTS.isdisjoint(name.split("/")):
        return f"a name that could leave its folder: {name!r}"
    if not is_canonical(name):
        return f"a name that is another's, written otherwise: {name!r}"
    return None


def first_name_problem(names: Sequence[str]) -> str | None:
    """The problem of the first of ``names`` that has one, or None. All at once: there may be thousands."""
    text = "/" + "/\0/".join(names) + "/"
    plain = text.count("\0") < len(names) and is_canonical(text)
    if plain and not any(wrong in text for wrong in ("//", "/./", "/../")):
        return None
    return next(filter(None, map(name_problem, names)), None)


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A small file in a bundle."""

    name: str
    #: Bytes.
    size: int
    #: The permission bits.
    mode: int
    #: When its bytes were changed last, in nanoseconds since 1970; None: not told.
    mtime: int | None = None


class Hole(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run of slices that are zeros alone, and have no segments."""

    #: How many segments stand before it in the file …
    segments: int
    #: … and how many such slices there are from the file's beginning to its end.
    slices: int


class Manifest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every client must agree on about one file. Validated on arrival."""

    name: str
    #: Bytes in the file; of a declared file, bytes in all its payloads.
    size: int
    #: Bytes in every segment but the last; 0 where the file is declared.
    segment_length: int
    algorithm: Algorithm
    digests: tuple[Digest, ...]
    #: The permission bits of the file, as its owner had them.
    mode: int = 0o644
    #: Of a bundle (see ``bundle``): for each segment the small files in it. Of any other file: nothing.
    members: tuple[tuple[Member, ...], ...] = ()
    #: When its bytes were changed last, in nanoseconds since 1970; None: not told.
    mtime: int | None = None
    #: Of a real file: the slices without a segment, in their order.
    holes: tuple[Hole, ...] = ()
    #: Whether zeros need take no room on a disk, since they took none on the owner's.
    sparse: bool = False

    def __post_init__(self) -> None:
        problem = name_problem(self.name) or self._shape_problem()
        if problem:
            raise RemoteProtocolError(f"a manifest with {problem}")

    def _shape_problem(self) -> str | None:
        if not 0 <= self.mode <= MODES:
            return f"mode {self.mode}"
        if self.holes and (self.members or self.algorithm == "declared"):
            return "holes in what is no file"
        if self.algorithm == "declared":
            size = sum(map(len, self.digests))
            return None if size == self.size else f"{size} bytes of digests for a size of {self.size}"
        if self.size < 0 or not 0 < self.segment_length <= LONGEST_SEGMENT:
            return f"size {self.size} and segment length {self.segment_length}"
        if self.members:
            return self._members_problem()
        expected = -(-self.size // self.segment_length) - (self.holes[-1].slices if self.holes else 0)
        if len(self.digests) != expected:
            return f"{len(self.digests)} digests where {expected} segments are"
        at = slices = -1
        for hole in self.holes:
            if not at < hole.segments <= expected or hole.slices <= max(slices, 0):
                return "holes out of order"
            at, slices = hole.segments, hole.slices
        return None

    def _members_problem(self) -> str | None:
        if len(self.members) != len(self.digests):
            return f"{len(self.digests)} digests where {len(self.members)} segments are"
        members = list(chain.from_iterable(self.members))
        names = [member.name for member in members]
        problem = first_name_problem(names)
        if problem:
            return f"a member with {problem}"
        for member in members:
            if member.size < 0 or not 0 <= member.mode <= MODES:
                return f"a member {member.name!r} of size {member.size}, mode {member.mode}"
        if len(set(names)) < len(names):
            return "two members of one name"
        size = sum(member.size for member in members)
        longest = max(map(self.payload_length, range(len(self.members))))
        if size != self.size or longest > LONGEST_SEGMENT:
            return f"{size} bytes of members for a size of {self.size}, {longest} in one segment"
        return None

    @classmethod
    def declared(cls, name: str, hashes: tuple[str, ...]) -> Manifest:
        """A file of declared segments, one for each hash of its scenario file."""
        digests = tuple(text.encode() for text in hashes)
        return cls(name, sum(map(len, digests)), 0, "declared", digests)

    @property
    def segments(self) -> int:
        """How many segments the file has."""
        return len(self.digests)

    def payload_length(self, index: int) -> int:
        """Bytes in the payload of segment ``index``."""
        if self.algorithm == "declared":
            return len(self.digests[index])
        if self.members:
            return sum(member.size for member in self.members[index])
        return min(self.segment_length, self.size - self.offset(index))

    @property
    def payload_size(self) -> int:
        """Bytes in all payloads: the file's, but for its holes."""
        if not self.holes:
            return self.size
        return sum(map(self.payload_length, (0, len(self.digests) - 1)[: len(self.digests)])) + (
            self.segment_length * max(0, len(self.digests) - 2)
        )

    def offset(self, index: int) -> int:
        """Where in its file segment ``index`` begins, in bytes; not of a bundle."""
        if not self.holes:
            return index * self.segment_length
        before = bisect_right(self.holes, index, key=_segments_before)
        return (index + (self.holes[before - 1].slices if before else 0)) * self.segment_length

    def part_lengths(self, index: int) -> tuple[int, ...]:
        """Bytes in each of the files that segment ``index`` lies in: one, or a bundle's members."""
        if self.members:
            return tuple([member.size for member in self.members[index]])
        return (self.payload_length(index),)

    @property
    def is_solid(self) -> bool:
        """Whether its zeros take room on its owner's disk, and are few enough to be believed."""
        return bool(self.holes) and not self.sparse and self.holes[-1].slices <= MOST_FILLED

    def filled(self) -> Manifest:
        """The same file with segments for its holes too."""
        hash_of, length = segment_hasher(self.algorithm), self.segment_length
        zero, digests, done = hash_of(bytes(length)), list[Digest](), 0
        for at, hole in enumerate(self.holes):
            slices = hole.slices - (self.holes[at - 1].slices if at else 0)
            digests += (*self.digests[done : hole.segments], *[zero] * slices)
            done = hole.segments
        digests += self.digests[done:]
        rest = self.size % length
        if rest and self.holes and done == self.segments:
            digests[-1] = hash_of(bytes(rest))
        return replace(self, digests=tuple(digests), holes=())

    def digest_of(self, index: int, payload: Payload) -> Digest:
        """What ``payload`` hashes to as segment ``index``; that of a bundle is the hash of its members'."""
        hash_of = segment_hasher(self.algorithm)
        if not self.members or len(payload) != self.payload_length(index):
            return hash_of(payload)
        parts = self.parts(index, payload)
        return hash_of(b"".join([hash_of(part) for _, part in parts if part]))

    def verifies(self, index: int, payload: Payload) -> bool:
        """Whether ``payload`` is segment ``index`` of this file."""
        return self.digest_of(index, payload) == self.digests[index]

    def parts(self, index: int, payload: Payload) -> list[tuple[Member, memoryview]]:
        """The members in segment ``index`` of a bundle, each with its bytes."""
        view, start = memoryview(payload), 0
        parts = []
        for member in self.members[index]:
            end = start + member.size
            parts.append((member, view[start:end]))
            start = end
        return parts

    def difference(self, other: Manifest) -> str | None:
        """How the bytes of both differ, in words, or None; two owners may differ in mode and times."""
        if self.segments != other.segments:
            return f"{self.segments} and {other.segments} segments"
        if self.algorithm == other.algorithm == "declared":
            for ours, theirs in zip(self.digests, other.digests, strict=True):
                if ours != theirs:
                    hashes = [repr(self.digest_text(digest)[:40]) for digest in (ours, theirs)]
                    return f"different segments, the first {' and '.join(hashes)}"
            return None
        if self.size != other.size:
            return f"{self.size} and {other.size} bytes"
        same = (self.segment_length, self.algorithm, self.digests, self.holes, self.members) == (
            other.segment_length,
            other.algorithm,
            other.digests,
            other.holes,
            other.members,
        )
        return None if same else "different segments"

    def digest_text(self, digest: Digest) -> str:
        """A digest as people write it: the scenario's own text, or hexadecimal."""
        return digest.decode(errors="replace") if self.algorithm == "declared" else digest.hex()


def _segments_before(hole: Hole) -> int:
    return hole.segments
