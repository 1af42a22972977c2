"""The headless observer: every rank's events folded, plain or JSON lines while the swarm runs, the report.

It runs in the main thread of the rank that observes: rank 0, or the monitor's rank where there is no
terminal to draw on, or no longer one.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING

from mpi_core.protocol.errors import ScenarioError, one_line
from mpi_core.protocol.events import JOURNAL_VERSION, Links, RunStarted, Stamped
from mpi_core.protocol.roles import Roles
from mpi_core.protocol.units import Rank
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.interrupt import Interrupted, leave_if_asked
from mpi_core.runtime.outputs import OutputFile, open_outputs
from mpi_core.runtime.reporter import Reporter
from tui_torrent.complaints import cannot_write, complain
from tui_torrent.config import Options
from tui_torrent.feed import Feed, Recorder
from tui_torrent.headless import JsonLines, PlainLines
from tui_torrent.scenario import Scenario
from tui_torrent.sinks import BAD_INPUT, AtBegin, Guarded, JournalFile, scenario_files
from tui_torrent.view.problems import failures, problems, why_aborted
from tui_torrent.view.report import INTERRUPTED, Report, exit_code, interim, to_json
from tui_torrent.view.units import stamp_text

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import World
    from tui_torrent.serve import Server

#: Seconds between two looks at what has come.
POLL = 0.01
#: … and where nothing came since the last.
IDLE_POLL = 0.05
#: Nothing is told of a run before this many seconds: bad input shows in less, and is told in one line.
FIRST_TOLD = 0.25


def _links(options: Options, scenario: Scenario | None) -> tuple[Links, ...]:
    """What bounds the clients' uploads, as far as this rank knows."""
    if scenario is None:
        return ()
    common = options.rate or scenario.rate
    rates = {
        Rank(rank): min((rate for rate in (common, scenario.rate_of(rank)) if rate), default=None)
        for rank in range(1, scenario.client_count + 1)
    }
    return tuple(
        Links(ranks[0], ranks[-1], up=rate)
        for rate, group in groupby(rates, rates.__getitem__)
        if rate is not None
        for ranks in [list(group)]
    )


class Observer:
    """Feed, sinks and files of the rank that observes."""

    def __init__(
        self,
        world: World,
        clock: Clock,
        reporter: Reporter,
        roles: Roles,
        options: Options,
        scenario: Scenario | None,
        told: Callable[[Report], object] | None = None,
    ) -> None:
        """Where ``told`` is to be handed the report, no line is printed."""
        self._told = told
        self._json = options.json
        sink = JsonLines if options.json else PlainLines
        self.sink = sink(sys.stdout.write, sys.stdout.flush)
        self._report_file: OutputFile | None = None
        self._report_failed = False
        #: The journal, where one is written.
        self._journal: Guarded | None = None
        self._server: Server | None = None
        #: Why --report, --journal or --serve cannot be had, in one line.
        self.problem: str | None = None
        recorders: list[Recorder] = []
        try:
            asked = {"--report": options.report, "--journal": options.journal}
            files = open_outputs(asked, scenario_files(options.scenario, scenario))
            self._report_file = files.get("--report")
            if self._report_file is not None and self._report_file.is_replaced:
                recorders.append(AtBegin(self._begin_report))
            if "--journal" in files:
                journal = files["--journal"]
                self._journal = Guarded(JournalFile(journal), repr(journal.path))
                recorders.append(self._journal)
            if options.serve is not None:
                from tui_torrent.serve import Server

                self._server = server = Server(options.serve)
                recorders.append(Guarded(server, f"for viewers in {tempfile.gettempdir()!r}"))
                token = f" (token in {server.token_file})" if server.token_file else ""
                print(
                    f"[{stamp_text(0):>8}] serving viewers at {server.address}{token}",
                    file=sys.stderr,
                    flush=True,
                )
        except ScenarioError as error:
            self.problem = one_line(str(error))
        config = options.swarm_config(None)
        header = RunStarted(
            version=JOURNAL_VERSION,
            clients=roles.client_count,
            scenario=one_line(scenario.description if scenario else options.scenario or "demo"),
            strategy=options.strategy,
            seed=options.seed,
            swarm_update=options.swarm_update,
            window=config.requests_in_flight,
            links=_links(options, scenario),
        )
        others = [Rank(rank) for rank in range(roles.size) if rank != world.rank]
        self._header = Stamped(0.0, world.rank, 0, header)
        self.feed = Feed(clock, reporter, others, header, recorders, own_speaks=not roles.monitored)
        self.feed.on_over = self._on_over
        self.feed.lost = world.lost
        self._rank = world.rank
        self._over = threading.Event()
        self._listener = threading.Thread(
            target=world.listen, args=(self.feed.deliver, self._over), name="listener", daemon=True
        )
        self._listener.start()

    def __enter__(self) -> Observer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Interrupted) and not self.feed.over:
            by = signal.Signals(error.code - INTERRUPTED).name
            self.feed.cut_short(self._rank, error.code, f"interrupted by {by}")
            if self.feed.report is not None:
                self.finish(self.feed.report)
        if self._server is not None:
            self._server.leave(at_once=kind is not None)

    @property
    def exit_code(self) -> int:
        if self.feed.report is None:
            return 3
        unwritten = self._report_failed or (self._journal is not None and self._journal.failed)
        return exit_code(self.feed.report) or (BAD_INPUT if unwritten else 0)

    def fold_what_comes_first(self) -> None:
        """Fold until something would be told: a run that is refused is over by then."""
        while not self.feed.over and self.feed.now < FIRST_TOLD:
            self.feed.poll()
            time.sleep(POLL)

    def watch(self, ended: threading.Event | None = None) -> None:
        """Fold and tell until the run is over; ``ended`` is set when this rank's own machine has ended."""
        while not self.feed.over:
            if ended is not None and ended.is_set():
                self.feed.end_own()
            leave_if_asked()
            seen = self.feed.view.events
            self.feed.poll()
            if not self.feed.over:
                if self._told is None and self.feed.now >= FIRST_TOLD and self.feed.view.aborted is None:
                    self.sink.update(self.feed.view, self.feed.now)
                time.sleep(POLL if self.feed.view.events > seen else IDLE_POLL)
        self._over.set()
        self._listener.join()
        assert self.feed.report is not None
        self.finish(self.feed.report)

    def finish(self, report: Report) -> None:
        """The last lines. Bad input is told in one, on stderr; else problems go there too beside JSON."""
        if self._told is not None:
            self._told(report)
            return
        aborted = report.aborted
        # Where nobody got anything, whose trouble it was says all.
        in_vain = aborted is None and exit_code(report) == BAD_INPUT
        if aborted is not None:
            complain(why_aborted(report))
        elif in_vain or self._json:
            for problem in failures(report.clients) if in_vain else problems(report):
                complain(problem)
        if self._json or not (aborted or in_vain):
            self.sink.finish(report)

    def _begin_report(self) -> None:
        """No report of an earlier run is to be taken for this one's, however this one ends."""
        if self._report_file is not None:
            # The one at the end says why it cannot be written.
            with suppress(OSError):
                self._report_file.write(to_json(interim(self._header)) + b"\n")

    def _on_over(self, report: Report) -> None:
        file = self._report_file
        refused = exit_code(report) == BAD_INPUT and self.feed.view.began is None
        # What an earlier run has told stays.
        if file is None or (refused and file.holds_another):
            return
        try:
            file.write(to_json(report) + b"\n")
        except OSError as error:
            self._report_failed = True
            cannot_write(repr(file.path), error)
