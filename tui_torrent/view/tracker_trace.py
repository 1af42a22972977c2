"""The rules of the protocol along the tracker's own order, and the digests that it registered.

What the tracker and the clients say of each other has no order between them in a journal: a client's
SegmentStored may stand before the FileRegistered of its file. So the catalog keeps such events until
the tracker's line comes, and what else must agree is compared at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Header, Ledger, Rule, Spot, clip
from tui_torrent.view.moves import Moves
from tui_torrent.view.pairs import Pairs
from tui_torrent.view.words import counted


class Catalog:
    """The digests that the tracker registered, and what clients told before its line came.

    A program may tell neither of the tracker's files nor of the manifests that come: then there are no
    digests to compare with, but for a scenario's, and stored segments are compared with each other.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._digests: dict[str, tuple[str, ...]] = {}
        #: Bundles → the small files in each.
        self.bundles: dict[str, frozenset[str]] = {}
        self._bundled: set[str] = set()
        #: Files whose digests are a scenario's.
        self._given: dict[str, tuple[str, ...]] = {}
        #: Whether somebody has told of a file's registration or of a manifest that came.
        self.tells_files = False
        #: File → (segment, digest) → the first event that told it, while the file is unregistered.
        self.waiting: dict[str, dict[tuple[int, str], Spot]] = {}
        #: File → number of segments → the first DownloadStarted (or its owner's INIT) that told it.
        self.waiting_sizes: dict[str, dict[int, Spot]] = {}

    @property
    def is_given(self) -> bool:
        """Whether a scenario has told of files."""
        return bool(self._given)

    def expect(self, files: Mapping[str, tuple[str, ...]]) -> None:
        """The digests of a scenario's files, whatever the tracker registers."""
        self._given = dict(files)

    def register(self, spot: Spot, event: ev.FileRegistered) -> None:
        self.tells_files = True
        if len(event.digests) != event.segments:
            numbers = f"{counted(event.segments, 'segment')} but {counted(len(event.digests), 'digest')}"
            self._ledger.broken(Rule.STORED, spot, f"{clip(event.file)} has {numbers}")
        if event.members:
            names = frozenset(name for segment in event.members for name in segment)
            self.bundles[event.file] = names
            self._bundled |= names
        given = self._given.get(event.file)
        if given is not None and given != event.digests:
            self._ledger.broken(
                Rule.SCENARIO, spot, f"{clip(event.file)} is registered with other hashes than the scenario's"
            )
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

    def sized(self, spot: Spot, file: str, segments: int) -> None:
        """A manifest came, or an owner said how many segments its file has."""
        self.tells_files |= isinstance(spot.stamped.event, ev.DownloadStarted)
        if file in self._digests:
            self._judge_size(spot, file, segments)
        else:
            self.waiting_sizes.setdefault(file, {}).setdefault(segments, spot)

    def digests(self, file: str) -> tuple[str, ...] | None:
        """The digests of a file that was registered."""
        return self._digests.get(file)

    def segments(self, file: str) -> int | None:
        """How many segments a file has, as it was registered, or else as it was told first."""
        digests = self._digests.get(file) or self._given.get(file)
        if digests is not None:
            return len(digests)
        return next(iter(self.waiting_sizes.get(file, ())), None)

    def settle(self) -> list[tuple[Spot, str]]:
        """What is wrong with files that the tracker has not registered, and where."""
        wrong: list[tuple[Spot, str]] = []
        for name, told in self.waiting.items():
            if self.tells_files:
                wrong += [
                    (spot, f"{clip(name)} was never registered by the tracker") for spot in told.values()
                ]
                continue
            given, first = self._given.get(name), dict[int, str]()
            for (segment, digest), spot in sorted(told.items(), key=lambda item: item[1].line):
                right = first.setdefault(segment, digest)
                if given is not None:
                    right = given[segment] if 0 <= segment < len(given) else ""
                if digest != right:
                    what = f"segment {segment} of {clip(name)} hashes to {clip(digest)}, not to {clip(right)}"
                    wrong.append((spot, f"{what} as {'the scenario has it' if given else 'before'}"))
        for name, sizes in self.waiting_sizes.items():
            if self.tells_files and name not in self._bundled:
                wrong += [
                    (spot, f"{clip(name)} was never registered by the tracker") for spot in sizes.values()
                ]
            elif len(sizes) > 1:
                numbers = " and ".join(map(str, sizes))
                wrong.append((list(sizes.values())[1], f"{clip(name)} is told with {numbers} segments"))
        return wrong

    def _judge(self, spot: Spot, file: str, segment: int, digest: str) -> None:
        digests = self._digests[file]
        if not 0 <= segment < len(digests):
            what = f"segment {segment} of {clip(file)}, which has {counted(len(digests), 'segment')}"
            self._ledger.broken(Rule.STORED, spot, what)
        elif digests[segment] != digest:
            what = f"segment {segment} of {clip(file)} hashes to {clip(digest)}"
            self._ledger.broken(Rule.STORED, spot, f"{what}, not to {clip(digests[segment])} as registered")

    def _judge_size(self, spot: Spot, file: str, segments: int) -> None:
        registered = len(self._digests[file])
        if segments != registered:
            what = f"{clip(file)} comes with {counted(segments, 'segment')}, but {registered} were registered"
            self._ledger.broken(Rule.STORED, spot, what)


