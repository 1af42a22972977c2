"""``python -m tui_torrent replay JOURNAL``: a journal on the screen, or as the plain lines of its run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.events import RunStarted
from mpi_core.runtime.journal import read_journal
from mpi_core.runtime.outputs import open_outputs
from tui_torrent.browse import browse, has_screen
from tui_torrent.complaints import complain
from tui_torrent.headless import LOOK, PlainLines
from tui_torrent.observer import FIRST_TOLD
from tui_torrent.recording import Recording
from tui_torrent.replay import Replay
from tui_torrent.view.report import exit_code, to_json

#: Reading a larger file takes seconds: then a line says so.
LARGE = 20_000_000
#: A run is looked at no more often than this, however long it took.
LOOKS = 100_000


@dataclass(frozen=True)
class ReplayOptions:
    """What the command line says."""

    journal: Path
    #: Seconds of the run in one second.
    speed: float = 1.0
    #: Where to begin, in seconds of the run.
    at: float = 0.0
    ascii: bool = False
    report: Path | None = None
    #: In a browser, served at that port; 0 is any free one.
    web: bool = False
    port: int = 0


def run_replay(options: ReplayOptions) -> int:
    """Show the journal; returns the exit code of the run that it tells of.

    Raises ScenarioError (exit code 2) where the journal cannot be read, or the report not written.
    """
    if options.web:
        return _serve(options)
    screen = has_screen()
    outputs = open_outputs({"--report": options.report}, [options.journal])
    recording = _load(options.journal, screen)
    for file in outputs.values():
        file.write_at_last(to_json(recording.report) + b"\n")
    replay = Replay(recording, speed=options.speed)
    if not screen:
        tell(replay)
    elif not _play(replay, options):
        return 3
    return exit_code(recording.report)


def _serve(options: ReplayOptions) -> int:
    """Show it in browsers, each with a process of its own that reads the journal."""
    header = read_journal(options.journal).header.event
    title = header.scenario if isinstance(header, RunStarted) else ""
    words = ["replay", f"--speed={options.speed:g}", f"--at={options.at:g}", *["--ascii"] * options.ascii]
    return browse([*words, "--", str(options.journal)], title, options.port)


def tell(replay: Replay) -> None:
    """The plain lines of the run to its end, at once; the report as a headless run would tell it."""
    sink = PlainLines(sys.stdout.write)
    pause = max(LOOK, replay.end / LOOKS)
    for look in range(1, int(replay.end / pause)):
        replay.seek(look * pause)
        if replay.now >= FIRST_TOLD and replay.view.aborted is None:
            sink.update(replay.view, replay.now)
    aborted = replay.report.aborted
    if aborted is not None:
        complain(aborted.reason)
    else:
        sink.finish(replay.report)
    sys.stdout.flush()


def _load(path: Path, screen: bool) -> Recording:
    journal = read_journal(path)
    if screen and path.stat().st_size > LARGE:
        print(f"reading {path} …", file=sys.stderr, flush=True)
    try:
        return Recording(journal)
    except OverflowError:
        problem = "expected an event as JSON: an integer is beyond 64 bits"
        raise ScenarioError(f"{path}:{journal.line}: {problem}") from None


def _play(replay: Replay, options: ReplayOptions) -> bool:
    """Show it until it is left; whether the screen got that far."""
    from tui_torrent.tui.driver import own_driver
    from tui_torrent.tui.replay_app import ReplayApp

    header = replay.recording.header
    replay.seek(options.at)
    if not replay.over:
        replay.play()
    title = header.scenario if header else ""
    app = ReplayApp(replay, title=title, driver_class=own_driver(), ascii_only=options.ascii)
    return app.run() is not None
