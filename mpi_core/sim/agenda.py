"""What is to happen, the earliest first; at one time in the order in which it was put down.

Deadlines come after everything else of their time: a message that arrives just then counts as in time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sized
from itertools import count
from typing import Any

#: Added to the places of deadlines, so that they come last among equals.
_LATE = 1 << 60

Act = Callable[..., None]


class Agenda:
    """A heap of calls. Each is made with its time and the arguments it was put down with."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._order = count()
        #: Calls made so far, and the time of the last.
        self.done = 0
        self.now = 0.0

    def put(self, at: float, act: Act, *arguments: Any) -> None:
        heapq.heappush(self._heap, (at, next(self._order), act, arguments))

    def put_late(self, at: float, act: Act, *arguments: Any) -> None:
        """Put down a deadline."""
        heapq.heappush(self._heap, (at, _LATE + next(self._order), act, arguments))

    @property
    def next_at(self) -> float:
        """The time of the next call; infinity where there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def step(self) -> float:
        """Make the next call; its time."""
        at, _, act, arguments = heapq.heappop(self._heap)
        self.done += 1
        self.now = at
        act(at, *arguments)
        return at

    def run(self, awaited: Sized, until: float = float("inf")) -> None:
        """Make one call after the other up to that time, for as long as anything is awaited."""
        heap, pop = self._heap, heapq.heappop
        while awaited and heap and heap[0][0] <= until:
            at, _, act, arguments = pop(heap)
            self.done += 1
            self.now = at
            act(at, *arguments)
