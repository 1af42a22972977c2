"""A network of hosts, each behind a link with an up and a down rate, and the same latency between all.

What it keeps of a real one (MPI over TCP): it is reliable, and first in first out per (sender, receiver,
tag). Payloads leave a host one after another at its up rate, and cross the receiver's link in the order in
which they began to come, at its down rate: bits are passed on as they come, so an idle path takes a payload's
bytes ÷ the slower rate + the latency. Over many payloads of one size, which is what a swarm sends, that
divides a link as TCP's fair sharing does, at a fraction of the events. A payload has *left* when all but what
sockets and switches buffer has crossed the receiver's link: a slow receiver keeps an uploader's slot, as it
does over MPI. Every other message takes its bytes ÷ the up rate + the latency, behind the sender's earlier
ones but not behind payloads.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mpi_core.protocol import messages as msg
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.sim.agenda import Agenda

#: Hands a stimulus to its machine: when, from whom, to whom, what.
Deliver = Callable[[float, Rank, Rank, msg.Stimulus], None]

#: Bytes of every message beside what ``size_of`` counts: envelope, headers of TCP and IP.
ENVELOPE = 90

#: Bytes that sockets and switches buffer between two hosts.
BUFFERED = 512 * 1024

#: What a host sends in one go arrives as one, unless it takes longer than this to leave, in seconds.
BREATH = 1e-4


class Network(Protocol):
    """What carries messages between ranks."""

    def post(self, now: float, sender: Rank, sends: Sequence[tuple[Rank, msg.Message]]) -> None:
        """Send messages of one rank, to be delivered each in its time."""


def size_of(message: msg.Message) -> int:
    """Bytes of a message that is no payload, to a few percent: lists and names count, numbers hardly."""
    match message:
        case msg.RequestSegment():
            return ENVELOPE + len(message.name)
        case msg.Announce():
            return ENVELOPE + sum(len(gain.name) + 3 * len(gain.indices) for gain in message.gains)
        case msg.BitfieldMessage():
            return ENVELOPE + sum(len(holding.name) + len(holding.bits) for holding in message.holdings)
        case msg.SwarmResponse():
            digests = sum(34 * manifest.segments for manifest in message.manifests)
            members = sum(len(swarm.name) + 8 * len(swarm.members) for swarm in message.swarms)
            return ENVELOPE + digests + members + 3 * len(message.lost)
        case msg.SwarmRequest():
            names = sum(map(len, message.names))
            return ENVELOPE + names + len(message.unfinished) + len(message.lacking)
        case msg.Init():
            return ENVELOPE + sum(34 * manifest.segments for manifest in message.owned)
        case _:
            return ENVELOPE


@dataclass(slots=True)
class Link:
    """A host's link to the network. Rates in bytes a second."""

    up: float
    down: float
    #: When all that has begun to leave will have left, and all that has begun to come will have come.
    up_free: float = 0.0
    down_free: float = 0.0
    #: When the last other message will have left.
    lane_free: float = 0.0
    #: Payloads that wait for the link: receiver, message.
    waiting: deque[tuple[Rank, msg.SendSegment]] = field(default_factory=deque)


@dataclass(slots=True)
class Tally:
    """Messages of one tag: how many, their bytes, and those of the largest."""

    messages: int = 0
    bytes: int = 0
    largest: int = 0


class LinkedNetwork:
    """Links around one switch that is never full."""

    def __init__(
        self,
        agenda: Agenda,
        deliver: Deliver,
        links: Sequence[Link],
        latency: float,
        segment_size: int,
        spoil: Callable[[Rank, msg.SendSegment], msg.SendSegment] | None = None,
    ) -> None:
        self._agenda = agenda
        self._deliver = deliver
        #: By rank.
        self._links = links
        self._latency = latency
        #: Bytes that each payload counts as, however few it has.
        self._segment_size = segment_size
        #: What becomes of a payload of that sender.
        self._spoil = spoil
        #: What was sent, by tag.
        self.sent = {tag: Tally() for tag in msg.Tag}
        self._payloads = self.sent[msg.Tag.SEND_SEGMENT]
        #: Payload bytes by sender.
        self.sent_by: Counter[Rank] = Counter()
        #: When the tracker sent something, message by message.
        self.tracker_sent: list[float] = []

    def post(self, now: float, sender: Rank, sends: Sequence[tuple[Rank, msg.Message]]) -> None:
        link = self._links[sender]
        parcel: list[tuple[Rank, msg.Message]] = []
        total, last, size, tally, breath = 0, None, 0, self._payloads, BREATH * link.up
        for send in sends:
            to, message = send
            if isinstance(message, msg.SendSegment):
                self._post_payload(now, link, sender, to, message)
                continue
            if message is not last:
                last, size, tally = message, size_of(message), self.sent[message.tag]
                if size > tally.largest:
                    tally.largest = size
            tally.messages += 1
            tally.bytes += size
            if parcel and total + size > breath:
                self._leave(now, link, sender, parcel, total)
                parcel, total = [], 0
            total += size
            parcel.append(send)
        if parcel:
            self._leave(now, link, sender, parcel, total)

    def _leave(
        self, now: float, link: Link, sender: Rank, parcel: Sequence[tuple[Rank, msg.Message]], size: int
    ) -> None:
        """Messages that travel as one: a host announces to all its neighbours at once."""
        if sender == TRACKER:
            self.tracker_sent += [now] * len(parcel)
        link.lane_free = max(now, link.lane_free) + size / link.up
        self._agenda.put(link.lane_free + self._latency, self._arrive, sender, parcel)

    def _arrive(self, now: float, sender: Rank, parcel: Sequence[tuple[Rank, msg.Stimulus]]) -> None:
        deliver = self._deliver
        for to, message in parcel:
            deliver(now, sender, to, message)

    def _post_payload(self, now: float, link: Link, sender: Rank, to: Rank, message: msg.SendSegment) -> None:
        self._payloads.messages += 1
        if self._spoil is not None:
            message = self._spoil(sender, message)
        if link.up_free <= now and not link.waiting:
            self._begin(now, link, sender, to, message)
            return
        link.waiting.append((to, message))
        if len(link.waiting) == 1:
            self._agenda.put(link.up_free, self._next, link, sender)

    def _next(self, now: float, link: Link, sender: Rank) -> None:
        self._begin(now, link, sender, *link.waiting.popleft())
        if link.waiting:
            self._agenda.put(link.up_free, self._next, link, sender)

    def _begin(self, now: float, link: Link, sender: Rank, to: Rank, message: msg.SendSegment) -> None:
        theirs, size, latency = self._links[to], self._segment_size, self._latency
        self._payloads.bytes += size
        self.sent_by[sender] += size
        link.up_free = now + size / link.up
        theirs.down_free = max(now + latency, theirs.down_free) + size / theirs.down
        arrives = max(link.up_free + latency, theirs.down_free)
        left = max(link.up_free, arrives - latency - BUFFERED / theirs.down)
        sent = msg.Sent(to, message.ticket)
        if left == arrives:
            self._agenda.put(left, self._arrive, sender, [(to, message), (sender, sent)])
        else:
            self._agenda.put(arrives, self._deliver, sender, to, message)
            self._agenda.put(left, self._deliver, sender, sender, sent)
