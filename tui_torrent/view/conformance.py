"""The trace checker: does a run keep to the protocol? One rule for each of its steps.

It takes a journal's events one at a time, in the journal's order, and keeps no more of them than bitfields
and the few that wait for another rank's word. It raises no false alarm under any interleaving that keeps
each rank's own order, for no slow, lost or aborting client, and for no journal that was cut short or has
lost events: what cannot be judged then is not judged, and its finding says so.
"""

from __future__ import annotations

from typing import NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import JOURNAL_VERSION, OLDEST_VERSION, Stamped
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from tui_torrent.view.client_trace import ClientTrace
from tui_torrent.view.ledger import Breach, Finding, Header, Ledger, Rule, Spot, clip
from tui_torrent.view.tracker_trace import Catalog, TrackerTrace

__all__ = ["Conformance", "Finding", "Rule"]

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
TOLD_BY_ANYONE = frozenset(
    (
        ev.RankPlaced,
        ev.MessageSent,
        ev.MessageReceived,
        ev.RunAborted,
        ev.NonsenseReceived,
        ev.EventsDropped,
    )
)

#: What each rule says where it holds; ``n`` is the number of events that were held against it.
HELD = {
    Rule.INIT: "{n} clients sent INIT, once and before anything else",
    Rule.INIT_ACK: "{n} INIT_ACKs were sent, the first after the INIT of every client was in",
    Rule.REQUEST: "{n} requests were sent after their client's INIT_ACK",
    Rule.UPDATE: "{n} updates were sent in time, one after each {every} segments of a client",
    Rule.STORED: "{n} stored segments match their digest",
    Rule.FILE_COMPLETE: "{n} files were completed, each once and when it was whole",
    Rule.ALL_COMPLETE: "{n} clients sent ALL_COMPLETE, once and after the last file",
    Rule.STOP: "{n} STOPs were sent after the last ALL_COMPLETE, and nothing came after them",
    Rule.TRACKER: "{n} requests and segments went from client to client",
    Rule.SERVING: "{n} segments were sent by finished clients, who refused none as absent",
    Rule.JOURNAL: "{n} events are in their order, none missing, from the header to the outcome",
}


class Debt(NamedTuple):
    """What breaks a rule if the run has ended as it should; ``excuse``: why it may not break it even then."""

    rule: Rule
    breach: Breach
    excuse: str | None = None


def owed(rule: Rule, spot: Spot, what: str, excuse: str | None = None) -> Debt:
    return Debt(rule, Breach(spot.line, spot.says(what)), excuse)


