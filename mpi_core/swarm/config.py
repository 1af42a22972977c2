"""What a run may choose, with the defaults that most runs want. Times in seconds, rates in bytes a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["swarm", "classic"]


@dataclass(frozen=True)
class SwarmConfig:
    strategy: Strategy = "swarm"
    #: Requests that a downloader keeps in flight; None: as many as its links need. The classic strategy has
    #: one, whatever stands here.
    window: int | None = None
    #: Segments between two swarm updates.
    swarm_update: int = 10
    #: A request unanswered for so long is asked of another source as well.
    request_timeout: float = 5.0
    #: Bytes a second that a client may upload; None: no bound.
    rate: float | None = None
    #: Members that a swarm response names for one file, at most.
    swarm_cap: int = 50
    #: So many small files with the same owners and the same wanters, or more, travel as bundles.
    bundle_from: int = 64
    #: The first SWARM_REQUESTs are answered when every client has sent its own, or after this.
    gather_for: float = 0.05
    #: Payloads that an uploader has on the way at once, at first; requests that wait behind them.
    slots: int = 2
    max_queue: int = 512
    #: Gains are announced at most so often, and less often to many neighbours.
    announce_interval: float = 0.002
    #: Neighbours that a client keeps for one file, at most; it seeks half as many by itself.
    neighbours: int = 24
    #: While nothing arrives, the swarms are asked for again after this, then after twice this …
    refresh_interval: float = 1.0
    #: … and a file of which a segment has no live holder for so long is given up.
    give_up_after: float = 15.0
    #: Whether the first client that fails ends the run.
    strict: bool = False
    #: A client with work left that is silent for so long is lost to the tracker.
    client_timeout: float = 60.0
    #: Corrupt segments after which a sender is avoided, and those of one file in a row after which it is
    #: asked for nothing of that file.
    strikes: int = 3
    ban_after: int = 12

    @property
    def requests_in_flight(self) -> int:
        """A fixed window; 0 where it adapts."""
        return 1 if self.strategy == "classic" else self.window or 0

    @property
    def pending_interval(self) -> float:
        """How often an uploader tells those in its queue that it is alive."""
        return self.request_timeout / 3
