"""What is still owed when a journal ends: by clients, by the tracker, and of what one side alone tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.client_trace import ClientTrace
from tui_torrent.view.ledger import Breach, Rule, Spot, clip
from tui_torrent.view.moves import Moves
from tui_torrent.view.pairs import Pairs
from tui_torrent.view.tracker_trace import Catalog, TrackerTrace
from tui_torrent.view.words import counted


class Debt(NamedTuple):
    """What breaks a rule if the run has ended as it should; ``excuse``: why it may not break it even then.

    What is ``second`` breaks no rule that is broken already: it follows from what was said.
    """

    rule: Rule
    breach: Breach
    excuse: str | None = None
    second: bool = False


def owed(rule: Rule, spot: Spot, what: str, excuse: str | None = None, second: bool = False) -> Debt:
    return Debt(rule, Breach(spot.line, spot.says(what)), excuse, second)


class Debts:
    """What is owed, each as the breach that it is if the run has ended as it should."""

    def __init__(
        self,
        clients: Mapping[Rank, ClientTrace],
        tracker: TrackerTrace,
        catalog: Catalog,
        moves: Moves,
        pairs: Pairs,
    ) -> None:
        self._clients = clients
        self._tracker = tracker
        self._catalog = catalog
        self._moves = moves
        self._pairs = pairs

    def has_told_all(self, rank: Rank) -> bool:
        """Whether that client lives, and none of its events is missing."""
        trace = self._clients.get(rank)
        return trace is not None and trace.told_all and rank not in self._tracker.gone

    def all(self, end: Spot | None) -> Iterator[Debt]:
        """All that is owed at the journal's last event."""
        if end is None:
            return
        tracker = self._tracker
        begun = {rank for rank, trace in self._clients.items() if trace.initialised or trace.blind}
        if (client := tracker.unheard(begun)) is not None:
            yield owed(Rule.INIT, end, f"the run ends and client {client} has never sent INIT")
        if tracker.blind is None:
            for rule, told, what in (
                (Rule.INIT_ACK, tracker.acks, "was never sent INIT_ACK"),
                (Rule.STOP, tracker.stops, "was never sent STOP"),
            ):
                if (client := tracker.unheard(told)) is not None:
                    yield owed(rule, end, f"the run ends and client {client} {what}")
            for spot, what in self._catalog.settle():
                yield owed(Rule.STORED, spot, what)
            if tracker.after_stop is not None:
                yield owed(Rule.STOP, tracker.after_stop, "the tracker goes on after its last STOP")
        # In order of rank, not of arrival: which client is named must not hang on the interleaving.
        for rank, trace in sorted(self._clients.items()):
            if not trace.blind and rank not in tracker.gone:
                yield from self._owed_by(trace, end)
        for lone in self._pairs.lone(self.has_told_all, tracker.told_all, tracker.gone):
            yield owed(lone.rule, lone.spot, lone.what, second=True)
        for spot, what in self._moves.strays(self.has_told_all, tracker.told_all):
            yield owed(Rule.MOVED, spot, what, second=True)

    def _owed_by(self, trace: ClientTrace, end: Spot) -> Iterator[Debt]:
        """What one client owes: what the tracker received from it, and the end of its own trace."""
        who = f"client {trace.rank}"
        # A client may die when nobody waits for it any more, and its last words with it.
        excuse = None if trace.served else f"what {who} tells ends before its ServingEnded: it may have died"
        for file, spot in self._tracker.files.get(trace.rank, {}).items():
            if not trace.announced(file):
                what = f"{who} has not completed {clip(file)} itself"
                yield owed(Rule.FILE_COMPLETE, spot, what, excuse)
            elif self._tracker.told_all and self._moves.listed.get(file, {}).get(trace.rank) != "seed":
                yield owed(Rule.FILE_COMPLETE, spot, f"{who} is never listed as a seed of {clip(file)}")
        received = self._tracker.done.get(trace.rank)
        if trace.finished is None and received is not None:
            yield owed(Rule.ALL_COMPLETE, received, f"{who} does not tell that it sent it", excuse)
        if excuse is not None:
            yield owed(Rule.STOP, end, f"{who} has not ended its serving", excuse)
            if trace.finished is None:
                yield owed(Rule.ALL_COMPLETE, end, f"{who} has not sent ALL_COMPLETE", excuse)
        if self._tracker.told_all:
            yield from self._owed_to(trace)

    def _owed_to(self, trace: ClientTrace) -> Iterator[Debt]:
        """What the tracker makes of what one client has brought."""
        bundled = {name for bundle in trace.bundled for name in self._catalog.bundles.get(bundle, ())}
        for file in (*trace.declared, *trace.bundled):
            if file not in bundled and self._moves.listed.get(file, {}).get(trace.rank) != "seed":
                spot = trace.init if file in trace.declared else trace.bundled[file]
                assert spot is not None
                what = f"client {trace.rank} owns {clip(file)}, but is never listed as its seed"
                yield owed(Rule.INIT_ACK, spot, what)
        for bundle, spot in trace.bundled.items():
            if not self._catalog.bundles.get(bundle, frozenset()) <= trace.declared.keys():
                what = f"{clip(bundle)} is a bundle of files that client {trace.rank} does not own"
                yield owed(Rule.INIT_ACK, spot, what)
        brought = self._tracker.inits.get(trace.rank)
        # How many segments a file with holes has, its owner tells only at INIT_ACK.
        told = len(trace.declared) + len(trace.bundled.keys() - self._catalog.bundles.keys())
        if brought is not None and trace.ack is not None and brought[1] != told:
            what = f"an INIT comes in with {counted(brought[1], 'file')}, sent with {told}"
            yield owed(Rule.INIT_ACK, brought[0], what)
        for file, spot in trace.completed.items():
            got, segments = trace.holding.got.get(file), self._catalog.segments(file)
            count = got.count if got is not None else 0
            if file not in trace.holding.owned and segments is not None and count != segments:
                what = f"{clip(file)} is completed with {count} of its {counted(segments, 'segment')} stored"
                yield owed(Rule.FILE_COMPLETE, spot, what, second=True)
