"""The classic scenario: a folder with one in<R>.txt a client.

R counts from 1, without leading zeros; the highest R is the number of clients. Other files of the
folder are nobody's business, save in0.txt: it tells that somebody counts from 0, and that a client's
file would be left out. Fields are parted by white space, so that CRLF, trailing blanks and indents
are all the same; a blank line is an error except at the end.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mpi_core.protocol.errors import ScenarioError, reason
from mpi_core.protocol.manifest import Manifest, name_problem
from tui_torrent.scenario.plan import ClientPlan, Scenario, complaint, quoted, read_text

_IN_FILE = re.compile(r"in([1-9][0-9]*)\.txt")

#: Stands for any count with more digits than this: no file has so many lines.
_MANY_DIGITS = 18


class ClassicScenario(Scenario):
    """A folder of in<R>.txt files."""

    declared = True

    def __init__(self, path: str) -> None:
        self.description = path
        try:
            names = os.listdir(path)
        except OSError as error:
            raise complaint(path, None, f"expected a folder that can be read: {reason(error)}") from None
        ranks = [int(found[1]) for found in map(_IN_FILE.fullmatch, names) if found]
        if "in0.txt" in names:
            raise complaint(
                os.path.join(path, "in0.txt"), None, "expected in1.txt, in2.txt …: rank 0 is the tracker"
            )
        if not ranks:
            raise complaint(path, None, "expected in1.txt, in2.txt …, one for each client, found none")
        self.client_count = max(ranks)

    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
        file = os.path.join(self.description, f"in{rank}.txt")
        return parse_client(file, read_text(file, f"the files that client {rank} owns and wants"))


def parse_client(file: str, text: str) -> ClientPlan:
    """The plan that the text of an in<R>.txt describes; ``file`` is its name in errors."""
    lines = _Lines(file, text)
    owned: dict[str, Manifest] = {}
    first_lines: dict[str, int] = {}
    files = lines.number("the number of files owned (0 or more)")
    for position in range(1, files + 1):
        expected = f"the name and the number of segments of owned file {position} of {files}"
        name, segments_text = lines.fields(2, expected)
        lines.check_name(name)
        if name in owned:
            again = f"{quoted(name)} again (first on line {first_lines[name]})"
            raise lines.wrong("each owned file once", again)
        segments = lines.count(segments_text, f"the number of segments of {quoted(name)} (0 or more)")
        first_lines[name] = lines.taken
        owned[name] = Manifest.declared(name, lines.hashes(name, segments))
    wants: list[str] = []
    files = lines.number("the number of files wanted (0 or more)")
    for position in range(1, files + 1):
        (name,) = lines.fields(1, f"the name, without white space, of wanted file {position} of {files}")
        lines.check_name(name)
        wants.append(name)
    lines.end()
    return ClientPlan(declared=tuple(owned.values()), wants=tuple(dict.fromkeys(wants)))


class _Lines:
    """The lines of an in-file, taken one after the other; never more than are there."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        # Not splitlines(): it would also split at form feeds and the like.
        self._lines = text.split("\n")
        while self._lines and not self._lines[-1].strip():
            self._lines.pop()
        #: How many were taken; also the number of the last one taken, from 1.
        self.taken = 0

    def fields(self, count: int, expected: str) -> list[str]:
        """The ``count`` fields of the next line."""
        if self.taken < len(self._lines):
            fields = self._lines[self.taken].split()
            if len(fields) == count:
                self.taken += 1
                if any("\0" in field for field in fields):
                    raise self.wrong("text", "a NUL byte")
                return fields
        found = self._found()
        self.taken += 1
        raise self.wrong(expected, found)

    def number(self, expected: str) -> int:
        """The count that the next line is."""
        (text,) = self.fields(1, expected)
        return self.count(text, expected)

    def count(self, text: str, expected: str) -> int:
        """The count that ``text``, of the line just taken, says: digits alone, no sign."""
        if not (text.isascii() and text.isdigit()):
            raise self.wrong(expected, quoted(text))
        digits = text.lstrip("0") or "0"
        return int(digits) if len(digits) <= _MANY_DIGITS else int(10**_MANY_DIGITS)

    def hashes(self, name: str, segments: int) -> tuple[str, ...]:
        """The next ``segments`` lines, a hash each."""
        hashes: list[str] = []
        for line in self._lines[self.taken : self.taken + segments]:
            # What is plainly right is taken at once: there may be millions.
            fields = line.split()
            if len(fields) != 1 or "\0" in line:
                break
            hashes += fields
        self.taken += len(hashes)
        for index in range(len(hashes) + 1, segments + 1):
            expected = f"a hash without white space (segment {index} of {segments} of {quoted(name)})"
            hashes += self.fields(1, expected)
        return tuple(hashes)

    def check_name(self, name: str) -> None:
        """That the name on the line just taken is one of a file without folders."""
        if "/" in name:
            raise self.wrong("a name without a path separator", quoted(name))
        if name_problem(name):
            raise self.wrong("the name of a file", quoted(name))

    def end(self) -> None:
        """That nothing is left."""
        while self.taken < len(self._lines):
            found = self._found()
            self.taken += 1
            if found != _BLANK:
                raise self.wrong("the end of the file", found)

    def wrong(self, expected: str, found: str) -> ScenarioError:
        """The error about the line just taken."""
        return complaint(self._file, self.taken, f"expected {expected}, found {found}")

    def _found(self) -> str:
        """The next line, as an error shows it."""
        if not self._lines:
            return "an empty file"
        if self.taken >= len(self._lines):
            return "the end of the file"
        return quoted(self._lines[self.taken].strip()) if self._lines[self.taken].strip() else _BLANK


_BLANK = "a blank line"
