"""Lawful runs with one change each, and what the checker must say of it: which rules break, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.helpers.lawful import CALM, Plan, Telling, journal, lawful
from tui_torrent.view.conformance import Conformance, Rule

Told = dict[int, list[Telling]]

#: Changes what the ranks tell, returns the rank and place of the event that is then named; or (-1, -1) where
#: that hangs on the interleaving.
Mutation = Callable[[Told], tuple[int, int]]


@dataclass
class Mutations:
    """Each with the rule that it breaks, and those that break with it."""

    plan: Plan = CALM
    all: list[tuple[Rule, frozenset[Rule], Mutation]] = field(default_factory=list)

    def breaks(self, rule: Rule, *also: Rule) -> Callable[[Mutation], Mutation]:
        def register(mutation: Mutation) -> Mutation:
            self.all.append((rule, frozenset(also), mutation))
            return mutation

        return register

    def check(self, rule: Rule, also: frozenset[Rule], mutation: Mutation, seed: int) -> None:
        """Those rules break and no others, and the first one's event is named."""
        told = lawful(self.plan, seed)
        rank, at = mutation(told)
        culprit = told[rank][at].event if rank >= 0 else None
        events = journal(told, seed)
        checker = Conformance()
        for event in events:
            checker.see(event)
        results = {finding.rule: finding for finding in checker.result()}
        broken = {name for name, finding in results.items() if finding.holds is not True}
        assert rule.value in broken
        assert broken <= {rule.value, *(other.value for other in also)}, results
        first = checker.first_violation()
        assert first is not None
        assert first.rule in broken
        named = re.match(
            r"Line (\d+) \(t = -?[\d.]+ s, rank (\d+), (\w+)\): .+\.$", results[rule.value].detail
        )
        assert named is not None
        line = events[int(named[1]) - 1]
        assert (line.rank, type(line.event).__name__) == (int(named[2]), named[3])
        if culprit is not None:
            assert (line.rank, line.seq, line.event) == (rank, at, culprit)


def move(told: Told, source: tuple[int, int], to: int) -> tuple[int, int]:
    """Tell an event earlier or later, and at that time; returns where it is now."""
    rank, at = source
    times = [telling.t for telling in told[rank]]
    told[rank].insert(to, told[rank].pop(at))
    for telling, t in zip(told[rank], times, strict=True):
        telling.t = t
    return rank, to
