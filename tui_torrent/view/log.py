"""The newest events, each at its number: what the log screen reads.

The store is bounded. A replay has all events elsewhere: it sets ``earlier``, and the log reads there what
it does not hold itself. Packed into a keyframe, a log is its count alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mpi_core.protocol.events import Stamped

#: How many events a log holds.
LENGTH = 50_000


class Log:
    """The newest ``length`` events, from number ``first`` up to ``total``."""

    def __init__(self, length: int = LENGTH) -> None:
        self.length = length
        #: Events ever added: the number of the next one.
        self.total = 0
        #: The events up to ``total``, in a ring: number *i* is at ``(i - base) % length``.
        self._ring: list[Stamped] = []
        self._base = 0
        #: Reads the events from one number up to another, where this log does not hold them.
        self.earlier: Callable[[int, int], Iterable[Stamped]] | None = None

    def add(self, stamped: Stamped) -> None:
        if len(self._ring) < self.length:
            self._ring.append(stamped)
        else:
            self._ring[(self.total - self._base) % self.length] = stamped
        self.total += 1

    @property
    def first(self) -> int:
        """The oldest number that can be read."""
        return max(0, self.total - (self.length if self.earlier is not None else len(self._ring)))

    def read(self, start: int, stop: int) -> list[Stamped]:
        """The events numbered ``start`` up to ``stop``; both within what can be read."""
        held = self.total - len(self._ring)
        found: list[Stamped] = []
        if start < held and self.earlier is not None:
            found += self.earlier(start, min(stop, held))
        ring, base, length = self._ring, self._base, self.length
        return found + [ring[(number - base) % length] for number in range(max(start, held), stop)]

    def __getstate__(self) -> tuple[int, int]:
        return self.length, self.total

    def __setstate__(self, state: tuple[int, int]) -> None:
        self.__init__(state[0])  # type: ignore[misc]
        self.total = self._base = state[1]
