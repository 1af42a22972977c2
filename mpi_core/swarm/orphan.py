"""A client whose tracker is lost: nobody tells it when all are done.

It finishes from the neighbours that it knows, and serves them as long as they ask.
"""

from __future__ import annotations

from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.store import SegmentStore

#: Why what the tracker alone could tell of cannot be had.
UNTOLD = "the tracker was lost before it told who has it"

#: How often, in seconds, an orphan looks whether it is still asked.
LOOK = 0.25


class Orphan:
    """When such a client may leave: it has nothing left to fetch, and was asked for nothing for as long as
    its neighbours wait for an answer before they ask elsewhere."""

    def __init__(self, store: SegmentStore, config: SwarmConfig) -> None:
        self._store = store
        self._quiet = config.request_timeout
        #: When it had done all for itself; None: not yet.
        self._done_at: float | None = None
        #: When to look again.
        self.look_at = 0.0

    def done(self, now: float, served: bool = True) -> None:
        """Nothing is left to fetch; nor to serve, where the swarm never began."""
        self._done_at = now if served else now - self._quiet
        self.look_at = now

    def may_leave(self, now: float) -> bool:
        if self._done_at is None or now < self.look_at:
            return False
        self.look_at = now + LOOK
        return now >= max(self._done_at, self._store.asked_at) + self._quiet
