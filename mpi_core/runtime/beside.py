"""Ranks that see the same files: no payload need travel between them, who wants it reads it where it lies."""

from __future__ import annotations

import os
from array import array

from mpi_core.protocol.messages import Reject, SegmentAt, SendSegment
from mpi_core.protocol.units import Rank
from mpi_core.runtime.buffers import paged
from mpi_core.runtime.disk import READ, opened, read_into

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


def ranks_beside(rank: Rank, views: bytes | bytearray) -> frozenset[Rank]:
    """The others whose view is that of ``rank``; ``views`` are those of all ranks, in their order."""
    each = [bytes(views[at : at + VIEW]) for at in range(0, len(views), VIEW)]
    return frozenset(Rank(other) for other, view in enumerate(each) if view == each[rank] and other != rank)


class Reader:
    """Reads payloads in others' files, each into the memory of the last: the processor has that at hand."""

    def __init__(self) -> None:
        self._memory = paged(0)

    def read(self, answer: SegmentAt, room: int) -> SendSegment | Reject:
        """The payload, valid until the next call; a REJECT where it is longer than ``room`` bytes, more than
        was asked for, or where the file no longer has it."""
        offset, length = answer.place.offset, answer.place.length
        if offset >= 0 and 0 <= length <= room:
            if length > len(self._memory):
                self._memory = paged(length)
            payload = memoryview(self._memory)[:length]
            for path in answer.place.paths:
                try:
                    with opened(os.fsdecode(path), READ) as fd:
                        read_into(fd, payload, offset)
                    return SendSegment(answer.ticket, payload)
                except (OSError, ValueError, OverflowError):
                    continue
        return Reject(answer.ticket, "unreadable")
