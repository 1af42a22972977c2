"""argv only: what the words of the command line mean, and which exit code the process leaves with."""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

from mpi_core.protocol.errors import ScenarioError, one_line, reason
from mpi_core.runtime.launcher import Launcher, find_launcher
from tui_torrent.commands import COMMANDS
from tui_torrent.complaints import complain, complain_of_failure
from tui_torrent.config import Options
from tui_torrent.streams import outlasting_the_reader, take_every_text
from tui_torrent.words import (
    LAUNCHER,
    PROGRAM,
    HelpAsked,
    Parser,
    UsageError,
    Version,
    add_choices_of_the_swarm,
    add_journal_level,
    given,
    path,
    positive,
    whole,
)

EPILOG = """\
exit codes: 0 everything wanted is there and verified; 1 something wanted could not be had, a client failed,
or a rule of the protocol was broken (each is named); 2 bad usage, bad input, an output that cannot be
written, or nobody got anything because clients failed; 3 an internal failure; 129, 130, 143 interrupted by
SIGHUP, Ctrl+C, SIGTERM. Every rank leaves with the same one.

python -m tui_torrent check JOURNAL   checks a journal against the protocol's rules; --help says more
python -m tui_torrent replay JOURNAL  shows the run that a journal tells of; --help says more
python -m tui_torrent attach          shows a run that was started with --serve; --help says more
python -m tui_torrent simulate        runs a swarm of any size on a simulated network; --help says more
"""

#: Frames a second: more than any terminal shows.
FASTEST = 1000


def build_parser() -> argparse.ArgumentParser:
    """The parser of a run's command line."""
    parser = Parser(
        prog=f"{LAUNCHER}python -m {PROGRAM}",
        description="Distribute files over MPI as a BitTorrent-style swarm: rank 0 is the tracker, the "
        "other ranks are clients and, with --monitor, the last rank draws them all.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "scenario",
        type=given,
        nargs="?",
        metavar="SCENARIO",
        help="a folder of in<R>.txt files, or a TOML file; without one, the built-in demo",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--monitor", action="store_true", help="the last rank draws the swarm")
    mode.add_argument("--headless", action="store_true", help="plain lines only (the default)")
    add("--out", type=path, metavar="DIR", help="where files are written (default: the current folder)")
    add("--json", action="store_true", help="JSON Lines instead of plain ones, the report last")
    add("--report", type=path, metavar="FILE", help="write the final report as JSON")
    add(
        "--journal",
        type=path,
        metavar="FILE",
        help="write every status event as JSON Lines; *.zst: compressed",
    )
    add_journal_level(parser, Options.journal_level, "all for a declared scenario, else basic")
    add(
        "--strategy",
        choices=("swarm", "classic"),
        default=Options.strategy,
        help="swarm: rarest first, a window of requests, endgame; "
        "classic: segments in order, one request at a time (default: %(default)s)",
    )
    add_choices_of_the_swarm(parser)
    add("--rate", type=positive, metavar="B", help="bytes a second that a client may upload")
    add(
        "--request-timeout",
        type=positive,
        default=Options.request_timeout,
        metavar="S",
        help="seconds until an unanswered request is asked elsewhere as well (%(default)s)",
    )
    add(
        "--digest",
        choices=("blake3", "sha256"),
        default=Options.digest,
        help="the hash of real files' segments (default: %(default)s)",
    )
    add(
        "--over-mpi",
        action="store_true",
        help="send every payload over MPI; without it, ranks of one host read each other's files",
    )
    add(
        "--strict",
        action="store_true",
        help="end the run when a client fails (its disk is full, say)",
    )
    add("--ascii", action="store_true", help="draw the monitor in ASCII alone")
    add(
        "--fps",
        type=whole(1, FASTEST),
        default=Options.fps,
        metavar="N",
        help="frames a second (%(default)s)",
    )
    add("--version", action=Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit")
    viewers = parser.add_mutually_exclusive_group()
    viewers.add_argument(
        "--serve",
        action="store_const",
        const="unix",
        help="let viewers of this user attach from other terminals, at a Unix socket",
    )
    viewers.add_argument(
        "--serve-tcp",
        action="store_const",
        const="tcp",
        dest="serve",
        help="the same at TCP on loopback, with a token",
    )
    return parser


def parse(argv: Sequence[str]) -> Options:
    """The options of a run; raises UsageError or HelpAsked."""
    words = vars(build_parser().parse_args(argv))
    del words["headless"]
    return Options(**words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    take_every_text()
    command = COMMANDS.get(words[0]) if words else None
    if command is not None:
        # A launcher's variables mean nothing here: whoever starts it wants its answer.
        try:
            return _run_command(partial(command, words[1:]))
        except HelpAsked as help_asked:
            return _run_command(partial(_tell, str(help_asked)))
        except (UsageError, ScenarioError) as error:
            return _refuse(str(error))
    launcher = find_launcher()
    first = launcher is None or launcher.rank == 0
    try:
        _refuse_mistyped_command(words)
        options = parse(words)
    except HelpAsked as help_asked:
        return _run_command(partial(_tell, str(help_asked))) if first else 0
    except (UsageError, ScenarioError) as error:
        return _refuse(str(error), launcher)
    if launcher is None:
        return _refuse(f"expected to be started by mpirun, as in: mpirun -np 6 python -m {PROGRAM} --monitor")
    from tui_torrent.launch import launch

    return launch(options)


def _refuse_mistyped_command(words: Sequence[str]) -> None:
    """A first word that is nearly a command, and no scenario, is a mistake: raises UsageError."""
    if words and not os.path.lexists(words[0]):
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        if near:
            problem = f"no command and no scenario is called {words[0]!r}: did you mean {near[0]}?"
            raise UsageError(f"{one_line(problem)} (see python -m {PROGRAM} --help)")


def _tell(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _run_command(run: Callable[[], int]) -> int:
    """What needs no MPI, on one process; it may have a screen or a file to leave as it should."""
    if sys.stdout is None:
        return _refuse("cannot write to stdout: it is closed")
    try:
        with _unwound_by_signals(), outlasting_the_reader():
            code = run()
            sys.stdout.flush()
        return code
    except (HelpAsked, UsageError, ScenarioError):
        raise
    except Exception as error:
        if not isinstance(error, OSError) or _takes_lines():
            complain_of_failure(error)
            return 3
        # Nothing may be flushed to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _refuse(f"cannot write to stdout: {reason(error)}")


class _Interrupted(SystemExit):
    """A signal ends this process, with the exit code that shells expect."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """Whatever ends this process, a screen is left as it was found, and what was made is removed."""

    def leave(number: int, frame: object) -> NoReturn:
        raise _Interrupted(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        # Who runs under nohup is not to hear of it.
        if handler is not signal.SIG_IGN:
            signal.signal(number, leave)
    try:
        yield
    except _Interrupted as interrupted:
        complain(f"interrupted by {interrupted.name}")
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _takes_lines() -> bool:
    """Whether stdout can be written, and what has failed was something else."""
    try:
        print(flush=True)
    except OSError:
        return False
    return True


def _refuse(line: str, launcher: Launcher | None = None) -> int:
    """Print one line, on the launcher's first rank alone, and let every rank leave with 2."""
    if launcher is None or launcher.rank == 0:
        complain(line)
    if launcher is not None and launcher.size > 1:
        # A rank that leaves early may make the launcher kill the one that is still printing.
        from tui_torrent.launch import leave_together

        leave_together(2)
    return 2
