"""Waiting without a spinning core: sleeps that grow while nothing happens, and that a bell ends.

From a rank of another host nothing rings, and what MPI moves in steps does not ring at each: there a test
must find it, and the pauses between tests are a part of the quiet time so far. So a wait costs few tests,
however long it is, and ends at most that part too late.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mpi_core.runtime.awake import Awake
from mpi_core.runtime.bell import Bell
from mpi_core.runtime.interrupt import leave_if_asked

#: Seconds between two tests: the first; after that this part of the quiet time so far, up to the longest
#: while there is traffic. A shorter first pause costs tests that find little between hosts (with 50 µs,
#: latency20 took 1.10 × the time on 2 cores). Two ranks that wait for one another each see the other's pause
#: as quiet time: with c seconds of work between, a part q lets their pauses settle at q·c / (1 − q); from
#: q = 1 on they would drive each other up to the longest.
FIRST_PAUSE = 200e-6
QUIET_PART = 0.5
BUSY_PAUSE = 3e-3
#: After so many seconds without a message a pause may be this part of the quiet time, up to so many seconds.
IDLE_AFTER = 0.1
IDLE_PART = 0.04
IDLE_PAUSE = 8e-3
#: Where all that can come rings, the first pause and the longest are these: shorter ones would only take the
#: core from the rank that is waited for. They bound what a lost ring costs.
RUNG_PAUSE = 1e-3
LONGEST_PAUSE = 0.1
#: After so many rings in vain the naps are IDLE_PAUSE long.
MOST_VAIN = 8
#: The longest where ranks wait for one another.
MEETING_PAUSE = 1e-3


class Backoff:
    """A sleep that grows while nothing happens, and ends when the bell rings."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._quiet_since = time.monotonic()
        #: Rings in a row that brought nothing, up to MOST_VAIN.
        self._vain = 0

    def reset(self) -> None:
        """Something has come."""
        self._quiet_since = time.monotonic()
        self._vain = 0

    def sleep(self, now: float, at_most: float, in_steps: bool = False) -> None:
        """Sleep a little, and a little longer the next time. ``in_steps``: what comes may take some tests."""
        if self._vain > 1:
            # One ring is in vain where its message was found before. More may be a stranger's: whoever rings
            # without end costs a test in each IDLE_PAUSE and no more.
            time.sleep(min(FIRST_PAUSE * 2**self._vain, IDLE_PAUSE, at_most))
        quiet, all_ring = now - self._quiet_since, self._bell.all_ring
        rung = all_ring and not in_steps
        if rung:
            longest = LONGEST_PAUSE
        elif quiet > IDLE_AFTER:
            longest = min(IDLE_PART * quiet, LONGEST_PAUSE if all_ring else IDLE_PAUSE)
        else:
            longest = BUSY_PAUSE
        pause = _pause(quiet, longest)
        if rung:
            pause = max(RUNG_PAUSE, pause)
        if self._bell.sleep(min(pause, at_most)):
            self._vain = min(self._vain + 1, MOST_VAIN)
            self._quiet_since = time.monotonic()


def _pause(quiet: float, longest: float) -> float:
    """Seconds until the next test, when nothing has come for ``quiet`` seconds."""
    return max(FIRST_PAUSE, min(QUIET_PART * quiet, longest))


def wait_until(done: Callable[[], bool], timeout: float | None, longest: float = MEETING_PAUSE) -> bool:
    """Test until ``done``; False after ``timeout`` seconds in which this process ran (None: never)."""
    clock = Awake()
    began = clock.now()
    while not done():
        leave_if_asked()
        waited = clock.now() - began
        if timeout is not None and waited > timeout:
            return False
        time.sleep(_pause(waited, longest))
    return True
