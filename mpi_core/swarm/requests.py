"""The requests in flight: which segment is asked of whom, and what becomes of it.

A request keeps its ticket, and with it the buffer that waits for the payload, until its one answer has
come, however late. It leaves the window earlier: when it is *late* (it takes far longer than usual), or when
it *expires* (unanswered for the request timeout). Its key may then be asked of another source; the first
answer wins, the others are cancelled.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence

from mpi_core.protocol import events as ev
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.errors import CHANGED, RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Cancel, RejectReason, RequestSegment
from mpi_core.protocol.units import MAX_TICKETS, Rank, SegmentIndex, Ticket
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.machine import Effects, Emit, Send
from mpi_core.swarm.picker import Picker, lowest_key
from mpi_core.swarm.sources import Request, Source, Sources
from mpi_core.swarm.window import Window

#: The age at which a request is late: at least so many seconds, and so many times the usual time of an
#: answer.
LATE = (0.2, 4.0)

#: A segment's timeout doubles with each expiry, so many times at the most.
MOST_DOUBLINGS = 4

#: A segment's requests are withdrawn so many times at the most: nothing wanders from queue to queue for ever.
MOST_MOVES = 3

#: A queue is far longer than another when it is so many times as long.
LONGER = 2

#: What so few of a new crowd hold, or fewer, is asked for as soon as one of them tells of it.
RARE = 4

NEVER = float("inf")


class Requests:
    """The window of one downloader."""

    def __init__(self, config: SwarmConfig, picker: Picker, sources: Sources) -> None:
        self._config = config
        #: The classic strategy: one request at a time, which stays with its source while that lives.
        self._in_order = config.strategy == "classic"
        self._picker = picker
        self._sources = sources
        self._manifests: dict[str, Manifest] = {}
        self._open: dict[Ticket, Request] = {}
        self._by_key: dict[int, list[Request]] = {}
        #: Requests that count in the window: open, and neither late, expired nor cancelled.
        self._in_window = 0
        #: Keys that some source holds, or held once.
        self._held = 0
        #: Open requests that were withdrawn.
        self._withdrawn = 0
        #: Keys that are asked for; those asked of seeds; and those that a peer has come to hold meanwhile.
        self._asked = 0
        self._first_copies = 0
        self._news = 0
        #: Sources that have just said that they have nothing else to do, or that they hold something rare.
        self._free: list[Source] = []
        self._spare: list[Ticket] = []
        self._tickets = 0
        #: Keys that are verified and stored; keys of files that are given up.
        self._stored = 0
        self._abandoned = 0
        self._wanted = 0
        self._expiries: Counter[int] = Counter()
        #: How often a request for a key was withdrawn.
        self._moves: Counter[int] = Counter()
        self.window = Window(config)
        #: Whether something has changed since nothing could be asked.
        self._stirred = True
        #: No open request is late, expires or shows its source silent before that time.
        self._look_at = NEVER
        #: Since when the window had room and patience forbade to fill it; how many requests may break it.
        self._waiting_since: float | None = None
        self._credit = 1
        #: The next deadline.
        self.wake_at: float | None = None

    def add(self, manifest: Manifest) -> None:
        """A file that the picker has just been given."""
        self._manifests[manifest.name] = manifest
        file = self._picker.file(manifest.name)
        assert file is not None
        self._wanted |= file.mask
        self.window.holds_segments_of(manifest.segment_length)
        self._stirred = True

    def stir(self) -> None:
        """Who holds what, or who may ask whom, has changed: look again."""
        self._stirred = True

    def seeded(self, source: Source, keys: int) -> None:
        """``source`` holds those keys as a seed."""
        source.seed_keys |= keys & ~source.peer_keys
        self._sources.changed()
        self._held |= keys
        self._stirred = True

    def is_due(self, now: float) -> bool:
        """Whether ``fill`` could do anything."""
        return self._stirred or (self.wake_at is not None and now >= self.wake_at)

    @property
    def _has_room(self) -> bool:
        return self._in_window < self.window.size and len(self._open) < MAX_TICKETS

    def _scaled(self, bounds: tuple[float, float]) -> float:
        least, times = bounds
        return max(least, times * (self.window.usual or 0.0))

    # Asking -----------------------------------------------------------------------------------

    def _withdraw(self, request: Request) -> Effects:
        """Ask its source to drop a request. Once a REJECT says that no payload will come, it is asked of
        another; so no segment is sent twice."""
        moves = self._moves[request.key]
        if request.withdrawn or request.cancelled or moves >= MOST_MOVES:
            return []
        self._moves[request.key] = moves + 1
        request.withdrawn = True
        self._withdrawn += 1
        return [Send(request.source, Cancel(request.ticket))]

    def _ask(self, now: float, source: Source, key: int, first_copy: bool = False) -> Effects:
        file, index = self._picker.locate(key)
        ticket = heapq.heappop(self._spare) if self._spare else self._new_ticket()
        doublings = min(self._expiries[key], MOST_DOUBLINGS) if key in self._expiries else 0
        # On slow links long waits are usual, and no sign of death.
        deadline = now + max(self._config.request_timeout * 2**doublings, self._scaled(LATE))
        request = Request(ticket, source.rank, key, now, deadline, source.as_payload, not first_copy)
        self._open[ticket] = request
        self._look_at = min(self._look_at, deadline, now + self._late_after)
        self._by_key.setdefault(key, []).append(request)
        self._in_window += request.in_window
        self._asked |= 1 << key
        self._first_copies |= 1 << key & source.seed_keys
        self._picker.todo &= ~(1 << key)
        self._sources.asked(source, key)
        length = self._manifests[file.name].payload_length(index)
        segment = SegmentIndex(index)
        return [
            Send(source.rank, RequestSegment(file.name, segment, ticket, length, source.as_payload)),
            Emit(ev.SegmentRequested(source.rank, file.name, segment)),
        ]

    def _new_ticket(self) -> Ticket:
        self._tickets += 1
        return Ticket(self._tickets - 1)

    @property
    def _late_after(self) -> float:
        """The age at which a request is late; the classic strategy waits for its one request to expire."""
        if self.window.usual is None or self._in_order:
            return NEVER
        return self._scaled(LATE)

    def _look(self, now: float, effects: Effects) -> None:
        """Reopen what is late or expired, and say when to look again."""
        late_after, look_at = self._late_after, NEVER
        for request in self._open.values():
            source = self._sources.of(request.source, now)
            if not request.expired and now >= request.deadline:
                # A cancelled request is owed an answer too: its source may be dead with no other open.
                request.expired = True
                if not request.cancelled:
                    self._expiries[request.key] += 1
                    file, index = self._picker.locate(request.key)
                    effects.append(Emit(ev.RequestExpired(request.source, file.name, SegmentIndex(index))))
                    self._reopen(request)
            elif not request.reopened and now >= request.asked_at + late_after:
                request.late = True
                source.late += 1
                self._reopen(request)
            if not request.expired:
                look_at = min(look_at, request.deadline)
                if not request.reopened:
                    look_at = min(look_at, request.asked_at + late_after)
            elif not source.silent:
                # It owes an answer: if it says nothing at all, it is asked no more until it speaks.
                silent_at = source.last_heard + self._config.request_timeout
                if now >= silent_at:
                    source.silent = True
                    self._sources.changed()
                    effects.append(Emit(ev.SourceAvoided(source.rank, "silent")))
                else:
                    look_at = min(look_at, silent_at)
        self._look_at = look_at
        self._stirred = True

    def _leave_window(self, request: Request) -> None:
        if not request.reopened:
            request.reopened = True
            self._in_window -= request.in_window

    def _reopen(self, request: Request) -> None:
        """Let the request's key be asked of another."""
        self._leave_window(request)
        self._need(request.key)

    def _need(self, key: int) -> None:
        """Put a key back on the list, unless it is here, given up, or still asked for."""
        asked = any(not request.reopened for request in self._by_key.get(key, ()))
        if not asked and not (self._stored | self._abandoned) >> key & 1:
            self._picker.todo |= 1 << key

    # Answers ----------------------------------------------------------------------------------

    def answered(self, now: float, sender: Rank, ticket: Ticket) -> Request:
        """Close the request of that ticket; raises RemoteProtocolError where it is not the sender's."""
        request = self._open.get(ticket)
        if request is None or request.source != sender:
            raise RemoteProtocolError(f"rank {sender} answers ticket {ticket}, which is not its own")
        del self._open[ticket]
        heapq.heappush(self._spare, ticket)
        self._leave_window(request)
        self._withdrawn -= request.withdrawn
        asked = self._by_key[request.key]
        asked.remove(request)
        if not asked:
            del self._by_key[request.key]
            self._asked &= ~(1 << request.key)
            self._first_copies &= ~(1 << request.key)
        source = self._sources.of(sender, now)
        self.heard(source, now)
        source.late -= request.late
        self._sources.answered(source, request.key)
        self._stirred = True
        return request

    def stored(self, now: float, sender: Rank, request: Request) -> Effects:
        """The request's segment is verified and stored; cancel what else was asked for it."""
        bit = 1 << request.key
        self._stored |= bit
        self._picker.todo &= ~bit
        if self._expiries:
            self._expiries.pop(request.key, None)
        self._moves.pop(request.key, None)
        source, took = self._sources.of(sender, now), now - request.asked_at
        source.delivered(self._picker.locate(request.key)[0].name, took, now)
        if self.window.usual is None:
            # From now on there is a usual time, and so there may be late requests.
            self._look_at = now
        self.window.answered(now, took)
        return [effect for other in self._by_key.get(request.key, ()) for effect in self._cancel(other)]

    def corrupt(self, now: float, sender: Rank, key: int) -> Effects:
        """A payload failed its digest: count it against its sender, and ask again."""
        source = self._sources.of(sender, now)
        self._sources.struck(source, key)
        file, _ = self._picker.locate(key)
        row = source.corrupt_in_a_row[file.name] = source.corrupt_in_a_row.get(file.name, 0) + 1
        self._need(key)
        if row == self._config.ban_after:
            # Its copy of this file is bad; what else it holds may be sound.
            source.barred |= file.mask
            self._sources.blame(file.name, sender, CHANGED)
            self._sources.changed()
            return [Emit(ev.SourceAvoided(sender, f"{row} corrupt segments of {file.name} in a row"))]
        if source.strikes == self._config.strikes:
            return [Emit(ev.SourceAvoided(sender, f"{source.strikes} corrupt segments"))]
        return []

    def rejected(self, now: float, sender: Rank, request: Request, reason: RejectReason, why: str) -> None:
        source = self._sources.of(sender, now)
        if reason == "unreadable" and not request.as_payload:
            # Here alone, perhaps: of descriptors we may have too few, or another path.
            source.as_payload = True
        elif reason in ("absent", "unreadable"):
            self._picker.lost(source.peer_keys & 1 << request.key & ~self._stored)
            self._sources.lacks(source, request.key)
            if reason == "unreadable":
                self._sources.blame(self._picker.locate(request.key)[0].name, sender, why or reason)
        elif reason == "busy":
            self._sources.paused(source, now)
        self._need(request.key)

    def pending(self, now: float, sender: Rank, tickets: Sequence[Ticket]) -> None:
        source = self._sources.get(sender)
        if source is None:
            raise RemoteProtocolError(f"PENDING from rank {sender}, of which nothing was asked")
        self.heard(source, now)
        for ticket in tickets if self._in_order else ():
            request = self._open.get(ticket)
            if request is not None and request.source == sender:
                # It waits in a queue, and nobody else is asked as long as its source says so.
                request.deadline = max(request.deadline, now + self._config.request_timeout)

    def _cancel(self, request: Request) -> Effects:
        if request.cancelled:
            return []
        request.cancelled = True
        self._leave_window(request)
        return [] if request.withdrawn else [Send(request.source, Cancel(request.ticket))]

    def cancel_all(self) -> Effects:
        return [effect for request in self._open.values() for effect in self._cancel(request)]

    def heard(self, source: Source, now: float) -> None:
        """It said something: it lives."""
        if source.silent:
            source.silent = False
            self._stirred = True
            self._sources.changed()
        source.last_heard = now

    # What the sources hold --------------------------------------------------------------------

    def peer_holds(self, source: Source, keys: int) -> None:
        """``source`` holds those keys as a peer."""
        new = keys & ~source.peer_keys
        if not new:
            return
        if not source.peer_keys:
            self._sources.changed()
        source.peer_keys |= new
        self._held |= new
        if source.seed_keys:
            source.seed_keys &= ~new
        # Of what is here, nobody needs to know how rare it is.
        self._picker.gained(new & ~self._stored)
        if self.window.is_crowd_new and new & self._picker.todo & self._picker.held_by_few(RARE):
            self._beside(source)
        news = new & self._asked
        if news and (news & self._first_copies or (not source.outstanding and self._may_wait(news))):
            self._news |= news
            self._stirred = True
        elif new & self._picker.todo and self._has_room:
            self._stirred = True

    def _may_wait(self, keys: int) -> bool:
        """Whether a request for one of those keys may wait behind others. In the endgame each may."""
        if not self._picker.todo:
            return True
        while keys:
            for request in self._by_key[lowest_key(keys)]:
                source = self._sources.get(request.source)
                if source is not None and max(source.load, source.outstanding) >= LONGER:
                    return True
            keys &= keys - 1
        return False

    def is_free(self, source: Source) -> None:
        """``source`` says that what it is asked for now it sends at once."""
        if self.window.in_crowd and source.peer_keys & self._picker.todo:
            self._beside(source)

    def _beside(self, source: Source) -> None:
        """``source`` is to be asked though the window be full."""
        if not source.outstanding and not self._in_order:
            self._free.append(source)
            self._stirred = True

    def source_lost(self, rank: Rank) -> None:
        """Nothing more will come from that client."""
        source = self._sources.get(rank)
        if source is None:
            return
        self._picker.lost(source.peer_keys & ~self._stored)
        source.peer_keys = source.seed_keys = 0
        self._sources.changed()
        for request in self._open.values():
            if request.source == rank and not request.cancelled:
                request.expired = True
                self._reopen(request)

    def is_stored(self, key: int) -> bool:
        return bool(self._stored >> key & 1)

    def hopeless_files(self, heard_since: float = NEVER) -> dict[str, int]:
        """Unfinished files with segments that no live source holds → how many. A silent source that was heard
        later than that counts as a live one."""
        keys = self._wanted & ~self._stored & ~self._abandoned & ~self._sources.hopeful_keys(heard_since)
        files: Counter[str] = Counter()
        while keys:
            file, _ = self._picker.locate(lowest_key(keys))
            files[file.name] = (keys & file.mask).bit_count()
            keys &= ~file.mask
        return dict(files)

    def abandon(self, name: str) -> Effects:
        """Ask for nothing more of a file."""
        file = self._picker.file(name)
        if file is None:
            return []
        self._abandoned |= file.mask
        self._picker.todo &= ~file.mask
        keys = Bitfield(self._wanted.bit_length(), file.mask & self._wanted)
        requests = [request for key in keys for request in self._by_key.get(key, ())]
        return [effect for request in requests for effect in self._cancel(request)]
