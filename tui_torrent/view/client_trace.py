"""The rules of the protocol along one client's own order.

The client's two threads share one count of events, so what its downloader and its uploader tell is in
order. A trace that has lost events is *blind* from there on: what is missing may excuse the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Header, Ledger, Rule, SparseSet, Spot, clip
from tui_torrent.view.tracker_trace import Catalog

#: A refusal is decided before it is told. One of a file that came in only this long ago (in seconds)
#: may have been decided before.
REFUSAL_GRACE = 1.0

#: Told by an uploader: these may come after the downloader's Stopped.
UPLOADER = frozenset((ev.SegmentSent, ev.SegmentRefused, ev.ServingEnded))

#: Told before a client takes its first step in the protocol.
BEFORE_INIT = frozenset((ev.ShareHashed, ev.NotKept, ev.InitSent))

#: Steps that only an INIT_ACK allows.
DOWNLOADING = frozenset(
    (
        ev.SwarmRequested,
        ev.DownloadStarted,
        ev.SegmentRequested,
        ev.SegmentStored,
        ev.FileCompleted,
        ev.FileUnavailable,
        ev.AllCompleted,
    )
)
#: Those of them that ask for something.
ASKING = frozenset((ev.SwarmRequested, ev.SegmentRequested))


class ClientTrace:
    """One client, as far as its own events tell."""

    def __init__(self, rank: Rank, ledger: Ledger, catalog: Catalog, header: Header) -> None:
        self.rank = rank
        self._ledger = ledger
        self._catalog = catalog
        self._header = header
        self.blind = False
        self.initialised = False
        self.acknowledged = False
        #: Where AllCompleted was told.
        self.finished: Spot | None = None
        self.stopped = False
        self.served = False
        self._owned: dict[str, int] = {}
        self._wanted: dict[str, None] = {}
        #: Wanted files neither completed nor unavailable.
        self._open: dict[str, None] = {}
        #: Those of ``_open`` that are whole: an update may name them or leave them out.
        self._whole: set[str] = set()
        self._started: dict[str, int] = {}
        self._held: dict[str, SparseSet] = {}
        #: Wanted files → when they were complete.
        self.completed: dict[str, float] = {}
        self._unavailable: set[str] = set()
        self._stored = 0
        #: The segment after which an update is due, and the first that was asked for but wrong.
        self._due: Spot | None = None
        self._wrong: tuple[Spot, str] | None = None

    def announced(self, name: str) -> bool:
        """Whether the client has sent FILE_COMPLETE for that file."""
        return name in self.completed and name not in self._owned

    def see(self, spot: Spot, event: Event) -> None:
        if self.blind:
            if isinstance(event, ev.SegmentStored):
                self._catalog.stored(spot, event)
            return
        self._in_order(spot, event)
        handler = _CLIENT.get(type(event))
        if handler is not None:
            handler(self, spot, event)

    def _in_order(self, spot: Spot, event: Event) -> None:
        kind = type(event)
        if self.served and self.stopped:
            self._ledger.doubtful(Rule.STOP, self.rank, spot, "it comes after the rank's ServingEnded")
        elif self.stopped and kind not in UPLOADER:
            self._ledger.doubtful(Rule.STOP, self.rank, spot, "it comes after the rank's Stopped")
        elif self.served and not isinstance(event, ev.Stopped):
            what = "it comes after the rank's ServingEnded, which came before STOP"
            self._ledger.doubtful(Rule.SERVING, self.rank, spot, what)
        if not self.initialised and kind not in BEFORE_INIT:
            if isinstance(event, (ev.Stopped, ev.ServingEnded)):
                self._ledger.doubtful(Rule.INIT, self.rank, spot, "it comes before the client's INIT")
            else:
                self._ledger.broken(Rule.INIT, spot, "it comes before the client's INIT")
        if kind in DOWNLOADING:
            self._ledger.checked[Rule.REQUEST] += kind in ASKING
            if not self.acknowledged:
                self._ledger.broken(Rule.REQUEST, spot, "it comes before the client's INIT_ACK")

    # The steps ----------------------------------------------------------------------------------

    def _init_sent(self, spot: Spot, event: ev.InitSent) -> None:
        if self.initialised:
            self._ledger.broken(Rule.INIT, spot, "the client sends INIT again")
            return
        self.initialised = True
        self._ledger.checked[Rule.INIT] += 1
        self._owned = {owned.file: owned.segments for owned in event.owned}

    def _init_ack_received(self, spot: Spot, event: ev.InitAckReceived) -> None:
        if self.acknowledged:
            self._ledger.broken(Rule.REQUEST, spot, "INIT_ACK comes again")
            return
        self.acknowledged = True
        self._owned.update((owned.file, owned.segments) for owned in event.bundled)
        self._wanted = dict.fromkeys(event.wanted)
        self._open = {
            name: None
            for name in self._wanted
            if name not in self.completed and name not in self._unavailable
        }
        self._whole = {name for name in self._open if name in self._owned}

    def _swarm_requested(self, spot: Spot, event: ev.SwarmRequested) -> None:
        if self._due is None:
            return
        problem = self._update_problem(event)
        if problem is None:
            self._ledger.checked[Rule.UPDATE] += 1
            self._due = self._wrong = None
        elif self._wrong is None:
            self._wrong = spot, problem

    def _update_problem(self, event: ev.SwarmRequested) -> str | None:
        """Why that is no update for every unfinished file."""
        most, least = len(self._open), len(self._open) - len(self._whole)
        if not least <= event.unfinished <= most:
            return f"the update is for {event.unfinished} files where {least} are unfinished"
        if not event.files and event.unfinished > ev.NAMES_LISTED:
            return None
        named = dict.fromkeys(event.files)
        stranger = next((name for name in named if name not in self._open), None)
        if stranger is not None:
            return f"the update names {clip(stranger)}, which is not unfinished"
        if sum(name not in self._whole for name in named) != least:
            missing = next(name for name in self._open if name not in named and name not in self._whole)
            return f"the update does not name {clip(missing)}, which is unfinished"
        if len(named) != event.unfinished:
            return f"the update is for {event.unfinished} files but names {len(named)}"
        return None

    def _download_started(self, spot: Spot, event: ev.DownloadStarted) -> None:
        self._catalog.started(spot, event)
        self._started.setdefault(event.file, event.segments)
        if event.segments == 0 and event.file in self._open:
            self._whole.add(event.file)

    def _segment_requested(self, spot: Spot, event: ev.SegmentRequested) -> None:
        if self.finished is not None:
            self._ledger.broken(Rule.ALL_COMPLETE, spot, "the client asks for a segment after ALL_COMPLETE")

    def _segment_stored(self, spot: Spot, event: ev.SegmentStored) -> None:
        self._ledger.checked[Rule.STORED] += 1
        if self._due is not None and self._open:
            self._update_missed(spot)
        self._catalog.stored(spot, event)
        held = self._held.setdefault(event.file, SparseSet())
        new = held.add(event.segment)
        problem = self._storing_problem(event) if new else "is stored twice"
        if problem is not None:
            self._ledger.broken(Rule.STORED, spot, f"segment {event.segment} of {clip(event.file)} {problem}")
        if not new:
            return
        if held.count == self._started.get(event.file) and event.file in self._open:
            self._whole.add(event.file)
        self._stored += 1
        every = self._header.update_every
        if every > 0 and self._stored % every == 0:
            self._due = spot if len(self._whole) < len(self._open) else None
            self._wrong = None

    def _update_missed(self, spot: Spot) -> None:
        if self._wrong is not None:
            self._ledger.broken(Rule.UPDATE, *self._wrong)
        elif self._due is not None:
            what = f"the client stores on without the update that was due after its {self._stored}"
            self._ledger.broken(Rule.UPDATE, spot, f"{what}th segment (line {self._due.line})")
        self._due = self._wrong = None

    def _storing_problem(self, event: ev.SegmentStored) -> str | None:
        """Why that segment should not have been stored here, whatever its hash."""
        if event.source == self.rank:
            return "comes from the client itself"
        if event.file in self._owned:
            return "belongs to a file that the client has owned from the start"
        if self.acknowledged and event.file not in self._wanted:
            return "belongs to a file that the client does not want"
        segments = self._started.get(event.file)
        if segments is None:
            return "is stored before the file's manifest came"
        return None if 0 <= event.segment < segments else f"is stored where there are {segments} segments"

    def _file_completed(self, spot: Spot, event: ev.FileCompleted) -> None:
        name = event.file
        self._ledger.checked[Rule.FILE_COMPLETE] += 1
        problem = self._completing_problem(name) if self.acknowledged else None
        if problem is not None:
            self._ledger.broken(Rule.FILE_COMPLETE, spot, f"{clip(name)} {problem}")
        self.completed.setdefault(name, spot.stamped.t)
        self._close(name)

    def _completing_problem(self, name: str) -> str | None:
        if name in self.completed:
            return "is completed again"
        if name in self._unavailable:
            return "is completed after it was given up as unavailable"
        if name not in self._wanted:
            return "is completed, but the client does not want it"
        if name in self._owned or not self.initialised:
            return None
        segments, held = self._started.get(name), self._held.get(name)
        count = held.count if held else 0
        if segments is None:
            return None if held else "is completed before its manifest came"
        return None if count == segments else f"is completed with {count} of its {segments} segments stored"

    def _file_unavailable(self, spot: Spot, event: ev.FileUnavailable) -> None:
        if event.file in self.completed:
            what = f"{clip(event.file)} is given up as unavailable after it was completed"
            self._ledger.broken(Rule.FILE_COMPLETE, spot, what)
        self._unavailable.add(event.file)
        self._close(event.file)

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._whole.discard(name)

    def _all_completed(self, spot: Spot, event: ev.AllCompleted) -> None:
        if self.finished is not None:
            self._ledger.broken(Rule.ALL_COMPLETE, spot, "the client sends ALL_COMPLETE again")
            return
        self.finished = spot
        self._ledger.checked[Rule.ALL_COMPLETE] += 1
        if self._open:
            first, more = next(iter(self._open)), len(self._open) - 1
            others = f" (and {more} more)" if more else ""
            what = f"{clip(first)}{others} is neither complete nor unavailable yet"
            self._ledger.broken(Rule.ALL_COMPLETE, spot, what)

    def _stopped(self, spot: Spot, event: ev.Stopped) -> None:
        if self.finished is None and not self.stopped:
            what = "the client stops without having sent ALL_COMPLETE"
            self._ledger.doubtful(Rule.ALL_COMPLETE, self.rank, spot, what)
        self.stopped = True

    def _segment_sent(self, spot: Spot, event: ev.SegmentSent) -> None:
        self._ledger.checked[Rule.SERVING] += self.finished is not None

    def _segment_refused(self, spot: Spot, event: ev.SegmentRefused) -> None:
        if self.finished is None or self.stopped or event.reason != "absent":
            return
        at = self.completed.get(event.file)
        if event.file in self._owned:
            there = 0 <= event.segment < self._owned[event.file]
        else:
            there = at is not None and 0 <= event.segment < self._started.get(event.file, 0)
            there = there and at is not None and spot.stamped.t > at + REFUSAL_GRACE
        if there:
            what = f"segment {event.segment} of {clip(event.file)} is refused as absent"
            self._ledger.broken(Rule.SERVING, spot, f"{what} by a finished client that has the whole file")

    def _serving_ended(self, spot: Spot, event: ev.ServingEnded) -> None:
        if not self.stopped:
            self._ledger.doubtful(Rule.SERVING, self.rank, spot, "the client ends its serving before STOP")
        self.served = True


_CLIENT: dict[type[Event], Callable[[ClientTrace, Spot, Any], None]] = {
    ev.InitSent: ClientTrace._init_sent,
    ev.InitAckReceived: ClientTrace._init_ack_received,
    ev.SwarmRequested: ClientTrace._swarm_requested,
    ev.DownloadStarted: ClientTrace._download_started,
    ev.SegmentRequested: ClientTrace._segment_requested,
    ev.SegmentStored: ClientTrace._segment_stored,
    ev.FileCompleted: ClientTrace._file_completed,
    ev.FileUnavailable: ClientTrace._file_unavailable,
    ev.AllCompleted: ClientTrace._all_completed,
    ev.Stopped: ClientTrace._stopped,
    ev.SegmentSent: ClientTrace._segment_sent,
    ev.SegmentRefused: ClientTrace._segment_refused,
    ev.ServingEnded: ClientTrace._serving_ended,
}
