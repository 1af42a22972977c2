"""What is to happen, the earliest first; at one time in the order in which it was put down.

Deadlines come after everything else of their time: a message that arrives just then counts as in time.

A crowd has tens of thousands of calls ahead. Time is cut into slices, and only the calls of the present one
are in a heap, which is small and stays in the processor's cache. The others wait in the list of their slice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sized
from itertools import count
from typing import Any

#: Seconds in a slice.
SLICE = 1e-4

#: Added to the places of deadlines, so that they come last among equals.
_LATE = 1 << 60

Act = Callable[..., None]
Call = tuple[float, int, Act, tuple[Any, ...]]


class Agenda:
    """Calls ahead. Each is made with its time and the arguments it was put down with."""

    def __init__(self) -> None:
        #: The calls of the present slice, and of those before it, as a heap.
        self._present: list[Call] = []
        self._slice = 0
        #: Those of later slices, by slice; and these slices as a heap.
        self._later: dict[int, list[Call]] = {}
        self._slices: list[int] = []
        self._order = count()
        #: Calls made so far, and the time of the last.
        self.done = 0
        self.now = 0.0

    def put(self, at: float, act: Act, *arguments: Any) -> None:
        self._put((at, next(self._order), act, arguments))

    def put_late(self, at: float, act: Act, *arguments: Any) -> None:
        """Put down a deadline."""
        self._put((at, _LATE + next(self._order), act, arguments))

    def _put(self, call: Call) -> None:
        slice_ = int(call[0] / SLICE)
        if slice_ <= self._slice:
            heapq.heappush(self._present, call)
        elif slice_ in self._later:
            self._later[slice_].append(call)
        else:
            self._later[slice_] = [call]
            heapq.heappush(self._slices, slice_)

    def _turn_to_next(self) -> bool:
        """Make the next slice that holds calls the present one; whether there is one."""
        if not self._slices:
            return False
        self._slice = heapq.heappop(self._slices)
        self._present = self._later.pop(self._slice)
        heapq.heapify(self._present)
        return True

    @property
    def next_at(self) -> float:
        """The time of the next call; infinity where there is none."""
        return self._present[0][0] if self._present or self._turn_to_next() else float("inf")

    def step(self) -> float:
        """Make the next call; its time. There must be one."""
        at = self.next_at
        _, _, act, arguments = heapq.heappop(self._present)
        self.done += 1
        self.now = at
        act(at, *arguments)
        return at

    def run(self, awaited: Sized, until: float = float("inf")) -> None:
        """Make one call after the other up to that time, for as long as anything is awaited."""
        pop = heapq.heappop
        while awaited and (self._present or self._turn_to_next()) and self._present[0][0] <= until:
            at, _, act, arguments = pop(self._present)
            self.done += 1
            self.now = at
            act(at, *arguments)
