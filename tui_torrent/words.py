"""What the command line's words may be: the parser that all commands share, the types of their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

from mpi_core.protocol.errors import one_line
from mpi_core.swarm.config import SwarmConfig
from tui_torrent.config import JournalLevel

PROGRAM = "tui_torrent"

#: What a run's usage begins with; its page of help needs none of it.
LAUNCHER = "mpirun -np N "

#: The highest count: of two of them, JSON and the machines still take the product.
MANY = 10**9
#: What 64 bits hold.
LOWEST, HIGHEST = -(2**63), 2**63 - 1

T = TypeVar("T")


class UsageError(Exception):
    """The command line is wrong; the text is one line."""


class HelpAsked(Exception):
    """--help or --version: the text is to be printed once."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing: under mpirun, N processes parse the same line."""

    def error(self, message: str) -> NoReturn:

        raise UsageError(one_line(f"{message} (see {self.prog.removeprefix(LAUNCHER)} --help)"))

    def print_help(self, file: Any = None) -> NoReturn:
        raise HelpAsked(self.format_help())


class Version(argparse.Action):
    """The option that asks for the version."""

    def __call__(self, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version(PROGRAM)
        except PackageNotFoundError:  # It runs from its sources.
            number = "(not installed)"
        raise HelpAsked(f"{PROGRAM} {number}\n")


def _number(convert: Callable[[str], T], expected: str, holds: Callable[[T], bool]) -> Callable[[str], T]:
    """The type of numbers for which something holds."""

    def parse(text: str) -> T:
        # What is no number raises ValueError, and so does one of more digits than Python converts.
        with suppress(ValueError):
            value = convert(text)
            if holds(value):
                return value
        from tui_torrent.scenario.plan import quoted

        raise argparse.ArgumentTypeError(f"expected {expected}, found {quoted(text)}")

    return parse


def whole(least: int, most: int = MANY) -> Callable[[str], int]:
    """The type of whole numbers from ``least`` to ``most``."""
    return _number(int, f"a whole number from {least} to {most}", lambda value: least <= value <= most)


seed = whole(LOWEST, HIGHEST)
positive = _number(float, "a number above 0", lambda value: 0 < value < float("inf"))
seconds = _number(float, "a number from 0", lambda value: 0 <= value < float("inf"))
share = _number(float, "a share from 0 to 1", lambda value: 0 <= value <= 1)
port = _number(int, "a port", lambda value: 0 <= value < 1 << 16)


def given(text: str) -> str:
    """The type of paths as they are given, none of them empty."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return text


def path(text: str) -> Path:
    """The type of paths that may be written to, none of them empty; ``~`` and variables are replaced."""
    from tui_torrent.scenario.plan import expanded, quoted

    try:
        return Path(expanded(given(text)))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a path, found {quoted(text)}: {error}") from None


def add_journal_level(parser: argparse.ArgumentParser, otherwise: JournalLevel | None, what: str) -> None:
    """Which events a run has; ``what`` says which where nothing is chosen."""
    parser.add_argument(
        "--journal-level",
        choices=get_args(JournalLevel),
        default=otherwise,
        help="basic: the protocol's steps and every segment; "
        f"all: every ANNOUNCE, BITFIELD, CANCEL and PENDING as well (default: {what})",
    )


def add_choices_of_the_swarm(parser: argparse.ArgumentParser) -> None:
    """The options that mean the same to a run and to a simulation."""
    add = parser.add_argument
    add("--seed", type=seed, default=0, metavar="INT", help="of all random choices (%(default)s)")
    add(
        "--window", type=whole(1), metavar="N", help="requests in flight (default: as many as the links need)"
    )
    add(
        "--swarm-update",
        type=whole(1),
        default=SwarmConfig.swarm_update,
        metavar="N",
        help="segments between two swarm updates (%(default)s)",
    )
