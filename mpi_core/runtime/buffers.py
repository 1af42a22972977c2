"""Memory for payloads, used again and again."""

from __future__ import annotations


class Buffers:
    """Spare buffers, of powers of two, so that files of many sizes share a few."""

    def __init__(self) -> None:
        self._spare: dict[int, list[bytearray]] = {}

    def take(self, length: int) -> bytearray:
        """One of at least so many bytes."""
        capacity = 1 << max(length - 1, 0).bit_length()
        spare = self._spare.get(capacity)
        return spare.pop() if spare else bytearray(capacity)

    def give(self, buffer: bytearray) -> None:
        """It may be taken again."""
        self._spare.setdefault(len(buffer), []).append(buffer)
