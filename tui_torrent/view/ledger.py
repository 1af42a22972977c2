"""The trace checker's book-keeping: rules, findings, and which event broke which rule first.

A rule can be broken in three ways. An event breaks it outright. An event breaks it unless its client was
lost or the run was aborted, which another line may yet say (a *doubt*). Or something is still owed when
the journal ends (a *debt*): a breach where the run has ended, not to be judged where it was cut short.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from tui_torrent.view.rules import Rule

__all__ = ["Breach", "Finding", "Header", "Ledger", "Rule", "Sources", "Spot", "clip"]


class Finding(msgspec.Struct, frozen=True):
    """What the checker says of one rule."""

    rule: str
    #: None: nothing breaks it, but the journal does not show that it holds either.
    holds: bool | None
    #: A sentence: the first event that breaks the rule, or what was checked.
    detail: str


class Spot(NamedTuple):
    """An event and its line in the journal, from 1."""

    line: int
    stamped: Stamped

    def says(self, what: str) -> str:
        """A sentence about this event."""
        t, rank, kind = self.stamped.t, self.stamped.rank, type(self.stamped.event).__name__
        return f"Line {self.line} (t = {t:.3f} s, rank {rank}, {kind}): {what}."


@dataclass
class Header:
    """What the journal's first line says and the rules need; zeros until it came."""

    #: C: the clients are the ranks 1…C.
    clients: int = 0
    #: N: after so many stored segments an update is due; and whether a scenario, not the header, says so.
    update_every: int = 0
    update_is_given: bool = False


class Breach(NamedTuple):
    line: int
    detail: str


class Ledger:
    """The first breach of each rule. Its size does not grow with the number of breaches."""

    def __init__(self) -> None:
        self.breaches: dict[Rule, Breach] = {}
        #: Breaches unless that client was lost or the run was aborted.
        self.doubts: dict[Rule, dict[Rank, Breach]] = {}
        #: Breaches unless the program that was run never tells of manifests.
        self.suspicions: dict[Rule, Breach] = {}
        #: How many events were held against each rule.
        self.checked: Counter[Rule] = Counter()

    def broken(self, rule: Rule, spot: Spot, what: str) -> None:
        """``spot`` breaks ``rule``; ``what`` is a clause without its full stop."""
        known = self.breaches.get(rule)
        if known is None or spot.line < known.line:
            self.breaches[rule] = Breach(spot.line, spot.says(what))

    def doubtful(self, rule: Rule, client: Rank, spot: Spot, what: str) -> None:
        """``spot`` breaks ``rule`` unless ``client`` was lost or the run was aborted."""
        doubts = self.doubts.setdefault(rule, {})
        if client not in doubts:
            doubts[client] = Breach(spot.line, spot.says(what))

    def suspicious(self, rule: Rule, spot: Spot, what: str) -> None:
        """``spot`` breaks ``rule`` unless nobody tells of the manifests that come."""
        known = self.suspicions.get(rule)
        if known is None or spot.line < known.line:
            self.suspicions[rule] = Breach(spot.line, spot.says(what))


def clip(text: str, width: int = 60) -> str:
    """``text`` quoted, cut in its middle where it is long: names and hashes have no bound."""
    if len(text) > width:
        text = text[: width - 21] + "…" + text[-20:]
    return repr(text)


class Sources:
    """Segments of a file, and whom each came from; in pages, so that an absurd index costs one page.

    A segment is *rooted* once the way that it took is known back to somebody who has owned the file.
    """

    def __init__(self) -> None:
        #: Index // 64 → for each of 64 segments its source + 1 (negative where it is rooted), or 0 where it
        #: is not here.
        self._pages: dict[int, array[int]] = {}
        self.count = 0

    def add(self, index: int, source: int) -> bool:
        """Whether ``index`` was not there yet."""
        page = self._pages.get(index >> 6)
        if page is None:
            page = self._pages[index >> 6] = array("i", bytes(4 * 64))
        if page[index & 63]:
            return False
        # The tracker's number stands for every rank that can be no client's.
        page[index & 63] = source + 1 if 0 <= source < 1 << 30 else 1
        self.count += 1
        return True

    def root(self, index: int) -> None:
        """The way of that segment, which is here, is known."""
        page = self._pages[index >> 6]
        page[index & 63] = -abs(page[index & 63])

    def is_rooted(self, index: int) -> bool:
        page = self._pages.get(index >> 6)
        return page is not None and page[index & 63] < 0

    def source(self, index: int) -> int | None:
        """Whom that segment came from; None where it is not here."""
        page = self._pages.get(index >> 6)
        return abs(page[index & 63]) - 1 if page is not None and page[index & 63] else None

    def __contains__(self, index: int) -> bool:
        page = self._pages.get(index >> 6)
        return page is not None and page[index & 63] != 0
