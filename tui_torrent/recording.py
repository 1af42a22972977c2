"""A journal that can be entered anywhere: its events in the order of their times, with keyframes.

The lines of a journal may be in any order that keeps each rank's own. Here they are put into the order that a
live run shows: each event at its stamp, but never before an earlier one of its rank, and no receipt before
its sending. Law 6 says that the view is the same. The findings and the report are made in the journal's own
order, as the live ones were (law 7).

A keyframe is the state after so many events, packed. Any other state is the nearest keyframe before it
and the events since. Both are kept compressed, so that a million events need some tens of megabytes.
"""

from __future__ import annotations

import gc
import pickle
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import decode_batch, encode_batch
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from tui_torrent.view.causal import CausalMerge, Entry, Key, sent
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.report import build
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

#: Events that are packed together.
BLOCK = 1024
#: Events from one keyframe to the next, at least: some 15 ms of folding.
SPACING = 4 * BLOCK
#: Unpacking so many bytes takes about as long as folding one event: large states get fewer keyframes.
BYTES_AN_EVENT = 512
#: The keyframes together are no larger than this, in bytes: where they are, every second one goes.
BUDGET = 64 << 20

#: The fastest that zlib has: keyframes are mostly runs of equal bytes.
_LEVEL = 1


class Mark(NamedTuple):
    """A moment worth finding: a client had all it wanted, or was given up."""

    t: float
    client: Rank
    what: Literal["finished", "lost"]


@dataclass
class State:
    """What the first ``position`` events fold to."""

    view: SwarmView = field(default_factory=SwarmView)
    tail: Tail = field(default_factory=Tail)
    position: int = 0

    def fold(self, events: Iterable[Stamped]) -> None:
        apply, add = self.view.apply, self.tail.add
        for stamped in events:
            apply(stamped)
            add(stamped)
            self.position += 1

    def pack(self) -> bytes:
        return pickle.dumps(self, pickle.HIGHEST_PROTOCOL)


