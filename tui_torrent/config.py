"""The options of a run and of a simulation, and what they mean for the swarm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.roles import MOST_CLIENTS
from mpi_core.swarm.config import Strategy, SwarmConfig

#: Which events there are: those of the protocol's steps and of what the swarm shares, or of all messages.
JournalLevel = Literal["basic", "all"]


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
    #: None: all messages of a declared scenario, where somebody wants its events.
    journal_level: JournalLevel | None = None
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
    #: The first client that fails ends the run.
    strict: bool = False
    fps: int = 10
    ascii: bool = False
    #: Let viewers attach: at a Unix socket, or at TCP on loopback.
    serve: Literal["unix", "tcp"] | None = None

    def tells_every_message(self, declared: bool) -> bool:
        """Whether every message of the run gets its events: in a declared scenario there is time for that."""
        if self.journal_level is None:
            return declared and bool(self.journal or self.monitor or self.serve)
        return self.journal_level == "all"

    def swarm_config(self, scenario_rate: float | None) -> SwarmConfig:
        """The machines' configuration; patience grows with the request timeout."""
        config = SwarmConfig(
            strategy=self.strategy,
            window=self.window,
            swarm_update=self.swarm_update,
            rate=self.rate or scenario_rate,
            strict=self.strict,
        )
        return _patient(config, self.request_timeout)


def _patient(config: SwarmConfig, request_timeout: float) -> SwarmConfig:
    """With that timeout, and those that grow with it."""
    return replace(
        config,
        request_timeout=request_timeout,
        give_up_after=max(config.give_up_after, 3 * request_timeout),
        client_timeout=max(config.client_timeout, 10 * request_timeout),
    )


#: Segments, hosts and transfers of a simulation, at the most: what a large machine's memory may hold.
MOST_SEGMENTS, MOST_HOSTS, MOST_TRANSFERS = 10_000_000, MOST_CLIENTS, 100_000_000

#: Seconds that a segment may take from host to host, at the most; and bytes a second of a link.
LONGEST = 60.0
RATES = (1.0, 1e12)

#: A slow client's link has so many times the others' rate.
SLOW_RATE = 0.1

#: A simulated request waits so many times as long as a segment takes from host to host, where links are slow.
PATIENT = 10

#: Transfers that take longer as Python than compiled, the compiling counted: a minute on a core of 2 GHz.
WORTH_COMPILING = 200_000


@dataclass(frozen=True)
class SimulateOptions:
    """What follows ``simulate``. Rates in bytes a second, times in seconds, shares from 0 to 1."""

    clients: int = 1000
    segments: int = 64
    seeds: int = 1
    arrivals: Literal["flash", "poisson"] = "flash"
    slow: float = 0.0
    dead: float = 0.0
    corrupt: float = 0.0
    rate: float = 25e6
    tracker_rate: float = 1.25e9
    segment_size: int = 256 * 1024
    latency: float = 0.0
    window: int | None = None
    swarm_update: int = SwarmConfig.swarm_update
    seed: int = 0
    json: bool = False
    journal: Path | None = None
    journal_level: JournalLevel = "basic"
    plot: Path | None = None
    #: Run the machines as Python however long it takes.
    interpreted: bool = False

    def __post_init__(self) -> None:
        """Raises ScenarioError of what no machine can simulate."""
        hosts = self.clients + self.seeds
        for name, found, most in (
            ("--segments", self.segments, MOST_SEGMENTS),
            ("clients and seeds", hosts, MOST_HOSTS),
            ("clients and seeds × segments", hosts * max(1, self.segments), MOST_TRANSFERS),
        ):
            if found > most:
                raise ScenarioError(f"simulate: {name}: expected {most} at most, found {found}")
        for name, rate in (("--rate", self.rate), ("--tracker-rate", self.tracker_rate)):
            if not RATES[0] <= rate <= RATES[1]:
                raise ScenarioError(
                    f"simulate: {name}: expected {RATES[0]:g} to {RATES[1]:g} bytes/s, found {rate:g}"
                )
        if self.slowest > LONGEST:
            raise ScenarioError(
                f"simulate: expected a segment to come in {LONGEST:g} s at most, found {self.slowest:g} s: "
                "--segment-size ÷ the slowest link's rate + --latency"
            )

    @property
    def swarm_config(self) -> SwarmConfig:
        """The machines' configuration: as patient as the links are slow."""
        config = SwarmConfig(window=self.window, swarm_update=self.swarm_update)
        return _patient(config, max(config.request_timeout, PATIENT * self.slowest))

    @property
    def slowest(self) -> float:
        """Seconds that a segment takes over the slowest link, to another host."""
        return self.round / (SLOW_RATE if self.slow else 1.0) + self.latency

    @property
    def worth_compiling(self) -> bool:
        """Whether the machines should be compiled for it."""
        return not self.interpreted and self.clients * self.segments >= WORTH_COMPILING

    @property
    def round(self) -> float:
        """The time of one segment over one link."""
        return self.segment_size / self.rate

    @property
    def bound(self) -> float:
        """No schedule in whole segments ends sooner: M + ⌊log2 N⌋ rounds with one seed, and with k
        M − 1 + ⌈log2(1 + N/k)⌉, which is the same for k = 1 (Mundinger, Weber, Weiss)."""
        rounds = self.segments - 1 + _steps(self.clients, self.seeds) if self.segments else 0
        return rounds * self.round


def _steps(clients: int, seeds: int) -> int:
    """⌈log2(1 + N/k)⌉, exactly."""
    steps = 0
    while seeds * (1 << steps) < seeds + clients:
        steps += 1
    return steps
