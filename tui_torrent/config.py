"""The options of a run, and what they mean for the swarm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mpi_core.swarm.config import Strategy, SwarmConfig


@dataclass(frozen=True)
class Options:
    """What the command line says. Rates in bytes a second, times in seconds."""

    #: A folder of in<R>.txt, a TOML file, or None for the demo.
    scenario: str | None = None
    monitor: bool = False
    #: None: the current folder; for the demo, a temporary one.
    out: Path | None = None
    json: bool = False
    report: Path | None = None
    journal: Path | None = None
    seed: int = 0
    strategy: Strategy = SwarmConfig.strategy
    #: None: as many requests as the links need.
    window: int | None = None
    swarm_update: int = SwarmConfig.swarm_update
    #: None: as the scenario says, which for all but the demo is: no bound.
    rate: float | None = None
    request_timeout: float = SwarmConfig.request_timeout
    digest: Literal["blake3", "sha256"] = "blake3"
    #: Send every payload over MPI, also to a rank that could read it in our files.
    over_mpi: bool = False
    fps: int = 10
    ascii: bool = False
    #: Let viewers attach: at a Unix socket, or at TCP on loopback.
    serve: Literal["unix", "tcp"] | None = None

    def swarm_config(self, scenario_rate: float | None) -> SwarmConfig:
        """The machines' configuration; patience grows with the request timeout."""
        return SwarmConfig(
            strategy=self.strategy,
            window=self.window,
            swarm_update=self.swarm_update,
            rate=self.rate or scenario_rate,
            request_timeout=self.request_timeout,
            give_up_after=max(SwarmConfig.give_up_after, 3 * self.request_timeout),
            client_timeout=max(SwarmConfig.client_timeout, 10 * self.request_timeout),
        )
