"""Compose the tracker's rank: its machine in a thread; the observer, where there is no monitor, beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING

from mpi_core.protocol import events as ev
from mpi_core.protocol.messages import Stop, Tag
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.driver import Driver
from mpi_core.runtime.load import Inbox, Meter
from mpi_core.runtime.reporter import Reporter
from mpi_core.swarm.overheard import Overheard
from mpi_core.swarm.tracker import Tracker
from tui_torrent.config import Options
from tui_torrent.crew import Crew
from tui_torrent.observer import Observer
from tui_torrent.scenario import Scenario
from tui_torrent.view.report import Report

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import World


def run_tracker(
    world: World,
    roles: Roles,
    options: Options,
    scenario: Scenario | None,
    problem: str | None,
    told: Callable[[Report], object] | None = None,
) -> int:
    """Rank 0's part of the run; its exit code. Who observes here prints lines, or hands the report to
    ``told`` and prints none. Where there is a ``problem``, the run is over with it."""
    clock = Clock()
    reporter = Reporter(world.rank, clock)
    endpoint = Inbox(world.endpoint("tracker"))
    with ExitStack() as stack:
        observer = None
        if not roles.monitored:
            observer = stack.enter_context(Observer(world, clock, reporter, roles, options, scenario, told))
            problem = problem or observer.problem
        config = options.swarm_config(scenario.rate if scenario else None)
        machine = Tracker(roles.client_count, config, Random(options.seed), problem)

        def failed(driver: Driver) -> None:
            reporter.tell(ev.RunAborted(TRACKER, 3, f"the tracker failed: {driver.failure!r}"))
            for client in roles.clients:
                reporter.tell(ev.StopSent(client))
                endpoint.send(client, Stop(aborted=True))

        meter = Meter(endpoint, reporter.tell)
        overheard = Overheard() if scenario and options.tells_every_message(scenario.declared) else None
        driver = Driver(world.rank, machine, endpoint, clock, reporter.tell, meter, overheard)
        crew = Crew({"tracker": driver}, failed)
        clock.start(world.meet())
        reporter.tell(ev.RankPlaced(world.host, world.clock.error))
        with crew:
            if observer is not None:
                observer.watch(crew.ended)
            else:
                crew.report(reporter, world.sender(roles.observer, Tag.STATUS))
            crew.ended.wait()
    return max(crew.exit_code, machine.exit_code, observer.exit_code if observer else 0)
