"""The TOML form: clients that share real files and want names or patterns.

::

    [[client]]                         # rank 1
    root = "/data/run7"                # default: the folder of the TOML file
    share = ["model.bin", "shards/**/*"]
    [[client]]                         # rank 2
    want = ["model.bin", "shards/a/*"]
    rate = "2 MiB/s"                   # upload no faster; default: no bound but --rate

The file's shape is checked as a whole; a root is touched by its own client alone. TOML's parser tells
no lines for what it has read, so the line in an error is the one where the text of that table, key or
string is found, and is left out where it is not.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.patterns import pattern_problem
from tui_torrent.scenario.plan import QUOTED, ClientPlan, Scenario, Share, complaint, quoted, read_text

_KEYS = ("root", "share", "want", "rate")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_RATE = re.compile(r"(\d+(?:\.\d+)?) ?(k|M|G|Ki|Mi|Gi)?B/s", re.ASCII)
_FASTEST = 1e15
_HEADER = re.compile(r"""\s*\[\[\s*(client|"client"|'client')\s*\]\]""")
_ANY_HEADER = re.compile(r"\s*\[{1,2}[^][,=]*\]{1,2}\s*(#.*)?$")
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class _Client:
    root: str
    share: tuple[str, ...]
    want: tuple[str, ...]
    rate: float | None


class TomlScenario(Scenario):
    """A TOML file with one [[client]] table a client."""

    def __init__(self, path: str) -> None:
        self.description = path
        text = read_text(path, "a TOML file")
        self._text = text.split("\n")
        tables = self._tables(self._parse(text))
        self.client_count = len(tables)
        self._clients = [self._checked(rank, table) for rank, table in enumerate(tables, 1)]

    def client(self, rank: int) -> ClientPlan:
        if not 1 <= rank <= self.client_count:
            raise self._wrong(None, f"expected a [[client]] for client {rank}")
        client = self._clients[rank - 1]
        return ClientPlan(shares=self._shares(rank, client), patterns=client.want, rate=client.rate)

    def shares(self, rank: int) -> bool:
        return bool(self._clients[rank - 1].share)

    def _shares(self, rank: int, client: _Client) -> tuple[Share, ...]:
        folder = os.path.dirname(self.description)
        root = os.path.join(folder, os.path.expanduser(client.root)) if client.root != "." else folder or "."
        if not os.path.isdir(root):
            line = self._line(rank, "root", client.root)
            raise self._wrong(line, f"client {rank}: expected root to be a folder, found none at {root!r}")
        if not client.share:
            return ()
        # Imported here: only the ranks that share anything walk a disk.
        from tui_torrent.scenario.shares import ShareError, shares_of

        found: dict[str, Share] = {}
        for entry in client.share:
            try:
                found.update(shares_of(root, entry, known=found))
            except ShareError as error:
                raise self._wrong(self._line(rank, "share", entry), f"client {rank}: {error}") from None
        return tuple(found[name] for name in sorted(found))

    def _parse(self, text: str) -> dict[str, Any]:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        try:
            return tomllib.loads(text)
        except RecursionError:
            raise self._wrong(None, "expected TOML, found too many brackets within each other") from None
        except (ValueError, OverflowError) as error:
            # Most are TOMLDecodeError; a date or an integer out of bounds is a bare ValueError.
            problem = str(error)
            at = _AT.search(problem)
            line = None
            if at:
                problem = problem[: at.start()] + (f" (column {at[2]})" if at[2] else " (the end)")
                line = int(at[1]) if at[1] else len(self._text)
            raise self._wrong(line, f"expected TOML: {problem}") from None

    def _tables(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        for key in document:
            if key != "client":
                raise self._wrong(self._first_line(key), _unknown(key, ("client",), "[[client]] alone"))
        tables = document.get("client")
        if isinstance(tables, dict):
            line = self._first_line("client")
            raise self._wrong(line, "expected [[client]] in double brackets, found [client]")
        if not tables:
            raise self._wrong(1, "expected a [[client]] table for each client, found none")
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            line = self._first_line("client")
            raise self._wrong(line, f"expected [[client]] tables, found {_kind(tables)}")
        return tables

    def _checked(self, rank: int, table: dict[str, Any]) -> _Client:
        for key in table:
            if key not in _KEYS:
                problem = _unknown(key, _KEYS, "root, share, want or rate")
                raise self._wrong(self._line(rank, key), f"client {rank}: {problem}")
        root = table.get("root", ".")
        if not isinstance(root, str) or not root or "\0" in root:
            found = quoted(root) if isinstance(root, str) else _kind(root)
            problem = f"client {rank}: expected root to be the path of a folder, found {found}"
            raise self._wrong(self._line(rank, "root"), problem)
        names = self._names(rank, table, "share"), self._names(rank, table, "want")
        return _Client(root, *names, self._rate(rank, table))

    def _rate(self, rank: int, table: dict[str, Any]) -> float | None:
        """Bytes a second: a number, or a text with its unit."""
        value = table.get("rate")
        if value is None:
            return None
        rate, found = 0.0, _kind(value)
        if isinstance(value, str):
            found = quoted(value)
            if text := _RATE.fullmatch(value.strip()):
                rate = float(text[1]) * _UNITS[text[2] or ""]
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            rate, found = min(value, _FASTEST + 1.0), _digits(value)[:QUOTED]
        if not 1 <= rate <= _FASTEST:
            expected = 'expected rate to be bytes a second, from 1 on, such as 500000 or "1 MiB/s"'
            raise self._wrong(self._line(rank, "rate"), f"client {rank}: {expected}, found {found}")
        return rate

    def _names(self, rank: int, table: dict[str, Any], key: str) -> tuple[str, ...]:
        entries = table.get(key, [])
        wrong = entries if not isinstance(entries, list) else _first_other(entries)
        if wrong is not None:
            found = _kind(wrong) + (" in it" if isinstance(entries, list) else "")
            problem = f'client {rank}: expected {key} to be a list of strings, {key} = ["…"], found {found}'
            raise self._wrong(self._line(rank, key), problem)
        for entry in entries:
            if fault := pattern_problem(entry):
                line = self._line(rank, key, entry)
                raise self._wrong(
                    line, f"client {rank}: expected {key} to name files below root, found {fault}"
                )
        return tuple(dict.fromkeys(entries))

    def _line(self, rank: int, key: str, entry: str | None = None) -> int | None:
        """The line of a string, else of its key, else of the table of client ``rank``."""
        headers = [at for at, line in enumerate(self._text) if _HEADER.match(line)]
        if len(headers) < rank or len(headers) != self.client_count:
            return self._first_line(key) if self.client_count == 1 else None
        start = headers[rank - 1]
        end = next(
            (at for at in range(start + 1, len(self._text)) if _ANY_HEADER.match(self._text[at])),
            len(self._text),
        )
        line = self._first_line(key, start + 1, end)
        if line is not None and entry is not None:
            for at in range(line - 1, end):
                if f'"{entry}"' in self._text[at] or f"'{entry}'" in self._text[at]:
                    return at + 1
        return line or start + 1

    def _first_line(self, key: str, start: int = 0, end: int | None = None) -> int | None:
        """The first line, from 1, that sets ``key`` or is a table's header of that name."""
        setting = re.compile(rf"""\s*\[{{0,2}}\s*["']?{re.escape(key)}["']?\s*[].=]""")
        for at, line in enumerate(self._text[start:end], start + 1):
            if setting.match(line):
                return at
        return None

    def _wrong(self, line: int | None, problem: str) -> ScenarioError:
        return complaint(self.description, line, problem)


def _first_other(entries: list[Any]) -> Any:
    """The first of ``entries`` that is no string, or None."""
    return next((entry for entry in entries if not isinstance(entry, str)), None)


def _digits(value: int | float) -> str:
    try:
        return str(value)
    except ValueError:
        # Of an integer Python writes thousands of digits in hexadecimal alone, and reads no more of others.
        return hex(int(value))


def _unknown(key: str, known: tuple[str, ...], expected: str) -> str:
    import difflib

    close = difflib.get_close_matches(key, known, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"expected {expected}, found {quoted(key)}{hint}"


def _kind(value: object) -> str:
    """What TOML calls a value."""
    if isinstance(value, bool):
        return "a boolean"
    kinds = {str: "a string", int: "an integer", float: "a float", list: "an array", dict: "a table"}
    return kinds.get(type(value), "a date or a time")
