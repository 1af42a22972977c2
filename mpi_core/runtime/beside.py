"""Ranks that see the same files: no payload need travel between them, who wants it reads it where it lies.

The bytes of one are read, hashed and written piece by piece, while the processor has each at hand.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence

from mpi_core.protocol.errors import UnreadableError, reason
from mpi_core.protocol.messages import Place
from mpi_core.protocol.units import Rank
from mpi_core.runtime.buffers import paged
from mpi_core.runtime.disk import PIECE, READ, opened, read_into, read_small_files

#: What a process has in common with those that see the same files: namespaces of its kernel.
SPACES = ("mnt", "net", "user")
#: Bytes that say what a process sees.
VIEW = 16 + 8 * (len(SPACES) + 3)


def view_of_files() -> bytes:
    """The same VIEW bytes in two processes that can open each other's files by the same names, else others.

    They are the kernel's boot, the namespaces, the root folder and the user. Two network namespaces are taken
    for two hosts, which is what whoever made them means.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = bytes.fromhex(file.read().replace("-", ""))
        spaces = [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in SPACES]
        root = os.stat("/")
    except OSError:
        return os.urandom(VIEW)
    return boot + array("Q", [*spaces, root.st_dev, root.st_ino, os.geteuid()]).tobytes()


def ranks_beside(rank: Rank, views: Sequence[bytes]) -> frozenset[Rank]:
    """The others whose view is that of ``rank``; ``views`` are those of all ranks, in their order."""
    return frozenset(Rank(other) for other, view in enumerate(views) if view == views[rank] and other != rank)


class Reader:
    """Reads in others' files, always into the same memory: what it gives is valid until it reads again."""

    def __init__(self) -> None:
        self._memory = memoryview(paged(0))

    def pieces(self, path: bytes, offset: int, length: int) -> Iterator[memoryview]:
        """``length`` bytes of a file, a PIECE at a time. Raises UnreadableError."""
        if offset < 0:
            raise UnreadableError(f"offset {offset}")  # The system takes -1 for where the file stands.
        try:
            with opened(os.fsdecode(path), READ) as fd:
                for start in range(0, length, PIECE):
                    piece = self._room(min(PIECE, length - start))
                    read_into(fd, piece, offset + start)
                    yield piece
        except (OSError, ValueError, OverflowError) as error:
            raise UnreadableError(reason(error)) from error

    def small_files(self, places: Sequence[Place]) -> memoryview:
        """Whole small files, one behind the other. Raises UnreadableError."""
        payload = self._room(sum(place.length for place in places))
        try:
            read_small_files([(place.paths[0], place.length) for place in places], payload)
        except (OSError, ValueError, LookupError) as error:
            raise UnreadableError(reason(error)) from error
        return payload

    def _room(self, length: int) -> memoryview:
        if length > len(self._memory):
            self._memory = memoryview(paged(length))
        return self._memory[:length]
