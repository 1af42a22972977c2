"""Time in which a process did not run counts for nobody, and what ends a process ends it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mpi_core.protocol import messages as msg
from mpi_core.protocol.units import Rank
from mpi_core.runtime.awake import STOPPED, Awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.driver import Driver
from mpi_core.runtime.transport import Delivery
from mpi_core.swarm.machine import Effects, Halt
from tests.helpers.mpirun import REPOSITORY
from tests.helpers.runs import Ticks


def test_it_stands_while_nobody_can_look() -> None:
    ticks = Ticks()
    awake = Awake(ticks)
    began = awake.now()
    for _ in range(10):
        ticks.t += STOPPED / 2
        awake.now()
    assert awake.now() == began + 5 * STOPPED
    ticks.t += 120
    assert awake.now() == began + 5 * STOPPED
    ticks.t += STOPPED / 2
    assert awake.now() == began + 5.5 * STOPPED


class Suspended:
    """An endpoint whose process is stopped for two minutes while it waits."""

    def __init__(self, clock: SetClock) -> None:
        self._clock = clock

    def send(self, to: Rank, message: msg.Stimulus) -> None:
        pass

    def receive(self, timeout: float) -> Delivery | None:
        self._clock.t += 120 if 5 < self._clock.t < 6 else timeout
        return None


class SetClock(Clock):
    t = 0.0

    def now(self) -> float:
        return self.t


class Patient:
    """A machine that halts ten seconds after its start."""

    wake_at: float | None = 10.0

    def start(self, now: float) -> Effects:
        return []

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        return []

    def wake(self, now: float) -> Effects:
        return [Halt()] if now >= 10.0 else []  # type: ignore[list-item]


def test_a_machine_loses_no_patience_while_its_process_is_stopped() -> None:
    clock = SetClock()
    Driver(Rank(1), Patient(), Suspended(clock), clock, lambda *told: None).run()
    assert 129.5 < clock.t < 131


WATCHED = """
import ctypes, sys
from mpi_core.runtime import watchdog
watchdog.end_in(30, 9)
watchdog.call_off()
watchdog.end_in(1.5, 7, "rank 0: not all (of 3) were there; end")
ctypes.PyDLL(None).sleep(20)  # and holds the interpreter
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's timers")
def test_a_call_that_never_returns_and_holds_the_interpreter_ends_with_the_chosen_code() -> None:
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=REPOSITORY, capture_output=True, text=True, timeout=15
    )
    assert (run.returncode, run.stdout) == (7, "")
    assert run.stderr == "tui_torrent: rank 0: not all (of 3) were there; end\n"
    assert time.monotonic() - began < 10
