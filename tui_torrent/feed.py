"""From the source to the sinks: every rank's events, into recorders, the checker, the view and the tail.

The observer's rank has one. ``poll`` takes what has come and never blocks. Events are held back for a moment,
so that those of all ranks can be put into one order, in which nothing is received before it was sent: that is
the order of the journal, the log and the tail. A rank's last message is an empty batch; when all have sent it
the run is over: the outcome is decided, told as the last event, and the journal closed.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from math import inf
from typing import Protocol

from mpi_core.protocol.codec import decode_batch
from mpi_core.protocol.events import RunAborted, RunEnded, RunStarted, Stamped
from mpi_core.protocol.messages import Tag
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.runtime.awake import Awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.reporter import BATCH_INTERVAL, Reporter
from tui_torrent.view.causal import CausalMerge, Entry
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.ledger import Finding
from tui_torrent.view.report import FAILURE, Report, build, is_interruption
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

#: Once some ranks have ended, the others' last events are waited for so long (seconds of silence).
LAST_WORDS = 15.0
#: … those of clients that were given up so long.
LAST_WORDS_OF_THE_LOST = 1.0
#: An event is held back until it is so many seconds old: by then the others of its time have come.
HELD_BACK = 2 * BATCH_INTERVAL


class Recorder(Protocol):
    """Who gets every event as it comes: a journal, the server of viewers."""

    def append(self, batch: Sequence[Stamped]) -> None: ...

    def close(self) -> None:
        """The last event was appended."""


class Feed:
    """All events of a live run, on the observer's rank."""

    def __init__(
        self,
        clock: Clock,
        own: Reporter,
        others: Iterable[Rank],
        header: RunStarted,
        recorders: Sequence[Recorder] = (),
        own_speaks: bool = True,
    ) -> None:
        """``own`` are the events of this rank, which ``own_speaks`` until :meth:`end_own` where a machine of
        the swarm runs on it; ``others`` the ranks whose events are delivered."""
        self._clock = clock
        self._own = own
        self._speaking = set(others)
        self._own_speaks = own_speaks
        #: Events held back, by rank, and how many have come.
        self._held: dict[Rank, deque[Entry]] = {}
        self._count = 0
        self._merge = CausalMerge(self._pull, (*self._speaking, own.rank))
        #: Whether some rank's machine has ended: then the others' do so too.
        self._ending = False
        self._recorders = recorders
        self._checker = Conformance()
        self._awake = Awake(clock.now)
        self._heard_at = 0.0
        #: Ranks that will not be heard of any more; it grows.
        self.lost: Set[int] = frozenset()
        self._inbox: queue.SimpleQueue[tuple[Rank, bytearray]] = queue.SimpleQueue()
        #: Keys that rank 0 has read for the monitor.
        self.keys: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.view = SwarmView()
        self.tail = Tail()
        self.verdict: list[Finding] = []
        self.report: Report | None = None
        #: Called once, when the run is over and the report is made.
        self.on_over: Callable[[Report], None] = lambda report: None
        # It is told before the ranks' clocks are set to 0 together.
        own.tell(header, 0.0)
        self._hold(own.take())
        self._release(0.0)

    @property
    def now(self) -> float:
        return self.view.t if self.over else self._clock.now()

    @property
    def over(self) -> bool:
        return self.report is not None

    @property
    def findings(self) -> list[Finding]:
        return self.verdict

    def end_own(self) -> None:
        """This rank's machine has halted and will tell nothing more."""
        self._own_speaks = False
        self._ending = True

    def deliver(self, sender: Rank, tag: int, buffer: bytearray) -> None:
        """Take a message of another rank in; called from the thread that listens."""
        if tag == Tag.KEYS:
            self.keys.put(bytes(buffer))
        elif tag == Tag.STATUS:
            self._inbox.put((sender, buffer))

    def poll(self) -> None:
        """Fold what has come since the last call."""
        if self.over:
            return
        own_spoke = self._own_speaks
        self._own.drain(self._hold)
        if not own_spoke:
            self._merge.end(self._own.rank)
        while not self._inbox.empty():
            sender, buffer = self._inbox.get_nowait()
            self._heard_at = self._awake.now()
            if buffer:
                self._hold(decode_batch(buffer))
            else:
                self._speaking.discard(sender)
                self._merge.end(sender)
                self._ending = True
        self._release(self._clock.now() - HELD_BACK)
        silent = self._awake.now() - self._heard_at
        patience = LAST_WORDS_OF_THE_LOST if all(map(self._is_lost, self._speaking)) else LAST_WORDS
        if not own_spoke and (not self._speaking or (self._ending and silent > patience)):
            if TRACKER in self.lost and self.view.aborted is None:
                self._own.tell(RunAborted(TRACKER, FAILURE, "the tracker was lost"))
            self._end()

    def _is_lost(self, rank: Rank) -> bool:
        return rank in self.lost or self.view.client_is_lost(rank)

    def cut_short(self, culprit: Rank, code: int, reason: str) -> None:
        """The run ends here for whoever observes it: this rank must leave."""
        if not self.over:
            self._own.tell(RunAborted(culprit, code, reason))
            self._end()

    def _pull(self, rank: Rank) -> Entry | None:
        held = self._held.get(rank)
        return held.popleft() if held else None

    def _hold(self, batch: list[Stamped]) -> None:
        """Take events of one rank in."""
        if batch:
            rank = batch[0].rank
            held = self._held.setdefault(rank, deque())
            held.extend(Entry(stamped.t, self._count + place, stamped) for place, stamped in enumerate(batch))
            self._count += len(batch)
            self._merge.offer(rank)

    def _release(self, horizon: float = inf) -> None:
        """Fold the events up to that time whose turn it is."""
        batch = [entry.stamped for entry in self._merge.release(horizon)]
        if not batch:
            return
        for recorder in self._recorders:
            recorder.append(batch)
        for stamped in batch:
            self._checker.see(stamped)
            self.view.apply(stamped)
            self.tail.add(stamped)

    def _end(self) -> None:
        self._own.drain(self._hold)
        self._release()
        self._own.tell(RunEnded(self._outcome()), max(self._clock.now(), self.view.t))
        self._own.drain(self._hold)
        self._release()
        for recorder in self._recorders:
            recorder.close()
        self.verdict = self._checker.result()
        self.report = build(self.view, self.verdict)
        self.on_over(self.report)

    def _outcome(self) -> str:
        """The last event's word on what was wanted; whether a rule is broken stands beside it."""
        if self.view.aborted and is_interruption(self.view.aborted.code):
            return "interrupted"
        if self.view.aborted:
            return "failed"
        clients = self.view.clients.values()
        wanting = any(client.unavailable or client.finished_at is None for client in clients)
        return "incomplete" if wanting else "complete"
