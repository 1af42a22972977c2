"""The rules of the protocol along the tracker's own order, and the digests that it registered.

What the tracker and the clients say of each other has no order between them in a journal: a client's
SegmentStored may stand before the FileRegistered of its file. So the catalog keeps such events until
the tracker's line comes, and what else must agree is compared at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Header, Ledger, Rule, Spot, clip


class Catalog:
    """The digests that the tracker registered, and what clients told before its line came."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._digests: dict[str, tuple[str, ...]] = {}
        #: File → (segment, digest) → the first event that told it, while the file is unregistered.
        self.waiting: dict[str, dict[tuple[int, str], Spot]] = {}
        #: File → number of segments → the first DownloadStarted that told it.
        self.waiting_sizes: dict[str, dict[int, Spot]] = {}

    def register(self, spot: Spot, event: ev.FileRegistered) -> None:
        if len(event.digests) != event.segments:
            what = f"{clip(event.file)} has {event.segments} segments but {len(event.digests)} digests"
            self._ledger.broken(Rule.STORED, spot, what)
        known = self._digests.setdefault(event.file, event.digests)
        if known != event.digests:
            self._ledger.broken(
                Rule.STORED, spot, f"{clip(event.file)} is registered twice, with other hashes"
            )
        for (segment, digest), told in self.waiting.pop(event.file, {}).items():
            self._judge(told, event.file, segment, digest)
        for segments, told in self.waiting_sizes.pop(event.file, {}).items():
            self._judge_size(told, event.file, segments)

    def stored(self, spot: Spot, event: ev.SegmentStored) -> None:
        if event.file in self._digests:
            self._judge(spot, event.file, event.segment, event.digest)
        else:
            self.waiting.setdefault(event.file, {}).setdefault((event.segment, event.digest), spot)

    def started(self, spot: Spot, event: ev.DownloadStarted) -> None:
        if event.file in self._digests:
            self._judge_size(spot, event.file, event.segments)
        else:
            self.waiting_sizes.setdefault(event.file, {}).setdefault(event.segments, spot)

    def unregistered(self) -> tuple[Spot, str] | None:
        """The first event about a file that the tracker has not registered, and its name."""
        firsts = [(spot, name) for name, told in self.waiting.items() for spot in told.values()]
        firsts += [(spot, name) for name, told in self.waiting_sizes.items() for spot in told.values()]
        return min(firsts, key=lambda first: first[0].line, default=None)

    def _judge(self, spot: Spot, file: str, segment: int, digest: str) -> None:
        digests = self._digests[file]
        if not 0 <= segment < len(digests):
            what = f"segment {segment} of {clip(file)}, which has {len(digests)} segments"
            self._ledger.broken(Rule.STORED, spot, what)
        elif digests[segment] != digest:
            what = f"segment {segment} of {clip(file)} hashes to {clip(digest)}"
            self._ledger.broken(Rule.STORED, spot, f"{what}, not to {clip(digests[segment])} as registered")

    def _judge_size(self, spot: Spot, file: str, segments: int) -> None:
        registered = len(self._digests[file])
        if segments != registered:
            what = f"{clip(file)} comes with {segments} segments, but {registered} were registered"
            self._ledger.broken(Rule.STORED, spot, what)


