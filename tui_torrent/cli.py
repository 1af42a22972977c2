"""argv only: what the words of the command line mean, and which exit code the process leaves with."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mpi_core.protocol.errors import ScenarioError
from mpi_core.runtime.launcher import find_launcher
from tui_torrent.config import Options, SimulateOptions

PROGRAM = "tui_torrent"

EPILOG = """\
exit codes: 0 everything wanted is there and verified; 1 something wanted could not be had (it is named);
2 bad usage or bad input; 3 an internal failure. Every rank leaves with the same one.

python -m tui_torrent check JOURNAL   checks a journal against the protocol's rules and names the first
                                      event that breaks one (0: all hold, 1: one is broken, 2: no journal)
python -m tui_torrent replay JOURNAL  shows the run that a journal tells of; --help says more
python -m tui_torrent attach          shows a run that was started with --serve; --help says more
python -m tui_torrent simulate        runs a swarm of any size on a simulated network; --help says more
"""


class UsageError(Exception):
    """The command line is wrong; the text is one line."""


class HelpAsked(Exception):
    """--help or --version: the text is to be printed once."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing: under mpirun, N processes parse the same line."""

    def error(self, message: str) -> NoReturn:
        from tui_torrent.scenario.plan import one_line

        raise UsageError(one_line(f"{message} (see python -m {PROGRAM} --help)"))

    def print_help(self, file: Any = None) -> NoReturn:
        raise HelpAsked(self.format_help())


def _whole(least: int) -> Any:
    def parse(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least}, found {text!r}")
        return value

    parse.__name__ = "whole number"
    return parse


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


_positive.__name__ = "number"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, found {text!r}")
    return value


_seconds.__name__ = "number"


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 16:
        raise argparse.ArgumentTypeError(f"expected a port, found {text!r}")
    return value


_port.__name__ = "port"


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, found {text!r}")
    return value


_share.__name__ = "number"


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return Path(text)


