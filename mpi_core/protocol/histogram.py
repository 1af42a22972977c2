"""Counts by size, in bins that grow with the size: what many measurements come down to in an event.

A bin is a number. Whole numbers below 8 have one each; above, four bins share each power of two, so a value
is known to within a quarter of itself. Two histograms are merged by adding them, in any order (law 6).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil

#: (bin, count) in order of the bins, none of them empty: a histogram as an event bears it.
Bins = tuple[tuple[int, int], ...]

#: Bins above this one are not: it holds what is larger than 2^62.
LAST_BIN = 247


def bin_of(value: int) -> int:
    """The bin of a whole number; what is below 0 counts as 0."""
    value = max(0, value)
    shift = max(0, value.bit_length() - 3)
    return min(4 * shift + (value >> shift), LAST_BIN)


def middle(number: int) -> float:
    """The middle of the values of a bin."""
    number = max(0, min(number, LAST_BIN))
    shift = max(0, number // 4 - 1)
    least = number - 4 * shift << shift
    return least + ((1 << shift) - 1) / 2


def packed(counts: Mapping[int, int]) -> Bins:
    """A histogram for an event."""
    return tuple(sorted((number, count) for number, count in counts.items() if count))


def merge(counts: Counter[int], bins: Bins) -> None:
    """Add what an event bears."""
    for number, count in bins:
        counts[number] += count


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """What ``share`` of all, 0…1, do not exceed (the middle of its bin); None where there are none."""
    total = sum(counts.values())
    if total <= 0:
        return None
    rest = max(1, ceil(share * total))
    for number in sorted(counts):
        rest -= counts[number]
        if rest <= 0:
            return middle(number)
    return middle(max(counts))
