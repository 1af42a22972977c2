"""What the command line's words may be: the parser that all commands share, the types of their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

PROGRAM = "tui_torrent"

T = TypeVar("T")


class UsageError(Exception):
    """The command line is wrong; the text is one line."""


class HelpAsked(Exception):
    """--help or --version: the text is to be printed once."""


class Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing: under mpirun, N processes parse the same line."""

    def error(self, message: str) -> NoReturn:
        from tui_torrent.scenario.plan import one_line

        raise UsageError(one_line(f"{message} (see python -m {PROGRAM} --help)"))

    def print_help(self, file: Any = None) -> NoReturn:
        raise HelpAsked(self.format_help())


def _number(
    convert: Callable[[str], T], kind: str, expected: str, holds: Callable[[T], bool]
) -> Callable[[str], T]:
    """The type of numbers for which something holds; ``kind`` is what argparse calls it."""

    def parse(text: str) -> T:
        value = convert(text)
        if not holds(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return value

    parse.__name__ = kind
    return parse


def whole(least: int) -> Callable[[str], int]:
    """The type of whole numbers from ``least``."""
    return _number(int, "whole number", f"a whole number from {least}", lambda value: value >= least)


positive = _number(float, "number", "a number above 0", lambda value: 0 < value < float("inf"))
seconds = _number(float, "number", "a number from 0", lambda value: 0 <= value < float("inf"))
share = _number(float, "number", "a share from 0 to 1", lambda value: 0 <= value <= 1)
port = _number(int, "port", "a port", lambda value: 0 <= value < 1 << 16)


def path(text: str) -> Path:
    """The type of paths, none of them empty."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found nothing")
    return Path(text)
