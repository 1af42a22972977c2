"""Time in which a process did not run counts for nobody, and what ends a process ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
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


def test_it_runs_on_while_any_thread_looks() -> None:
    ticks = Ticks()
    awake = Awake(ticks)
    began = seen = awake.now()
    for step in range(12):
        ticks.t += STOPPED / 2
        now = awake.now()
        if step % 3 == 2:
            # A thread whose steps take longer than STOPPED.
            seen = awake.now()
            assert seen == now
    assert seen == began + 6 * STOPPED


class HeldUp(Ticks):
    """Ticks that another thread reads, and then does not come to itself for a while."""

    read = False

    def __call__(self) -> float:
        t = self.t
        if threading.current_thread() is not threading.main_thread():
            self.read = True
            time.sleep(0.2)
        return t


def test_a_thread_that_is_held_up_while_it_looks_undoes_no_look_of_another() -> None:
    ticks = HeldUp()
    awake = Awake(ticks)
    began = awake.now()
    thread = threading.Thread(target=awake.now)
    thread.start()
    while not ticks.read:
        time.sleep(0.001)
    ticks.t += STOPPED * 0.6
    awake.now()
    thread.join()
    ticks.t += STOPPED * 0.6
    assert awake.now() == pytest.approx(began + STOPPED * 1.2)


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
import ctypes, signal
from mpi_core.runtime import watchdog
watchdog.end_in(30, 9)
watchdog.call_off()
watchdog.end_in(2, 7, lambda: print("not all were there", flush=True))
print("begun", flush=True)
ctypes.CDLL(None).sleep(60)  # as MPI does
"""


def test_the_watchdog_ends_a_process_in_the_time_that_it_ran() -> None:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as watched:
        assert watched.stdout is not None
        assert watched.stdout.readline() == "begun\n"
        watched.send_signal(signal.SIGSTOP)
        time.sleep(4)
        watched.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        assert watched.poll() is None
        assert watched.wait(20) == 7
        assert watched.stdout.read() == "not all were there\n"
    assert time.monotonic() - began > 5.5
