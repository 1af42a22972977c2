"""The events of all ranks in one order: by their times, and nothing is received before it was sent.

Each rank's events are in order already; what is merged here are the ranks. Clocks differ by some error, and
live events come in batches, so times alone do not do: an event that tells of a receipt waits until the one
that tells of the sending stands in the order. The n-th receipt of a message belongs to its n-th sending,
since messages of one kind from one rank to another do not overtake each other.

No event waits for ever. One whose other half does not come is let go when the order is some time ahead of
it, or when nothing can come any more: the sender has ended, or events of it are missing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event, Stamped
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank

#: An event waits for another until the order is so many seconds ahead of it.
PATIENCE = 1.0

#: What identifies a message: its name, its sender, and whatever tells it from others of that sender.
Key = tuple[Any, ...]


class Entry(NamedTuple):
    """The next event of some rank; of two at one time that with the lower number comes first."""

    t: float
    number: int
    stamped: Stamped


_SENT: dict[type[Event], Callable[[Rank, Any], Key]] = {
    ev.InitSent: lambda rank, e: ("INIT", rank),
    ev.InitAckSent: lambda rank, e: ("INIT_ACK", rank, e.client),
    ev.SwarmRequested: lambda rank, e: ("SWARM_REQUEST", rank),
    ev.SwarmServed: lambda rank, e: ("SWARM_RESPONSE", rank, e.client),
    ev.SegmentRequested: lambda rank, e: ("REQUEST_SEGMENT", rank, e.source, e.file, e.segment),
    ev.SegmentSent: lambda rank, e: ("ANSWER", rank, e.target, e.file, e.segment),
    ev.SegmentRefused: lambda rank, e: ("ANSWER", rank, e.target, e.file, e.segment),
    ev.FileCompleted: lambda rank, e: ("FILE_COMPLETE", rank, e.file),
    ev.AllCompleted: lambda rank, e: ("ALL_COMPLETE", rank),
    ev.StopSent: lambda rank, e: ("STOP", rank, e.client),
    ev.MessageSent: lambda rank, e: (e.message, rank, e.to),
}

#: A request is told as received by its answer. What could not be read where it lies was sent all the same.
_RECEIVED: dict[type[Event], Callable[[Rank, Any], Key]] = {
    ev.InitReceived: lambda rank, e: ("INIT", e.client),
    ev.InitAckReceived: lambda rank, e: ("INIT_ACK", TRACKER, rank),
    ev.SwarmServed: lambda rank, e: ("SWARM_REQUEST", e.client),
    ev.DownloadStarted: lambda rank, e: ("SWARM_RESPONSE", TRACKER, rank),
    ev.SegmentSent: lambda rank, e: ("REQUEST_SEGMENT", e.target, rank, e.file, e.segment),
    ev.SegmentRefused: lambda rank, e: ("REQUEST_SEGMENT", e.target, rank, e.file, e.segment),
    ev.SegmentStored: lambda rank, e: ("ANSWER", e.source, rank, e.file, e.segment),
    ev.SegmentDropped: lambda rank, e: ("ANSWER", e.source, rank, e.file, e.segment),
    ev.RequestRejected: lambda rank, e: ("ANSWER", e.source, rank, e.file, e.segment),
    ev.FileCompleteReceived: lambda rank, e: ("FILE_COMPLETE", e.client, e.file),
    ev.AllCompleteReceived: lambda rank, e: ("ALL_COMPLETE", e.client),
    ev.Stopped: lambda rank, e: ("STOP", TRACKER, rank),
    ev.MessageReceived: lambda rank, e: (e.message, e.sender, rank),
}

#: The first of them is received by any number of events: a SWARM_RESPONSE begins several downloads.
_FIRST = "SWARM_RESPONSE"


def sent(stamped: Stamped) -> Key | None:
    """The message of whose sending the event tells."""
    key = _SENT.get(type(stamped.event))
    return None if key is None else key(stamped.rank, stamped.event)


def received(stamped: Stamped) -> Key | None:
    """The message of whose receipt the event tells."""
    key = _RECEIVED.get(type(stamped.event))
    return None if key is None else key(stamped.rank, stamped.event)


class CausalMerge:
    """Merges the ranks' events. ``pull`` gives the next of a rank, None where there is none yet; ``offer``
    says that there is one.

    ``speaking`` are the ranks that may still tell more than ``pull`` gives now. ``told`` are the first two
    items of all keys of messages whose sending is told, where that is known: others are waited for in vain.
    """

    def __init__(
        self,
        pull: Callable[[Rank], Entry | None],
        speaking: Collection[Rank] = (),
        told: Collection[Key] | None = None,
    ) -> None:
        self._pull = pull
        self._speaking = set(speaking)
        self._told = told
        #: The next event of each rank that has one, at the time at which it is to stand.
        self._heads: dict[Rank, Entry] = {}
        #: Those that may stand now, and the others, by the time until which they wait: heaps.
        self._ready: list[tuple[float, int, Rank]] = []
        self._until: list[tuple[float, int, Rank]] = []
        #: For each message the ranks whose next event waits for it.
        self._waiting: dict[Key, deque[Rank]] = {}
        #: Messages sent and not yet received; those received without their sending.
        self._sent: Counter[Key] = Counter()
        self._unsent: Counter[Key] = Counter()
        #: The seq that comes next; the ranks of which some events are missing.
        self._seqs: dict[Rank, int] = {}
        self._torn: set[Rank] = set()

    def offer(self, rank: Rank) -> None:
        """``pull`` has something of that rank."""
        if rank not in self._heads:
            self._advance(rank, float("-inf"))

    def end(self, rank: Rank) -> None:
        """Nothing more will come of that rank than what was offered."""
        self._speaking.discard(rank)
        if rank not in self._heads:
            self._expect_nothing(rank)

    def release(self, horizon: float = float("inf")) -> Iterator[Entry]:
        """The events up to that time whose turn it is, in order; by default all that there are. Each has the
        time at which it stands: that of its stamp, or of what it waited for."""
        ready, until = self._ready, self._until
        while True:
            due = ready[0][0] if ready and ready[0][0] <= horizon else None
            if until and until[0][0] <= (horizon if due is None else due):
                _, number, rank = heappop(until)
                head = self._heads.get(rank)
                if head is not None and head.number == number:
                    self._give_up(rank, head)
                continue
            if due is None:
                return
            t, _, rank = heappop(ready)
            head = self._heads.pop(rank)
            yield head
            key = sent(head.stamped)
            if key is not None:
                self._has_sent(key, t)
            self._advance(rank, t)

    def _advance(self, rank: Rank, last: float) -> None:
        """The rank's next event, which stands no earlier than ``last``."""
        entry = self._pull(rank)
        if entry is None:
            if rank not in self._speaking:
                self._expect_nothing(rank)
            return
        t, number, stamped = entry
        if not t >= last:
            entry = Entry(last, number, stamped)
        self._heads[rank] = entry
        if stamped.seq != self._seqs.get(rank, 0):
            self._torn.add(rank)
            self._expect_nothing(rank)
        self._seqs[rank] = stamped.seq + 1
        key = received(stamped)
        if key is None or self._may_stand(key):
            heappush(self._ready, (entry.t, number, rank))
        else:
            self._waiting.setdefault(key, deque()).append(rank)
            heappush(self._until, (entry.t + PATIENCE, number, rank))

    def _may_stand(self, key: Key) -> bool:
        """Whether the message was sent, or that cannot be known."""
        if self._sent[key] > 0:
            if key[0] != _FIRST:
                self._sent[key] -= 1
                if not self._sent[key]:
                    del self._sent[key]
            return True
        if self._told is not None and key[:2] not in self._told:
            return True
        sender = key[1]
        return sender in self._torn or (sender not in self._heads and sender not in self._speaking)

    def _has_sent(self, key: Key, t: float) -> None:
        waiting = self._waiting.get(key)
        if key[0] == _FIRST:
            self._sent[key] = 1
            while waiting:
                self._let_go(waiting.popleft(), t)
        elif waiting:
            self._let_go(waiting.popleft(), t)
        elif self._unsent[key]:
            self._unsent[key] -= 1
            if not self._unsent[key]:
                del self._unsent[key]
        else:
            self._sent[key] += 1
        if waiting is not None and not waiting:
            del self._waiting[key]

    def _let_go(self, rank: Rank, t: float) -> None:
        """The rank's next event may stand, from that time on."""
        head = self._heads[rank]
        if not head.t >= t:
            head = self._heads[rank] = head._replace(t=t)
        heappush(self._ready, (head.t, head.number, rank))

    def _give_up(self, rank: Rank, head: Entry) -> None:
        """The rank's next event has waited long enough, if it still does."""
        key = received(head.stamped)
        waiting = self._waiting.get(key) if key is not None else None
        if waiting and rank in waiting:
            waiting.remove(rank)
            if not waiting:
                del self._waiting[key]  # type: ignore[arg-type]
            if key[0] != _FIRST:  # type: ignore[index]
                self._unsent[key] += 1  # type: ignore[index]
            self._let_go(rank, head.t)

    def _expect_nothing(self, sender: Rank) -> None:
        """What that rank has not told yet is waited for no longer."""
        for key in [key for key in self._waiting if key[1] == sender]:
            for rank in self._waiting.pop(key):
                self._let_go(rank, self._heads[rank].t)
