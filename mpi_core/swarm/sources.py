"""From whom: what a downloader knows of each client it can fetch from.

Round robin over the sources, the least loaded first: a source with fewer of our requests outstanding comes
before one with more; among equals the one that was asked less often so far, and then the one that was asked
longest ago; which of those never asked is first, chance decides. A source is passed over while it is at its
share of the window, while it backs off after a REJECT, or while it is silent. One that takes far longer than
others, or owes an answer that is late, comes last; one with three strikes is asked only for what nobody else
holds, and for nothing of a file that it sent corrupt too often.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from random import Random

from mpi_core.protocol.events import Cause, FileUnavailable
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.swarm.config import SwarmConfig

#: Seconds of the first pause after a REJECT "busy"; it doubles up to the last.
FIRST_PAUSE = 0.05
LAST_PAUSE = 2.0

#: Requests that one of several sources has outstanding, at the least.
LEAST_SHARE = 2

#: A source whose answers take so many times as long as usual is slow.
SLOW = 3.0

#: It is given another chance after so many of its own times.
ANOTHER_CHANCE = 2.0

#: What a source said of its load is forgotten after so many seconds, or times the usual time of an answer.
FRESH = (0.2, 2.0)

#: The weight of the newest answer in a source's average.
SMOOTHING = 0.25


@dataclass(eq=False, slots=True)
class Request:
    """A request that is not answered yet."""

    ticket: Ticket
    source: Rank
    key: int
    asked_at: float
    #: The time at which it expires.
    deadline: float
    #: Whether only the payload itself will do.
    as_payload: bool
    #: It counts in the window as long as it is not reopened.
    in_window: bool = True
    #: It may be asked of another as well: it is late, or it expired.
    reopened: bool = False
    late: bool = False
    expired: bool = False
    cancelled: bool = False
    #: Its source was asked to drop it from its queue; the answer says whether it could.
    withdrawn: bool = False


@dataclass(eq=False, slots=True)
class Source:
    """A client that holds, or may come to hold, something that is wanted here."""

    rank: Rank
    #: Decides between equals, so that not everybody begins with the same source.
    tie: float = 0.0
    #: Keys that it has announced as a peer, and keys of files it has seeded since we know it.
    peer_keys: int = 0
    seed_keys: int = 0
    #: Keys asked of it and not answered; they are not asked of it twice.
    asked: int = 0
    outstanding: int = 0
    #: Requests that wait at its uploader: as it said last, and ours since then.
    load: int = 0
    #: When it said so. Who has all says nothing more.
    load_told_at: float = 0.0
    #: How many of ours are late.
    late: int = 0
    #: The number of the last request to it, in the order of all requests.
    last_asked: int = -1
    times_asked: int = 0
    last_heard: float = 0.0
    #: Seconds that its answers take, on average; None until the first.
    usual: float | None = None
    #: When it sent a good segment last.
    delivered_at: float = 0.0
    #: Keys of which it sent a corrupt payload: asked of others first.
    corrupted: int = 0
    strikes: int = 0
    #: Corrupt payloads since the last good one, by file; and keys of files of which there were too many.
    corrupt_in_a_row: dict[str, int] = field(default_factory=dict)
    barred: int = 0
    #: Whether what it has could not be read where it lies.
    as_payload: bool = False
    silent: bool = False
    paused_until: float = 0.0
    pause: float = FIRST_PAUSE

    @property
    def keys(self) -> int:
        return (self.peer_keys | self.seed_keys) & ~self.barred

    def is_slow(self, now: float, bearable: float) -> bool:
        """Whether its answers take longer than that, and it is not yet to be given another chance."""
        if self.usual is None or self.usual <= bearable:
            return False
        return now < self.delivered_at + ANOTHER_CHANCE * self.usual

    def paused(self, now: float) -> None:
        """It is busy: leave it alone for a while."""
        self.paused_until = now + self.pause
        self.pause = min(2 * self.pause, LAST_PAUSE)

    def delivered(self, name: str, took: float, now: float) -> None:
        """It sent a good segment of that file, so many seconds after it was asked."""
        if self.corrupt_in_a_row:
            self.corrupt_in_a_row.pop(name, None)
        self.pause = FIRST_PAUSE
        self.delivered_at = now
        if self.usual is None:
            self.usual = took
        else:
            self.usual += SMOOTHING * (took - self.usual)


class Sources:
    """All sources of one downloader."""

    def __init__(self, config: SwarmConfig, rng: Random) -> None:
        self._config = config
        self._rng = rng
        self._sources: dict[Rank, Source] = {}
        #: The source of a rank, if there is one.
        self.get = self._sources.get
        self._asked = 0
        #: Those that hold anything and are not silent; None: to be found anew.
        self._usable: list[Source] | None = None
        #: Those of them that held anything as a seed then.
        self._seeds: list[Source] = []
        #: Until then some source is paused, or was.
        self._paused_until = 0.0
        #: File → who holds it and cannot serve it, and why.
        self._troubles: dict[str, dict[Rank, str]] = {}
        #: Whether any source has a strike.
        self._any_strikes = False

    def of(self, rank: Rank, now: float) -> Source:
        """The source of that rank, made at its first mention."""
        source = self._sources.get(rank)
        if source is None:
            source = self._sources[rank] = Source(rank, self._rng.random(), last_heard=now)
        return source

    def avoided(self, source: Source) -> bool:
        return source.strikes >= self._config.strikes

    def changed(self) -> None:
        """Some source has come to hold its first keys, or lost its last, or has become silent or spoken."""
        self._usable = None

    def _usable_now(self) -> list[Source]:
        if self._usable is None:
            self._usable = [s for s in self._sources.values() if s.keys and not s.silent]
            self._seeds = [s for s in self._usable if s.seed_keys]
        return self._usable

    def ready(self, now: float, window: int) -> list[Source]:
        """The sources that may be asked now."""
        usable = self._usable_now()
        share = window
        if len(usable) > 1:
            share = max(LEAST_SHARE, -(-window // len(usable)))
        return self._unpaused([s for s in usable if s.outstanding < share], now)

    def idle(self, now: float) -> list[Source]:
        """Those of them of which nothing is asked."""
        return self._unpaused([s for s in self._usable_now() if not s.outstanding], now)

    def _unpaused(self, sources: list[Source], now: float) -> list[Source]:
        return sources if self._paused_until <= now else [s for s in sources if s.paused_until <= now]

    def ready_seeds(self, now: float, most: int) -> list[Source]:
        """Those of them that hold anything as a seed, with fewer than ``most`` requests outstanding, in turn:
        a whole crowd hears at one time who is the first of it to have all."""
        self._usable_now()
        ready = self._unpaused([s for s in self._seeds if s.outstanding < most], now)
        return sorted(ready, key=lambda source: self.turn(source, now, None)) if len(ready) > 1 else ready

    def load(self, source: Source, now: float, usual: float | None) -> int:
        """Requests that wait at its uploader, as far as is known; ``usual`` is the time that answers take."""
        fresh = now < source.load_told_at + max(FRESH[0], FRESH[1] * (usual or 0.0))
        return source.load if fresh else source.outstanding

    def turn(self, source: Source, now: float, usual: float | None) -> tuple[bool, int, int, int, float]:
        """Who has the lowest is asked first; ``usual`` is the time that answers take."""
        slow = usual is not None and source.is_slow(now, SLOW * usual)
        load = self.load(source, now, usual)
        return slow or source.late > 0, load, source.times_asked, source.last_asked, source.tie

    def in_turn(self, now: float, window: int, usual: float | None = None) -> list[Source]:
        """The sources that may be asked now, in the order in which to ask them."""
        return sorted(self.ready(now, window), key=lambda source: self.turn(source, now, usual))

    def paused(self, source: Source, now: float) -> None:
        """It is busy: leave it alone for a while."""
        source.paused(now)
        self._paused_until = max(self._paused_until, source.paused_until)

    def lacks(self, source: Source, key: int) -> None:
        """It does not have that key, or not any more."""
        source.peer_keys &= ~(1 << key)
        source.seed_keys &= ~(1 << key)
        self.changed()

    def blame(self, name: str, rank: Rank, why: str) -> None:
        """A source holds that file and cannot serve it."""
        self._troubles.setdefault(name, {})[rank] = why

    def unavailable(self, name: str, reason: str) -> FileUnavailable:
        """That a file cannot be had: for those who hold it and cannot serve it, else for that reason."""
        causes = tuple(Cause(rank, why) for rank, why in sorted(self._troubles.get(name, {}).items()))
        told = "; ".join(f"client {cause.client}: {cause.reason}" for cause in causes)
        return FileUnavailable(name, told or reason, causes)

    def struck(self, source: Source, key: int) -> None:
        """It sent a corrupt payload."""
        self._any_strikes = True
        source.strikes += 1
        source.corrupted |= 1 << key

    def trusted_keys(self) -> int | None:
        """Keys that some source may send which has not sent them corrupt and has no three strikes; None
        where all sources are blameless."""
        if not self._any_strikes:
            return None
        keys = 0
        for source in self._sources.values():
            if not source.silent and not self.avoided(source):
                keys |= source.keys & ~source.corrupted
        return keys

    def last_resort(self, source: Source, trusted: int | None) -> int:
        """Keys not to ask of it while another can send them."""
        if trusted is None:
            return 0
        return trusted if self.avoided(source) else source.corrupted & trusted

    def hopeful_keys(self, heard_since: float = inf) -> int:
        """Keys that some source may still send: one that is not silent, or was heard later than that."""
        keys = 0
        for source in self._sources.values():
            if not source.silent or source.last_heard > heard_since:
                keys |= source.keys
        return keys

    def asked(self, source: Source, key: int) -> None:
        source.last_asked = self._asked
        self._asked += 1
        source.outstanding += 1
        source.load += 1
        source.times_asked += 1
        source.asked |= 1 << key

    def answered(self, source: Source, key: int) -> None:
        source.outstanding -= 1
        source.load -= source.load > source.outstanding
        source.asked &= ~(1 << key)

    def next_pause_end(self, now: float) -> float | None:
        if self._paused_until <= now:
            return None
        ends = [s.paused_until for s in self._sources.values() if s.paused_until > now]
        return min(ends, default=None)
