"""The TOML form: clients that share real files and want names or patterns.

::

    [[client]]                         # rank 1
    root = "/data/run7"                # default: the folder of the TOML file
    share = ["model.bin", "shards/**/*"]
    [[client]]                         # rank 2
    want = ["model.bin", "shards/a/*"]
    rate = "2 MiB/s"                   # upload no faster; default: no bound but --rate
    out = "/scratch/run7"              # where its files go, below --out; default: client<R>
    times = 98                         # so many clients like this one; default: 1

The file's shape is checked as a whole; a root is touched by its own client alone. TOML's parser tells
no lines for what it has read, so the line in an error is the one where the text of that table, key or
string is found, and is left out where it is not. ``~`` and ``$VARIABLES`` in root and out are the client's.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mpi_core.protocol.errors import OwnTrouble, ScenarioError
from mpi_core.protocol.patterns import pattern_problem
from tui_torrent.scenario.plan import (
    QUOTED,
    ClientPlan,
    Found,
    Scenario,
    complaint,
    expanded,
    quoted,
    read_text,
)

_KEYS = ("root", "share", "want", "rate", "out", "times")
#: Clients of one table at the most.
_MANY = 1_000_000
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_RATE = re.compile(r"(\d+(?:\.\d+)?) ?(k|M|G|Ki|Mi|Gi)?B/s", re.ASCII)
_FASTEST = 1e15
_HEADER = re.compile(r"""\s*\[\[\s*(client|"client"|'client')\s*\]\]""")
_ANY_HEADER = re.compile(r"\s*\[{1,2}[^][,=]*\]{1,2}\s*(#.*)?$")
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class _Client:
    #: The number of its table, from 1.
    table: int
    root: str
    share: tuple[str, ...]
    want: tuple[str, ...]
    rate: float | None
    out: str | None


class _Table(NamedTuple):
    """A [[client]], its number among them, and the first client that it is of, both from 1."""

    number: int
    rank: int
    values: dict[str, Any]


class TomlScenario(Scenario):
    """A TOML file with a [[client]] table for each client, or for some in a row."""

    def __init__(self, path: str) -> None:
        self.description = path
        text = read_text(path, "a TOML file")
        self._text = text.split("\n")
        tables = self._tables(self._parse(text))
        self._table_count = len(tables)
        self._clients: list[_Client] = []
        for number, values in enumerate(tables, 1):
            table = _Table(number, len(self._clients) + 1, values)
            self._clients += [self._checked(table)] * self._times(table)
        self.client_count = len(self._clients)

    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
        if not 1 <= rank <= self.client_count:
            raise self._wrong(None, f"expected a [[client]] for client {rank}")
        client = self._clients[rank - 1]
        found = self._found(rank, client, self._places(out or self.default_out) if client.share else ())
        place = None if client.out is None else self._expanded(rank, client, "out", client.out)
        return ClientPlan(found=found, patterns=client.want, rate=client.rate, out=place)

    def rate_of(self, rank: int) -> float | None:
        return self._clients[rank - 1].rate

    def words(self, rank: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What client ``rank`` may share and what it wants: names, folders and patterns. No disk is read."""
        client = self._clients[rank - 1]
        return client.share, client.want

    def shares(self, rank: int) -> bool:
        return bool(self._clients[rank - 1].share)

    def _places(self, out: Path) -> set[str]:
        """Where clients put their files, as real paths."""
        places = set()
        for rank, client in enumerate(self._clients, 1):
            if client.want:
                # Another client's variables are not ours to judge.
                with suppress(ValueError):
                    place = f"client{rank}" if client.out is None else expanded(client.out)
                    places.add(os.path.realpath(out / place))
        return places

    def _expanded(self, rank: int, client: _Client, key: str, path: str) -> str:
        try:
            return expanded(path)
        except ValueError as error:
            line = self._line(client.table, key, path)
            problem = f"client {rank}: expected {key} to be the path of a folder, found {quoted(path)}"
            raise self._wrong(line, f"{problem}: {error}") from None

    def _found(self, rank: int, client: _Client, apart: Collection[str]) -> Found:
        folder = os.path.dirname(self.description)
        root = folder or "."
        if client.root != ".":
            root = os.path.join(folder, self._expanded(rank, client, "root", client.root))
        if not os.path.isdir(root):
            line = self._line(client.table, "root", client.root)
            raise self._lacking(line, f"client {rank}: expected root to be a folder, found none at {root!r}")
        if not client.share:
            return Found()
        # Imported here: only the ranks that share anything walk a disk.
        from tui_torrent.scenario.shares import ShareError, all_shares

        try:
            return all_shares(root, client.share, apart)
        except ShareError as error:
            line = self._line(client.table, "share", error.entry)
            raise self._lacking(line, f"client {rank}: {error}") from None

    def _lacking(self, line: int | None, problem: str) -> OwnTrouble:
        """What the table of one client names is not on that client's host."""
        return OwnTrouble(str(self._wrong(line, problem)))

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

    def _checked(self, table: _Table) -> _Client:
        for key in table.values:
            if key not in _KEYS:
                raise self._wrong_in(
                    table, key, _unknown(key, _KEYS, "root, share, want, rate, out or times")
                )
        root = self._folder(table, "root")
        names = self._names(table, "share"), self._names(table, "want")
        out = None if "out" not in table.values else self._folder(table, "out")
        return _Client(table.number, root, *names, self._rate(table), out)

    def _folder(self, table: _Table, key: str) -> str:
        value = table.values.get(key, ".")
        if not isinstance(value, str) or not value or "\0" in value:
            found = quoted(value) if isinstance(value, str) else _kind(value)
            raise self._wrong_in(table, key, f"expected {key} to be the path of a folder, found {found}")
        return value

    def _times(self, table: _Table) -> int:
        times = table.values.get("times", 1)
        if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= _MANY:
            found = _digits(times)[:QUOTED] if type(times) is int else _kind(times)
            problem = f"expected times to be a number of clients, from 1 to {_MANY}, found {found}"
            raise self._wrong_in(table, "times", problem)
        return times

    def _rate(self, table: _Table) -> float | None:
        """Bytes a second: a number, or a text with its unit."""
        value = table.values.get("rate")
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
            raise self._wrong_in(table, "rate", f"{expected}, found {found}")
        return rate

    def _names(self, table: _Table, key: str) -> tuple[str, ...]:
        entries = table.values.get(key, [])
        wrong = entries if not isinstance(entries, list) else _first_other(entries)
        if wrong is not None:
            found = _kind(wrong) + (" in it" if isinstance(entries, list) else "")
            problem = f'expected {key} to be a list of strings, {key} = ["…"], found {found}'
            raise self._wrong_in(table, key, problem)
        for entry in entries:
            if fault := pattern_problem(entry):
                problem = f"expected {key} to name files below root, found {fault}"
                raise self._wrong_in(table, key, problem, entry)
        return tuple(dict.fromkeys(entries))

    def _wrong_in(self, table: _Table, key: str, problem: str, entry: str | None = None) -> ScenarioError:
        return self._wrong(self._line(table.number, key, entry), f"client {table.rank}: {problem}")

    def _line(self, table: int, key: str, entry: str | None = None) -> int | None:
        """The line of a string, else of its key, else of the table of that number."""
        headers = [at for at, line in enumerate(self._text) if _HEADER.match(line)]
        if len(headers) != self._table_count:
            return self._first_line(key) if self._table_count == 1 else None
        start = headers[table - 1]
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
