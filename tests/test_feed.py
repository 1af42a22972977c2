"""The run is over when all have said so; patience with those who have not begins when the run ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import encode_batch
from mpi_core.protocol.messages import Tag
from mpi_core.protocol.units import Rank
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.reporter import Reporter
from tests.helpers.mpirun import needs_mpirun, needs_proc, started
from tui_torrent.feed import LAST_WORDS, LAST_WORDS_OF_THE_LOST, Feed
from tui_torrent.view.report import exit_code

TRACKER, FIRST, SECOND, MONITOR = (Rank(rank) for rank in range(4))
HEADER = ev.RunStarted(ev.JOURNAL_VERSION, 2, "test", "swarm", 0, 10, 8)
AGES = 1000.0


class SetClock(Clock):
    t = 0.0

    def now(self) -> float:
        return self.t


class Listening:
    """A feed, on the tracker's rank or on the monitor's, and what comes to it."""

    def __init__(self, monitored: bool) -> None:
        self.clock = SetClock()
        self.own = MONITOR if monitored else TRACKER
        others = [FIRST, SECOND, *([TRACKER] if monitored else [])]
        reporter = Reporter(self.own, self.clock)
        self.feed = Feed(self.clock, reporter, others, HEADER, own_speaks=not monitored)

    def hears(self, rank: Rank, *events: ev.Event) -> None:
        batch = [ev.Stamped(self.clock.t, rank, seq, event) for seq, event in enumerate(events)]  # type: ignore[arg-type]
        self.feed.deliver(rank, Tag.STATUS, bytearray(encode_batch(batch) if batch else b""))
        self.feed.poll()

    def over_after(self, seconds: float) -> bool:
        """Whether the run is over after so long a silence."""
        end = self.clock.t + seconds
        while self.clock.t < end - 0.5:
            self.clock.t += 0.5
            self.feed.poll()
        return self.over_when_it_goes_on_after(end - self.clock.t)

    def over_when_it_goes_on_after(self, seconds: float) -> bool:
        """Whether the run is over when this rank was stopped for so long."""
        self.clock.t += seconds
        self.feed.poll()
        return self.feed.over


@pytest.mark.parametrize("monitored", [False, True])
def test_a_run_of_which_nobody_has_ended_may_be_silent_for_any_time(monitored: bool) -> None:
    run = Listening(monitored)
    assert not run.over_after(AGES)
    run.hears(FIRST, ev.RankPlaced("host"))
    assert not run.over_after(AGES)


def test_while_this_rank_is_stopped_nobody_is_silent() -> None:
    run = Listening(monitored=True)
    run.hears(TRACKER)
    run.hears(FIRST)
    assert not run.over_when_it_goes_on_after(AGES)
    assert not run.over_after(LAST_WORDS - 0.5)
    run.hears(SECOND)
    assert run.feed.over


def test_a_rank_that_is_lost_is_not_waited_for_long() -> None:
    run = Listening(monitored=True)
    run.feed.lost = {SECOND}
    run.hears(TRACKER)
    run.hears(FIRST)
    assert not run.over_after(LAST_WORDS_OF_THE_LOST)
    assert run.over_after(0.1)


def test_where_the_tracker_is_lost_the_run_has_failed() -> None:
    run = Listening(monitored=True)
    run.feed.lost = {TRACKER}
    run.hears(FIRST)
    run.hears(SECOND)
    assert run.over_after(LAST_WORDS_OF_THE_LOST + 0.1)
    assert run.feed.report is not None
    assert (run.feed.report.outcome, exit_code(run.feed.report)) == ("failed", 3)


@pytest.mark.parametrize("monitored", [False, True])
def test_it_is_over_when_all_have_ended(monitored: bool) -> None:
    run = Listening(monitored)
    for rank in (FIRST, SECOND):
        run.hears(rank)
        assert not run.over_after(1.0)
    if monitored:
        run.hears(TRACKER)
    else:
        run.feed.end_own()
    assert run.over_after(0.0)


def test_once_some_have_ended_the_others_are_waited_for_so_long() -> None:
    run = Listening(monitored=True)
    assert not run.over_after(AGES)
    run.hears(TRACKER)
    run.hears(FIRST)
    assert not run.over_after(LAST_WORDS)
    assert run.over_after(0.1)


def test_when_the_tracker_has_ended_on_this_rank_too() -> None:
    run = Listening(monitored=False)
    run.hears(FIRST)
    assert not run.over_after(AGES)
    run.hears(SECOND, ev.RankPlaced("host"))
    run.feed.end_own()
    assert not run.over_after(LAST_WORDS)
    assert run.over_after(0.1)


def test_who_was_given_up_is_waited_for_less() -> None:
    run = Listening(monitored=True)
    run.hears(TRACKER, ev.ClientLost(SECOND, "silent"))
    run.hears(FIRST)
    run.hears(TRACKER)
    assert not run.over_after(LAST_WORDS_OF_THE_LOST)
    assert run.over_after(0.1)


#: The command line, with less patience.
IMPATIENT = """
import sys
from tui_torrent import feed
from tui_torrent.cli import main
feed.LAST_WORDS = 1.0
sys.exit(main())
"""


@pytest.mark.mpirun
@needs_mpirun
@needs_proc
@pytest.mark.timeout(60)
def test_a_client_that_is_stopped_for_a_while_fails_no_monitored_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(os.urandom(2 << 20))
    scenario = tmp_path / "s.toml"
    scenario.write_text('[[client]]\nshare = ["file"]\nrate = "1 MiB/s"\n[[client]]\nwant = ["file"]\n')
    options = ("--monitor", "--out", tmp_path / "out")
    with started(4, scenario, *options, program=("-c", IMPATIENT)) as job:
        deadline = time.monotonic() + 20
        while not job.is_moving():
            assert time.monotonic() < deadline, job.complained()
            time.sleep(0.05)
        client = job.ranks()[2]
        os.kill(client, signal.SIGSTOP)
        time.sleep(4)
        os.kill(client, signal.SIGCONT)
        run = job.wait()
    assert run.code == 0, run
    assert "complete in" in run.stdout
