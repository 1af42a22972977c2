"""What neighbours tell of a file whose manifest is still on its way here."""

from __future__ import annotations

from mpi_core.protocol.messages import Gain, Holding
from mpi_core.protocol.units import Rank

#: Facts of one file that are kept until its manifest comes, times the neighbours that a client may have.
EARLY_FACTS = 4

#: Who told it, and what.
Told = tuple[Rank, Holding | Gain]


class Early:
    """Facts by the name of their file; more of one file than neighbours tell are not kept."""

    def __init__(self, neighbours: int) -> None:
        self._most = EARLY_FACTS * neighbours
        self._facts: dict[str, list[Told]] = {}

    def keep(self, sender: Rank, fact: Holding | Gain) -> None:
        facts = self._facts.setdefault(fact.name, [])
        if len(facts) < self._most:
            facts.append((sender, fact))

    def take(self, name: str) -> list[Told]:
        """What is kept of a file, in its order; then it is no longer."""
        return self._facts.pop(name, [])
