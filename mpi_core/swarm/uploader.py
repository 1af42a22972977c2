"""Serve, within its slots: the upload half of a client.

Every REQUEST_SEGMENT gets exactly one answer: SEND_SEGMENT, SEGMENT_AT or REJECT. What was served least
often goes first: whatever many ask for at once, a second copy of anything leaves only after one of
everything. Among equals the answers go round the requesters, so that one that asks for much does not keep
the others waiting; and nobody waits for ever. Few payloads are on the way at once (the slots), since a link
shared by many brings each of them late; what waits behind them costs no memory but its request. Who waits
long hears PENDING: slow is not dead.

Who can open our files is told where a payload lies, and reads it there: that takes no slot.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError, UnreadableError
from mpi_core.protocol.units import MAX_TICKETS, Rank, SegmentIndex, Ticket
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.machine import Effects, Emit, Halt, Send
from mpi_core.swarm.slots import Slots
from mpi_core.swarm.store import SegmentStore

#: How often, in seconds, an uploader looks whether its own INIT_ACK has told what a request speaks of.
EARLY_INTERVAL = 0.005
#: A receiver is stuck when a payload is on its way for at least so many seconds, and so many times as long as
#: usual; for the request timeout where nothing is usual yet.
STUCK = (0.05, 4.0)
#: What has left already waits behind what has not: for each time, so many times the usual time of a payload.
#: Of a file that is owned, as if for ever: a second copy before one of everything keeps all waiting.
OWN, PEER = 64.0, 1.0

#: Who told another where a payload lies has something to send for so many seconds.
LATELY = 0.1

#: The weight of the newest payload in that average.
SMOOTHING = 0.1


@dataclass(eq=False, slots=True)
class Waiting:
    """A request in the queue, or one whose payload is on the way; since when."""

    request: msg.RequestSegment
    since: float
    #: Of a payload on the way: its bytes, and how many had left when it set out.
    size: int = 0
    left_before: int = 0
    #: Whether the asker is to be told where the payload lies.
    direct: bool = False


class Uploader:
    """One client's upload machine."""

    def __init__(
        self,
        rank: Rank,
        clients: int,
        store: SegmentStore,
        config: SwarmConfig,
        beside: frozenset[Rank] = frozenset(),
    ) -> None:
        self._rank = rank
        self._clients = clients
        self._store = store
        #: Clients that can open this one's files: they read payloads where these lie.
        self._beside = beside
        #: When one was last told where.
        self._told_at = -LATELY
        self._config = config
        #: What each requester waits for; requesters with nothing waiting are not in it. The first has waited
        #: longest for its turn.
        self._queues: dict[Rank, deque[Waiting]] = {}
        #: How often each segment of a file was served; what never was is not in it.
        self._served: dict[str, dict[SegmentIndex, int]] = {}
        self._queued = 0
        #: Payloads on the way, by receiver, the oldest first; receivers without one are not in it. And how
        #: many these are.
        self._sending: dict[Rank, list[Waiting]] = {}
        self._on_the_way = 0
        self._slots = Slots(config.slots)
        #: The usual time that a payload is on the way, seconds; None until the first has left.
        self._usual: float | None = None
        #: When the rate allows the next payload.
        self._free_at = 0.0
        self._pending_at = 0.0
        self.wake_at: float | None = None
        #: Requests for a bundle of which our own INIT_ACK has yet to tell.
        self._early: list[tuple[Rank, msg.RequestSegment]] = []
        self._halted = False

    def start(self, now: float) -> Effects:
        return []

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        if self._halted:
            raise RemoteProtocolError(f"{type(message).__name__} after STOP")
        match message:
            case msg.RequestSegment():
                effects = self._on_request(now, sender, message)
            case msg.Cancel():
                effects = self._on_cancel(sender, message.ticket)
            case msg.Sent() if sender == self._rank:
                effects = self._on_sent(now, message.to, message.ticket)
            case msg.Shutdown() if sender == self._rank:
                self._halted = True
                return [Emit(ev.ServingEnded()), Halt()]
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} from rank {sender} to an uploader")
        return effects + self._serve(now)

    def wake(self, now: float) -> Effects:
        return self._serve(now)

    def _on_request(self, now: float, sender: Rank, request: msg.RequestSegment) -> Effects:
        if not 1 <= sender <= self._clients:
            raise RemoteProtocolError(f"rank {sender} asks for a segment")
        if not 0 <= request.ticket < MAX_TICKETS:
            raise RemoteProtocolError(f"rank {sender} asks with ticket {request.ticket}")
        # A ticket whose payload is on the way may come again: it arrived, and we have yet to hear of it.
        queue = self._queues.get(sender, ())
        if any(waiting.request.ticket == request.ticket for waiting in queue):
            raise RemoteProtocolError(f"ticket {request.ticket} of rank {sender} is in use")
        # In this order: the bundles are in the store before the word that they are.
        early = self._store.may_be_bundled
        held = self._store.bitfield(request.name)
        if held is None and early:
            self._early.append((sender, request))
            return []
        if held is None or not 0 <= request.index < held.length or not held.has(request.index):
            return self._refuse(sender, request, "absent")
        if self._is_full(now):
            return self._refuse(sender, request, "busy")
        if not self._queued and not self._sending:
            self._pending_at = now + self._config.pending_interval
        self._slots.asked_by(sender, self._store.in_crowd, self._store.is_link_long)
        direct = sender in self._beside and self._store.is_in_files and not request.as_payload
        self._queues.setdefault(sender, deque()).append(Waiting(request, now, direct=direct))
        self._queued += 1
        return []

    def _on_cancel(self, sender: Rank, ticket: Ticket) -> Effects:
        for waiting in self._queues.get(sender, ()):
            if waiting.request.ticket == ticket:
                self._remove(sender, waiting)
                return self._refuse(sender, waiting.request, "cancelled")
        # Not in the queue: its answer is on the way, and one answer is all it gets.
        return []

    def _refuse(
        self, to: Rank, request: msg.RequestSegment, reason: msg.RejectReason, why: str = ""
    ) -> Effects:
        return [
            Send(to, msg.Reject(request.ticket, reason, why)),
            Emit(ev.SegmentRefused(to, request.name, request.index, reason, why)),
        ]

    def _remove(self, sender: Rank, waiting: Waiting) -> None:
        queue = self._queues[sender]
        queue.remove(waiting)
        self._queued -= 1
        if not queue:
            del self._queues[sender]

    def _on_sent(self, now: float, to: Rank, ticket: Ticket) -> Effects:
        sending = self._sending.get(to, [])
        for waiting in sending:
            if waiting.request.ticket == ticket:
                sending.remove(waiting)
                self._on_the_way -= 1
                self._slots.leaves(now - waiting.since, waiting.left_before, waiting.size)
                # One slow receiver makes the others no slower.
                took, usual = now - waiting.since, self._usual
                self._usual = took if usual is None else usual + SMOOTHING * (min(took, 2 * usual) - usual)
                break
        if not sending:
            self._sending.pop(to, None)
        return []

    def _next(self, now: float) -> tuple[Rank, Waiting] | None:
        """What to send next and to whom, if a slot is free."""
        if not self._queued:
            return None
        stuck, busy = self._stuck(now), self._on_the_way
        for rank in stuck:
            busy -= len(self._sending[rank])
        for_others = 0 if self._slots.left else self._slots.opened
        full = busy >= self._slots.size + for_others
        if full and not self._beside:
            return None
        served, owned = self._served, self._store.owned
        usual, never = self._usual or 0.0, dict[SegmentIndex, int]()
        found, first = None, (False, 0.0)
        for rank, queue in self._queues.items():
            # A link is filled by several receivers sooner than by one, whose own link may be the slower.
            again = rank in self._sending
            waits = full or rank in stuck or (again and busy >= self._slots.size)
            for waiting in queue:
                if waits and not waiting.direct:
                    continue
                request = waiting.request
                times = served.get(request.name, never).get(request.index, 0)
                handicap = times * usual * (OWN if request.name in owned else PEER)
                due = again, waiting.since + handicap
                if found is None or due < first:
                    found, first = (rank, waiting), due
        return found

    def _is_full(self, now: float) -> bool:
        """Whether the queue takes no more."""
        most = self._config.max_queue
        if self._queued < most:
            return False
        return self._queued - sum(len(self._queues.get(rank, ())) for rank in self._stuck(now)) >= most

    def _stuck(self, now: float) -> set[Rank]:
        """Who has not taken a payload for far longer than usual. It is slow or dead: it holds no slot and no
        place in the queue, and gets no more, until that payload has left."""
        longest = self._longest
        return {rank for rank, sending in self._sending.items() if now >= sending[0].since + longest}

    @property
    def _longest(self) -> float:
        """How long a payload is on the way before its receiver is stuck."""
        longest = self._config.request_timeout
        return longest if self._usual is None else min(longest, max(STUCK[0], STUCK[1] * self._usual))

    def _take(self, sender: Rank, waiting: Waiting) -> msg.RequestSegment:
        """Take a request of a requester, who then goes to the end."""
        queue = self._queues.pop(sender)
        queue.remove(waiting)
        self._queued -= 1
        if queue:
            self._queues[sender] = queue
        return waiting.request

    def _opens_at(self) -> float | None:
        """When there is one slot more, if the first payload takes so long."""
        first = None if self._slots.left else next(iter(self._sending.values()), None)
        return self._slots.opens_at(first[0].since) if first else None

    def _take_early(self, now: float) -> Effects:
        early, self._early = self._early, []
        return [effect for sender, request in early for effect in self._on_request(now, sender, request)]

    def _serve(self, now: float) -> Effects:
        effects: Effects = []
        if self._queued or self._on_the_way:
            self._store.asked_at = now
        if self._early and not self._store.may_be_bundled:
            effects += self._take_early(now)
        opens_at = self._opens_at()
        if opens_at is not None and now >= opens_at:
            self._slots.open()
        while now >= self._free_at and (chosen := self._next(now)) is not None:
            to, waiting = chosen
            request = self._take(to, waiting)
            try:
                answer = self._answer(waiting)
            except UnreadableError as error:
                effects += self._refuse(to, request, "unreadable", str(error))
                continue
            size = answer.size
            if isinstance(answer, msg.SegmentAt):
                self._told_at = now
            else:
                self._sending.setdefault(to, []).append(Waiting(request, now, size, self._slots.left))
                self._on_the_way += 1
            served = self._served.setdefault(request.name, {})
            served[request.index] = served.get(request.index, 0) + 1
            if self._config.rate:
                # A late wake-up is made good by the next payloads, up to a tenth of a second.
                start = max(self._free_at, now - 0.1)
                self._free_at = start + size / self._config.rate
            effects.append(Send(to, answer))
            effects.append(Emit(ev.SegmentSent(to, request.name, request.index, size)))
        if now >= self._pending_at and (self._queued or self._sending):
            effects += self._tell_pending(now)
        self._set_alarm(now)
        return effects

    def _answer(self, waiting: Waiting) -> msg.SendSegment | msg.SegmentAt:
        """The payload, or where it lies; raises UnreadableError."""
        request = waiting.request
        if waiting.direct:
            return msg.SegmentAt(request.ticket, self._store.locate(request.name, request.index))
        return msg.SendSegment(request.ticket, self._store.read(request.name, request.index))

    def _set_alarm(self, now: float) -> None:
        # What fills the first slots does not wait; who asks before the last is free is served in time.
        self._store.load = max(0, self._queued + self._on_the_way + 1 - self._config.slots)
        alarms = [self._told_at + LATELY]
        self._store.sending = self._on_the_way > 0 or now < alarms[0]
        if self._queued or self._sending:
            alarms.append(self._pending_at)
        if self._queued:
            longest, opens_at = self._longest, self._opens_at()
            alarms += [sending[0].since + longest for sending in self._sending.values()]
            alarms += [self._free_at] if opens_at is None else [self._free_at, opens_at]
        if self._early:
            alarms.append(now + EARLY_INTERVAL)
        first = inf
        for at in alarms:
            if now < at < first:
                first = at
        self.wake_at = first if first < inf else None

    def _tell_pending(self, now: float) -> Effects:
        interval = self._config.pending_interval
        self._pending_at = now + interval
        effects: Effects = []
        for rank in dict.fromkeys((*self._sending, *self._queues)):
            waiting = (*self._sending.get(rank, ()), *self._queues.get(rank, ()))
            tickets = tuple(w.request.ticket for w in waiting if now - w.since >= interval)
            if tickets:
                effects.append(Send(rank, msg.Pending(tickets)))
        return effects
