"""Memory for payloads, used again and again."""

from __future__ import annotations

from mmap import PAGESIZE, mmap

Buffer = bytearray | mmap


class Buffers:
    """Spare buffers, of powers of two, so that files of many sizes share a few."""

    def __init__(self) -> None:
        self._spare: dict[int, list[Buffer]] = {}

    def take(self, length: int) -> Buffer:
        """One of at least so many bytes."""
        capacity = 1 << max(length - 1, 0).bit_length()
        spare = self._spare.get(capacity)
        if spare:
            return spare.pop()
        # Mapped memory is none until it is written to, and begins with a page: processors copy to where a
        # bytearray begins, a few bytes behind one, far slower.
        return mmap(-1, capacity) if capacity >= PAGESIZE else bytearray(capacity)

    def give(self, buffer: Buffer) -> None:
        """It may be taken again."""
        self._spare.setdefault(len(buffer), []).append(buffer)
