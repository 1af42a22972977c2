"""A run on disk: JSON Lines. The first line is the header, the last the outcome, each other one event.

A journal whose name ends in ``.zst`` is written in zstd; which kind is read shows in its first bytes. One
whose run was interrupted lacks the outcome, and its last line may be torn. A byte order mark and blank lines
are passed over. Everything else that is not as it should be is an error that names file, line and what was
expected.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import BinaryIO

from mpi_core.protocol.codec import from_line, to_lines
from mpi_core.protocol.errors import LocalProtocolError, ScenarioError, reason
from mpi_core.protocol.events import (
    JOURNAL_VERSION,
    OLDEST_VERSION,
    RunEnded,
    RunStarted,
    Stamped,
    header_problem,
)
from mpi_core.runtime import zst

#: A header, and what stands before it, is no longer than this, in bytes: a file of something else need not be
#: read to its first newline.
LONGEST_HEADER = 1 << 20
#: The clients of a header cost memory before they have told anything. So many may stand in a file of any
#: length; of more, each takes a byte of it at least, compressed or not.
FEW_CLIENTS = 10_000

_MARK = b"\xef\xbb\xbf"


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

    def __init__(self, path: str | os.PathLike[str], file: io.BufferedReader | None = None) -> None:
        """``file`` is open already, where there is one, and ``path`` its name."""
        self.path = os.fspath(path)
        #: Whether the last line was torn, and left out; known when the iteration has ended.
        self.torn = False
        #: The number of the line last read, from 1.
        self.line = 0
        try:
            opened = open(self.path, "rb") if file is None else file  # noqa: SIM115
            #: The bytes of the file, where it is one.
            self._size = _size(opened)
            self._file = _text(opened)
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
        self.line, left = 1, LONGEST_HEADER
        line = self._read(left).removeprefix(_MARK)
        while line.endswith(b"\n") and not line.strip() and left > 0:
            self.line, left = self.line + 1, left - len(line)
            line = self._read(left)
        at = f"{self.path}:{self.line}"
        if not line.strip():
            raise ScenarioError(f"{self.path}:1: expected {wanted}, found an empty file")
        try:
            stamped = from_line(line)
        except ScenarioError as error:
            if b'"RunStarted"' in line:
                raise ScenarioError(f"{at}: {error}") from None
            raise ScenarioError(f"{at}: expected {wanted}, found something else") from None
        header = stamped.event
        if not isinstance(header, RunStarted):
            raise ScenarioError(f"{at}: expected {wanted}, found {type(header).__name__}")
        if not OLDEST_VERSION <= header.version <= JOURNAL_VERSION:
            raise ScenarioError(f"{at}: expected {wanted}, found version {header.version}")
        problem = header_problem(header)
        if problem is None and self._size is not None and header.clients > max(FEW_CLIENTS, self._size):
            problem = f"expected clients that {self._size} bytes can tell of, found {header.clients}"
        if problem is not None:
            raise ScenarioError(f"{at}: RunStarted: {problem}")
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
        while line and not line.strip():
            self.line += line.endswith(b"\n")
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


def _size(file: io.BufferedReader) -> int | None:
    """How long a regular file is; None of what comes through a pipe."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _text(file: io.BufferedReader) -> BinaryIO:
    """The journal's text, whether it is compressed or not."""
    return zst.reader(file) if file.peek(len(zst.MAGIC)).startswith(zst.MAGIC) else file


def read_journal(path: str | os.PathLike[str]) -> JournalReader:
    """The events of the journal at ``path``, in its order; raises ScenarioError."""
    return JournalReader(path)
