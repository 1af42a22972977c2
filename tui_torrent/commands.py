"""The commands that need no MPI: check, replay, attach, simulate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tui_torrent.complaints import complain
from tui_torrent.config import SimulateOptions
from tui_torrent.words import (
    PROGRAM,
    Parser,
    add_choices_of_the_swarm,
    add_journal_level,
    given,
    path,
    port,
    positive,
    seconds,
    share,
    whole,
)


def build_check_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``check``."""
    parser = Parser(
        prog=f"python -m {PROGRAM} check",
        description="Check a journal against the protocol's rules and name the first event that breaks one. "
        "The exit code is 0 where all hold, 1 where one is broken, 2 where the journal cannot be read.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "journal",
        type=given,
        metavar="JOURNAL",
        help="what --journal wrote, compressed or not; - is standard input",
    )
    parser.add_argument(
        "--scenario",
        type=given,
        metavar="PATH",
        help="what the run was of, a folder of in<R>.txt files or a TOML file: how many clients, what each "
        "owns and wants, the hashes, and 10 segments between two updates, whatever the journal says",
    )
    return parser


def _check(words: list[str]) -> int:
    from tui_torrent.check import run_check

    options = build_check_parser().parse_args(words)
    return run_check(options.journal, sys.stdout.write, options.scenario)


def build_replay_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``replay``."""
    parser = Parser(
        prog=f"python -m {PROGRAM} replay",
        description="Show the run that a journal tells of, on the monitor's screens with a timeline below. "
        "Where there is no terminal, print its plain lines and its outcome at once. "
        "The exit code is the one that the run left with, 1 where a rule is broken, 3 where the journal was "
        "cut short, or 2 where it cannot be read.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("journal", type=path, metavar="JOURNAL", help="what --journal wrote, compressed or not")
    add("--speed", type=positive, default=1.0, metavar="X", help="seconds of the run in one (%(default)g)")
    add("--at", type=seconds, default=0.0, metavar="S", help="where to begin, in seconds (%(default)g)")
    add("--ascii", action="store_true", help="draw in ASCII alone")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--report", type=path, metavar="FILE", help="write the run's final report as JSON")
    _add_web(parser, where)
    return parser


def _add_web(parser: argparse.ArgumentParser, where: argparse._ActionsContainer) -> None:
    where.add_argument("--web", action="store_true", help="show it in a browser on this host, not here")
    parser.add_argument(
        "--port",
        type=port,
        default=0,
        metavar="N",
        help="where --web serves (default: a free one)",
    )


def _replay(words: list[str]) -> int:
    from tui_torrent.playback import ReplayOptions, run_replay

    return run_replay(ReplayOptions(**vars(build_replay_parser().parse_args(words))))


def build_attach_parser() -> argparse.ArgumentParser:
    """The parser of what follows ``attach``."""
    parser = Parser(
        prog=f"python -m {PROGRAM} attach",
        description="Watch a swarm that runs with --serve or --serve-tcp, from another terminal.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "address",
        type=given,
        nargs="?",
        metavar="ADDRESS",
        help="a socket's path, or HOST:PORT; default: the only swarm",
    )
    add(
        "--token-file",
        type=given,
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
    parser = Parser(
        prog=f"python -m {PROGRAM} simulate",
        description="Run tracker and clients on a simulated network, deterministic from a seed, and print "
        "how near they come to the bound. The exit code is 0 where every client that lives has everything, "
        "else 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--clients", type=whole(1), default=default.clients, metavar="N", help="who want it (%(default)s)")
    add("--segments", type=whole(0), default=default.segments, metavar="M", help="of the file (%(default)s)")
    add("--seeds", type=whole(1), default=default.seeds, metavar="K", help="who have it all (%(default)s)")
    add(
        "--arrivals",
        choices=("flash", "poisson"),
        default=default.arrivals,
        help="all at once, or one by one over the time that one needs (%(default)s)",
    )
    for name, what in (
        ("slow", "with a tenth of the rate"),
        ("dead", "that die at a third of the bound"),
        ("corrupt", "that spoil all they send"),
    ):
        add(f"--{name}", type=share, default=0.0, metavar="SHARE", help=f"of clients {what} (0)")
    add("--rate", type=positive, default=default.rate, metavar="B", help="bytes/s up and down (%(default)g)")
    add(
        "--tracker-rate",
        type=positive,
        default=default.tracker_rate,
        metavar="B",
        help="the tracker's own (%(default)g)",
    )
    add(
        "--segment-size",
        type=whole(1),
        default=default.segment_size,
        metavar="BYTES",
        help="that each payload takes on a link (%(default)s)",
    )
    add("--latency", type=seconds, default=0.0, metavar="S", help="from any host to any (0)")
    add_choices_of_the_swarm(parser)
    add("--json", action="store_true", help="print the report as one JSON object")
    add("--journal", type=path, metavar="FILE", help="write every event, to be checked and replayed")
    add_journal_level(parser, default.journal_level, "basic")
    add("--plot", type=path, metavar="FILE", help="draw the completion curves, as SVG")
    add("--interpreted", action="store_true", help="never compile the machines, however long they will run")
    return parser


def _simulate(words: list[str]) -> int:
    from mpi_core.runtime.outputs import open_outputs

    options = SimulateOptions(**vars(build_simulate_parser().parse_args(words)))
    files = open_outputs({"--journal": options.journal, "--plot": options.plot})
    if options.worth_compiling:
        from tui_torrent.compiled import use_compiled

        use_compiled(complain)
    from tui_torrent.simulate import run_simulate

    return run_simulate(options, files, sys.stdout.write, _redraw)


def _redraw(line: str) -> None:
    """Show a line on the terminal, where there is one, in place of the last."""
    if sys.stderr and sys.stderr.isatty():
        print(f"\r{line:<60}\r", end="", file=sys.stderr, flush=True)


#: What is run without MPI, by its first word.
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "check": _check,
    "replay": _replay,
    "attach": _attach,
    "simulate": _simulate,
}
