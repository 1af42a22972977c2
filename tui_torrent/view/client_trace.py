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
from tui_torrent.view.ledger import Header, Ledger, Rule, Sources, Spot, clip
from tui_torrent.view.moves import Holding, Moves, Way
from tui_torrent.view.pairs import Pairs
from tui_torrent.view.steps import Requests, Uploads
from tui_torrent.view.tracker_trace import Catalog
from tui_torrent.view.words import counted

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

    def __init__(
        self, rank: Rank, ledger: Ledger, catalog: Catalog, moves: Moves, pairs: Pairs, header: Header
    ) -> None:
        self.rank = rank
        self._ledger = ledger
        self._catalog = catalog
        self._moves = moves
        self._pairs = pairs
        self._header = header
        #: Where its events were first missing or out of order.
        self.blind: Spot | None = None
        self.initialised = False
        self.acknowledged = False
        #: Where AllCompleted was told.
        self.finished: Spot | None = None
        #: When STOP came.
        self.stopped_at: float | None = None
        self.served = False
        #: When it last showed that it was at work.
        self.active_at = 0.0
        #: What it told the tracker that it owns, and where; and bundles that it was told are of these.
        self.declared: dict[str, int] = {}
        self.init: Spot | None = None
        self.bundled: dict[str, Spot] = {}
        #: Where INIT_ACK came, and what it wants.
        self.ack: Spot | None = None
        self.wanted: dict[str, None] = {}
        #: Wanted files neither completed nor unavailable.
        self._open: dict[str, None] = {}
        #: Those of ``_open`` that are whole: an update may name them or leave them out.
        self._whole: set[str] = set()
        self._started: dict[str, int] = {}
        self.holding = Holding()
        moves.holdings[rank] = self.holding
        #: When a segment of each file was stored last.
        self.stored_at: dict[str, float] = {}
        self._uploads = Uploads(rank, ledger, moves, self.holding)
        self._requests = Requests(rank, ledger, moves, self.holding)
        #: Sources that it has reason not to rely on, for a file or ("") for all.
        self.distrusted: set[tuple[Rank, str]] = set()
        #: Wanted files → where they were complete.
        self.completed: dict[str, Spot] = {}
        #: Files that were given up → where.
        self.unavailable: dict[str, Spot] = {}
        self._stored = 0
        #: The segment after which an update is due, and the first that was asked for but wrong.
        self._due: Spot | None = None
        self._wrong: tuple[Spot, str] | None = None

    @property
    def stopped(self) -> bool:
        return self.stopped_at is not None

    @property
    def told_all(self) -> bool:
        """Whether none of its events is missing, from the first to the last."""
        return self.served and self.blind is None

    def announced(self, name: str) -> bool:
        """Whether the client has sent FILE_COMPLETE for that file."""
        return name in self.completed and name not in self.holding.owned

    def see(self, spot: Spot, event: Event) -> None:
        """Take the client's next event, of a kind that is judged here (``JUDGED``)."""
        if self.blind:
            if isinstance(event, ev.SegmentStored):
                self._catalog.stored(spot, event)
            return
        self._in_order(spot, event)
        kind = type(event)
        if kind is not ev.FileCompleted or event.file not in self.holding.owned:  # type: ignore[attr-defined]
            self._pairs.see(spot, event, self.rank)
        if kind is not ev.Stopped and kind is not ev.ServingEnded:
            self.active_at = spot.stamped.t
        handler = _CLIENT.get(kind)
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
        self.init = spot
        self._ledger.checked[Rule.INIT] += 1
        self.declared = {owned.file: owned.segments for owned in event.owned}
        self.holding.owned.update(self.declared)
        for owned in event.owned:
            self._catalog.sized(spot, owned.file, owned.segments)

    def _init_ack_received(self, spot: Spot, event: ev.InitAckReceived) -> None:
        if self.acknowledged:
            self._ledger.broken(Rule.REQUEST, spot, "INIT_ACK comes again")
            return
        self.acknowledged = True
        self.ack = spot
        self.bundled = dict.fromkeys((owned.file for owned in event.bundled), spot)
        self.holding.owned.update((owned.file, owned.segments) for owned in event.bundled)
        self.wanted = dict.fromkeys(event.wanted)
        self._open = {
            name: None for name in self.wanted if name not in self.completed and name not in self.unavailable
        }
        self._whole = {name for name in self._open if name in self.holding.owned}
        self._uploads.is_told_its_bundles()

    def _swarm_requested(self, spot: Spot, event: ev.SwarmRequested) -> None:
        self._requests.swarms_asked(event)
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
            return f"the update is for {counted(event.unfinished, 'file')} where {least} are unfinished"
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
            return f"the update is for {counted(event.unfinished, 'file')} but names {len(named)}"
        return None

    def _download_started(self, spot: Spot, event: ev.DownloadStarted) -> None:
        self._catalog.sized(spot, event.file, event.segments)
        self._started.setdefault(event.file, event.segments)
        if event.segments == 0 and event.file in self._open:
            self._whole.add(event.file)

    def _segment_requested(self, spot: Spot, event: ev.SegmentRequested) -> None:
        if self.finished is not None:
            self._ledger.broken(Rule.ALL_COMPLETE, spot, "the client asks for a segment after ALL_COMPLETE")
        way = Way(self.rank, event.source, event.file, event.segment)
        if self.acknowledged and way.file not in self._open:
            what = f"{way} is asked for, but the client does not fetch that file"
            self._ledger.broken(Rule.MOVED, spot, what)
        self._requests.asked(spot, way, self._started.get(way.file))

    def _segment_dropped(self, spot: Spot, event: ev.SegmentDropped) -> None:
        self._moves.take(spot, self._requests.answered(spot, event))
        if event.reason != "duplicate":
            self.distrusted.add((event.source, event.file))

    def _request_rejected(self, spot: Spot, event: ev.RequestRejected) -> None:
        self._moves.reject(spot, self._requests.answered(spot, event))
        if event.reason in ("absent", "unreadable"):
            self.distrusted.add((event.source, event.file))

    def _request_expired(self, spot: Spot, event: ev.RequestExpired) -> None:
        self.distrusted.add((event.source, event.file))
        self._requests.expired(spot, event)

    def _source_avoided(self, spot: Spot, event: ev.SourceAvoided) -> None:
        self.distrusted.add((event.source, ""))

    def _segment_stored(self, spot: Spot, event: ev.SegmentStored) -> None:
        self._ledger.checked[Rule.STORED] += 1
        self._ledger.checked[Rule.MOVED] += 1
        if self._due is not None and self._open:
            self._update_missed(spot)
        self._catalog.stored(spot, event)
        way = self._requests.answered(spot, event)
        self._moves.take(spot, way)
        held = self.holding.got.get(event.file)
        if held is None:
            held = self.holding.got[event.file] = Sources()
        new = held.add(event.segment, event.source)
        problem = self._storing_problem(event) if new else "is stored twice"
        if event.file not in self._started:
            self._ledger.suspicious(Rule.STORED, spot, f"{way} is stored before the file's manifest came")
        if problem is not None:
            self._ledger.broken(Rule.STORED, spot, f"segment {event.segment} of {clip(event.file)} {problem}")
        if not new:
            return
        if event.source != self.rank:
            self._moves.trace_back(spot, way)
        self.stored_at[event.file] = spot.stamped.t
        self._uploads.stored(event.file, event.segment, spot.stamped.t)
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
            due = counted(self._stored, "segment")
            what = f"the client stores on without the update that was due after {due}"
            self._ledger.broken(Rule.UPDATE, spot, f"{what} (line {self._due.line})")
        self._due = self._wrong = None

    def _storing_problem(self, event: ev.SegmentStored) -> str | None:
        """Why that segment should not have been stored here, whatever its hash."""
        if event.source == self.rank:
            return "comes from the client itself"
        if event.file in self.holding.owned:
            return "belongs to a file that the client has owned from the start"
        if self.acknowledged and event.file not in self.wanted:
            return "belongs to a file that the client does not want"
        segments = self._started.get(event.file)
        if event.segment < 0 or (segments is not None and event.segment >= segments):
            return f"is stored where there are {segments} segments" if segments is not None else "is stored"
        return None

    def _file_completed(self, spot: Spot, event: ev.FileCompleted) -> None:
        name = event.file
        self._ledger.checked[Rule.FILE_COMPLETE] += 1
        problem = self._completing_problem(name) if self.acknowledged else None
        if problem is not None:
            self._ledger.broken(Rule.FILE_COMPLETE, spot, f"{clip(name)} {problem}")
        if name not in self._started and name not in self.holding.owned and name not in self.holding.got:
            what = f"{clip(name)} is completed before its manifest came"
            self._ledger.suspicious(Rule.FILE_COMPLETE, spot, what)
        self.completed.setdefault(name, spot)
        self._close(name)

    def _completing_problem(self, name: str) -> str | None:
        if name in self.completed:
            return "is completed again"
        if name in self.unavailable:
            return "is completed after it was given up as unavailable"
        if name not in self.wanted:
            return "is completed, but the client does not want it"
        if name in self.holding.owned or not self.initialised:
            return None
        segments, got = self._started.get(name), self.holding.got.get(name)
        count = got.count if got else 0
        if segments is None or count == segments:
            return None
        return f"is completed with {count} of its {counted(segments, 'segment')} stored"

    def _file_unavailable(self, spot: Spot, event: ev.FileUnavailable) -> None:
        if event.file in self.completed:
            what = f"{clip(event.file)} is given up as unavailable after it was completed"
            self._ledger.broken(Rule.FILE_COMPLETE, spot, what)
        elif event.file in self.unavailable:
            self._ledger.broken(Rule.GIVEN_UP, spot, f"{clip(event.file)} is given up again")
        elif self.acknowledged and event.file not in self.wanted:
            self._ledger.broken(
                Rule.GIVEN_UP, spot, f"{clip(event.file)} is given up, which nobody here wants"
            )
        self._ledger.checked[Rule.GIVEN_UP] += 1
        self.unavailable.setdefault(event.file, spot)
        # Whoever cannot serve it has said so, to this client or another.
        self.distrusted.update((cause.client, event.file) for cause in event.causes)
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
        self.stopped_at = spot.stamped.t

    def _segment_sent(self, spot: Spot, event: ev.SegmentSent) -> None:
        self._ledger.checked[Rule.SERVING] += self.finished is not None
        self._uploads.sent(spot, event)

    def _segment_refused(self, spot: Spot, event: ev.SegmentRefused) -> None:
        self._uploads.refused(spot, event, self.finished is not None, self.stopped)

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
    ev.SegmentDropped: ClientTrace._segment_dropped,
    ev.RequestRejected: ClientTrace._request_rejected,
    ev.RequestExpired: ClientTrace._request_expired,
    ev.SourceAvoided: ClientTrace._source_avoided,
    ev.FileCompleted: ClientTrace._file_completed,
    ev.FileUnavailable: ClientTrace._file_unavailable,
    ev.AllCompleted: ClientTrace._all_completed,
    ev.Stopped: ClientTrace._stopped,
    ev.SegmentSent: ClientTrace._segment_sent,
    ev.SegmentRefused: ClientTrace._segment_refused,
    ev.ServingEnded: ClientTrace._serving_ended,
}

#: What a client tells and is judged here; all else that it tells is not.
JUDGED = frozenset((*_CLIENT, ev.ShareHashed))
