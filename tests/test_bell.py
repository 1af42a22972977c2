"""Bells: a ring ends a sleep, none is lost, and nobody who rings in vain keeps a core busy."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from mpi_core.protocol.units import Rank
from mpi_core.runtime import bell as bell_module
from mpi_core.runtime.backoff import FIRST_PAUSE, IDLE_PAUSE, MOST_VAIN, RUNG_PAUSE, Backoff
from mpi_core.runtime.bell import MUTE, Bell, Bells
from tests.helpers.generated import one_seed, wrong_outputs
from tests.helpers.mpirun import needs_mpirun, started

linux = pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="needs Linux's abstract sockets")
#: Seconds: far longer than any test takes, and what is surely noticed as a sleep.
LONG, NOTICED = 20.0, 0.02


@pytest.fixture
def two() -> Iterator[tuple[Bells, Bells]]:
    """The bells of two ranks of one host."""
    both = Bells(Rank(0)), Bells(Rank(1))
    names = [bells.name for bells in both]
    both[0].know(names, {Rank(1)})
    both[1].know(names, {Rank(0)})
    yield both
    for bells in both:
        bells.close()


def seconds(bell: Bell, at_most: float) -> tuple[bool, float]:
    """Whether it rang, and how long its sleep was."""
    began = time.monotonic()
    return bell.sleep(at_most), time.monotonic() - began


@linux
def test_a_ring_ends_the_sleep_of_its_port_alone(two: tuple[Bells, Bells]) -> None:
    uploader, downloader = two[1].bell("uploader"), two[1].bell("downloader")
    assert uploader.all_ring
    timer = threading.Timer(NOTICED, two[0].ring, (Rank(1), "uploader"))
    timer.start()
    rang, slept = seconds(uploader, LONG)
    timer.join()
    assert rang
    assert NOTICED / 2 < slept < LONG / 2
    assert not downloader.sleep(0.0)


@linux
def test_a_ring_before_the_sleep_is_not_lost_and_many_are_one(two: tuple[Bells, Bells]) -> None:
    bell = two[1].bell("uploader")
    for _ in range(1000):  # More than a socket holds.
        two[0].ring(Rank(1), "uploader")
    rang, slept = seconds(bell, LONG)
    assert rang
    assert slept < LONG / 2
    assert not bell.sleep(0.0)


@linux
def test_a_rank_rings_its_own_threads(two: tuple[Bells, Bells]) -> None:
    bell = two[0].bell("uploader")
    two[0].ring(Rank(0), "uploader")
    assert bell.sleep(LONG)


def test_where_nobody_listens_a_ring_is_dropped(two: tuple[Bells, Bells]) -> None:
    two[0].ring(Rank(1), "uploader")
    two[0].ring(Rank(7), "uploader")
    bell = two[1].bell("uploader")
    bell.close()
    two[0].ring(Rank(1), "uploader")
    assert not bell.sleep(0.0)
    assert not bell.all_ring


@linux
def test_not_all_ring_where_one_is_on_another_host_or_has_no_socket() -> None:
    mine, other = Bells(Rank(0)), os.urandom(len(MUTE))
    for names, beside in (([mine.name, other, other], {Rank(1)}), ([mine.name, MUTE], {Rank(1)})):
        mine.know(names, beside)
        assert not mine.bell("tracker").all_ring
        mine.close()
        mine = Bells(Rank(0))
    mine.close()


@pytest.mark.parametrize("refused", ["none", "high"])
def test_where_there_are_no_sockets_it_sleeps_as_long_as_it_was_meant_to(
    monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(24, "Too many open files")

    if refused == "none":
        monkeypatch.setattr(socket, "socket", refuse)
    else:
        monkeypatch.setattr(bell_module, "SELECTABLE", 0)
    bells = Bells(Rank(0))
    assert bells.name == MUTE
    bells.know([bells.name], ())
    bell = bells.bell("tracker")
    bells.ring(Rank(0), "tracker")
    rang, slept = seconds(bell, NOTICED)
    assert (rang, bell.all_ring) == (False, False)
    assert slept >= NOTICED
    bells.close()


@linux
def test_whoever_rings_in_vain_without_end_costs_few_tests(two: tuple[Bells, Bells]) -> None:
    backoff, stop = Backoff(two[1].bell("uploader")), threading.Event()

    def ring() -> None:
        while not stop.wait(FIRST_PAUSE):
            two[0].ring(Rank(1), "uploader")

    stranger = threading.Thread(target=ring)
    stranger.start()
    began, tests = time.monotonic(), 0
    while (now := time.monotonic()) < began + 0.5:
        backoff.sleep(now, LONG)
        tests += 1
    took = time.monotonic() - began
    stop.set()
    stranger.join()
    assert tests <= took / IDLE_PAUSE + MOST_VAIN + 1


@linux
def test_one_ring_in_vain_delays_nothing(two: tuple[Bells, Bells], monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    backoff = Backoff(two[1].bell("uploader"))
    for _ in range(5):
        two[0].ring(Rank(1), "uploader")
        backoff.sleep(time.monotonic(), LONG)
        backoff.sleep(time.monotonic(), RUNG_PAUSE)
        backoff.reset()
    assert naps == []


@linux
def test_whoever_is_rung_looks_seldom(two: tuple[Bells, Bells], monkeypatch: pytest.MonkeyPatch) -> None:
    bell, pauses = two[1].bell("uploader"), [0.0]
    monkeypatch.setattr(bell, "sleep", pauses.append)
    backoff, began = Backoff(bell), time.monotonic()
    while sum(pauses) < 2.0:
        backoff.sleep(began + sum(pauses), LONG)
    assert len(pauses) < 50
    # What moves in steps is looked for at once, and nothing is found more than a part of its time too late.
    backoff.reset()
    backoff.sleep(time.monotonic(), LONG, in_steps=True)
    assert pauses[-1] < RUNG_PAUSE


# Over MPI ---------------------------------------------------------------------------------------------

#: A run in which each rank counts, for each thread, what ended the sleeps after which something was there.
COUNTING = """
import sys, threading
from collections import Counter
from mpi_core.runtime.bell import Bell
from mpi_core.runtime.mpi import MpiEndpoint
from tui_torrent import launch
ended, found = threading.local(), Counter()
sleep, receive, run = Bell.sleep, MpiEndpoint.receive, launch._run
def counted_sleep(self, seconds):
    ended.by = "ring" if sleep(self, seconds) else "time"
    return ended.by == "ring"