class Conformance:
    """Feed it every event of a journal, then ask for the findings (at any time, any number of times)."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._header = Header()
        catalog = self._catalog = Catalog(self._ledger)
        self._tracker = TrackerTrace(self._ledger, catalog, self._header)
        self._clients: dict[Rank, ClientTrace] = {}
        self._last: Spot | None = None
        self._started = False
        self._ended: Spot | None = None
        self._aborted: ev.RunAborted | None = None
        #: Rank → the seq that comes next.
        self._next: dict[Rank, int] = {}
        #: Where events of some rank were first missing or out of order.
        self._loss: Spot | None = None

    def see(self, stamped: Stamped) -> None:
        """Take the journal's next event. Never raises, whatever the event."""
        spot = self._last = Spot(self._last.line + 1 if self._last else 1, stamped)
        event, rank = stamped.event, stamped.rank
        kind = type(event)
        self._follow_journal(spot)
        moves = self._follow_moves(spot)
        if kind in TOLD_BY_ANYONE:
            if isinstance(event, ev.RunAborted):
                self._aborted = self._aborted or event
        elif kind in TOLD_BY_OBSERVER:
            if self._is_client(rank):
                self._ledger.broken(Rule.JOURNAL, spot, "a client cannot tell that")
        elif kind in TOLD_BY_TRACKER:
            self._follow_tracker(spot, event)
        elif self._is_client(rank):
            self._client(rank).see(spot, event)
        elif not moves:
            self._ledger.broken(Rule.JOURNAL, spot, f"rank {rank} is no client and cannot tell that")

    def result(self) -> list[Finding]:
        """One finding for each rule, in the order of :class:`Rule`."""
        breaches, unsettled = self._settle()
        findings = []
        for rule in Rule:
            held = HELD[rule].format(n=self._ledger.checked[rule], every=self._header.update_every)
            if rule in breaches:
                findings.append(Finding(rule.value, False, breaches[rule].detail))
            elif rule in unsettled:
                detail = f"So far {held}; the rest is not judged: {unsettled[rule]}."
                findings.append(Finding(rule.value, None, detail))
            else:
                findings.append(Finding(rule.value, True, f"{held}."))
        return findings

    def first_violation(self) -> Finding | None:
        """The finding whose event comes first of all that break a rule."""
        breaches, _ = self._settle()
        if not breaches:
            return None
        order = list(Rule)
        rule, breach = min(breaches.items(), key=lambda item: (item[1].line, order.index(item[0])))
        return Finding(rule.value, False, breach.detail)

    # Event by event -----------------------------------------------------------------------------

    def _is_client(self, rank: int) -> bool:
        return rank >= 1 and (not self._started or rank <= self._header.clients)

    def _client(self, rank: Rank) -> ClientTrace:
        trace = self._clients.get(rank)
        if trace is None:
            trace = self._clients[rank] = ClientTrace(rank, self._ledger, self._catalog, self._header)
        return trace

    def _follow_journal(self, spot: Spot) -> None:
        """Header first, outcome last, and no event of a rank missing."""
        self._ledger.checked[Rule.JOURNAL] += 1
        event, rank, seq = spot.stamped.event, spot.stamped.rank, spot.stamped.seq
        problem = None
        if self._ended is not None:
            problem = f"it comes after the outcome, RunEnded in line {self._ended.line}"
        elif isinstance(event, ev.RunStarted):
            problem = self._begin(spot, event)
        elif spot.line == 1:
            problem = "the journal begins without its header, RunStarted"
        if isinstance(event, ev.RunEnded) and self._ended is None:
            self._ended = spot
        if problem:
            self._ledger.broken(Rule.JOURNAL, spot, problem)
        expected = self._next.get(rank, 0)
        self._next[rank] = max(expected, seq + 1)
        dropped = event.count if isinstance(event, ev.EventsDropped) else 0
        if seq > expected:
            self._blind(spot, f"{seq - expected} events of rank {rank} are missing before it")
        elif seq < expected:
            self._blind(spot, f"rank {rank} told its event {seq} before: this one is out of order")
        if dropped > 0:
            self._blind(spot, f"{dropped} events of rank {rank} were dropped, its queue was full")

    def _begin(self, spot: Spot, event: ev.RunStarted) -> str | None:
        if self._started:
            return "the header comes again"
        self._started = True
        self._header.clients, self._header.update_every = event.clients, event.swarm_update
        if spot.line > 1:
            return "the header is not the first line"
        if not OLDEST_VERSION <= event.version <= JOURNAL_VERSION:
            return f"the journal's version is {event.version}, not {OLDEST_VERSION} to {JOURNAL_VERSION}"
        return None

    def _blind(self, spot: Spot, what: str) -> None:
        self._ledger.broken(Rule.JOURNAL, spot, what)
        self._loss = self._loss or spot
        rank = spot.stamped.rank
        if rank == TRACKER:
            self._tracker.blind = True
        elif self._is_client(rank):
            self._client(rank).blind = True

    def _follow_moves(self, spot: Spot) -> bool:
        """Segments go from client to client only; whether this event is of one that goes."""
        event, rank = spot.stamped.event, spot.stamped.rank
        if isinstance(event, ev.SegmentSent):
            other, verb = event.target, "is sent to"
        elif isinstance(event, ev.SegmentRequested):
            other, verb = event.source, "is asked of"
        elif isinstance(event, (ev.SegmentStored, ev.SegmentDropped)):
            other, verb = event.source, "comes from"
        else:
            return False
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
        reason = self._why_unfinished()
        for rule, breach, excuse in (*self._doubts(), *self._debts()):
            if reason is not None or excuse is not None:
                unsettled.setdefault(rule, reason or excuse or "")
            elif rule not in breaches or breach.line < breaches[rule].line:
                breaches[rule] = breach
        if self._last is None:
            breaches[Rule.JOURNAL] = Breach(0, "The journal is empty.")
        elif self._ended is None:
            what = "the journal ends here without its outcome, RunEnded: it was cut short"
            breaches.setdefault(Rule.JOURNAL, Breach(self._last.line, self._last.says(what)))
        if not self._started:
            for rule in (Rule.INIT, Rule.INIT_ACK, Rule.UPDATE, Rule.STOP):
                unsettled[rule] = "the journal has no header"
        if self._loss is not None:
            for rule in Rule:
                unsettled[rule] = (
                    f"events of rank {self._loss.stamped.rank} are missing at line {self._loss.line}"
                )
        return breaches, unsettled

    def _why_unfinished(self) -> str | None:
        """Why what is missing at the journal's end breaks no rule; None where it does."""
        if self._aborted is not None:
            return f"the run was aborted by rank {self._aborted.culprit} ({self._aborted.reason})"
        if self._last is None or self._ended is None:
            return f"the journal ends early, at line {self._last.line if self._last else 0}"
        return "events of the tracker are missing" if self._tracker.blind else None

    def _doubts(self) -> list[Debt]:
        return [
            Debt(rule, breach)
            for rule, doubts in self._ledger.doubts.items()
            for client, breach in doubts.items()
            if client not in self._tracker.gone
        ]

    def _debts(self) -> list[Debt]:
        """What is still owed, each as the breach that it is if the run has ended."""
        end = self._ended or self._last
        if end is None:
            return []
        tracker, debts = self._tracker, []
        begun: set[int] = {rank for rank, trace in self._clients.items() if trace.initialised or trace.blind}
        for rule, client, what in (
            (Rule.INIT, tracker.unheard(begun), "has never sent INIT"),
            (Rule.INIT_ACK, tracker.unheard(tracker.acks), "was never sent INIT_ACK"),
            (Rule.STOP, tracker.unheard(tracker.stops), "was never sent STOP"),
        ):
            if client is not None:
                debts.append(owed(rule, end, f"the run ends and client {client} {what}"))
        strange = self._catalog.unregistered()
        if strange is not None:
            debts.append(
                owed(Rule.STORED, strange[0], f"{clip(strange[1])} was never registered by the tracker")
            )
        if tracker.after_stop is not None:
            debts.append(owed(Rule.STOP, tracker.after_stop, "the tracker goes on after its last STOP"))
        # In order of rank, not of arrival: which client is named must not hang on the interleaving.
        for rank, trace in sorted(self._clients.items()):
            if not trace.blind and rank not in tracker.gone:
                debts += self._owed_by(trace, end)
        return debts

    def _owed_by(self, trace: ClientTrace, end: Spot) -> list[Debt]:
        """What one client owes: what the tracker received from it, and the end of its own trace."""
        who = f"client {trace.rank}"
        # A client may die when nobody waits for it any more, and its last words with it.
        excuse = None if trace.served else f"what {who} tells ends before its ServingEnded: it may have died"
        debts = []
        for file, spot in self._tracker.files.get(trace.rank, {}).items():
            if not trace.announced(file):
                what = f"{who} has not completed {clip(file)} itself"
                debts.append(owed(Rule.FILE_COMPLETE, spot, what, excuse))
        received = self._tracker.done.get(trace.rank)
        if trace.finished is None and received is not None:
            debts.append(owed(Rule.ALL_COMPLETE, received, f"{who} does not tell that it sent it", excuse))
        if excuse is not None:
            debts.append(owed(Rule.STOP, end, f"{who} has not ended its serving", excuse))
            if trace.finished is None:
                debts.append(owed(Rule.ALL_COMPLETE, end, f"{who} has not sent ALL_COMPLETE", excuse))
        return debts
