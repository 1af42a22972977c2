"""What is asked of whom, and when: the policy over the requests in flight.

In this order, whenever something has changed: what is late or expired is let go; the seeds of a contested
file are kept at work; the window is filled, of each source with the rarest that it holds; who says that it
has nothing to do is asked beside the window; what waits in a long queue is taken to a shorter one; and when
patience with the stripes of others ends, a seed is asked for whatever is lacking.

The classic strategy asks for one segment after the other, in order. It asks nobody beside its window of one,
and withdraws no request.
"""

from __future__ import annotations

from math import ceil

from mpi_core.protocol.units import MAX_TICKETS
from mpi_core.swarm.machine import Effects
from mpi_core.swarm.picker import lowest_key
from mpi_core.swarm.requests import LONGER, NEVER, Requests

#: Patience with the stripes of others: at least so many seconds, and so many times the usual time of an
#: answer.
PATIENCE = (0.1, 2.0)

#: Requests for first copies that a seed has outstanding beside the window; in a crowd one: what is alone on
#: its host is passed on at once. On a long link more; and where the link is known to hold more than these, so
#: many times this client's share of that, since requests wait at the seed as well.
FIRST_COPIES, FIRST_COPIES_ON_LONG = 2, 5
AHEAD = 1.5

#: Of so many sources, drawn from those that could be asked, it is asked whose turn is first.
CHOICES = 4

#: Such a share of the window may be asked beside it, of sources with nothing to do; one request at the least.
EXTRA = 0.5

#: So many requests at a time are asked back from the queues in which they wait.
MOST_WITHDRAWN = 2


