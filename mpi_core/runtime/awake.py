"""Time in which this process ran: a job that was suspended has lost none of it.

Who waits for others with a limit counts the time in which it could have heard them. A process that is
stopped hears nobody; when it goes on, the silence of meanwhile is nobody's.

A thread that is slow looks as if the process had been stopped. So threads that tell one another of times
share one Awake: it runs on as long as any of them looks at it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: The process did not run where two looks at the clock are further apart than this (seconds). An Awake is
#: asked far more often.
STOPPED = 1.0


class Awake:
    """A clock that stands while this process does not run. Any thread may look at it."""

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._looked = ticks()
        #: Seconds in which the process did not run.
        self._stood = 0.0
        #: Held while a thread looks: two could else count one gap twice, or one undo the other's look.
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds of ``ticks`` but for those; some thread calls it every STOPPED seconds, at the least."""
        with self._lock:
            ticks = self._ticks()
            if ticks > self._looked + STOPPED:
                self._stood += ticks - self._looked
            self._looked = ticks
            return ticks - self._stood
