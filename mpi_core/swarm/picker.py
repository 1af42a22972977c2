"""Which segment next.

All wanted segments of all files lie on one axis of *keys*: segment i of a file is key ``base + i``. Sets
of keys are Python integers, so that a choice among thousands of segments is a few machine-word loops.

Three rules, in this order (Legout et al. 2006, "Rarest first and choke algorithms are enough"):

* **Rarest first**: of what a source holds, the segments that fewest peers hold, ties broken at random.
* **First copies are shared out.** While a file's seeds are outnumbered by its downloaders, a seed is asked
  for a segment only by the downloader whose *stripe* it is in; the others get it from one another. So a
  seed sends no second copy of anything before it has sent one of everything. The stripe of one who
  falls far behind is dealt out to the others as well: it would keep them waiting.
* **Patience ends.** A downloader with nothing else to do asks the seed for whatever it lacks.

The classic strategy is *sequential*: the first missing segment that some source holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar
from zlib import crc32

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.units import Rank

Choice = TypeVar("Choice")

#: Attempts to hit a random key before the next one above a random place is taken.
_THROWS = 8


def any_key(keys: int, rng: Random) -> int:
    """A random member of a set of keys that is not empty."""
    width = keys.bit_length()
    for _ in range(_THROWS):
        key = int(rng.random() * width)
        if keys >> key & 1:
            return key
    above = keys >> key or keys
    low = (above & -above).bit_length() - 1
    return low + key if above is not keys else low


def lowest_key(keys: int) -> int:
    return (keys & -keys).bit_length() - 1


@dataclass
class PickerFile:
    """A wanted file on the axis of keys."""

    name: str
    base: int
    segments: int
    #: Who is fetching it too, and who had it from the start.
    peers: set[Rank] = field(default_factory=set)
    seeds: set[Rank] = field(default_factory=set)
    #: Whether there are more members than we were told of.
    partly_known: bool = False
    #: All its keys.
    mask: int = 0

    def __post_init__(self) -> None:
        self.mask = ((1 << self.segments) - 1) << self.base


class Picker:
    """The wanted segments, what is known of their copies, and the choice among them."""

    def __init__(self, rank: Rank, rng: Random) -> None:
        self._rank = rank
        self._rng = rng
        self._files: dict[str, PickerFile] = {}
        #: The file of a name, if it is wanted.
        self.file = self._files.get
        self._by_base: list[PickerFile] = []
        #: For each key, how many peers are known to hold it.
        self._copies: list[int] = []
        #: levels[c]: the keys of which c peers hold a copy; each key is in exactly one.
        self._levels: list[int] = [0]
        #: Keys that are neither stored nor asked for.
        self.todo = 0
        #: Keys of files whose seeds are outnumbered, and those of them in this client's stripe.
        self._contested = 0
        self.mine = 0
        #: Keys of those files of which not all members are known.
        self._strange = 0

    def add(self, name: str, segments: int) -> PickerFile:
        """A file to be downloaded, all of it missing."""
        file = PickerFile(name, len(self._copies), segments)
        self._files[name] = file
        self._by_base.extend([file] * segments)
        self._copies.extend([0] * segments)
        self._levels[0] |= file.mask
        self.todo |= file.mask
        return file

    def locate(self, key: int) -> tuple[PickerFile, int]:
        """The file of a key, and the segment's index in it."""
        file = self._by_base[key]
        return file, key - file.base

    def keys_of(self, file: PickerFile, held: Bitfield) -> int:
        return held.bits << file.base

    def members_changed(self, file: PickerFile, behind: Collection[Rank] = ()) -> None:
        """Share the first copies out anew, after ``peers`` or ``seeds`` of the file changed, or who of the
        peers is far behind."""
        mask = file.mask
        self._contested &= ~mask
        self.mine &= ~mask
        self._strange &= ~mask
        if not file.seeds or len(file.seeds) > len(file.peers):
            return
        self._contested |= mask
        if file.partly_known:
            self._strange |= mask
        # Every client computes the same shares from the same members; the name's checksum sees to it
        # that files of one segment do not all fall to the same client.
        downloaders = sorted(file.peers | {self._rank})
        count, shift = len(downloaders), crc32(file.name.encode())
        first = (downloaders.index(self._rank) - shift) % count
        mine = list(range(first, file.segments, count))
        if behind:
            # Not everybody sees the same ones behind: their stripes are dealt out to the others once more,
            # and no other stripe changes, so that each segment stays in somebody's.
            ahead = [rank for rank in downloaders if rank not in behind or rank == self._rank]
            place = ahead.index(self._rank)
            for rank in behind:
                first = (downloaders.index(rank) - shift) % count
                mine += range(first + place * count, file.segments, len(ahead) * count)
        self.mine |= self.keys_of(file, Bitfield.of(file.segments, mine))

    def gained(self, keys: int) -> None:
        """One more peer holds each of these keys."""
        self._shift(keys, +1)

    def lost(self, keys: int) -> None:
        """One peer fewer holds each of these keys."""
        self._shift(keys, -1)

    def _shift(self, keys: int, step: int) -> None:
        levels, copies = self._levels, self._copies
        while keys:
            bit = keys & -keys
            keys ^= bit
            key = bit.bit_length() - 1
            count = copies[key]
            if count + step == len(levels):
                levels.append(0)
            levels[count] ^= bit
            levels[count + step] |= bit
            copies[key] = count + step

    def seed_keys(self, patient: bool) -> int:
        """The keys that a seed may be asked for: all, once peers hold a copy of everything that is to do.
        ``patient`` false: the downloader has waited enough and asks the seed for anything."""
        first = self._levels[0]
        if not patient or not (self._strange or self._contested & first & self.todo):
            return -1
        return ~self._contested | self.mine & first

    @property
    def stripe(self) -> int:
        """What is to do of this client's stripe, and held by no peer."""
        return self.mine & self._levels[0] & self.todo if self.mine else 0

    @property
    def strange(self) -> int:
        """What is to do of files whose seeds are outnumbered, and held by no peer, where it may be in the
        stripe of one that knows no seed."""
        return self._strange & self._levels[0] & self.todo if self._strange else 0

    @property
    def unheld(self) -> int:
        """The keys of which no peer holds a copy."""
        return self._levels[0]

    def held_by_few(self, most: int) -> int:
        """The keys that some peers hold, but no more than so many."""
        # No key is in two levels.
        return sum(self._levels[1 : most + 1])

    def rarest(self, keys: int) -> int:
        """One of those of some keys that fewest peers hold, at random."""
        for level in self._levels:
            if level & keys:
                return any_key(level & keys, self._rng)
        raise AssertionError("every key has a level")

    def any_of(self, keys: int) -> int:
        """One of some keys, at random."""
        return any_key(keys, self._rng)

    def some_of(self, choices: list[Choice], count: int) -> list[Choice]:
        """So many of some choices, at random."""
        rng, some = self._rng.random, len(choices)
        return [choices[int(rng() * some)] for _ in range(count)]

    def first(self, held: Iterable[int]) -> int | None:
        """The lowest key to do that any source holds; the classic strategy's choice."""
        union = 0
        for keys in held:
            union |= keys
        union &= self.todo
        return lowest_key(union) if union else None
