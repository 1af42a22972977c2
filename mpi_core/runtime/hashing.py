"""Shares are hashed before the start, on all cores that the rank may use.

The work is cut into *stretches*, of one large file or over many small ones, and a pool of threads takes
one after the other: reading and hashing both leave the interpreter to others. Small files leave it for so
short a time that two threads of them only wait for each other: they have one thread, beside those. No memory
is taken but a segment for each thread. What the disk refuses is an OutputError, and so is a file that
changes meanwhile.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from mpi_core.protocol.errors import LocalProtocolError
from mpi_core.protocol.manifest import Algorithm, Manifest, segment_hasher, segment_length_for
from mpi_core.protocol.units import Digest, Payload
from mpi_core.runtime.buffers import paged
from mpi_core.runtime.disk import READ, HashingStopped, OutputError, plainly, read_into, reason

#: A stretch is of about so many bytes, or of so many files.
STRETCH_BYTES = 32 * 1024 * 1024
STRETCH_FILES = 256

#: Of so many bytes a piece, a stretch is hashed faster by two threads than by one (measured).
SHARED_PIECE = 64 * 1024

#: Seconds between two looks at what the threads have done.
TICK = 0.05


class HashJob(NamedTuple):
    """A real file to be hashed. The size is what was seen; one that has changed since is an error."""

    name: str
    path: str
    size: int
    mode: int


class _Piece(NamedTuple):
    """Some segments of one file: bytes ``start`` to ``end``."""

    job: HashJob
    length: int
    start: int
    end: int


#: What tells whether a file has changed: its size and when it was last written to.
_Version = tuple[int, int]


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hash_files(
    jobs: Sequence[HashJob],
    algorithm: Algorithm,
    segment_length: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    workers: int | None = None,
) -> tuple[Manifest, ...]:
    """The manifests of real files, in the order of ``jobs``.

    ``segment_length`` in bytes; None is what every owner of a file of that size uses. In the calling thread,
    a few times a second, ``on_progress`` gets the bytes hashed since its last call, and ``should_stop`` is
    asked. ``workers`` None: as many as there are cores; one more takes the small files. Raises OutputError of
    the first file that cannot be hashed, and HashingStopped.
    """
    if algorithm == "declared":
        raise LocalProtocolError("declared files are not hashed")
    halt = threading.Event()
    hashed: queue.SimpleQueue[int] = queue.SimpleQueue()

    def stretch(pieces: Sequence[_Piece]) -> list[tuple[_Version, list[Digest]]]:
        # Many pieces are small: whatever can be made once for all of them is.
        digest_of = segment_hasher(algorithm)
        size = max(min(piece.length, piece.end - piece.start) for piece in pieces)
        buffer = memoryview(paged(size))
        return [_hash_piece(piece, digest_of, buffer, hashed.put, halt) for piece in pieces]

    stretches = list(_stretches(jobs, segment_length))
    with (
        ThreadPoolExecutor(workers or usable_cores(), thread_name_prefix="hash") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="hash") as lone,
    ):
        done = [(lone if _is_busy(pieces) else pool).submit(stretch, pieces) for pieces in stretches]
        try:
            _oversee(done, hashed, on_progress, should_stop)
        except BaseException:
            halt.set()
            for each in (pool, lone):
                each.shutdown(cancel_futures=True)
            raise
    results = [result for future in done for result in future.result()]
    pieces = [piece for stretch_pieces in stretches for piece in stretch_pieces]
    return tuple(_joined(jobs, pieces, results, algorithm))


def _stretches(jobs: Sequence[HashJob], segment_length: int | None) -> Iterator[list[_Piece]]:
    stretch: list[_Piece] = []
    size = 0
    for job in jobs:
        length = segment_length or segment_length_for(job.size)
        step = max(1, STRETCH_BYTES // length) * length
        for start in range(0, max(job.size, 1), step):
            piece = _Piece(job, length, start, min(start + step, job.size))
            stretch.append(piece)
            size += piece.end - piece.start
            if size >= STRETCH_BYTES or len(stretch) >= STRETCH_FILES:
                yield stretch
                stretch, size = [], 0
    if stretch:
        yield stretch


def _is_busy(pieces: Sequence[_Piece]) -> bool:
    """Whether the interpreter has more to do with a stretch than the disk and the hash."""
    return sum(piece.end - piece.start for piece in pieces) < len(pieces) * SHARED_PIECE


def _oversee(
    stretches: Sequence[Future[list[tuple[_Version, list[Digest]]]]],
    hashed: queue.SimpleQueue[int],
    on_progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> None:
    """Wait for the threads, in the order of the stretches; raises what the first of them raises."""

    def tell() -> None:
        size = sum(hashed.get_nowait() for _ in range(hashed.qsize()))
        if size:
            on_progress(size)

    for future in stretches:
        while not future.done():
            wait([future], timeout=TICK)
            tell()
            if should_stop():
                raise HashingStopped("hashing stopped")
        future.result()
    tell()


def _hash_piece(
    piece: _Piece,
    digest_of: Callable[[Payload], Digest],
    buffer: memoryview,
    hashed: Callable[[int], None],
    halt: threading.Event,
) -> tuple[_Version, list[Digest]]:
    job, length, at, end = piece
    digests = []
    try:
        fd = os.open(job.path, READ)
        try:
            before = _version(fd)
            while at < end:
                if halt.is_set():
                    raise HashingStopped("hashing stopped")
                payload = buffer[: min(length, end - at)]
                read_into(fd, payload, at)
                digests.append(digest_of(payload))
                at += len(payload)
                hashed(len(payload))
            if not before == _version(fd) or before[0] != job.size:
                raise OSError("changed while it was hashed")
        finally:
            os.close(fd)
    except OSError as error:
        raise OutputError(f"cannot read {job.path!r}: {reason(error)}") from error
    return before, digests


def _version(fd: int) -> _Version:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status.st_size, status.st_mtime_ns


def _joined(
    jobs: Sequence[HashJob],
    pieces: Sequence[_Piece],
    results: Sequence[tuple[_Version, list[Digest]]],
    algorithm: Algorithm,
) -> Iterator[Manifest]:
    at = 0
    for job in jobs:
        first, digests = results[at][0], []
        length = pieces[at].length
        while at < len(pieces) and pieces[at].job is job:
            version, some = results[at]
            if version != first:
                with plainly("read", job.path):
                    raise OSError("changed while it was hashed")
            digests += some
            at += 1
        yield Manifest(job.name, job.size, length, algorithm, tuple(digests), job.mode & 0o777)
