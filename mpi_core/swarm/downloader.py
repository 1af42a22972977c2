"""Want, ask, verify, retry, announce: the download half of a client.

The steps, by their messages: INIT; then, at INIT_ACK, one SWARM_REQUEST that names all wanted files; then
REQUEST_SEGMENT to the sources, as many at a time as the window has room for, each answered by exactly one
SEND_SEGMENT, SEGMENT_AT or REJECT; a swarm update after every tenth segment; FILE_COMPLETE for each whole
file; ALL_COMPLETE once nothing is left to fetch, or FAILED where the disk refuses; and, until STOP, answers
to neighbours who ask what is here. Where the tracker is lost, all goes on without its part.

What is asked of whom is decided in ``asking``; who hears what in ``neighbours``; what they tell is taken
in by ``hearsay``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.entries import NO_TREE, OwnTree
from mpi_core.protocol.errors import OutputError, RemoteProtocolError, UnreadableError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank, SegmentIndex
from mpi_core.swarm.asking import Asking
from mpi_core.swarm.checks import bundle_of, check_ack, check_response, meaningless
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.hearsay import Hearsay
from mpi_core.swarm.machine import Effects, Emit, Halt, Send
from mpi_core.swarm.neighbours import Neighbours
from mpi_core.swarm.orphan import UNTOLD, Orphan
from mpi_core.swarm.picker import Picker
from mpi_core.swarm.placing import Placing
from mpi_core.swarm.sources import Request, Sources
from mpi_core.swarm.store import SegmentStore
from mpi_core.swarm.wanted import Wanted

#: How often, in seconds, a downloader looks whether some segment has lost its last live holder.
CHECK_INTERVAL = 0.25

#: The pause between two refreshes of a stalled client doubles up to so many times the first.
REFRESH_GROWTH = 8


class Downloader:
    """One client's download machine."""

    def __init__(
        self,
        rank: Rank,
        clients: int,
        store: SegmentStore,
        wants: Sequence[str],
        config: SwarmConfig,
        rng: Random,
        patterns: Sequence[str] = (),
        tree: OwnTree = NO_TREE,
        trouble: str | None = None,  # Why nothing can be written here, if nothing can.
    ) -> None:
        self._rank = rank
        self._clients = clients
        self._store = store
        self._owned = store.manifests
        self._wants = tuple(dict.fromkeys(wants))
        self._patterns = tuple(patterns)
        self._tree = tree
        self._trouble = trouble if wants or patterns else None
        self._config = config
        self._picker = Picker(rank, rng)
        self._sources = Sources(config, rng)
        self._requests = Asking(config, self._picker, self._sources)
        self._neighbours = Neighbours(rank, store, self._picker, self._sources, self._requests, config, rng)
        self._effects: Effects = []
        #: starting → waiting (INIT sent) → downloading → serving (ALL_COMPLETE or FAILED sent) → stopped
        self._phase = "starting"
        self._wanted = Wanted()
        #: Segments still missing of each file that was begun.
        self._missing: dict[str, int] = {}
        self._hearsay = Hearsay(rank, clients, store, self._picker, self._neighbours, config)
        self._unavailable: list[str] = []
        self._placing = Placing(store)
        #: Once the tracker is lost.
        self._orphan: Orphan | None = None
        self._stored = 0
        self._asked_at = self._refresh_at = self._check_at = 0.0
        self._refresh_pause = config.refresh_interval
        self._handlers: dict[type, Callable[[float, Rank, Any], None]] = {
            msg.InitAck: self._on_init_ack,
            msg.SwarmResponse: self._on_swarm_response,
            msg.SendSegment: self._on_segment,
            msg.SegmentAt: self._on_segment,
            msg.Reject: self._on_reject,
            msg.Pending: self._on_pending,
            msg.BitfieldMessage: self._on_bitfield,
            msg.Announce: self._on_announce,
            msg.Stop: self._on_stop,
            msg.Lost: self._on_lost,
        }

    # The machine ------------------------------------------------------------------------------

    def start(self, now: float) -> Effects:
        self._phase = "waiting"
        self._store.expect_bundles()
        self._send(TRACKER, msg.Init(self._owned, self._patterns, self._wants, *self._tree))
        # How many segments a file with holes has is known at INIT_ACK.
        self._emit(ev.InitSent(tuple(ev.OwnedFile(m.name, m.segments) for m in self._owned if not m.holes)))
        if self._trouble:
            self._send(TRACKER, msg.Failed(self._trouble))
        return self._take(now)

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        handler = self._handlers.get(type(message))
        if handler is None or self._phase in ("starting", "stopped"):
            raise RemoteProtocolError(f"{type(message).__name__} while {self._phase}")
        try:
            handler(now, sender, message)
            self._go_on(now)
        except OutputError as error:
            self._fail(now, str(error))
        return self._take(now)

    def wake(self, now: float) -> Effects:
        try:
            self._placing.go_on(now, self._effects)
            self._go_on(now)
        except OutputError as error:
            self._fail(now, str(error))
        return self._take(now)

    @property
    def wake_at(self) -> float | None:
        flush_at = self._neighbours.flush_at
        if self._phase != "downloading":
            at = self._orphan.look_at if self._orphan and self._phase == "serving" else None
            return at if flush_at is None else flush_at if at is None else min(at, flush_at)
        if self._placing.wake_at is not None:
            return self._placing.wake_at
        at, asked = min(self._refresh_at, self._check_at), self._requests.wake_at
        if asked is not None and asked < at:
            at = asked
        return at if flush_at is None or at < flush_at else flush_at

    def _go_on(self, now: float) -> None:
        """What follows from any stimulus: ask, give up, refresh, finish."""
        if self._phase == "downloading":
            if self._requests.is_due(now):
                self._effects += self._requests.fill(now)
            if now >= self._check_at:
                self._check_at = now + CHECK_INTERVAL
                self._give_up(now)
            if not self._wanted.unfinished and self._placing.wake_at is None:
                self._all_complete(now)
            elif now >= self._refresh_at:
                self._refresh(now)
        if self._orphan is not None and self._phase == "serving" and self._orphan.may_leave(now):
            self._halt()

    def _take(self, now: float) -> Effects:
        """All effects, announcements included."""
        if self._phase != "stopped":
            self._effects += self._neighbours.flush(now)
        effects, self._effects = self._effects, []
        return effects

    def _send(self, to: Rank, message: msg.Stimulus) -> None:
        if to != TRACKER or self._orphan is None:
            self._effects.append(Send(to, message))

    def _emit(self, event: ev.Event) -> None:
        self._effects.append(Emit(event))

    # With the tracker -------------------------------------------------------------------------

    def _from_tracker(self, sender: Rank, what: str, phase: str | None = None) -> None:
        if sender != TRACKER or (phase and self._phase != phase):
            raise RemoteProtocolError(f"{what} from rank {sender} while {self._phase}")

    def _on_init_ack(self, now: float, sender: Rank, message: msg.InitAck) -> None:
        self._from_tracker(sender, "INIT_ACK", "waiting")
        check_ack(message, len(self._patterns))
        bundled = [bundle_of(told, self._store) for told in message.bundles]
        matched = [name for names in message.matched for name in names]
        wanted = tuple(dict.fromkeys((*self._wants, *matched)))
        self._phase = "serving" if self._trouble else "downloading"
        self._store.expect(message.entries, message.twins)
        unmatched = meaningless(message, self._patterns, self._store)
        settled = self._store.add_bundles(bundled, message.filled)
        owned = tuple(ev.OwnedFile(manifest.name, manifest.segments) for manifest in settled)
        self._emit(ev.InitAckReceived((*wanted, *unmatched), owned))
        for pattern in unmatched:
            self._unavailable.append(pattern)
            self._emit(ev.FileUnavailable(pattern, "nobody owns a file of that name"))
        missing = () if self._trouble else (name for name in wanted if not self._store.manifest(name))
        self._wanted.begin(missing)
        self._hearsay.expect(self._wanted.names, self._wanted.unfinished)
        if self._trouble:
            return
        self._placing.add(name for name in wanted if self._store.manifest(name))
        self._placing.go_on(now, self._effects)
        self._refresh_at = now + self._refresh_pause
        if self._wanted.names:
            self._send(TRACKER, msg.SwarmRequest(tuple(self._wanted.names)))
            self._requested_swarms(now)

    def _requested_swarms(self, now: float) -> None:
        self._asked_at = now
        self._refresh_at = now + self._refresh_pause
        self._emit(self._wanted.requested)

    def _update_swarms(self, now: float, stalled: bool = False) -> None:
        self._send(TRACKER, self._wanted.update(stalled))
        self._requested_swarms(now)

    def _refresh(self, now: float) -> None:
        """Nothing has come for a while: ask again, and show the tracker that we live."""
        longest = REFRESH_GROWTH * self._config.refresh_interval
        self._refresh_pause = min(2 * self._refresh_pause, longest)
        if self._wanted.unfinished:
            self._update_swarms(now, stalled=True)
        else:
            self._refresh_at = now + self._refresh_pause
            self._send(TRACKER, msg.Alive())

    def _on_swarm_response(self, now: float, sender: Rank, message: msg.SwarmResponse) -> None:
        self._from_tracker(sender, "SWARM_RESPONSE")
        if self._phase != "downloading":
            return  # The answer to a refresh that crossed our ALL_COMPLETE.
        check_response(message, self._wanted.names, self._store, self._clients)
        for manifest in message.manifests:
            self._begin(manifest)
        unfinished, hopeless = self._wanted.unfinished, self._wanted.hopeless
        self._effects += self._neighbours.named(message.swarms, unfinished, hopeless, now)
        for rank in message.lost:
            self._neighbours.forget(rank, unfinished)
        for name in message.unknown:
            self._make_unavailable(name, "nobody owns it")
        for manifest in message.manifests:
            if not manifest.segments:
                self._file_complete(manifest.name)
            self._effects += self._hearsay.begun(manifest, now)

    def _begin(self, manifest: Manifest) -> None:
        if manifest.name not in self._wanted.unfinished:
            return
        self._store.begin(manifest)
        self._picker.add(manifest.name, manifest.segments)
        self._requests.add(manifest)
        self._missing[manifest.name] = manifest.segments
        self._emit(ev.DownloadStarted(manifest.name, manifest.segments, manifest.size))

    def _on_stop(self, now: float, sender: Rank, message: msg.Stop) -> None:
        self._from_tracker(sender, "STOP")
        self._emit(ev.Stopped(message.aborted))
        self._halt()

    def _halt(self) -> None:
        self._phase = "stopped"
        self._send(self._rank, msg.Shutdown())
        self._effects.append(Halt())

    @property
    def exit_code(self) -> int:
        """1 where something wanted cannot be had, else 0."""
        return 1 if self._unavailable or self._trouble else 0

    def _on_lost(self, now: float, sender: Rank, message: msg.Lost) -> None:
        if sender != self._rank:
            raise RemoteProtocolError(f"rank {sender} says that {message.rank} is lost")
        if message.rank != TRACKER:
            self._neighbours.forget(message.rank, self._wanted.unfinished)
            return
        self._orphan = self._orphan or Orphan(self._store, self._config)
        if self._phase == "waiting":
            self._wanted.begin((*self._wants, *self._patterns))
        for name in [name for name in self._wanted.unfinished if name not in self._missing]:
            self._make_unavailable(name, UNTOLD)
        if self._phase != "downloading":
            self._orphan.done(now, served=self._phase == "serving")
            self._phase = "serving"

    # With uploaders ---------------------------------------------------------------------------

    def _on_segment(self, now: float, sender: Rank, message: msg.SendSegment | msg.SegmentAt) -> None:
        request = self._requests.answered(now, sender, message.ticket)
        file, index = self._picker.locate(request.key)
        size = message.size
        if self._requests.is_stored(request.key) or file.name not in self._wanted.unfinished:
            self._emit(ev.SegmentDropped(sender, file.name, SegmentIndex(index), size, "duplicate"))
            return
        try:
            if isinstance(message, msg.SegmentAt):
                digest = self._store.copy(file.name, index, message.places)
            else:
                digest = self._store.put(file.name, index, message.payload)
        except UnreadableError as error:
            self._is_rejected(now, sender, request, msg.Reject(message.ticket, "unreadable", str(error)))
            return
        if digest is None:
            self._emit(ev.SegmentDropped(sender, file.name, SegmentIndex(index), size, "corrupt"))
            self._effects += self._requests.corrupt(now, sender, request.key)
            return
        manifest = self._store.manifest(file.name)
        assert manifest is not None
        self._emit(
            ev.SegmentStored(sender, file.name, SegmentIndex(index), size, manifest.digest_text(digest))
        )
        self._effects += self._requests.stored(now, sender, request)
        self._neighbours.gained(request.key)
        self._stored += 1
        self._refresh_pause = self._config.refresh_interval
        if not self._wanted.hopeless:
            # However steadily segments come, the tracker must hear from us, or it counts us as lost.
            latest = self._asked_at + self._config.client_timeout / 4
            self._refresh_at = min(now + self._refresh_pause, latest)
        self._missing[file.name] -= 1
        if not self._missing[file.name]:
            self._file_complete(file.name)
        if self._stored % self._config.swarm_update == 0 and self._wanted.unfinished:
            self._neighbours.share_out(file)
            self._update_swarms(now)

    def _on_reject(self, now: float, sender: Rank, message: msg.Reject) -> None:
        self._is_rejected(now, sender, self._requests.answered(now, sender, message.ticket), message)

    def _is_rejected(self, now: float, sender: Rank, request: Request, answer: msg.Reject) -> None:
        file, index = self._picker.locate(request.key)
        self._emit(ev.RequestRejected(sender, file.name, SegmentIndex(index), answer.reason, answer.why))
        self._requests.rejected(now, sender, request, answer.reason, answer.why)

    def _on_pending(self, now: float, sender: Rank, message: msg.Pending) -> None:
        self._requests.pending(now, sender, message.tickets)

    # With other downloaders -------------------------------------------------------------------

    def _on_bitfield(self, now: float, sender: Rank, message: msg.BitfieldMessage) -> None:
        self._effects += self._hearsay.bitfield(now, sender, message)

    def _on_announce(self, now: float, sender: Rank, message: msg.Announce) -> None:
        self._hearsay.announce(now, sender, message)

    # Ends -------------------------------------------------------------------------------------

    def _file_complete(self, name: str) -> None:
        if not self._wanted.close(name):
            return
        self._store.finish(name)
        self._emit(ev.FileCompleted(name))
        self._send(TRACKER, msg.FileComplete(name))

    def _give_up(self, now: float) -> None:
        """A file of which a segment has had no live holder for long cannot be had. Other holders are sought
        at once; one that is silent has far longer to speak again, since links may be slow."""
        hopeless = self._requests.hopeless_files()
        if self._wanted.lack(hopeless, now):
            self._refresh_at = min(self._refresh_at, now + self._config.refresh_interval)
        heard_since = now - self._config.client_timeout
        gone = self._requests.hopeless_files(heard_since) if hopeless else {}
        for name, since in list(self._wanted.hopeless.items()):
            if name in gone and now - since >= self._config.give_up_after:
                self._make_unavailable(name, f"{gone[name]} of its segments have no live holder")

    def _make_unavailable(self, name: str, reason: str) -> None:
        if not self._wanted.close(name):
            return
        self._unavailable.append(name)
        self._effects += self._requests.abandon(name)
        self._emit(self._sources.unavailable(name, reason))

    def _fail(self, now: float, why: str) -> None:
        """The disk refuses: fetch nothing more, and serve on what is here."""
        self._phase, self._trouble = "serving", why
        if self._orphan is not None:
            self._orphan.done(now)
        self._wanted.close_all()
        self._effects += self._requests.cancel_all()
        self._send(TRACKER, msg.Failed(why))

    def _all_complete(self, now: float) -> None:
        losses = self._store.settle()
        self._phase = "serving"
        self._effects += self._requests.cancel_all()
        if self._orphan is not None:
            self._orphan.done(now)
        self._effects += map(Emit, losses)
        self._unavailable += [name for loss in losses if loss.what == "unmade" for name, _ in loss.files]
        self._send(TRACKER, msg.AllComplete(tuple(self._unavailable)))
        self._emit(ev.AllCompleted())
