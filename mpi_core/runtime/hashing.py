"""Shares are hashed before the start, on all cores that the rank may use.

The work is cut into *stretches*, of one large file or over many small ones, and a pool of threads takes
one after the other: reading and hashing both leave the interpreter to others. Small files leave it for so
short a time that two threads of them only wait for each other: they have one thread here, and where they are
many one for each helper, a process of its own. No memory is taken but a segment for each of these, and what a
helper is. A file that cannot be read, or changes meanwhile, costs no other file anything.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from itertools import chain
from typing import NamedTuple

from mpi_core.protocol.digest import Algorithm
from mpi_core.protocol.errors import LocalProtocolError
from mpi_core.protocol.manifest import Hole, Manifest, segment_length_for
from mpi_core.protocol.units import Digest
from mpi_core.runtime.disk import HashingStopped
from mpi_core.runtime.helper import Helper, HelperGone
from mpi_core.runtime.pieces import CHANGED, Hashed, Piece, Version, hash_pieces

#: A stretch is of about so many bytes, or of so many files.
STRETCH_BYTES = 32 * 1024 * 1024
STRETCH_FILES = 256

#: Of so many bytes a piece, a stretch is hashed faster by two threads than by one (measured).
SHARED_PIECE = 64 * 1024

#: Stretches of small files for which one more helper is worth its start.
HELPED = 24

#: Seconds between two looks at what the threads have done.
TICK = 0.05


#: What hashes a stretch.
_Hand = Callable[[Sequence[Piece]], list[Hashed]]


class HashJob(NamedTuple):
    """A real file to be hashed. The size is what was seen; one that has changed since is not hashed."""

    name: str
    path: str
    size: int


class Unhashed(NamedTuple):
    """A file that could not be hashed, and why."""

    name: str
    reason: str


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
) -> tuple[Manifest | Unhashed, ...]:
    """The manifests of real files, in the order of ``jobs``; instead of it, why there is none.

    ``segment_length`` in bytes; None is what every owner of a file of that size uses. In the calling thread,
    a few times a second, ``on_progress`` gets the bytes hashed since its last call, and ``should_stop`` is
    asked. ``workers`` None: as many as there are cores; as many at most take the small files. Raises
    HashingStopped.
    """
    if algorithm == "declared":
        raise LocalProtocolError("declared files are not hashed")
    halt = threading.Event()
    hashed: queue.SimpleQueue[int] = queue.SimpleQueue()
    cores = workers or usable_cores()

    def stretch(pieces: Sequence[Piece]) -> list[Hashed]:
        return hash_pieces(pieces, algorithm, hashed.put, halt.is_set)

    stretches = list(_stretches(jobs, segment_length))
    busy = [_is_busy(pieces) for pieces in stretches]
    with ExitStack() as stack:
        hands = stack.enter_context(closing(_Hands(stretch)))
        for _ in range(min(cores - 1, sum(busy) // HELPED)):
            hands.add_helper(algorithm, hashed.put)
        pools = [
            stack.enter_context(ThreadPoolExecutor(threads, thread_name_prefix="hash"))
            for threads in (cores, hands.number)
        ]
        try:
            done = [
                pools[1].submit(hands.hash, pieces) if is_busy else pools[0].submit(stretch, pieces)
                for pieces, is_busy in zip(stretches, busy, strict=True)
            ]
            _oversee(done, hashed, on_progress, should_stop)
        except BaseException:
            halt.set()
            hands.stop()
            for pool in pools:
                pool.shutdown(cancel_futures=True)
            raise
    results = [result for future in done for result in future.result()]
    return tuple(_joined(jobs, stretches, results, algorithm))


class _Hands:
    """What hashes small files: this process and its helpers, a stretch at a time each."""

    def __init__(self, here: _Hand) -> None:
        #: Those that have nothing to do.
        self._idle = queue.SimpleQueue[_Hand]()
        self._idle.put(here)
        self._helpers: list[Helper] = []

    @property
    def number(self) -> int:
        return 1 + len(self._helpers)

    def add_helper(self, algorithm: Algorithm, hashed: Callable[[int], None]) -> None:
        """One more, if it can be had."""
        with suppress(HelperGone):
            helper = Helper()
            self._helpers.append(helper)

            def helped(pieces: Sequence[Piece]) -> list[Hashed]:
                found = helper.hash_pieces(pieces, algorithm)
                hashed(sum(piece.end - piece.start for piece in pieces))
                return found

            self._idle.put(helped)

    def hash(self, pieces: Sequence[Piece]) -> list[Hashed]:
        """By whoever is idle next. What a helper had that has gone, another gets: one is always here."""
        while True:
            hand = self._idle.get()
            try:
                found = hand(pieces)
            except HelperGone:
                continue
            except BaseException:
                self._idle.put(hand)
                raise
            self._idle.put(hand)
            return found

    def stop(self) -> None:
        for helper in self._helpers:
            helper.stop()

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()


def _stretches(jobs: Sequence[HashJob], segment_length: int | None) -> Iterator[list[Piece]]:
    stretch: list[Piece] = []
    size = 0
    for job in jobs:
        length = segment_length or segment_length_for(job.size)
        step = max(1, STRETCH_BYTES // length) * length
        for start in range(0, max(job.size, 1), step):
            piece = Piece(job.path, job.size, length, start, min(start + step, job.size))
            stretch.append(piece)
            size += piece.end - piece.start
            if size >= STRETCH_BYTES or len(stretch) >= STRETCH_FILES:
                yield stretch
                stretch, size = [], 0
    if stretch:
        yield stretch


def _is_busy(pieces: Sequence[Piece]) -> bool:
    """Whether the interpreter has more to do with a stretch than the disk and the hash."""
    return sum(piece.end - piece.start for piece in pieces) < len(pieces) * SHARED_PIECE


def _oversee(
    stretches: Sequence[Future[list[Hashed]]],
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


def _joined(
    jobs: Sequence[HashJob],
    stretches: Sequence[Sequence[Piece]],
    results: Sequence[Hashed],
    algorithm: Algorithm,
) -> Iterator[Manifest | Unhashed]:
    found = zip(chain.from_iterable(stretches), results, strict=True)
    for job in jobs:
        piece, result = next(found)
        parts = [result]
        while piece.end < job.size:
            piece, result = next(found)
            parts.append(result)
        yield _manifest(job, piece.length, parts, algorithm)


def _manifest(
    job: HashJob, length: int, parts: Sequence[Hashed], algorithm: Algorithm
) -> Manifest | Unhashed:
    version: Version | None = None
    digests: list[Digest] = []
    holes: list[Hole] = []
    slices = 0
    for part in parts:
        if isinstance(part, str):
            return Unhashed(job.name, part)
        if version is not None and not version.is_same(part[0]):
            return Unhashed(job.name, CHANGED)
        version = part[0]
        for digest in part[1]:
            if digest is not None:
                digests.append(digest)
                continue
            slices += 1
            if holes and holes[-1].segments == len(digests):
                holes.pop()
            holes.append(Hole(len(digests), slices))
    assert version is not None
    # Further times than 64 bits of nanoseconds tell are no file's.
    mtime = min(max(version.mtime, -(2**63)), 2**63 - 1)
    return Manifest(
        job.name,
        job.size,
        length,
        algorithm,
        tuple(digests),
        version.mode,
        mtime=mtime,
        holes=tuple(holes),
        sparse=version.sparse,
    )
