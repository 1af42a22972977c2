"""The monitor's rank: the live screen on the launcher's terminal, or plain lines where there is none.

The app's tick takes what has come over MPI, so nothing waits for the screen. When the viewer leaves it, or
it breaks, the same feed goes on headless to the end of the run. While the screen is up, no rank may print:
file descriptors 1 and 2 of every rank point at log files, and what stands in them afterwards is shown.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from mpi_core.protocol.events import RankPlaced
from mpi_core.protocol.messages import Abort, Tag
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.protocol.units import Rank
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.reporter import Reporter
from tui_torrent.config import Options
from tui_torrent.observer import Observer
from tui_torrent.scenario import Scenario
from tui_torrent.tui.terminal import (
    Guardian,
    Terminal,
    find_terminal,
    forward_keys,
    must_forward,
    redirect_output,
)
from tui_torrent.view.units import stamp_text

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import World

#: The monitor's word to rank 0: the launcher reads the terminal's keys, or it does not.
LAUNCHER_READS = b"\1"
MONITOR_READS = b"\0"


def run_monitor(
    world: World, roles: Roles, options: Options, scenario: Scenario | None, problem: str | None
) -> int:
    """The monitor's part of the run; its exit code. Where there is a ``problem``, the tracker tells it."""
    clock = Clock()
    reporter = Reporter(world.rank, clock)
    with Observer(world, clock, reporter, roles, options, scenario) as observer:
        return _observe(world, clock, reporter, options, observer, problem)


def _observe(
    world: World, clock: Clock, reporter: Reporter, options: Options, observer: Observer, problem: str | None
) -> int:
    terminal = find_terminal()
    clock.start(world.meet())
    reporter.tell(RankPlaced(world.host, world.clock.error))
    if observer.problem:
        world.endpoint("observer").send(TRACKER, Abort(2, observer.problem))
    to_rank_0 = world.sender(TRACKER, Tag.KEYS)
    if isinstance(terminal, str):
        to_rank_0(MONITOR_READS)
        if (problem or observer.problem) is None:
            print(f"[{stamp_text(0):>8}] no live monitor: {terminal}", flush=True)
    else:
        to_rank_0(LAUNCHER_READS if terminal.launcher_reads else MONITOR_READS)
        observer.fold_what_comes_first()
        if not observer.feed.over:
            with quiet():
                _show(observer, options, terminal)
    observer.watch()
    return observer.exit_code


def _show(observer: Observer, options: Options, terminal: Terminal) -> None:
    """Show the swarm until its end or until the viewer leaves."""
    from tui_torrent.tui.app import MonitorApp
    from tui_torrent.tui.driver import make_driver, served_elsewhere

    feed = observer.feed
    keys = feed.keys if terminal.launcher_reads else None
    driver = None if served_elsewhere() else make_driver(terminal, keys)
    header = feed.view.header
    app = MonitorApp(
        feed,
        title=header.scenario if header else "",
        driver_class=driver,
        ascii_only=options.ascii,
        fps=options.fps,
    )
    with Guardian(terminal):
        app.run()


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that this rank prints reaches the screen; it is shown on stderr afterwards."""
    try:
        handle, path = tempfile.mkstemp(prefix="tui_torrent-", suffix=".log")
    except FileNotFoundError:
        # No temporary folder can be written: memory will do.
        handle = os.memfd_create("tui_torrent.log")
        path = f"/proc/self/fd/{handle}"
    restore = redirect_output(path)
    try:
        yield
    finally:
        restore()
        with suppress(OSError), open(path, errors="replace") as log:
            sys.stderr.write(log.read())
            sys.stderr.flush()
        os.close(handle)
        with suppress(OSError):
            os.unlink(path)


@contextmanager
def beside_a_monitor(world: World, roles: Roles) -> Iterator[None]:
    """What the other ranks owe a monitor until all leave: silence, and the keys that come to rank 0."""
    stop = threading.Event()
    with ExitStack() as stack:
        if world.rank != roles.observer:
            stack.enter_context(quiet())
        if world.rank == TRACKER:
            thread = threading.Thread(target=_forward, args=(world, roles, stop), name="keys", daemon=True)
            thread.start()
            stack.callback(thread.join, 2)
            stack.callback(stop.set)
        yield


def _forward(world: World, roles: Roles, stop: threading.Event) -> None:
    send = world.sender(roles.observer, Tag.KEYS)
    heard = threading.Event()
    word = bytearray()

    def deliver(sender: Rank, tag: int, buffer: bytearray) -> None:
        word.extend(buffer)
        heard.set()

    world.listen(deliver, heard)
    if word != LAUNCHER_READS:
        return
    terminal = find_terminal()
    if isinstance(terminal, Terminal) and must_forward(terminal):
        forward_keys(send, stop)
    else:
        send(b"")
