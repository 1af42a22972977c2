"""The trace checker: does a run keep to the protocol? Its rules are those of ``rules``.

It takes a journal's events one at a time, in the journal's order, and keeps no more of them than bitfields
and the few that wait for another rank's word. It raises no false alarm under any interleaving that keeps
each rank's own order, for no slow, lost or aborting client, and for no journal that was cut short or has
lost events: what cannot be judged then is not judged, and its finding says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from tui_torrent.view.client_trace import JUDGED, ClientTrace
from tui_torrent.view.debts import Debt, Debts
from tui_torrent.view.expected import Expected, differences
from tui_torrent.view.holders import Holders
from tui_torrent.view.journal_trace import JournalTrace
from tui_torrent.view.ledger import Breach, Finding, Header, Ledger, Rule, Spot, clip
from tui_torrent.view.losses import MISSING
from tui_torrent.view.moves import Moves
from tui_torrent.view.pairs import Pairs
from tui_torrent.view.rules import held
from tui_torrent.view.tracker_trace import Catalog, TrackerTrace
from tui_torrent.view.words import counted

__all__ = ["Conformance", "Expected", "Finding", "Rule"]

TOLD_BY_TRACKER = frozenset(
    (
        ev.InitReceived,
        ev.FileRegistered,
        ev.InitAckSent,
        ev.SwarmListed,
        ev.SwarmServed,
        ev.FileCompleteReceived,
        ev.AllCompleteReceived,
        ev.StopSent,
        ev.ClientLost,
        ev.ClientFailed,
        ev.TrackerLoad,
    )
)
TOLD_BY_OBSERVER = frozenset((ev.RunStarted, ev.RunEnded))

#: Events of segments that go from client to client, in words.
MOVES: dict[type[ev.Event], str] = {
    ev.SegmentRequested: "is asked of",
    ev.SegmentSent: "is sent to",
    ev.SegmentStored: "comes from",
    ev.SegmentDropped: "comes from",
}

#: Rules that only the tracker's own events show to hold: where some are missing, they are not judged.
OF_THE_TRACKER = (
    Rule.INIT_ACK,
    Rule.ANSWER,
    Rule.MOVED,
    Rule.STORED,
    Rule.GIVEN_UP,
    Rule.FILE_COMPLETE,
    Rule.ALL_COMPLETE,
    Rule.STOP,
)


class Conformance:
    """Feed it every event of a journal, then ask for the findings (at any time, any number of times)."""

    def __init__(self, expected: Expected | None = None) -> None:
        """``expected``: the scenario, where there is one to compare with."""
        self._expected = expected
        self._ledger = Ledger()
        self._header = Header()
        if expected is not None:
            self._header.update_every, self._header.update_is_given = expected.update_every, True
        self._catalog = Catalog(self._ledger)
        if expected is not None:
            self._catalog.expect(expected.digests)
        self._moves, self._pairs = Moves(self._ledger), Pairs()
        parts = self._ledger, self._catalog, self._moves, self._pairs, self._header
        self._tracker = TrackerTrace(*parts)
        self._clients: dict[Rank, ClientTrace] = {}
        self._debts = Debts(self._clients, self._tracker, self._catalog, self._moves, self._pairs)
        self._journal = JournalTrace(self._ledger, self._header, self._blind)
        self._last: Spot | None = None
        self._aborted: ev.RunAborted | None = None
        #: Whether something is missing that could not be shared or made.
        self._kept_back = False

    def see(self, stamped: Stamped, line: int | None = None) -> None:
        """Take the journal's next event, which stands in that line. Never raises, whatever the event."""
        first = self._last is None
        if line is None:
            line = self._last.line + 1 if self._last else 1
        spot = self._last = Spot(line, stamped)
        event, rank = stamped.event, stamped.rank
        kind = type(event)
        self._journal.see(spot, first)
        moves = kind in MOVES and self._follow_moves(spot, MOVES[kind])
        if kind in JUDGED:
            if self._is_client(rank):
                self._client(rank).see(spot, event)
            elif not moves:
                self._ledger.broken(Rule.JOURNAL, spot, f"rank {rank} is no client and cannot tell that")
        elif kind in TOLD_BY_TRACKER:
            self._follow_tracker(spot, event)
        elif kind in TOLD_BY_OBSERVER:
            if self._is_client(rank):
                self._ledger.broken(Rule.JOURNAL, spot, "a client cannot tell that")
        elif isinstance(event, ev.RunAborted):
            self._aborted = self._aborted or event
        elif isinstance(event, ev.NotKept):
            self._kept_back |= event.what in MISSING

    def result(self) -> list[Finding]:
        """One finding for each rule, in the order of :class:`Rule`."""
        breaches, unsettled = self._settle()
        findings = []
        for rule in self._rules():
            lines = rule in (Rule.JOURNAL, Rule.TIME)
            number = self._journal.lines if lines else self._ledger.checked[rule]
            told = held(rule, number, self._header.update_every)
            if rule in breaches:
                findings.append(Finding(rule.value, False, breaches[rule].detail))
            elif rule in unsettled:
                detail = f"So far {told}; the rest is not judged: {unsettled[rule]}."
                findings.append(Finding(rule.value, None, detail))
            else:
                findings.append(Finding(rule.value, True, f"{told}{self._left_out(rule)}."))
        return findings

    def first_violation(self) -> Finding | None:
        """The finding whose event comes first of all that break a rule."""
        breaches, _ = self._settle()
        if not breaches:
            return None
        order = list(Rule)
        rule, breach = min(breaches.items(), key=lambda item: (item[1].line, order.index(item[0])))
        return Finding(rule.value, False, breach.detail)

    def _rules(self) -> list[Rule]:
        return [rule for rule in Rule if rule is not Rule.SCENARIO or self._expected is not None]

    # Event by event -----------------------------------------------------------------------------

    def _is_client(self, rank: int) -> bool:
        return rank >= 1 and (self._journal.started is None or rank <= self._header.clients)

    def _client(self, rank: Rank) -> ClientTrace:
        trace = self._clients.get(rank)
        if trace is None:
            trace = self._clients[rank] = ClientTrace(
                rank, self._ledger, self._catalog, self._moves, self._pairs, self._header
            )
        return trace

    def _blind(self, spot: Spot) -> None:
        rank = spot.stamped.rank
        if rank == TRACKER:
            self._tracker.blind = self._tracker.blind or spot
        elif self._is_client(rank):
            trace = self._client(rank)
            trace.blind = trace.blind or spot

    def _follow_moves(self, spot: Spot, verb: str) -> bool:
        """Segments go from client to client only: whether this event, of one that goes, is of two."""
        event: Any = spot.stamped.event
        rank = spot.stamped.rank
        other = event.target if type(event) is ev.SegmentSent else event.source
        self._ledger.checked[Rule.TRACKER] += 1
        if not (self._is_client(rank) and self._is_client(other)):
            what = f"segment {event.segment} of {clip(event.file)}"
            if self._is_client(rank):
                self._ledger.broken(Rule.TRACKER, spot, f"{what} {verb} {self._name(other)}")
            else:
                self._ledger.broken(Rule.TRACKER, spot, f"{self._name(rank)} moves {what}")
        return True

    def _name(self, rank: int) -> str:
        return "the tracker" if rank == TRACKER else f"rank {rank}, which is no client"

    def _follow_tracker(self, spot: Spot, event: ev.Event) -> None:
        client = getattr(event, "client", None)
        if spot.stamped.rank != TRACKER:
            self._ledger.broken(Rule.JOURNAL, spot, "only the tracker, rank 0, can tell that")
        elif client is not None and not self._is_client(client):
            self._ledger.broken(Rule.JOURNAL, spot, f"rank {client} is no client")
        else:
            self._tracker.see(spot, event)

    # At the end ---------------------------------------------------------------------------------

    def _settle(self) -> tuple[dict[Rule, Breach], dict[Rule, str]]:
        """The first breach of each broken rule, and why each of the others is not judged, where it is not."""
        breaches = dict(self._ledger.breaches)
        unsettled: dict[Rule, str] = {}
        if self._catalog.tells_files:
            for rule, breach in self._ledger.suspicions.items():
                _note(breaches, rule, breach)
        reason = self._why_unfinished()
        for rule, breach, excuse, second in (
            *self._doubts(),
            *self._debts.all(self._journal.ended or self._last),
        ):
            if reason is not None or excuse is not None:
                unsettled.setdefault(rule, reason or excuse or "")
            elif not (second and rule in breaches):
                _note(breaches, rule, breach)
        # Whether a run was given up too soon, or somebody has served nobody, shows in what all have told.
        for rule, spot, what in self._at_last():
            if reason is None:
                _note(breaches, rule, Breach(spot.line, spot.says(what)))
        self._settle_journal(breaches)
        started = self._journal.started
        if started is None:
            for rule in (Rule.INIT, Rule.INIT_ACK, Rule.UPDATE, Rule.STOP):
                unsettled[rule] = "the journal has no header"
        if self._tracker.blind is not None:
            for rule in OF_THE_TRACKER:
                unsettled[rule] = f"events of the tracker are missing at line {self._tracker.blind.line}"
        compared = self._catalog.tells_files or self._catalog.is_given
        if self._ledger.checked[Rule.STORED] and not compared:
            unsettled[Rule.STORED] = "nobody tells of any file's digests"
        return breaches, unsettled

    def _settle_journal(self, breaches: dict[Rule, Breach]) -> None:
        """What is said of the journal as a whole, and of its outcome."""
        ended = self._journal.ended
        if self._last is None:
            breaches[Rule.JOURNAL] = Breach(0, "The journal is empty.")
        elif ended is None:
            what = "the journal ends here without its outcome, RunEnded: it was cut short"
            breaches.setdefault(Rule.JOURNAL, Breach(self._last.line, self._last.says(what)))
        elif (problem := self._outcome_problem()) is not None:
            breaches.setdefault(Rule.OUTCOME, Breach(ended.line, ended.says(problem)))

    def _left_out(self, rule: Rule) -> str:
        """Which clients a rule that holds is not judged of."""
        if rule in (Rule.JOURNAL, Rule.TIME, Rule.OUTCOME):
            return ""
        blind = sorted(rank for rank, trace in self._clients.items() if trace.blind is not None)
        if not blind:
            return ""
        spot = self._clients[blind[0]].blind
        assert spot is not None
        more = f" (and {counted(len(blind) - 1, 'client')} more)" if len(blind) > 1 else ""
        return f"; client {blind[0]}{more} is not judged from line {spot.line} on"

    def _why_unfinished(self) -> str | None:
        """Why what is missing at the journal's end breaks no rule; None where it does."""
        if self._aborted is not None:
            return f"the run was aborted by rank {self._aborted.culprit} ({self._aborted.reason})"
        if self._last is None or self._journal.ended is None:
            return f"the journal ends early, at line {self._last.line if self._last else 0}"
        if self._journal.outcome == "interrupted":
            return "the run was interrupted"
        return None

    def _outcome_problem(self) -> str | None:
        """Why the outcome is not what the events say, or None."""
        if self._aborted is not None:
            if self._journal.outcome in ("complete", "incomplete"):
                return f"the outcome is {self._journal.outcome}, but the run was aborted"
            return None
        lacking = self._lacking()
        self._ledger.checked[Rule.OUTCOME] = 1
        if self._journal.outcome == "complete" and lacking is not None:
            return f"the outcome is complete, but {lacking}"
        whole = lacking is None and not self._kept_back and not self._tracker.gone and self._all_told_all()
        if self._journal.outcome == "incomplete" and whole:
            return "the outcome is incomplete, but every client has all that it wants"
        return None

    def _all_told_all(self) -> bool:
        told = sum(trace.told_all for trace in self._clients.values())
        return told == self._header.clients and self._tracker.told_all

    def _lacking(self) -> str | None:
        """What some client has not got, as far as its events tell all, or None."""
        if self._tracker.failed:
            return f"client {min(self._tracker.failed)} has failed"
        for rank, trace in sorted(self._clients.items()):
            if trace.unavailable:
                return f"client {rank} has given {clip(next(iter(trace.unavailable)))} up"
            if self._debts.has_told_all(rank) and trace.finished is None:
                return f"client {rank} has not sent ALL_COMPLETE"
            if self._was_lost_wanting(trace):
                return f"client {rank} was lost before it sent ALL_COMPLETE"
        return None

    def _was_lost_wanting(self, trace: ClientTrace) -> bool:
        """Whether that client was lost and wanted files, and its ALL_COMPLETE is told by nobody.

        Where events of it or of the tracker are missing, that one may be among them.
        """
        tracker = self._tracker
        told = trace.finished is not None or trace.rank in tracker.done
        missing = trace.blind is not None or tracker.blind is not None
        return trace.rank in tracker.lost and bool(trace.wanted) and not told and not missing

    def _doubts(self) -> Iterator[Debt]:
        for rule, doubts in self._ledger.doubts.items():
            for client, breach in doubts.items():
                if client not in self._tracker.gone:
                    yield Debt(rule, breach)

    def _at_last(self) -> Iterator[tuple[Rule, Spot, str]]:
        """What the events of all show together, at the end of a run."""
        holders = Holders(self._clients, self._tracker, self._moves, self._catalog)
        for spot, what in holders.mute():
            yield Rule.HOLDERS, spot, what
        if self._tracker.told_all:
            for spot, what in holders.given_up():
                yield Rule.GIVEN_UP, spot, what
        expected, started = self._expected, self._journal.started
        if expected is not None and started is not None:
            if (clients := len(expected.clients)) != self._header.clients:
                what = f"the scenario has {counted(clients, 'client')}, the run {self._header.clients}"
                yield Rule.SCENARIO, started, what
            self._ledger.checked[Rule.SCENARIO] = len(self._clients)
            for spot, what in differences(expected, self._clients, self._catalog, self._tracker.gone):
                yield Rule.SCENARIO, spot, what


def _note(breaches: dict[Rule, Breach], rule: Rule, breach: Breach) -> None:
    """Keep the first breach of each rule."""
    if rule not in breaches or breach.line < breaches[rule].line:
        breaches[rule] = breach