class TrackerTrace:
    """The tracker, as far as its own events tell; which clients it has heard, told and lost."""

    def __init__(self, ledger: Ledger, catalog: Catalog, moves: Moves, pairs: Pairs, header: Header) -> None:
        self._ledger = ledger
        self._catalog = catalog
        self._moves = moves
        self._pairs = pairs
        self._header = header
        #: Where events of the tracker were first missing: nothing that follows is judged.
        self.blind: Spot | None = None
        self.lost: set[int] = set()
        #: Clients that have told that they fetch nothing more.
        self.failed: set[int] = set()
        #: Both.
        self.gone: set[int] = set()
        #: Client → how many files its INIT brought.
        self.inits: dict[int, tuple[Spot, int]] = {}
        self.acks: set[int] = set()
        #: Client → where its FILE_COMPLETEs came in, by file.
        self.files: dict[Rank, dict[str, Spot]] = {}
        #: Client → where its ALL_COMPLETE came in.
        self.done: dict[Rank, Spot] = {}
        #: Client → when it was sent STOP.
        self.stops: dict[int, float] = {}
        #: What came after the last STOP, so far.
        self.after_stop: Spot | None = None

    @property
    def told_all(self) -> bool:
        """Whether none of its events is missing, to its last."""
        return bool(self.stops) and self.blind is None

    def see(self, spot: Spot, event: Event) -> None:
        if isinstance(event, ev.ClientLost):
            self.lost.add(event.client)
        elif isinstance(event, ev.ClientFailed):
            self.failed.add(event.client)
        if isinstance(event, (ev.ClientLost, ev.ClientFailed)):
            self.gone.add(event.client)
        elif isinstance(event, ev.FileRegistered):
            self._catalog.register(spot, event)
        elif isinstance(event, ev.SwarmListed):
            self._moves.list_member(event.file, event.client, event.role)
        # What it did until then is summed up after its last STOP.
        if self.blind or isinstance(event, (ev.ClientLost, ev.ClientFailed, ev.TrackerLoad)):
            return
        if self.stops and self.after_stop is None and getattr(event, "client", None) not in self.lost:
            self.after_stop = spot
        handler = _TRACKER.get(type(event))
        client: Rank | None = getattr(event, "client", None)
        if client is not None:
            self._ledger.checked[Rule.ANSWER] += isinstance(event, ev.SwarmServed)
            self._pairs.see(spot, event, client)
            if handler is not None:
                handler(self, spot, event, client)

    def unheard(self, heard: Container[int]) -> int | None:
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
        self.inits.setdefault(client, (spot, event.files))

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
        missing = None if self.stops else self.unheard(self.done)
        if client in self.stops:
            self._ledger.doubtful(Rule.STOP, client, spot, f"client {client} is sent STOP again")
        elif missing is not None:
            what = f"client {client} is sent STOP before the ALL_COMPLETE of client {missing} is in"
            self._ledger.doubtful(Rule.STOP, TRACKER, spot, what)
        self.stops.setdefault(client, spot.stamped.t)
        self.after_stop = None


_TRACKER: dict[type[Event], Callable[[TrackerTrace, Spot, Any, Rank], None]] = {
    ev.InitReceived: TrackerTrace._init_received,
    ev.InitAckSent: TrackerTrace._init_ack_sent,
    ev.FileCompleteReceived: TrackerTrace._file_complete_received,
    ev.AllCompleteReceived: TrackerTrace._all_complete_received,
    ev.StopSent: TrackerTrace._stop_sent,
}
