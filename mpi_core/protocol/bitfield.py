"""An immutable set of segments.

A bitfield is a length and one Python integer, bit *i* for segment *i*: union, difference and count
run at the speed of C, and a published value can be read by another thread without a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mpi_core.protocol.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True)
class Bitfield:
    """Which of ``length`` segments are there."""

    length: int
    #: No bit at or above ``length`` is ever set.
    bits: int = 0

    @classmethod
    def full(cls, length: int) -> Bitfield:
        """All of ``length`` segments."""
        return cls(length, (1 << length) - 1)

    @classmethod
    def of(cls, length: int, indices: Iterable[int]) -> Bitfield:
        """The segments named by ``indices``, each in 0…length−1."""
        packed = bytearray((length + 7) // 8)
        for index in indices:
            if not 0 <= index < length:
                raise ValueError(f"segment {index} is not in 0…{length - 1}")
            packed[index >> 3] |= 1 << (index & 7)
        return cls(length, int.from_bytes(packed, "little"))

    @classmethod
    def from_bytes(cls, length: int, packed: bytes) -> Bitfield:
        """The inverse of :meth:`to_bytes`; raises RemoteProtocolError when the bytes do not fit."""
        if length < 0 or len(packed) != (length + 7) // 8:
            raise RemoteProtocolError(f"a bitfield of {length} segments in {len(packed)} bytes")
        bits = int.from_bytes(packed, "little")
        if bits >> length:
            raise RemoteProtocolError(f"a bitfield of {length} segments has bits above them")
        return cls(length, bits)

    def to_bytes(self) -> bytes:
        """⌈length / 8⌉ bytes, segment 0 in the lowest bit of the first."""
        return self.bits.to_bytes((self.length + 7) // 8, "little")

    def has(self, index: int) -> bool:
        return bool(self.bits >> index & 1)

    def plus(self, index: int) -> Bitfield:
        """With segment ``index`` as well; raises ValueError outside 0…length−1."""
        if not 0 <= index < self.length:
            raise ValueError(f"segment {index} is not in 0…{self.length - 1}")
        return Bitfield(self.length, self.bits | 1 << index)

    def union(self, other: Bitfield) -> Bitfield:
        return Bitfield(self.length, self.bits | other.bits)

    def minus(self, other: Bitfield) -> Bitfield:
        return Bitfield(self.length, self.bits & ~other.bits)

    @property
    def is_full(self) -> bool:
        return self.bits == (1 << self.length) - 1

    def __len__(self) -> int:
        """How many segments are there."""
        return self.bits.bit_count()

    def __bool__(self) -> bool:
        return self.bits != 0

    def __iter__(self) -> Iterator[int]:
        """The segments that are there, ascending."""
        text = bin(self.bits)[:1:-1]
        at = text.find("1")
        while at >= 0:
            yield at
            at = text.find("1", at + 1)

    def __str__(self) -> str:
        return "".join("x" if self.has(index) else "." for index in range(self.length))
