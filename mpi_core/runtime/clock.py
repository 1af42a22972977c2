"""The run's time: seconds since this rank's clock was started, which all ranks do after one barrier."""

from __future__ import annotations

import time


class Clock:
    """Monotonic wall time, from 0 at ``start``."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._zero = time.monotonic()

    def now(self) -> float:
        return time.monotonic() - self._zero
