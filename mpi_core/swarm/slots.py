"""How many payloads an uploader has on the way at once.

It begins with few, so that the first segments are finished, and passed on, one after the other. But links are
shared: whoever sends to few at once, while each of these hears many, does not fill its own link. So once it
has sent a while, an uploader has several payloads on the way; or sooner, where the first payload takes long:
on a long link each new connection starts slowly. Not so in a crowd, whose members ask for little at a time,
of whoever is free: there, a segment is to go on from hand to hand soon. In its beginning, when what there is
must double and double again, a payload leaves alone: whatever was begun before it keeps it; unless payloads
take so little time that the next would follow with a gap.

And it has enough to keep a long link full. As BBR does for bytes (Cardwell et al. 2016), two extremes are
kept: the least time that a payload was on the way, which is that of an empty link, and the highest rate of
late at which payloads left. Their product is what the link holds; a little more is tried, and where that
raises the rate, the next product is larger.
"""

from __future__ import annotations

from collections import deque
from math import inf

from mpi_core.protocol.units import Rank

#: So many times what the link was seen to hold.
GAIN = 1.5

#: Payloads that leave before there is one slot more, and the most slots where the link is short.
LEAVING = 5
SHARING = 6

#: More receivers than these are a crowd; its first payloads, so many, leave alone.
FEW = 8
ALONE = 32

#: Until the first payload has left, there are as many slots again for others after each so many seconds, till
#: each of a few has one; in a crowd one more, up to what a shared link has.
FIRST_TAKES = 0.025

#: A link on which a payload takes less than this, in seconds, is short: what it takes is mostly waiting for
#: somebody to look.
SHORT = 0.005
#: A link on which none took less than this is long, and keeps the slots that it opened with.
LONG = 0.05

#: Payloads on the way, and the bytes in them, at the most.
MOST_SLOTS = 32
MOST_BYTES = 16 * 1024 * 1024

#: What is of late, in payloads that left.
RECENT = 64


class Slots:
    """At least ``least`` slots; more where the link is shared by few, or long."""

    def __init__(self, least: int) -> None:
        self._least = least
        #: How many payloads a second left while one was on the way: the highest of late, and behind it those
        #: that will be the highest when all before them are no longer of late; each with its payload's place.
        self._rates: deque[tuple[float, int]] = deque()
        #: The least seconds on the way of those of about the largest size, and that size in bytes.
        self._quickest = inf
        self._largest = 1
        self._receivers: set[Rank] = set()
        self._is_crowd = False
        #: Payloads that have left so far.
        self.left = 0
        #: How many there are now.
        self.size = least
        #: Slots beside these for receivers that have none on the way, until the first payload has left.
        self.opened = self._openings = 0

    def asked_by(self, receiver: Rank, in_crowd: bool = False, link_is_long: bool = False) -> None:
        """Somebody asks; ``in_crowd``: it is known to be one of many; ``link_is_long``: one need not wait
        for the first payload to know that it takes long."""
        self._receivers.add(receiver)
        if self._is_crowd or self.left:
            self._is_crowd = self._is_crowd or in_crowd or len(self._receivers) > FEW
        elif in_crowd or len(self._receivers) > FEW:
            self._is_crowd, self.size, self.opened = True, 1, 0
        elif link_is_long:
            self.opened = max(self.opened, FEW - self._least)

    def opens_at(self, since: float) -> float | None:
        """When there will be more slots for others although none has left, if the first payload set out at
        ``since``."""
        if self.left or self._least + self.opened >= (SHARING if self._is_crowd else FEW):
            return None
        return since + (self._openings + 1) * FIRST_TAKES

    def open(self) -> None:
        self._openings += 1
        self.opened += 1 if self._is_crowd else self._least + self.opened

    def leaves(self, took: float, left_before: int, size: int) -> None:
        """A payload of so many bytes has left after so many seconds; when it set out ``left_before`` had."""
        self.left += 1
        # A segment of empty files has no bytes.
        took, size = max(took, 1e-6), max(size, 1)
        rates, rate = self._rates, (self.left - left_before) / took
        while rates and rates[-1][0] <= rate:
            rates.pop()
        rates.append((rate, self.left))
        if rates[0][1] <= self.left - RECENT:
            rates.popleft()
        if size > 2 * self._largest:
            self._quickest, self._largest = took, size
        elif 2 * size >= self._largest:
            self._quickest, self._largest = min(took, self._quickest), max(size, self._largest)
        least = self._least
        opened = least + self.opened
        most = max(SHARING, opened) if self._quickest > LONG else SHARING
        sharing = min(most, opened + self.left // LEAVING)
        if self._is_crowd:
            sharing = least = 1 if self._quickest >= SHORT and self.left < ALONE else least
        wanted = int(GAIN * self._quickest * rates[0][0]) if self._quickest >= SHORT else 0
        self.size = max(least, min(max(sharing, wanted), MOST_SLOTS, MOST_BYTES // self._largest))
