"""Compose each rank: machines, threads, endpoints, and the sinks of the rank that observes.

Every rank goes the same way: open the scenario, meet the others, do its part, hand its last events to the
observer, agree on the exit code, leave together. Bad input on any rank becomes an ABORT to the tracker,
which stops everyone: nobody waits for a client that cannot take part.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mpi_core.protocol.errors import MpiError, RankEnded, ScenarioError
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.runtime import watchdog
from mpi_core.runtime.interrupt import Interrupted, ignore_signals, note_signals, noted
from mpi_core.runtime.launcher import find_launcher
from mpi_core.runtime.room import lack_of_room
from tui_torrent.complaints import complain, complain_of_failure
from tui_torrent.config import Options
from tui_torrent.scenario import Scenario, open_scenario, wrong_size

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import World

#: Seconds that MPI's start and the first meeting of all ranks may take, and so many more for each rank.
STARTING, STARTING_EACH = 30.0, 0.1

#: Seconds that all ranks may take to come together at the end; a monitored run has no such bound, since
#: its last screen stays until a key is pressed. A rank that has died is known to be lost after 28 s
#: (LOST_AFTER in ``pulse``), and rank 0 waits 15 s for last events (LAST_WORDS in ``feed``) before it comes.
AGREEMENT = 60.0

#: Seconds that a rank that was interrupted leaves the others to remove what they made.
LAST_MOMENT = 0.3


def launch(options: Options) -> int:
    """This rank's whole life; the exit code that all ranks share."""
    world = _open_world()
    if world is None:
        return 2
    roles, failed = Roles(world.size, options.monitor), 3
    world.needed |= {roles.observer}
    try:
        note_signals(world.interrupted)
        with ExitStack() as stack:
            if roles.monitored and roles.client_count > 0:
                from tui_torrent.monitor import beside_a_monitor

                stack.enter_context(beside_a_monitor(world, roles))
            code = _run(world, roles, options)
            agreed = world.agree(code, None if options.monitor else AGREEMENT)
        if agreed is not None:
            if (by := noted()) is not None and world.rank in world.lost:
                # It was asked to leave, and the others went on without it.
                agreed = 128 + by
            world.leave(agreed)
            # Launchers end all ranks when the first is gone; Python's own end is not to be interrupted.
            ignore_signals()
            return agreed
        complain(f"rank {world.rank}: the other ranks did not come to the end in {AGREEMENT:g} s")
        failed = code or failed
    except Interrupted as interrupted:
        # Launchers kill all ranks when the first is gone; the others may still be tidying up.
        time.sleep(LAST_MOMENT)
        os._exit(interrupted.code)
    except Exception as error:
        complain_of_failure(error, f"rank {world.rank}: ")
    world.abort(failed)
    return failed


def leave_together(code: int) -> None:
    """Where nothing is to be run: meet the other ranks, so that all leave with the same exit code."""
    world = _open_world()
    if world is not None:
        world.leave(world.agree(code, AGREEMENT) or code)


def _open_world() -> World | None:
    """Start MPI; None, and one line on the launcher's first rank, where it cannot carry a run."""
    launcher = find_launcher()
    rank, size = (launcher.rank, launcher.size) if launcher else (0, 1)
    limit = STARTING + STARTING_EACH * size
    # MPI may wait for a rank that has died, or never comes. Rank 1 tells of rank 0.

    def late() -> None:
        if rank <= 1:
            complain(f"rank {rank}: not all ranks were there after {limit:g} s")

    watchdog.end_in(limit, 3, late)
    # MPI's start is C, during which Python would not hear of a ctrl+c; and it waits for ranks that did.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    problem = lack_of_room(os.environ)
    if problem is None:
        # MPI is ours to start.
        os.environ["MPI4PY_RC_INITIALIZE"] = "0"
        try:
            from mpi_core.runtime.mpi import World
        except (ImportError, RuntimeError) as error:
            problem = f"no MPI library could be loaded: {error}"
        else:
            try:
                return World.start()
            except RankEnded as error:
                if rank <= 1:
                    complain(str(error))
                # Python's own end would end MPI, which waits for that rank.
                os._exit(3)
            except MpiError as error:
                problem = str(error)
    if launcher is None or launcher.rank == 0:
        complain(problem)
    else:
        # Launchers kill all ranks when one is gone; the first may still be printing.
        time.sleep(LAST_MOMENT)
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
