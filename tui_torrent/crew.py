"""The threads of one rank: a driver in each, and the rank's events sent off while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from mpi_core.protocol.codec import encode_batch
from mpi_core.runtime.driver import Driver
from mpi_core.runtime.interrupt import leave_if_asked
from mpi_core.runtime.reporter import BATCH_INTERVAL, Reporter

#: Seconds that an interrupted rank waits for each of its threads, which may still write.
STOPPING = 1.0


class Crew:
    """Drivers, each in a thread of its own from ``with`` on; whoever leaves that early abandons them.

    ``when_failed`` is called in the thread of one that failed.
    """

    def __init__(
        self, drivers: Mapping[str, Driver], when_failed: Callable[[Driver], None] = lambda driver: None
    ) -> None:
        self._when_failed = when_failed
        self._drivers = list(drivers.values())
        self._running = len(drivers)
        self._lock = threading.Lock()
        #: Set when the last of them has ended.
        self.ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(driver,), name=name, daemon=True)
            for name, driver in drivers.items()
        ]

    def __enter__(self) -> Crew:
        if not self._threads:
            self.ended.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()
        for thread in self._threads:
            thread.join(STOPPING)

    def abandon(self) -> None:
        """Let every thread end soon, wherever its machine is."""
        for driver in self._drivers:
            driver.abandon()

    def _run(self, driver: Driver) -> None:
        try:
            driver.run()
            if driver.failure is not None:
                self._when_failed(driver)
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.ended.set()

    @property
    def exit_code(self) -> int:
        """That of the rank: 0 unless a driver failed."""
        return max((driver.exit_code for driver in self._drivers), default=0)

    def report(self, reporter: Reporter, tell: Callable[[bytes], None]) -> None:
        """Send the rank's events to the observer until all threads have ended, and then the last."""
        while not self.ended.wait(BATCH_INTERVAL):
            leave_if_asked()
            reporter.drain(lambda batch: tell(encode_batch(batch)))
        reporter.drain(lambda batch: tell(encode_batch(batch)))
        tell(b"")
