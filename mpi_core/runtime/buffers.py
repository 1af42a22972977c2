"""Memory for payloads."""

from __future__ import annotations

import mmap

Buffer = bytearray | mmap.mmap


def paged(length: int) -> mmap.mmap:
    """Memory of so many bytes, at least one, that begins with a page and is none until it is written to.

    A bytearray begins 16 bytes behind a page; some processors copy to there four times slower.
    """
    return mmap.mmap(-1, max(length, 1))


class Buffers:
    """Buffers that are used again and again, of powers of two, so that files of many sizes share a few."""

    def __init__(self) -> None:
        self._spare: dict[int, list[Buffer]] = {}

    def take(self, length: int) -> Buffer:
        """One of at least so many bytes."""
        capacity = 1 << max(length - 1, 0).bit_length()
        spare = self._spare.get(capacity)
        if spare:
            return spare.pop()
        return paged(capacity) if capacity >= mmap.PAGESIZE else bytearray(capacity)

    def give(self, buffer: Buffer) -> None:
        """It may be taken again."""
        self._spare.setdefault(len(buffer), []).append(buffer)
