"""Pieces of files, read and hashed: in this process, or in one that does nothing else, and starts soon since
it loads little."""

from __future__ import annotations

import errno
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
from mpi_core.runtime.disk import READ, ZEROS, HashingStopped, read_into


class Version(NamedTuple):
    """What tells whether a file has changed, and what else of it travels."""

    size: int
    #: When it was last written to, in nanoseconds since 1970.
    mtime: int
    #: The permission bits.
    mode: int
    #: Whether it takes less room on the disk than it has bytes.
    sparse: bool

    def is_same(self, other: Sequence[int]) -> bool:
        """Whether the bytes are the same, as far as the system tells."""
        return (self.size, self.mtime) == tuple(other[:2])


#: Of a piece: its file's version, and its slices' digests, None for those of zeros alone where there are
#: several; or why it could not be hashed.
Hashed = tuple[Version, list[Digest | None]] | str

#: What is said of a file that is no longer what it was.
CHANGED = "changed while it was hashed"

#: Where a file's next bytes are, for systems that can tell.
_SEEK_DATA = getattr(os, "SEEK_DATA", None)


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
    """``hashed`` gets the bytes of each slice; ``halted`` is asked before it. Raises HashingStopped."""
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
    digests: list[Digest | None] = []
    try:
        fd = os.open(path, READ)
        try:
            before = _version(fd)
            if before.size != size:
                return CHANGED
            #: No bytes but zeros are before this place.
            data_at = _data_from(fd, at) if before.sparse else 0
            while at < end:
                if halted():
                    raise HashingStopped("hashing stopped")
                payload = buffer[: min(length, end - at)]
                if data_at >= at + len(payload) and size > length:
                    digests.append(None)
                else:
                    read_into(fd, payload, at)
                    is_hole = size > length and _is_zero(payload)
                    digests.append(None if is_hole else digest_of(payload))
                    if before.sparse:
                        data_at = _data_from(fd, at + len(payload))
                at += len(payload)
                hashed(len(payload))
            after = os.fstat(fd)
            if after.st_size != size or after.st_mtime_ns != before.mtime:
                return CHANGED
        finally:
            os.close(fd)
    except FileNotFoundError:
        return "vanished before it was hashed"
    except OSError as error:
        return reason(error)
    return before, digests


def _version(fd: int) -> Version:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    size, mode = status.st_size, stat.S_IMODE(status.st_mode)
    return Version(size, status.st_mtime_ns, mode, status.st_blocks * 512 < size)


def _is_zero(payload: memoryview) -> bool:
    # Nearly all others are told by their first bytes.
    first = payload[: len(ZEROS)]
    return bytes(first) == ZEROS[: len(first)] and not payload.tobytes().strip(b"\0")


def _data_from(fd: int, at: int) -> int:
    """Where bytes begin, from there on, that take room on the disk."""
    if _SEEK_DATA is None:
        return at
    try:
        return os.lseek(fd, at, _SEEK_DATA)
    except OSError as error:
        # There are none to the end; or the file system cannot tell.
        return sys.maxsize if error.errno == errno.ENXIO else at


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
    """Until stdin ends, hash what comes there; the answers go to stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        while True:
            algorithm, pieces = take(sys.stdin.buffer)
            found = hash_pieces(list(map(Piece._make, pieces)), algorithm)
            # The types that can be sent have no names.
            put(
                sys.stdout.buffer, [one if isinstance(one, str) else (tuple(one[0]), one[1]) for one in found]
            )