def build_parser() -> argparse.ArgumentParser:
    """The parser of a run's command line."""
    parser = _Parser(
        prog=f"mpirun -np N python -m {PROGRAM}",
        description="Distribute files over MPI as a BitTorrent-style swarm: rank 0 is the tracker, the "
        "other ranks are clients and, with --monitor, the last rank draws them all.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "scenario",
        nargs="?",
        metavar="SCENARIO",
        help="a folder of in<R>.txt files, or a TOML file; without one, the built-in demo",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--monitor", action="store_true", help="the last rank draws the swarm")
    mode.add_argument("--headless", action="store_true", help="plain lines only (the default)")
    add("--out", type=_path, metavar="DIR", help="where files are written (default: the current folder)")
    add("--json", action="store_true", help="JSON Lines instead of plain ones, the report last")
    add("--report", type=_path, metavar="FILE", help="write the final report as JSON")
    add(
        "--journal",
        type=_path,
        metavar="FILE",
        help="write every status event as JSON Lines; *.zst: compressed",
    )
    add("--seed", type=int, default=Options.seed, metavar="INT", help="of all random choices (%(default)s)")
    add(
        "--strategy",
        choices=("swarm", "classic"),
        default=Options.strategy,
        help="swarm: rarest first, a window of requests, endgame; "
        "classic: segments in order, one request at a time (default: %(default)s)",
    )
    add(
        "--window",
        type=_whole(1),
        metavar="N",
        help="requests in flight (default: as many as the links need)",
    )
    add(
        "--swarm-update",
        type=_whole(1),
        default=Options.swarm_update,
        metavar="N",
        help="segments between two swarm updates (%(default)s)",
    )
    add("--rate", type=_positive, metavar="B", help="bytes a second that a client may upload")
    add(
        "--request-timeout",
        type=_positive,
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
    add("--ascii", action="store_true", help="draw the monitor in ASCII alone")
    add("--fps", type=_whole(1), default=Options.fps, metavar="N", help="frames a second (%(default)s)")
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
    launcher = find_launcher()
    first = launcher is None or launcher.rank == 0
    try:
        if words and words[0] in COMMANDS:
            return _run_command(words[0], words[1:]) if first else 0
        options = parse(words)
    except HelpAsked as help_asked:
        if first:
            print(help_asked, end="")
        return 0
    except (UsageError, ScenarioError) as error:
        return _refuse(str(error), together=launcher is not None and launcher.size > 1, first=first)
    if launcher is None:
        return _refuse(
            f"expected to be started by mpirun, as in: mpirun -np 6 python -m {PROGRAM} --monitor",
            together=False,
            first=True,
        )
    from tui_torrent.launch import launch

    return launch(options)


def _run_command(name: str, words: list[str]) -> int:
    """A command that needs no MPI, on one process; it may have a screen or a file to leave as it should."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return COMMANDS[name](words)
    except BrokenPipeError:
        # Whoever read our lines has read enough; nothing may be flushed to it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _refuse(line: str, together: bool, first: bool) -> int:
    """Print one line, once, and let every rank leave with 2."""
    if first:
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)
    if together:
        # A rank that leaves early may make the launcher kill the one that is still printing.
        from tui_torrent.launch import leave_together

        leave_together(2)
    return 2


def _check(words: list[str]) -> int:
    if len(words) != 1 or words[0].startswith("-"):
        raise UsageError(f"check: expected one journal, as in: python -m {PROGRAM} check run.jsonl")
    from tui_torrent.check import run_check

    return run_check(words[0], sys.stdout.write)


def build_replay_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``replay``."""
    parser = _Parser(
        prog=f"python -m {PROGRAM} replay",
        description="Show the run that a journal tells of, on the monitor's screens with a timeline below. "
        "Where there is no terminal, print its plain lines and its outcome at once. "
        "The exit code is the one that the run left with, or 2 where the journal cannot be read.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("journal", type=_path, metavar="JOURNAL", help="what --journal wrote, compressed or not")
    add("--speed", type=_positive, default=1.0, metavar="X", help="seconds of the run in one (%(default)g)")
    add("--at", type=_seconds, default=0.0, metavar="S", help="where to begin, in seconds (%(default)g)")
    add("--ascii", action="store_true", help="draw in ASCII alone")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--report", type=_path, metavar="FILE", help="write the run's final report as JSON")
    _add_web(parser, where)
    return parser


def _add_web(parser: argparse.ArgumentParser, where: argparse._ActionsContainer) -> None:
    where.add_argument("--web", action="store_true", help="show it in a browser on this host, not here")
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="where --web serves (default: a free one)",
    )


def _replay(words: list[str]) -> int:
    from tui_torrent.playback import ReplayOptions, run_replay

    return run_replay(ReplayOptions(**vars(build_replay_parser().parse_args(words))))


def build_attach_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``attach``."""
    parser = _Parser(
        prog=f"python -m {PROGRAM} attach",
        description="Watch a swarm that runs with --serve or --serve-tcp, from another terminal.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "address", nargs="?", metavar="ADDRESS", help="a socket's path, or HOST:PORT; default: the only swarm"
    )
    add(
        "--token-file",
        metavar="FILE",
        help="where the token of TCP stands (default: where --serve-tcp put it)",
    )
    add("--ascii", action="store_true", help="draw in ASCII alone")
    _add_web(parser, parser)
    return parser


def _attach(words: list[str]) -> int:
    from tui_torrent.attach import run_attach

    return run_attach(**vars(build_attach_parser().parse_args(words)))


def build_simulate_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``simulate``."""
    default = SimulateOptions()
    parser = _Parser(
        prog=f"python -m {PROGRAM} simulate",
        description="Run tracker and clients on a simulated network, deterministic from a seed, and print "
        "how near they come to the bound. The exit code is 0 where every client that lives has everything, "
        "else 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--clients", type=_whole(1), default=default.clients, metavar="N", help="who want it (%(default)s)")
    add("--segments", type=_whole(0), default=default.segments, metavar="M", help="of the file (%(default)s)")
    add("--seeds", type=_whole(1), default=default.seeds, metavar="K", help="who have it all (%(default)s)")
    add(
        "--arrivals",
        choices=("flash", "poisson"),
        default=default.arrivals,
        help="all at once, or one by one over the time that one needs (%(default)s)",
    )
    for share, what in (
        ("slow", "with a tenth of the rate"),
        ("dead", "that die at a third of the bound"),
        ("corrupt", "that spoil all they send"),
    ):
        add(f"--{share}", type=_share, default=0.0, metavar="SHARE", help=f"of clients {what} (0)")
    add("--rate", type=_positive, default=default.rate, metavar="B", help="bytes/s up and down (%(default)g)")
    add(
        "--tracker-rate",
        type=_positive,
        default=default.tracker_rate,
        metavar="B",
        help="the tracker's own (%(default)g)",
    )
    add(
        "--segment-size",
        type=_whole(1),
        default=default.segment_size,
        metavar="BYTES",
        help="that each payload takes on a link (%(default)s)",
    )
    add("--latency", type=_seconds, default=0.0, metavar="S", help="from any host to any (0)")
    add("--window", type=_whole(1), metavar="N", help="requests in flight (default: by itself)")
    add("--swarm-update", type=_whole(1), default=default.swarm_update, metavar="N", help="(%(default)s)")
    add("--seed", type=int, default=0, metavar="INT", help="of all random choices (0)")
    add("--json", action="store_true", help="print the report as one JSON object")
    add("--journal", type=_path, metavar="FILE", help="write every event, to be checked and replayed")
    add("--plot", type=_path, metavar="FILE", help="draw the completion curves, as SVG")
    add("--interpreted", action="store_true", help="never compile the machines, however long they will run")
    return parser


def _simulate(words: list[str]) -> int:
    options = SimulateOptions(**vars(build_simulate_parser().parse_args(words)))
    if options.worth_compiling:
        from tui_torrent.compiled import use_compiled

        use_compiled(lambda line: print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True))
    from tui_torrent.simulate import run_simulate

    return run_simulate(options, sys.stdout.write)


#: What is run without MPI, by its first word.
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "check": _check,
    "replay": _replay,
    "attach": _attach,
    "simulate": _simulate,
}
