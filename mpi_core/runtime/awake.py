"""Time in which this process ran: a job that was suspended has lost none of it.

Who waits for others with a limit counts the time in which it could have heard them. A process that is
stopped hears nobody; when it goes on, the silence of meanwhile is nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: The process did not run where two looks at the clock are further apart than this (seconds). An Awake is
#: asked far more often.
STOPPED = 1.0


class Awake:
    """A clock that stands while this process does not run. For one thread."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._looked = ticks()
        #: Seconds in which the process did not run.
        self._stood = 0.0

    def now(self) -> float:
        """Seconds of ``ticks`` but for those; to be called every STOPPED seconds, at the least."""
        ticks = self._ticks()
        if ticks > self._looked + STOPPED:
            self._stood += ticks - self._looked
        self._looked = ticks
        return ticks - self._stood