class TrackerTrace:
    """The tracker, as far as its own events tell; which clients it has heard, told and lost."""

    def __init__(self, ledger: Ledger, catalog: Catalog, header: Header) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._header = header
        #: Events of the tracker are missing: nothing that follows is judged.
        self.blind = False
        self.lost: set[int] = set()
        #: Those, and the ones that have told that they fetch nothing more.
        self.gone: set[int] = set()
        self.inits: set[int] = set()
        self.acks: set[int] = set()
        #: Client → where its FILE_COMPLETEs came in, by file.
        self.files: dict[Rank, dict[str, Spot]] = {}
        #: Client → where its ALL_COMPLETE came in.
        self.done: dict[Rank, Spot] = {}
        self.stops: set[int] = set()
        #: What came after the last STOP, so far.
        self.after_stop: Spot | None = None

    def see(self, spot: Spot, event: Event) -> None:
        if isinstance(event, ev.ClientLost):
            self.lost.add(event.client)
        if isinstance(event, (ev.ClientLost, ev.ClientFailed)):
            self.gone.add(event.client)
        if isinstance(event, ev.FileRegistered):
            self._catalog.register(spot, event)
        # What it did until then is summed up after its last STOP.
        if self.blind or isinstance(event, (ev.ClientLost, ev.ClientFailed, ev.TrackerLoad)):
            return
        if self.stops and self.after_stop is None and getattr(event, "client", None) not in self.lost:
            self.after_stop = spot
        handler = _TRACKER.get(type(event))
        if handler is not None:
            client: Rank = event.client  # type: ignore[attr-defined]
            handler(self, spot, event, client)

    def unheard(self, heard: set[int]) -> int | None:
        """The first client that is neither in ``heard`` nor gone."""
        # Rank by rank, so that an absurd header costs no more than the events that follow it.
        rank = 1
        while rank in heard or rank in self.gone:
            rank += 1
        return rank if rank <= self._header.clients else None

    def _init_received(self, spot: Spot, event: ev.InitReceived, client: Rank) -> None:
        if client in self.inits:
            self._ledger.broken(Rule.INIT_ACK, spot, f"client {client} sends INIT again")
        elif self.acks and client not in self.lost:
            what = f"the INIT of client {client} comes in after an INIT_ACK was sent"
            self._ledger.broken(Rule.INIT_ACK, spot, what)
        self.inits.add(client)

    def _init_ack_sent(self, spot: Spot, event: ev.InitAckSent, client: Rank) -> None:
        self._ledger.checked[Rule.INIT_ACK] += 1
        missing = None if self.acks else self.unheard(self.inits)
        if client in self.acks:
            self._ledger.broken(Rule.INIT_ACK, spot, f"client {client} is sent INIT_ACK again")
        elif missing is not None:
            what = f"client {client} is sent INIT_ACK before the INIT of client {missing} is in"
            self._ledger.broken(Rule.INIT_ACK, spot, what)
        self.acks.add(client)

    def _file_complete_received(self, spot: Spot, event: ev.FileCompleteReceived, client: Rank) -> None:
        files = self.files.setdefault(client, {})
        if event.file in files:
            what = f"client {client} sends FILE_COMPLETE for {clip(event.file)} again"
            self._ledger.broken(Rule.FILE_COMPLETE, spot, what)
        files.setdefault(event.file, spot)

    def _all_complete_received(self, spot: Spot, event: ev.AllCompleteReceived, client: Rank) -> None:
        if client in self.done:
            self._ledger.broken(Rule.ALL_COMPLETE, spot, f"client {client} sends ALL_COMPLETE again")
        self.done.setdefault(client, spot)

    def _stop_sent(self, spot: Spot, event: ev.StopSent, client: Rank) -> None:
        self._ledger.checked[Rule.STOP] += 1
        missing = None if self.stops else self.unheard(set(self.done))
        if client in self.stops:
            self._ledger.doubtful(Rule.STOP, client, spot, f"client {client} is sent STOP again")
        elif missing is not None:
            what = f"client {client} is sent STOP before the ALL_COMPLETE of client {missing} is in"
            self._ledger.doubtful(Rule.STOP, TRACKER, spot, what)
        self.stops.add(client)
        self.after_stop = None


_TRACKER: dict[type[Event], Callable[[TrackerTrace, Spot, Any, Rank], None]] = {
    ev.InitReceived: TrackerTrace._init_received,
    ev.InitAckSent: TrackerTrace._init_ack_sent,
    ev.FileCompleteReceived: TrackerTrace._file_complete_received,
    ev.AllCompleteReceived: TrackerTrace._all_complete_received,
    ev.StopSent: TrackerTrace._stop_sent,
}
