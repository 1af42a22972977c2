"""From rank to role: rank 0 is the tracker, ranks 1…C are clients, the last rank is the monitor where
there is one. Whoever observes the run (monitor, else tracker) gets every status event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mpi_core.protocol.units import Rank

Role = Literal["tracker", "client", "monitor"]

TRACKER = Rank(0)

#: No run has more clients, simulated ones included.
MOST_CLIENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Roles:
    """Who is who among ``size`` ranks."""

    size: int
    monitored: bool

    @property
    def client_count(self) -> int:
        """C, which is negative where there are too few ranks."""
        return self.size - 1 - self.monitored

    @property
    def clients(self) -> tuple[Rank, ...]:
        return tuple(Rank(rank) for rank in range(1, self.client_count + 1))

    @property
    def observer(self) -> Rank:
        """The rank to which every status event is sent."""
        return Rank(self.size - 1) if self.monitored else TRACKER

    def role_of(self, rank: int) -> Role:
        if rank == TRACKER:
            return "tracker"
        return "monitor" if self.monitored and rank == self.size - 1 else "client"
