"""Who else is in the swarms, and who is to hear what we hold.

Two downloaders of one file become *neighbours* when each has told the other all that it holds of it, once
(BITFIELD); from then on each tells the other what it gains (ANNOUNCE). The tracker may name thousands: a
client seeks so many neighbours for a file, lets others make it twice as many, answers no more BITFIELDs then,
and puts somebody else in the place of one that does not answer. So what a client hears and tells does not
grow with the swarm.

Gains are gathered and told together. Whoever has nothing to do tells at once, and so makes work for itself;
who has a payload on the way does not hurry, and who has enough takes its time. Few neighbours hear together,
and at once of what none of them holds. In a crowd the news go round, to two neighbours at a time: if all
heard together, all would ask the same holder for what is new, and wait there, while those whom it serves
first have it to give too. Nobody is told of what it is known to hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from random import Random

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.messages import Announce, BitfieldMessage, Holding, Swarm, SwarmMember
from mpi_core.protocol.units import Rank
from mpi_core.swarm.audience import Hearer, announcement
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.machine import Effects, Send
from mpi_core.swarm.picker import Picker, PickerFile
from mpi_core.swarm.requests import Requests
from mpi_core.swarm.sources import Sources
from mpi_core.swarm.store import SegmentStore

#: So many neighbours hear of each gain at once; of more, so many at a time.
FEW = 8
AT_A_TIME = 2

#: Of a crowd, the next ones hear after so many times the usual time between two segments: while the uploader
#: has nothing to send, while a payload is on the way with nothing behind it, and while requests wait.
IDLE, SENDING, LOADED = 0.0, 0.5, 1.0

#: Few, who hear together, hear after so many times that: whoever has enough to send gathers its gains into
#: one message, since many of one each cost all of them more than old news do. But never later than this; and
#: at once of what none of them holds: all wait for that.
GATHERED, LATEST = 12.0, 0.1

#: Members known by name alone that a client remembers for one file, times the neighbours that it may have.
RESERVE = 2

#: An unanswered BITFIELD is forgotten after so many swarm updates.
ROUNDS = 2

#: A downloader that holds so much less than so many times what its median neighbour holds is far behind.
FAR_BEHIND = 0.33
FEW_SEGMENTS = 8


class Neighbours:
    """Members of the swarms: those to whom one talks, and those who are known by name."""

    def __init__(
        self,
        rank: Rank,
        store: SegmentStore,
        picker: Picker,
        sources: Sources,
        requests: Requests,
        config: SwarmConfig,
        rng: Random,
    ) -> None:
        self._rank = rank
        self._store = store
        self._picker = picker
        self._sources = sources
        self._requests = requests
        self._rng = rng
        self._most = config.neighbours
        self._cap = config.swarm_cap
        self._sought = max(1, config.neighbours // 2)
        self._interval = config.announce_interval
        #: For each file, whom our BITFIELD was sent.
        self._told: dict[str, set[Rank]] = {}
        #: (file, rank) whose own BITFIELD has not come yet → what we told of it, and the update of that time.
        self._unanswered: dict[tuple[str, Rank], tuple[int, int]] = {}
        self._round = 0
        #: Members whom we may seek yet. A dict for its order.
        self._reserve: dict[str, dict[Rank, None]] = {}
        #: Neighbours that are still fetching; and in turn: who was told longest ago is first.
        self._audience: dict[Rank, Hearer] = {}
        self._turns: deque[Hearer] = deque()
        #: (rank, file) pairs that the tracker named as seeds. Named again, they bring no new hope.
        self._seeds: set[tuple[Rank, str]] = set()
        #: Keys that are stored here.
        self._stored = 0
        self._flushed_at = float("-inf")
        #: When somebody is to be told of gains; as of the last ``flush``.
        self.flush_at: float | None = None
        #: Whether that may have changed since; and how many usual times the next of a crowd had to wait then.
        self._stale = False
        self._pause = IDLE

    # Members, by the tracker's word -----------------------------------------------------------

    def named(
        self, swarms: Sequence[Swarm], unfinished: Iterable[str], lacking: Iterable[str], now: float
    ) -> Effects:
        """The tracker names members; those who are sought now are greeted. Of files that lack a live holder,
        everybody named is."""
        self._round += 1
        for rank, hearer in self._audience.items():
            if hearer.owed and now >= hearer.again_at:
                self._catch_up(rank)
        greetings: dict[Rank, list[str]] = {}
        seeking = dict.fromkeys(name for name, _ in self._unanswered)
        self._forget_unanswered()
        for swarm in swarms:
            file = self._picker.file(swarm.name)
            if file is None or swarm.name not in unfinished:
                continue
            hopeless = swarm.name in lacking
            file.partly_known = file.partly_known or len(swarm.members) >= self._cap
            if sum(member.role == "peer" for member in swarm.members) > FEW:
                self._enter_crowd()
            reserve = self._reserve.setdefault(swarm.name, {})
            for member in swarm.members:
                if member.rank == self._rank:
                    continue
                if member.role == "seed":
                    self._seed_named(file, member, hopeless, now)
                elif member.rank not in self._told.get(swarm.name, ()):
                    if hopeless:
                        greetings.setdefault(member.rank, []).append(swarm.name)
                    elif len(reserve) < RESERVE * self._most:
                        reserve[member.rank] = None
            seeking[swarm.name] = None
        for name in seeking:
            for rank in self._seek(name, unfinished):
                greetings.setdefault(rank, []).append(name)
        for rank, names in greetings.items():
            for name in names:
                seeking[name] = None
                self._peer(name, rank)
        for name in seeking:
            file = self._picker.file(name)
            if file is not None:
                # Who is not sought has a stripe too.
                file.partly_known = file.partly_known or bool(self._reserve.get(name))
                self.share_out(file)
        self._requests.stir()
        return [effect for rank, names in greetings.items() for effect in self.greet(rank, names, now)]

    def _seek(self, name: str, unfinished: Iterable[str]) -> list[Rank]:
        """Members to greet, as many as are lacking."""
        reserve = self._reserve.get(name)
        if not reserve or name not in unfinished:
            return []
        told = self._told.get(name, ())
        wanted = self._sought - len(told)
        others = [rank for rank in reserve if rank not in told]
        sought = self._rng.sample(others, min(len(others), max(0, wanted)))
        for rank in sought:
            del reserve[rank]
        return sought

    def _peer(self, name: str, rank: Rank) -> None:
        file = self._picker.file(name)
        if file is not None and rank not in file.seeds:
            file.peers.add(rank)

    def _forget_unanswered(self) -> None:
        for (name, rank), (_, since) in list(self._unanswered.items()):
            if self._round - since > ROUNDS:
                del self._unanswered[name, rank]
                self._told[name].discard(rank)
                file = self._picker.file(name)
                if file is not None:
                    file.peers.discard(rank)

    def _seed_named(self, file: PickerFile, member: SwarmMember, hopeless: bool, now: float) -> None:
        rank = member.rank
        if (rank, file.name) in self._seeds:
            return
        if not hopeless and len(file.seeds) >= self._most and rank not in file.peers:
            return
        self._seeds.add((rank, file.name))
        self.completed(rank, file)
        source = self._sources.of(rank, now)
        if rank in file.peers:
            # A peer that became a seed keeps counting as copies, not as the origin of the file.
            file.peers.discard(rank)
            self._requests.peer_holds(source, file.mask)
        elif file.mask & ~source.peer_keys:
            file.seeds.add(rank)
            self._requests.seeded(source, file.mask)

    def share_out(self, file: PickerFile) -> None:
        """Share the first copies of a file out among those who keep up."""
        if not file.seeds:
            return
        held = {rank: self._held_by(rank, file) for rank in file.peers}
        if not held:
            self._picker.members_changed(file)
            return
        # Peers do not tell us of what we hold: they can be compared with one another only.
        least = FAR_BEHIND * sorted(held.values())[len(held) // 2] - FEW_SEGMENTS
        behind = [rank for rank, count in held.items() if count < least or count == file.segments]
        self._picker.members_changed(file, behind)

    def _held_by(self, rank: Rank, file: PickerFile) -> int:
        source = self._sources.get(rank)
        return (source.peer_keys & file.mask).bit_count() if source is not None else 0

    def forget(self, rank: Rank, unfinished: Iterable[str]) -> None:
        """That client is lost."""
        self._dismiss(rank)
        for name in unfinished:
            file = self._picker.file(name)
            if file is not None:
                self._told.get(name, set()).discard(rank)
                self._unanswered.pop((name, rank), None)
                self._reserve.get(name, {}).pop(rank, None)
                if rank in file.peers or rank in file.seeds:
                    file.peers.discard(rank)
                    file.seeds.discard(rank)
                    self.share_out(file)
        self._requests.source_lost(rank)

    # Neighbours -------------------------------------------------------------------------------

    def greet(self, rank: Rank, names: Iterable[str], now: float) -> Effects:
        """Tell ``rank`` what we hold of those files, as far as it was not told."""
        holdings = []
        for name in names:
            held = self._store.bitfield(name)
            told = self._told.setdefault(name, set())
            if held is None or rank in told:
                continue
            told.add(rank)
            self._unanswered[name, rank] = held.bits, self._round
            holdings.append(Holding(name, held.length, held.to_bytes()))
        return [Send(rank, BitfieldMessage(tuple(holdings)))] if holdings else []

    def met(self, rank: Rank, holdings: Sequence[Holding], now: float) -> Effects:
        """A BITFIELD came, of files whose manifests are here: learn from it and answer, or don't."""
        answers: list[str] = []
        for holding in holdings:
            name, held = holding.name, unpack(holding)
            file, own = self._picker.file(name), self._store.bitfield(name)
            fetching = file is not None and own is not None and not own.is_full
            told = self._told.setdefault(name, set())
            if rank not in told:
                if fetching and len(told) >= self._most and not held.is_full:
                    continue  # We have neighbours enough.
                answers.append(name)
            before, _ = self._unanswered.pop((name, rank), (None, 0))
            if file is None or own is None:
                continue
            if not held.is_full and fetching:
                self._enrol(rank, file, own.bits & ~before if before is not None else 0, now)
            if fetching:
                self.holds(rank, file, held.bits << file.base, now)
        effects = self.greet(rank, answers, now)
        for name in answers:
            self._unanswered.pop((name, rank), None)
        return effects

    def _enrol(self, rank: Rank, file: PickerFile, missed: int, now: float) -> None:
        """``rank`` is to hear what we gain of a file, and of those segments that we gained lately."""
        hearer = self._audience.get(rank)
        if hearer is None:
            hearer = self._audience[rank] = Hearer(self._sources.of(rank, now), self._stored)
            self._turns.append(hearer)
        hearer.keys |= file.mask
        hearer.heard &= ~(missed << file.base)
        if hearer.heard != self._stored:
            self._turns.remove(hearer)
            self._turns.appendleft(hearer)
        self._stale = True
        if len(self._audience) > FEW:
            self._enter_crowd()

    def _enter_crowd(self) -> None:
        self._requests.window.enter_crowd()
        self._store.in_crowd = True

    def holds(self, rank: Rank, file: PickerFile, keys: int, now: float) -> None:
        """``rank`` holds those keys of a file that is being fetched here, as a peer."""
        source = self._sources.of(rank, now)
        self._requests.heard(source, now)
        self._requests.peer_holds(source, keys)
        if file.mask & ~source.peer_keys == 0:
            self.completed(rank, file)
        elif rank not in file.peers and rank not in file.seeds:
            file.peers.add(rank)
            self.share_out(file)
        self._catch_up(rank)

    def _catch_up(self, rank: Rank) -> None:
        """``rank`` has spoken, or is to be tried again: it has the next turn if it is owed anything."""
        hearer = self._audience.get(rank)
        if hearer is not None and hearer.owed:
            hearer.heard &= ~hearer.owed
            self._turns.remove(hearer)
            self._turns.appendleft(hearer)
            self._stale = True

    def loaded(self, rank: Rank, load: int, now: float) -> None:
        """``rank`` says how many requests wait at its uploader."""
        source = self._sources.get(rank)
        if source is not None:
            source.load, source.load_told_at = load, now
            if not load:
                self._requests.is_free(source)
        self._catch_up(rank)

    def completed(self, rank: Rank, file: PickerFile) -> None:
        """``rank`` has the whole file and needs to hear nothing more of it."""
        hearer = self._audience.get(rank)
        if hearer is not None:
            hearer.keys &= ~file.mask
            if not hearer.keys:
                self._dismiss(rank)

    def _dismiss(self, rank: Rank) -> None:
        """``rank`` is to hear no more."""
        hearer = self._audience.pop(rank, None)
        if hearer is not None:
            self._turns.remove(hearer)
            self._stale = True

    # Gains ------------------------------------------------------------------------------------

    def gained(self, key: int) -> None:
        self._stored |= 1 << key
        self._stale = True
        self._store.is_link_long = self._requests.window.is_link_long

    def _next_flush(self) -> float | None:
        turns = self._turns
        if not turns or turns[0].heard == self._stored:
            return None
        pause = self._pause * self._requests.window.least_gap
        if len(turns) <= FEW:
            first_copies = self._stored & ~turns[0].heard & self._picker.unheld
            pause = 0.0 if first_copies else min(GATHERED * pause, LATEST)
        return self._flushed_at + max(pause, self._interval)

    def flush(self, now: float) -> Effects:
        """Tell some neighbours what was gained since they were told last, if it is time."""
        store = self._store
        pause = LOADED if store.load else SENDING if store.sending else IDLE
        if self._stale or pause != self._pause:
            self._stale, self._pause = False, pause
            self.flush_at = self._next_flush()
        if self.flush_at is None or now < self.flush_at:
            return []
        self._flushed_at = now
        turns, stored = self._turns, self._stored
        news: dict[Rank, int] = {}
        most = len(turns) if len(turns) <= FEW else AT_A_TIME
        while len(news) < most:
            hearer = turns[0]
            if hearer.heard == stored:
                break  # Nor has any of the others missed something.
            turns.rotate(-1)
            new = hearer.take_turn(now, stored)
            if new:
                news[hearer.source.rank] = new
        self.flush_at = self._next_flush()
        return self._announce(news)

    def _announce(self, news: dict[Rank, int]) -> Effects:
        """Tell each of those ranks that we hold those keys."""
        messages: dict[int, Announce] = {}
        effects: Effects = []
        for rank, keys in news.items():
            message = messages.get(keys)
            if message is None:
                message = messages[keys] = announcement(self._picker, keys, self._store.load)
            effects.append(Send(rank, message))
        return effects


def unpack(holding: Holding) -> Bitfield:
    """The bitfield in a message; raises RemoteProtocolError where it is none."""
    return Bitfield.from_bytes(holding.length, holding.bits)
