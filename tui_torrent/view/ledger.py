"""The trace checker's book-keeping: rules, findings, and which event broke which rule first.

A rule can be broken in three ways. An event breaks it outright. An event breaks it unless its client was
lost or the run was aborted, which another line may yet say (a *doubt*). Or something is still owed when
the journal ends (a *debt*): a breach where the run has ended, not to be judged where it was cut short.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import msgspec

from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank


class Rule(str, Enum):
    """The steps of the protocol, in their order, and that the journal tells all of them."""

    INIT = "INIT first"
    INIT_ACK = "no INIT_ACK before the last INIT"
    REQUEST = "no request before INIT_ACK"
    UPDATE = "an update for every unfinished file after each N segments"
    STORED = "each stored segment matches its hash"
    FILE_COMPLETE = "FILE_COMPLETE once a file and only when it is whole"
    ALL_COMPLETE = "ALL_COMPLETE once, after the last file"
    STOP = "STOP after the last ALL_COMPLETE and nothing after it"
    TRACKER = "the tracker moves no segment"
    SERVING = "finished clients keep serving"
    JOURNAL = "the journal is whole"


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
    #: N: after so many stored segments an update is due.
    update_every: int = 0


class Breach(NamedTuple):
    line: int
    detail: str


class Ledger:
    """The first breach of each rule. Its size does not grow with the number of breaches."""

    def __init__(self) -> None:
        self.breaches: dict[Rule, Breach] = {}
        #: Breaches unless that client was lost or the run was aborted.
        self.doubts: dict[Rule, dict[Rank, Breach]] = {}
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


def clip(text: str, width: int = 60) -> str:
    """``text`` quoted, cut in its middle where it is long: names and hashes have no bound."""
    if len(text) > width:
        text = text[: width - 21] + "…" + text[-20:]
    return repr(text)


class SparseSet:
    """A set of segments as a bitfield in pages, so that an absurd index costs one page."""

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}
        self.count = 0

    def add(self, index: int) -> bool:
        """Whether ``index`` was not there yet."""
        page, bit = index >> 10, 1 << (index & 1023)
        bits = self._pages.get(page, 0)
        if bits & bit:
            return False
        self._pages[page] = bits | bit
        self.count += 1
        return True