def counted_receive(self, timeout):
    ended.by = "nothing"
    delivery = receive(self, timeout)
    if delivery is not None:
        found[ended.by] += 1
    return delivery
def counted_run(*given):
    code = run(*given)
    told = " ".join(str(found[by]) for by in ("nothing", "ring", "time"))
    # In one piece: lines of several ranks go to one terminal.
    sys.stdout.write(f"rank {given[0].rank} {told}\\n")
    sys.stdout.flush()
    return code
Bell.sleep, MpiEndpoint.receive, launch._run = counted_sleep, counted_receive, counted_run
from tui_torrent.cli import main
sys.exit(main())
"""


@linux
@needs_mpirun
@pytest.mark.mpirun
@pytest.mark.timeout(90)
def test_what_is_waited_for_is_found_by_a_ring(tmp_path: Path) -> None:
    # One request in flight: each of the two clients waits for the other, 1,000 times.
    segments = 1000
    scenario = one_seed(Random(1), downloaders=1, segments=segments)
    program = tmp_path / "counting.py"
    program.write_text(COUNTING)
    arguments = scenario.write(tmp_path / "in"), "--window", "1", "--out", tmp_path / "out"
    with started(3, *arguments, program=(str(program),)) as job:
        run = job.wait(60.0)
    assert run.code == 0, run
    assert not wrong_outputs(tmp_path / "out", scenario.outputs)
    lines = [line.split()[1:] for line in run.stdout.splitlines() if line.startswith("rank ")]
    counts = {int(rank): [int(count) for count in rest] for rank, *rest in lines}
    print(counts)
    for client in (1, 2):
        at_once, by_ring, by_time = counts[client]
        assert at_once + by_ring + by_time >= segments
        assert by_ring >= segments / 4
        assert by_time <= by_ring / 4
