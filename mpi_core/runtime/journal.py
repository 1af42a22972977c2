"""A run on disk: JSON Lines. The first line is the header, the last the outcome, each other one event.

A journal whose name ends in ``.zst`` is written in zstd; which kind is read shows in its first bytes. One
whose run was interrupted lacks the outcome, and its last line may be torn. Everything else that is not as
it should be is an error that names file, line and what was expected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import BinaryIO

from mpi_core.protocol.codec import from_line, to_lines
from mpi_core.protocol.errors import LocalProtocolError, ScenarioError, reason
from mpi_core.protocol.events import JOURNAL_VERSION, OLDEST_VERSION, RunEnded, RunStarted, Stamped
from mpi_core.runtime import zst

#: A header is no longer than this, in bytes: a file of something else need not be read to its first newline.
LONGEST_HEADER = 1 << 20


class JournalWriter:
    """Appends batches of events; what was appended survives a crash of this process.

    Opening raises ScenarioError where the file cannot be written; appending raises OSError where the
    disk refuses, and LocalProtocolError where the header is not first or the outcome not last.
    """

    def __init__(self, path: str | os.PathLike[str], file: BinaryIO | None = None) -> None:
        """``file`` is the one at ``path``, empty, where it is open already."""
        try:
            file = file or open(path, "wb")  # noqa: SIM115
        except OSError as error:
            raise ScenarioError(f"{os.fspath(path)}: cannot write the journal: {reason(error)}") from None
        self._file = zst.ZstWriter(file) if os.fspath(path).endswith(".zst") else file
        self._begun = False
        self._ended = False

    def append(self, batch: Sequence[Stamped]) -> None:
        """Write the events and hand them to the system."""
        for stamped in batch:
            if isinstance(stamped.event, RunStarted) == self._begun or self._ended:
                kind = type(stamped.event).__name__
                raise LocalProtocolError(f"{kind} in a journal that has {self._state()}")
            self._begun = True
            self._ended = isinstance(stamped.event, RunEnded)
        self._file.write(to_lines(batch))
        self._file.flush()

    def _state(self) -> str:
        return "ended" if self._ended else "a header" if self._begun else "no header"

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> JournalWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class JournalReader(Iterator[Stamped]):
    """The events of a journal, one at a time. Opening it raises ScenarioError, and so does each line.

    The header is read and checked on opening, and is the first event that iteration gives.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        #: Whether the last line was torn, and left out; known when the iteration has ended.
        self.torn = False
        #: The number of the line last read, from 1.
        self.line = 0
        try:
            self._file = _opened(self.path)
        except OSError as error:
            raise ScenarioError(f"{self.path}: cannot read the journal: {reason(error)}") from None
        try:
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise
        self._header: Stamped | None = self.header

    def _read_header(self) -> Stamped:
        wanted = f"a journal's first line, RunStarted of version {OLDEST_VERSION} to {JOURNAL_VERSION}"
        self.line = 1
        line = self._read(LONGEST_HEADER)
        if not line:
            raise ScenarioError(f"{self.path}:1: expected {wanted}, found an empty file")
        try:
            stamped = from_line(line)
        except ScenarioError:
            raise ScenarioError(f"{self.path}:1: expected {wanted}, found something else") from None
        if not isinstance(stamped.event, RunStarted):
            raise ScenarioError(f"{self.path}:1: expected {wanted}, found {type(stamped.event).__name__}")
        if not OLDEST_VERSION <= stamped.event.version <= JOURNAL_VERSION:
            found = f"version {stamped.event.version}"
            raise ScenarioError(f"{self.path}:1: expected {wanted}, found {found}")
        return stamped

    def _read(self, limit: int = -1) -> bytes:
        try:
            return self._file.readline(limit)
        except OSError as error:
            message = f"{self.path}:{self.line}: cannot read the journal: {reason(error)}"
            raise ScenarioError(message) from None

    def __iter__(self) -> JournalReader:
        return self

    def __next__(self) -> Stamped:
        if self._header is not None:
            header, self._header = self._header, None
            return header
        if self._file.closed:
            raise StopIteration
        self.line += 1
        line = self._read()
        try:
            if line:
                return from_line(line)
        except ScenarioError as error:
            if line.endswith(b"\n"):
                self.close()
                raise ScenarioError(f"{self.path}:{self.line}: {error}") from None
            self.torn = True
        self.line -= 1
        self.close()
        raise StopIteration

    def close(self) -> None:
        self._file.close()


def _opened(path: str) -> BinaryIO:
    """The journal's text, whether it is compressed or not."""
    file = open(path, "rb")  # noqa: SIM115
    return zst.reader(file) if file.peek(len(zst.MAGIC)).startswith(zst.MAGIC) else file


def read_journal(path: str | os.PathLike[str]) -> JournalReader:
    """The events of the journal at ``path``, in its order; raises ScenarioError."""
    return JournalReader(path)
