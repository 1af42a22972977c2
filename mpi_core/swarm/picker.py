"""Which segment next.

All wanted segments of all files lie on one axis of *keys*: segment i of a file is key ``base + i``. Sets
of keys are Python integers, so that a choice among thousands of segments is a few machine-word loops.

Three rules, in this order (Legout et al. 2006, "Rarest first and choke algorithms are enough"):

* **Rarest first**: of what a source holds, the segments that fewest peers hold, ties broken at random.
* **First copies are shared out.** While a file's seeds are outnumbered by its downloaders, a seed is asked
  for a segment only by the downloader whose *stripe* it is in; the others get it from one another. So a
  seed sends no second copy of anything before it has sent one of everything.
* **Patience ends.** A downloader with nothing else to do asks the seed for whatever it lacks.

The classic strategy is *sequential*: the first missing segment that some source holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.units import Rank

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

    @property
    def mask(self) -> int:
        """All its keys."""
        return ((1 << self.segments) - 1) << self.base


class Picker:
    """The wanted segments, what is known of their copies, and the choice among them."""

    def __init__(self, rank: Rank, rng: Random) -> None:
        self._rank = rank
        self._rng = rng
        self._files: dict[str, PickerFile] = {}
        self._by_base: list[PickerFile] = []
        #: For each key, how many peers are known to hold it.
        self._copies: list[int] = []
        #: levels[c]: the keys of which c peers hold a copy; each key is in exactly one.
        self._levels: list[int] = [0]
        #: Keys that are neither stored nor asked for.
        self.todo = 0
        #: Keys of files whose seeds are outnumbered, and those of them in this client's stripe.
        self._contested = 0
        self._mine = 0

    def add(self, name: str, segments: int) -> PickerFile:
        """A file to be downloaded, all of it missing."""
        file = PickerFile(name, len(self._copies), segments)
        self._files[name] = file
        self._by_base.extend([file] * segments)
        self._copies.extend([0] * segments)
        self._levels[0] |= file.mask
        self.todo |= file.mask
        return file

    def file(self, name: str) -> PickerFile | None:
        return self._files.get(name)

    def locate(self, key: int) -> tuple[PickerFile, int]:
        """The file of a key, and the segment's index in it."""
        file = self._by_base[key]
        return file, key - file.base

    def keys_of(self, file: PickerFile, held: Bitfield) -> int:
        return held.bits << file.base

    def members_changed(self, file: PickerFile) -> None:
        """Share the first copies out anew, after ``peers`` or ``seeds`` of the file changed."""
        mask = file.mask
        self._contested &= ~mask
        self._mine &= ~mask
        downloaders = sorted(file.peers | {self._rank})
        if not file.seeds or len(file.seeds) >= len(downloaders):
            return
        self._contested |= mask
        # Every client computes the same shares from the same members; the name's checksum sees to it
        # that files of one segment do not all fall to the same client.
        place = downloaders.index(self._rank)
        first = (place - crc32(file.name.encode())) % len(downloaders)
        stripe = Bitfield.of(file.segments, range(first, file.segments, len(downloaders)))
        self._mine |= self.keys_of(file, stripe)

    def gained(self, keys: int) -> None:
        """One more peer holds each of these keys."""
        self._shift(keys, +1)

    def lost(self, keys: int) -> None:
        """One peer fewer holds each of these keys."""
        self._shift(keys, -1)

    def _shift(self, keys: int, step: int) -> None:
        for key in Bitfield(keys.bit_length(), keys):
            count = self._copies[key]
            if count + step == len(self._levels):
                self._levels.append(0)
            bit = 1 << key
            self._levels[count] &= ~bit
            self._levels[count + step] |= bit
            self._copies[key] = count + step

    def copies(self, key: int) -> int:
        return self._copies[key]

    def rarest(self, from_peer: int, from_seed: int, patient: bool) -> int | None:
        """The key to ask of a source that holds those keys as a peer, and those as a seed.

        ``patient`` false: the downloader has waited enough and asks the seed for anything.
        """
        if patient:
            from_seed &= ~self._contested | self._mine & self._levels[0]
        keys = (from_peer | from_seed) & self.todo
        if not keys:
            return None
        for level in self._levels:
            if level & keys:
                return any_key(level & keys, self._rng)
        raise AssertionError("every key has a level")

    def first(self, held: Iterable[int]) -> int | None:
        """The lowest key to do that any source holds; the classic strategy's choice."""
        union = 0
        for keys in held:
            union |= keys
        union &= self.todo
        return lowest_key(union) if union else None
