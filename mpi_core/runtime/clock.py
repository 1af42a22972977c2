"""The run's time: seconds since its start, which is one moment for all ranks."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Monotonic wall time, from 0 at the run's start."""

    def __init__(self) -> None:
        self.start(time.monotonic())

    def start(self, at: float) -> None:
        """The run began at that time of ``time.monotonic``."""
        self._zero = at

    def now(self) -> float:
        return time.monotonic() - self._zero


class ReplayClock:
    """The time of a replay: it stands or runs at some speed, can be set, and never leaves 0…``end``.

    ``ticks`` is what tells the seconds that pass meanwhile.
    """

    def __init__(self, end: float, speed: float = 1.0, ticks: Callable[[], float] = time.monotonic) -> None:
        self.end = end
        self._ticks = ticks
        self._speed = speed
        self._running = False
        #: The time at which the clock was last started, stopped or set, and the ticks then.
        self._from = (0.0, ticks())

    def now(self) -> float:
        at, ticks = self._from
        if self._running:
            at += (self._ticks() - ticks) * self._speed
        return min(at, self.end)

    @property
    def running(self) -> bool:
        return self._running

    @property
    def speed(self) -> float:
        """Seconds of the replay in one second, above 0."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self.set(self.now())
        self._speed = speed

    def run(self) -> None:
        self.set(self.now())
        self._running = True

    def stop(self) -> None:
        self.set(self.now())
        self._running = False

    def set(self, t: float) -> None:
        """Go to the time ``t``, or as near as there is."""
        self._from = (max(0.0, min(t, self.end)), self._ticks())
