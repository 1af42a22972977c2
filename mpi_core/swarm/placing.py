"""Files that a client owns and wants: put where it wants them, some bytes at a time.

A copy of many gigabytes takes minutes. Meanwhile the client has to answer, and to tell the tracker that it
lives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from mpi_core.protocol import events as ev
from mpi_core.swarm.machine import Effects, Emit
from mpi_core.swarm.store import SegmentStore

#: Bytes that are copied between two messages, about.
AT_ONCE = 8 * 1024 * 1024


class Placing:
    """The owned files of one client that are yet to be put in place."""

    def __init__(self, store: SegmentStore) -> None:
        self._store = store
        self._names: deque[str] = deque()
        #: The copy of the first of them, if it has begun.
        self._steps: Iterator[int] | None = None
        #: When to go on; None: all are in place.
        self.wake_at: float | None = None

    def add(self, names: Iterable[str]) -> None:
        """Files that the store owns."""
        self._names.extend(names)

    def go_on(self, now: float, effects: Effects) -> None:
        """Copy for as long as AT_ONCE lasts. Raises OutputError; ``effects`` tell even then of the files that
        are whole now."""
        left = AT_ONCE
        while self._names and left > 0:
            if self._steps is None:
                self._steps = self._store.place(self._names[0])
            step = next(self._steps, None)
            if step is None:
                self._steps = None
                effects.append(Emit(ev.FileCompleted(self._names.popleft())))
            else:
                left -= step
        self.wake_at = now if self._names else None
