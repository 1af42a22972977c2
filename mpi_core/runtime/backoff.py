"""Waiting without a spinning core: sleeps that grow while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from mpi_core.runtime.launcher import leave_if_orphaned

#: Seconds between two tests: the first; after that this part of the quiet time so far, up to the longest
#: while there is traffic. So a wait of any length costs a few tests. Two ranks that wait for one another each
#: see the other's pause as quiet time: with c seconds of work between, a part q lets their pauses settle at
#: q·c / (1 − q); from q = 1 on they would drive each other up to the longest.
FIRST_PAUSE = 50e-6
QUIET_PART = 0.5
BUSY_PAUSE = 3e-3
#: After so many seconds without a message a pause may be this part of the quiet time, up to so many seconds.
IDLE_AFTER = 0.1
IDLE_PART = 0.04
IDLE_PAUSE = 8e-3
#: The longest where ranks wait for one another.
MEETING_PAUSE = 1e-3


class Backoff:
    """A sleep that grows while nothing happens."""

    def __init__(self) -> None:
        self._quiet_since = time.monotonic()

    def reset(self) -> None:
        self._quiet_since = time.monotonic()

    def sleep(self, now: float, at_most: float) -> None:
        """Sleep a little, and a little longer the next time."""
        quiet = now - self._quiet_since
        longest = min(IDLE_PART * quiet, IDLE_PAUSE) if quiet > IDLE_AFTER else BUSY_PAUSE
        time.sleep(min(_pause(quiet, longest), at_most))


def _pause(quiet: float, longest: float) -> float:
    """Seconds until the next test, when nothing has come for ``quiet`` seconds."""
    return max(FIRST_PAUSE, min(QUIET_PART * quiet, longest))


def wait_until(done: Callable[[], bool], timeout: float | None, longest: float = MEETING_PAUSE) -> bool:
    """Test until ``done``; False after ``timeout`` seconds (None: never)."""
    began = time.monotonic()
    while not done():
        leave_if_orphaned()
        waited = time.monotonic() - began
        if timeout is not None and waited > timeout:
            return False
        time.sleep(_pause(waited, longest))
    return True