class Recording:
    """All of a journal, in memory. Reading it raises whatever ``journal`` raises."""

    def __init__(
        self, journal: Iterable[Stamped], *, spacing: int = SPACING, budget: int = BUDGET, block: int = BLOCK
    ) -> None:
        self._block = block
        self._spacing, self._budget = spacing, budget
        #: When each event stands in the replay, in seconds; never falls.
        self.times = array("d")
        #: In the order of their times.
        self.marks: list[Mark] = []
        self._blocks: list[bytes] = []
        #: The block that was unpacked last, and its events.
        self._open: tuple[int, list[Stamped]] = (-1, [])
        #: Where the keyframes stand, in order, and what they are.
        self._places: list[int] = []
        self._frames: list[bytes] = []
        #: While it is read: each rank's lines, in order; what was sent (CausalMerge's ``told``).
        self._lines: dict[Rank, array[int]] = {}
        self._told: set[Key] = set()
        with _no_collection():
            self._order(self._read(journal))
            self._fold()

    @property
    def end(self) -> float:
        """When the last event stands."""
        return self.times[-1] if self.times else 0.0

    @property
    def keyframes(self) -> int:
        return len(self._frames)

    @property
    def packed_bytes(self) -> int:
        """What events and keyframes take in memory."""
        return sum(map(len, self._blocks)) + sum(map(len, self._frames)) + 8 * len(self.times)

    def count(self, t: float) -> int:
        """How many events there are up to the time ``t``, included."""
        return bisect_right(self.times, t)

    def events(self, start: int = 0, stop: int | None = None) -> Iterator[Stamped]:
        """The events from ``start`` up to ``stop``, in the order of the replay."""
        stop = len(self.times) if stop is None else stop
        while start < stop:
            number, first = divmod(start, self._block)
            if self._open[0] != number:
                self._open = (number, decode_batch(zlib.decompress(self._blocks[number])))
            last = min(self._block, first + stop - start)
            yield from self._open[1][first:last]
            start += last - first

    def go(self, state: State, position: int) -> State:
        """The state after ``position`` events: ``state`` itself led there, or another one."""
        frame = bisect_right(self._places, position) - 1
        place = self._places[frame] if frame >= 0 else 0
        # A keyframe that is only just ahead takes longer to unpack than the way there.
        if not place - self._block <= state.position <= position:
            state = self._unpacked(frame) if frame >= 0 else State()
        with _no_collection():
            state.fold(self.events(state.position, position))
        state.tail.log.earlier = self.events
        return state

    def _unpacked(self, frame: int) -> State:
        state = pickle.loads(zlib.decompress(self._frames[frame]))
        assert isinstance(state, State)
        return state

    # Reading ------------------------------------------------------------------------------------

    def _read(self, journal: Iterable[Stamped]) -> list[bytes]:
        """Every event, packed, in the journal's order; what is said of the whole; the times."""
        checker, view, packed = Conformance(), SwarmView(), list[bytes]()
        told_at: dict[Rank, float] = {}
        last: Stamped | None = None
        for last in journal:
            checker.see(last)
            view.apply(last)
            packed.append(encode_batch([last]))
            # The header is told before the ranks' clocks are set to 0 together.
            header = len(packed) == 1 and isinstance(last.event, ev.RunStarted)
            t = 0.0 if header else max(last.t, told_at.get(last.rank, 0.0))
            told_at[last.rank] = t
            self.times.append(t)
            self._lines.setdefault(last.rank, array("q")).append(len(packed) - 1)
            message = sent(last)
            if message is not None:
                self._told.add(message[:2])
        if last is not None and isinstance(last.event, ev.RunEnded):
            self.times[-1] = max(self.times)
        self.header = view.header
        self.findings = checker.result()
        self.report = build(view, self.findings)
        return packed

    def _order(self, packed: list[bytes]) -> None:
        """Merge the ranks, and put the events together into blocks."""
        lines = {rank: iter(numbers) for rank, numbers in self._lines.items()}
        stamps, self.times = self.times, array("d")

        def pull(rank: Rank) -> Entry | None:
            line = next(lines[rank], None)
            if line is None:
                return None
            stamped = decode_batch(packed[line])[0]
            packed[line] = b""
            return Entry(stamps[line], line, stamped)

        merge = CausalMerge(pull, self._lines, self._told)
        for rank in self._lines:
            merge.offer(rank)
        for rank in self._lines:
            merge.end(rank)
        self._lines = {}
        block: list[Stamped] = []
        for t, _, stamped in merge.release():
            # What was waited for in vain stands later than its time.
            t = max(t, self.end)
            self.times.append(t)
            self._mark(t, stamped)
            block.append(stamped)
            if len(block) == self._block:
                self._pack(block)
                block = []
        if block:
            self._pack(block)

    def _mark(self, t: float, stamped: Stamped) -> None:
        if isinstance(stamped.event, ev.AllCompleted):
            self.marks.append(Mark(t, stamped.rank, "finished"))
        elif isinstance(stamped.event, (ev.ClientLost, ev.ClientFailed)):
            self.marks.append(Mark(t, stamped.event.client, "lost"))

    def _pack(self, block: list[Stamped]) -> None:
        self._blocks.append(zlib.compress(encode_batch(block), _LEVEL))

    def _fold(self) -> None:
        """Make the keyframes."""
        state, wait = State(), self._spacing
        for start in range(0, len(self.times), self._block):
            if start and state.position >= wait:
                frame = state.pack()
                self._places.append(state.position)
                self._frames.append(zlib.compress(frame, _LEVEL))
                self._thin()
                wait = state.position + max(self._spacing, len(frame) // BYTES_AN_EVENT)
            state.fold(self.events(start, min(start + self._block, len(self.times))))

    def _thin(self) -> None:
        """Keep to the budget."""
        if sum(map(len, self._frames)) > self._budget:
            del self._places[::2], self._frames[::2]
            self._spacing *= 2


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of small objects and no cycles among them: looking for some takes longer than all the rest."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