class Asking(Requests):
    """The requests of one downloader, and what it asks for next."""

    def fill(self, now: float) -> Effects:
        """Look after what is overdue, then ask until the window is full or there is nobody to ask."""
        effects: Effects = []
        if now >= self._look_at:
            self._look(now, effects)
        if self._stirred:
            self._stirred = False
            if not self._in_order:
                if self._first_copies:
                    self._withdraw_first_copies(effects)
                self._ask_for_first_copies(now, effects)
            while self._has_room and self._ask_one(now, True, effects):
                self._waiting_since = None
                self._credit = 1
            if self._free:
                self._ask_free(now, effects)
            if not self._in_order and (self._news or not self._picker.todo):
                self._withdraw_queued(now, effects)
        if not (self._has_room and self._picker.todo):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now >= self._waiting_since + self._scaled(PATIENCE):
            self._waiting_since = now
            for _ in range(self._credit):
                if not (self._has_room and self._ask_one(now, False, effects)):
                    break
            self._credit = min(2 * self._credit, self.window.size)
        self._set_alarm(now)
        return effects

    def _ask_one(self, now: float, patient: bool, effects: Effects) -> bool:
        if not self._picker.todo & self._held:
            return False
        if self._in_order:
            return self._ask_first(now, effects)
        sources, picker, usual = self._sources, self._picker, self.window.usual
        todo = picker.todo
        of_seeds = todo & self._of_seeds(patient)
        trusted = sources.trusted_keys()
        holders = []
        for source in sources.ready(now, self.window.size):
            keys = (source.peer_keys & todo | source.seed_keys & of_seeds) & ~(source.asked | source.barred)
            if trusted is not None:
                keys &= ~sources.last_resort(source, trusted)
            if keys:
                holders.append((source, keys))
        if not holders:
            return False
        if len(holders) > CHOICES:
            # Not everybody is to run to the one that said last that it has least to do.
            holders = picker.some_of(holders, CHOICES)
        holder, choice = min(holders, key=lambda holding: sources.turn(holding[0], now, usual))
        effects += self._ask(now, holder, picker.rarest(choice))
        return True

    def _of_seeds(self, patient: bool) -> int:
        """The keys that seeds may be asked for."""
        return 0 if self._is_new and patient else self._picker.seed_keys(patient)

    def _ask_free(self, now: float, effects: Effects) -> None:
        """Who has just told us that it has nothing to do, or of something rare, is asked though the window be
        full: it has told few, and idles until one of them asks; and many are to have soon what is rare."""
        free, self._free = self._free, []
        sources, picker = self._sources, self._picker
        most = self.window.size + max(1, int(EXTRA * self.window.size))
        trusted = sources.trusted_keys()
        for source in free:
            if self._in_window >= most or len(self._open) >= MAX_TICKETS:
                return
            if source.outstanding or source.silent or source.paused_until > now:
                continue
            keys = source.peer_keys & picker.todo & ~source.barred & ~sources.last_resort(source, trusted)
            if keys:
                effects += self._ask(now, source, picker.rarest(keys))

    def _ask_for_first_copies(self, now: float, effects: Effects) -> None:
        """Keep the seeds of a contested file at work, whatever else the window holds: until they have sent
        one of everything, theirs is the link that all wait for. Of the own stripe a few segments are asked
        for at once; of the others', in a swarm that is only partly known and when the own one is done, one:
        somebody may have been told of no seed."""
        picker = self._picker
        most = FIRST_COPIES_ON_LONG if self.window.is_link_long else FIRST_COPIES
        wanted, most = picker.stripe, 1 if self.window.in_crowd else most
        if self._is_new:
            wanted = picker.unheld & picker.todo
        elif not wanted:
            wanted, most = picker.strange, 1
        if not wanted:
            return
        if self.window.link_holds > most and not self.window.in_crowd:
            # On a long link a seed that few still ask must be asked for more by each.
            unheld = picker.unheld & ~self._stored
            share = (unheld & picker.mine).bit_count() / unheld.bit_count()
            most = max(most, ceil(AHEAD * share * self.window.link_holds))
        for source in self._sources.ready_seeds(now, most):
            keys = source.seed_keys & wanted & ~(source.asked | source.barred)
            while keys and source.outstanding < most and len(self._open) < MAX_TICKETS:
                key = picker.any_of(keys)
                effects += self._ask(now, source, key, first_copy=True)
                keys &= ~(1 << key)
                wanted &= ~(1 << key)

    @property
    def _is_new(self) -> bool:
        """No answer has come yet: a seed may be asked by a whole crowd at this moment."""
        return self.window.usual is None and not self.window.is_fixed

    def _withdraw_first_copies(self, effects: Effects) -> None:
        """What a peer has come to hold is no first copy any more: the seed is to send something else."""
        keys = self._first_copies & ~self._picker.unheld
        while keys:
            key = lowest_key(keys)
            keys &= keys - 1
            for request in self._by_key.get(key, ()):
                source = self._sources.get(request.source)
                if source is not None and source.seed_keys >> key & 1:
                    effects += self._withdraw(request)

    def _ask_first(self, now: float, effects: Effects) -> bool:
        """The classic strategy: the first segment that somebody holds, of whom it is the turn of."""
        trusted = self._sources.trusted_keys()
        sources = self._sources.in_turn(now, self.window.size)
        barred = [s.asked | s.barred | self._sources.last_resort(s, trusted) for s in sources]
        key = self._picker.first(s.keys & ~bar for s, bar in zip(sources, barred, strict=True))
        if key is not None:
            holders = zip(sources, barred, strict=True)
            source = next(s for s, bar in holders if s.keys & ~bar & 1 << key)
            effects += self._ask(now, source, key)
        return key is not None

    @property
    def _is_endgame(self) -> bool:
        """All is here or asked for, and the window has room; in a crowd it is small, and the last fill it."""
        return not self._picker.todo and (self.window.in_crowd or self._has_room)

    @property
    def _bearable(self) -> float:
        """In the endgame, seconds that a request may wait while another source is idle: the usual time of an
        answer; in a crowd, where an answer takes longer than a payload by far, that between two."""
        return self.window.least_gap if self.window.in_crowd else self.window.usual or 0.0

    def _withdraw_queued(self, now: float, effects: Effects) -> None:
        """What waits in a long queue, and has just come to be held by another with a far shorter one that has
        nothing to do for us, is to be had from that one. So is, in the endgame, whatever waits longer than
        is bearable while such a source is idle."""
        news, self._news = self._news, 0
        endgame = self._is_endgame
        room = MOST_WITHDRAWN - self._withdrawn
        if room <= 0 or not (news or endgame):
            return
        usual = self.window.usual
        since = now - self._bearable
        of_seeds = self._of_seeds(patient=True)
        idle = None
        for request in self._open.values():
            bit = 1 << request.key
            late = endgame and request.asked_at <= since
            if not (late or news & bit) or request.reopened or request.withdrawn:
                continue
            asked = self._sources.of(request.source, now)
            load = self._sources.load(asked, now, usual)
            most = load if late else load // LONGER - 1
            if most < 0:
                continue
            if idle is None:
                idle = self._sources.idle(now)
            for source in idle:
                keys = (source.peer_keys | source.seed_keys & of_seeds) & ~source.barred
                if source is asked or not keys & bit:
                    continue
                if self._sources.load(source, now, usual) <= most:
                    effects += self._withdraw(request)
                    if late:
                        # Something waits there, whatever it said last: who has all says nothing more.
                        asked.load, asked.load_told_at = max(asked.load, LONGER), now
                    idle.remove(source)
                    room -= 1
                    break
            if room <= 0:
                return

    def _set_alarm(self, now: float) -> None:
        at = self._look_at
        if self._waiting_since is not None:
            at = min(at, self._waiting_since + self._scaled(PATIENCE))
            pause = self._sources.next_pause_end(now)
            if pause is not None:
                at = min(at, pause)
                self._stirred = True
        if self.window.in_crowd and self._is_endgame:
            # With all asked for, nothing may come for long but the time to look for shorter queues.
            for request in self._open.values():
                if not (request.reopened or request.withdrawn):
                    late_at = request.asked_at + self._bearable
                    at = min(at, late_at if late_at > now else now + self._bearable)
                    self._stirred = True
        self.wake_at = at if now < at < NEVER else None
