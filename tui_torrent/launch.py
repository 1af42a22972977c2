"""Compose each rank: machines, threads, endpoints, and the sinks of the rank that observes.

Every rank goes the same way: open the scenario, meet the others, do its part, hand its last events to the
observer, agree on the exit code, leave together. Bad input on any rank becomes an ABORT to the tracker,
which stops everyone: nobody waits for a client that cannot take part.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mpi_core.protocol.errors import MpiError, ScenarioError
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.runtime.launcher import find_launcher, ranks_may_die
from mpi_core.runtime.room import lack_of_room
from tui_torrent.complaints import complain, complain_of_failure
from tui_torrent.config import Options
from tui_torrent.scenario import Scenario, open_scenario, wrong_size

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import World

#: Seconds that all ranks may take to come together at the end; a monitored run has no such bound, since
#: its last screen stays until a key is pressed.
AGREEMENT = 60.0

#: Seconds for the agreement, and for MPI's end, where ranks may die: MPI may wait for a dead one.
LEAVING = 10.0

#: Seconds that a rank that was interrupted leaves the others to remove what they made.
GRACE = 0.3


def launch(options: Options) -> int:
    """This rank's whole life; the exit code that all ranks share."""
    world = _open_world()
    if world is None:
        return 2
    roles, failed = Roles(world.size, options.monitor), 3
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Open MPI passes ctrl+c on as a SIGTERM.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with ExitStack() as stack:
            if roles.monitored and roles.client_count > 0:
                from tui_torrent.monitor import beside_a_monitor

                stack.enter_context(beside_a_monitor(world, roles))
            code = _run(world, roles, options)
            # Where something could not be had, a client may be lost: the tracker does not wait for it long.
            lost = world.rank == TRACKER and code == 1
            bound = LEAVING if lost or ranks_may_die() else AGREEMENT
            agreed = world.agree(code, None if options.monitor else bound)
        if agreed is not None:
            if ranks_may_die():
                _leave_within(LEAVING, agreed)
            world.leave()
            # Launchers end all ranks when the first is gone; Python's own end is not to be interrupted.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            return agreed
        if ranks_may_die():
            _leave_within(0.0, code)
            time.sleep(LEAVING)
        complain(f"rank {world.rank}: the other ranks did not come to the end in {bound:g} s")
        failed = code or failed
    except KeyboardInterrupt:
        # Launchers kill all ranks when the first is gone; the others may still be tidying up.
        time.sleep(GRACE)
        os._exit(130)
    except Exception as error:
        complain_of_failure(error, f"rank {world.rank}: ")
    world.abort(failed)
    return failed


def _leave_within(seconds: float, code: int) -> None:
    """End this process with that code then, unless it has ended by itself."""
    sys.stdout.flush()
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def leave_together(code: int) -> None:
    """Where nothing is to be run: meet the other ranks, so that all leave with the same exit code."""
    world = _open_world()
    if world is not None:
        world.agree(code, AGREEMENT)
        world.leave()


def _open_world() -> World | None:
    """Start MPI; None, and one line on the launcher's first rank, where it cannot carry a run."""
    launcher = find_launcher()
    # MPI's start is C, during which Python would not hear of a ctrl+c; and it waits for ranks that did.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    problem = lack_of_room(os.environ)
    if problem is None:
        try:
            from mpi_core.runtime.mpi import World
        except (ImportError, RuntimeError) as error:
            problem = f"no MPI library could be loaded: {error}"
        else:
            try:
                return World()
            except MpiError as error:
                problem = str(error)
    if launcher is None or launcher.rank == 0:
        complain(problem)
    else:
        # Launchers kill all ranks when one is gone; the first may still be printing.
        time.sleep(GRACE)
    return None


def _run(world: World, roles: Roles, options: Options) -> int:
    if roles.client_count < 1:
        if world.rank == TRACKER:
            least = 3 if options.monitor else 2
            complain(f"expected at least {least} ranks (mpirun -np {least}), found {world.size}")
        return 2
    scenario, problem = _open_scenario(options, roles)
    role = roles.role_of(world.rank)
    if role == "monitor":
        from tui_torrent.monitor import run_monitor

        return run_monitor(world, roles, options, scenario, problem)
    _spare_the_collector()
    if role == "client":
        from tui_torrent.client import run_client

        return run_client(world, roles, options, scenario, problem)
    from tui_torrent.tracker import run_tracker

    return run_tracker(world, roles, options, scenario, problem)


def _spare_the_collector() -> None:
    """What is loaded stays, and so do the thousands of small objects that stand for a large share: Python's
    collector would go over them again and again, and find nothing."""
    gc.freeze()
    gc.set_threshold(20_000)


def _open_scenario(options: Options, roles: Roles) -> tuple[Scenario | None, str | None]:
    """The scenario, and why the run cannot begin with it, if it cannot."""
    try:
        scenario = open_scenario(options.scenario, roles.client_count)
    except ScenarioError as error:
        return None, str(error)
    return scenario, wrong_size(scenario, roles)
