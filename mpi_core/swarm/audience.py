"""Who is to hear what we gain, and who seems to be deaf.

A rank that is stopped takes no messages, and its host's MPI may have room for few: what all others send it
would be in the way of what they send one another. So whoever says nothing is told little, and all that it
missed as soon as it speaks.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpi_core.protocol.messages import Announce, Gain
from mpi_core.protocol.units import SegmentIndex
from mpi_core.swarm.picker import Picker, lowest_key
from mpi_core.swarm.sources import Source

#: A neighbour that was told so often, and said nothing, is told again after so many seconds.
IN_VAIN = 16
AGAIN = 6.0


@dataclass(eq=False, slots=True)
class Hearer:
    """A neighbour that is to hear what we gain."""

    source: Source
    #: What was stored here when it had its turn last; of that it was not told what is owed.
    heard: int
    owed: int = 0
    #: The keys of the files that it is still fetching.
    keys: int = 0
    #: How often it was told since it said something; when that was, and when it is to be told again.
    in_vain: int = 0
    spoke_at: float = 0.0
    again_at: float = 0.0

    def take_turn(self, now: float, stored: int) -> int:
        """It has its turn: the keys that it is to hear of now."""
        missed = stored & ~self.heard | self.owed
        self.heard, self.owed = stored, 0
        new = missed & self.keys & ~self.source.peer_keys
        if not new:
            return 0
        if self.source.last_heard != self.spoke_at:
            self.spoke_at, self.in_vain = self.source.last_heard, 0
        if self.in_vain >= IN_VAIN and now < self.again_at:
            self.owed = new
            return 0
        self.in_vain += 1
        self.again_at = now + AGAIN
        return new


def announcement(picker: Picker, keys: int, load: int) -> Announce:
    """The word that we hold those keys, and that so many requests wait here."""
    gains: list[Gain] = []
    while keys:
        file, _ = picker.locate(lowest_key(keys))
        bits = (keys & file.mask) >> file.base
        keys &= ~file.mask
        indices: list[SegmentIndex] = []
        while bits:
            low = bits & -bits
            bits ^= low
            indices.append(SegmentIndex(low.bit_length() - 1))
        gains.append(Gain(file.name, tuple(indices)))
    return Announce(tuple(gains), load)
