"""What ends this process when a wait does not: MPI's start and end wait for all ranks, dead or not.

Time in which the process did not run does not count. MPI is started and ended in a way that lets the
watchdog's thread run (see ``runtime.mpi.library``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from mpi_core.runtime.awake import Awake

#: Seconds between two looks at the clock.
_LOOK = 0.25

#: Set to call the watchdog off, if there is one.
_off: list[threading.Event] = []


def end_in(seconds: float, code: int, say: Callable[[], None] = lambda: None) -> None:
    """End this process with that exit code then, after ``say``, unless that is called off. There is one
    watchdog: it takes the earlier one's place. Nothing is flushed."""
    call_off()
    off, clock = threading.Event(), Awake()
    until = clock.now() + seconds

    def watch() -> None:
        while clock.now() < until:
            if off.wait(min(_LOOK, max(0.0, until - clock.now()))):
                return
        say()
        os._exit(code)

    _off.append(off)
    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def call_off() -> None:
    """Let this process live on."""
    while _off:
        _off.pop().set()
