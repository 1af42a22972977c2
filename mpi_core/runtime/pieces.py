"""Pieces of files, read and hashed: in this process, or in one that does nothing else, and starts soon since
it loads little."""

from __future__ import annotations

import marshal
import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.errors import reason
from mpi_core.protocol.units import Digest, Payload
from mpi_core.runtime.buffers import paged
from mpi_core.runtime.disk import READ, HashingStopped, OutputError, read_into

#: What tells whether a file has changed: its size and when it was last written to.
Version = tuple[int, int]
#: Of a piece: its file's version, and its segments' digests.
Hashed = tuple[Version, list[Digest]]


class Piece(NamedTuple):
    """Some segments of one file: bytes ``start`` to ``end``."""

    path: str
    #: Bytes of the whole file, when it was seen.
    size: int
    #: Bytes in each segment but the last.
    length: int
    start: int
    end: int


def hash_pieces(
    pieces: Sequence[Piece],
    algorithm: Algorithm,
    hashed: Callable[[int], None] = lambda size: None,
    halted: Callable[[], bool] = lambda: False,
) -> list[Hashed]:
    """``hashed`` gets the bytes of each segment; ``halted`` is asked before it. Raises OutputError of the
    first file that cannot be read or has changed, and HashingStopped."""
    # Many pieces are small: whatever can be made once for all of them is.
    digest_of = segment_hasher(algorithm)
    buffer = memoryview(paged(max(min(piece.length, piece.end - piece.start) for piece in pieces)))
    return [_hash_piece(piece, digest_of, buffer, hashed, halted) for piece in pieces]


def _hash_piece(
    piece: Piece,
    digest_of: Callable[[Payload], Digest],
    buffer: memoryview,
    hashed: Callable[[int], None],
    halted: Callable[[], bool],
) -> Hashed:
    path, size, length, at, end = piece
    digests = []
    try:
        fd = os.open(path, READ)
        try:
            before = _version(fd)
            while at < end:
                if halted():
                    raise HashingStopped("hashing stopped")
                payload = buffer[: min(length, end - at)]
                read_into(fd, payload, at)
                digests.append(digest_of(payload))
                at += len(payload)
                hashed(len(payload))
            if not before == _version(fd) or before[0] != size:
                raise OSError("changed while it was hashed")
        finally:
            os.close(fd)
    except OSError as error:
        raise OutputError(f"cannot read {path!r}: {reason(error)}") from error
    return before, digests


def _version(fd: int) -> Version:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status.st_size, status.st_mtime_ns


# Between two processes: one interpreter's marshal is the other's ------------------------------


#: No message is longer; what says so comes from somewhere else.
LONGEST_MESSAGE = 64 * 1024 * 1024


def put(sink: IO[bytes], value: Any) -> None:
    """Send a value of numbers, texts, bytes, lists and tuples. Raises OSError where nobody listens."""
    data = marshal.dumps(value)
    sink.write(len(data).to_bytes(8, "little") + data)
    sink.flush()


def take(source: IO[bytes]) -> Any:
    """What was ``put`` at the other end. Raises EOFError where it has closed, or says something else."""
    size = int.from_bytes(source.read(8), "little")
    data = source.read(size) if size <= LONGEST_MESSAGE else b""
    if not data or len(data) < size:
        raise EOFError
    return marshal.loads(data)


def serve() -> None:
    """Until stdin ends, hash what comes there; the answer, on stdout, is an error's text and the digests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        while True:
            algorithm, pieces = take(sys.stdin.buffer)
            try:
                answer: tuple[str, list[Hashed]] = "", hash_pieces(list(map(Piece._make, pieces)), algorithm)
            except OutputError as error:
                answer = str(error), []
            put(sys.stdout.buffer, answer)
