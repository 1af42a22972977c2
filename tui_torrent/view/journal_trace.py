"""The journal itself: its header, its outcome, the order of each rank's events, and their times.

Where an event of a rank is missing, or out of order, what that rank tells from there on is not judged; what
the others tell is.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import JOURNAL_VERSION, OLDEST_VERSION, OUTCOMES, header_problem
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Header, Ledger, Rule, Spot
from tui_torrent.view.words import counted

#: Seconds by which the ranks' clocks may differ: a time may be as much before the start.
CLOCKS_DIFFER = 0.5
#: A time since the start is less than this, in seconds; the first that is not is a date of 2001.
UNIX_TIME = 1e9


_OF_THE_JOURNAL = frozenset((ev.RunStarted, ev.RunEnded, ev.EventsDropped))


class JournalTrace:
    """The journal, line by line. ``blind`` is told from which event on a rank is not judged."""

    def __init__(self, ledger: Ledger, header: Header, blind: Callable[[Spot], None]) -> None:
        self._ledger = ledger
        self._header = header
        self._blind = blind
        self.started: Spot | None = None
        self.ended: Spot | None = None
        self.outcome = ""
        #: How many lines there were.
        self.lines = 0
        #: Rank → the seq that comes next, and the time of its last event.
        self._next: dict[Rank, int] = {}
        self._times: dict[Rank, float] = {}

    def see(self, spot: Spot, first: bool) -> None:
        """Take the next line; ``first`` where it is the journal's first."""
        self.lines += 1
        event, rank, seq, t = spot.stamped.event, spot.stamped.rank, spot.stamped.seq, spot.stamped.t
        # Most lines are in order and in time.
        is_next = self._next.get(rank, 0) == seq and self._times.get(rank, 0.0) <= t < UNIX_TIME
        if is_next and type(event) not in _OF_THE_JOURNAL and self.ended is None and not first:
            self._next[rank], self._times[rank] = seq + 1, t
            return
        if self.ended is not None:
            what = f"it comes after the outcome, RunEnded in line {self.ended.line}"
            self._ledger.broken(Rule.JOURNAL, spot, what)
        elif isinstance(event, ev.RunStarted):
            self._begin(spot, event, first)
        elif first:
            self._ledger.broken(Rule.JOURNAL, spot, "the journal begins without its header, RunStarted")
        if isinstance(event, ev.RunEnded) and self.ended is None:
            self.ended, self.outcome = spot, event.outcome
            if event.outcome not in OUTCOMES:
                what = f"the outcome is {event.outcome!r}, not one of {', '.join(OUTCOMES)}"
                self._ledger.broken(Rule.OUTCOME, spot, what)
        self._follow_order(spot)
        self._follow_time(spot)

    def _begin(self, spot: Spot, event: ev.RunStarted, first: bool) -> None:
        problem = header_problem(event)
        if self.started is not None:
            problem = "the header comes again"
        else:
            self.started = spot
            self._header.clients = event.clients
            if not self._header.update_is_given:
                self._header.update_every = event.swarm_update
        if problem is None and not first:
            problem = "the header is not the first line"
        if problem is None and not OLDEST_VERSION <= event.version <= JOURNAL_VERSION:
            problem = f"the journal's version is {event.version}, not {OLDEST_VERSION} to {JOURNAL_VERSION}"
        if problem is not None:
            self._ledger.broken(Rule.JOURNAL, spot, problem)

    def _follow_order(self, spot: Spot) -> None:
        event, rank, seq = spot.stamped.event, spot.stamped.rank, spot.stamped.seq
        expected = self._next.get(rank, 0)
        self._next[rank] = max(expected, seq + 1)
        problem = None
        if seq > expected:
            verb = "is" if seq - expected == 1 else "are"
            problem = f"{counted(seq - expected, 'event')} of rank {rank} {verb} missing before it"
        elif seq < expected:
            problem = f"rank {rank} told its event {seq} before: this one is out of order"
        if isinstance(event, ev.EventsDropped) and event.count > 0:
            verb = "was" if event.count == 1 else "were"
            problem = f"{counted(event.count, 'event')} of rank {rank} {verb} dropped, its queue was full"
        if problem is not None:
            self._ledger.broken(Rule.JOURNAL, spot, problem)
            self._blind(spot)

    def _follow_time(self, spot: Spot) -> None:
        t, rank = spot.stamped.t, spot.stamped.rank
        if not isfinite(t):
            self._ledger.broken(Rule.TIME, spot, f"t is {t}, which is no time")
            return
        if abs(t) >= UNIX_TIME:
            self._ledger.broken(Rule.TIME, spot, f"t is {t:.0f}, expected seconds since the run began")
        # The header is told before the ranks' clocks are set to 0 together.
        if isinstance(spot.stamped.event, ev.RunStarted):
            return
        if t < -CLOCKS_DIFFER:
            self._ledger.broken(Rule.TIME, spot, f"t is {t:g}, before the run began")
        before = self._times.get(rank, t)
        if t < before:
            what = f"the time of rank {rank} runs backwards, from {before:.6f} to {t:.6f} s"
            self._ledger.broken(Rule.TIME, spot, what)
        self._times[rank] = max(before, t)
