"""What the files of a swarm need of POSIX: whole reads and writes, few open descriptors, plain errors."""

from __future__ import annotations

import fcntl
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby

from mpi_core.protocol.errors import OutputError as OutputError
from mpi_core.protocol.errors import TorrentError, reason
from mpi_core.protocol.names import bytes_of, name_of

#: Files held open by each of a backing's two threads.
OPEN_FILES = 32

#: What is added to a file's name until it is whole.
PART = ".part"

#: What names begin with that are there for a moment only.
TEMPORARY = ".tui_torrent-"

#: Bytes in a component of a path: what every usual file system allows.
MAX_COMPONENT = 255

#: How a file is opened to be read; a pipe that took its place is not waited for, nor a link followed.
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
#: How a file is made that must not be there.
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: How a folder is opened to reach what is in it: where that is possible, without the right to list it.
FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

#: The most bytes in one write. Linux looks for memory in one piece for all of it; a large one has often been
#: taken back by the host of a virtual machine (measured: 2 MiB at a time take up to three times as long). And
#: what is read, hashed and written one after the other stays in a core's own cache meanwhile.
PIECE = 256 * 1024


#: What a file system leaves out of a file that has nothing there.
PAGE = 4096
ZEROS = bytes(PAGE)

#: A whole file to be read: its absolute path, and its bytes.
SmallFile = tuple[bytes, int]


class HashingStopped(TorrentError):
    """Whoever let shares be hashed no longer wants to know."""


class OpenFiles:
    """At most so many descriptors of one thread; the longest unused is closed first."""

    def __init__(self, most: int = OPEN_FILES) -> None:
        self._most = most
        self._fds: OrderedDict[str, int] = OrderedDict()

    def get(self, name: str) -> int | None:
        fd = self._fds.get(name)
        if fd is not None:
            self._fds.move_to_end(name)
        return fd

    def add(self, name: str, fd: int) -> None:
        self._fds[name] = fd
        if len(self._fds) > self._most:
            os.close(self._fds.popitem(last=False)[1])

    def close(self, name: str) -> None:
        fd = self._fds.pop(name, None)
        if fd is not None:
            os.close(fd)

    def close_all(self) -> None:
        for name in list(self._fds):
            self.close(name)


def name_on_disk(path: str) -> str:
    """The swarm's name of what this process knows by ``path``."""
    return path if path.isascii() else name_of(os.fsencode(path))


def path_of(name: str) -> str:
    """By which path this process reaches what has that name in the swarm."""
    return name if name.isascii() else os.fsdecode(bytes_of(name))


def partial_name(name: str, number: int) -> str:
    """``name.part`` for 1, then ``name.part.part`` …; cut where a file system would refuse it."""
    suffix = PART * number if number <= 8 else f".{number}{PART}"
    room = MAX_COMPONENT - len(suffix)
    if 4 * len(name) <= room:  # At most, in UTF-8.
        return name + suffix
    folder, slash, last = name.rpartition("/")
    return folder + slash + name_of(_whole_characters(bytes_of(last), room)) + suffix


def _whole_characters(raw: bytes, room: int) -> bytes:
    """The first of ``raw``, so many bytes at most; none of UTF-8's characters is cut."""
    while room < len(raw) and raw[room] & 0xC0 == 0x80:
        room -= 1
    return raw[:room]


def read_into(fd: int, buffer: memoryview, offset: int) -> None:
    """Fill ``buffer``; raises OSError where the file is too short."""
    while (got := os.preadv(fd, [buffer], offset)) < len(buffer):
        if not got:
            raise OSError("shorter than it was")
        buffer = buffer[got:]
        offset += got


def read_all(fd: int, length: int, offset: int) -> bytes:
    """``length`` bytes; raises OSError where the file is too short."""
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise OSError("shorter than it was")
        data += more
    return data


def read_small_files(files: Iterable[SmallFile], buffer: memoryview) -> None:
    """Read them one behind the other; raises OSError where one is too short.

    Their system calls cost more than their bytes, so each names but a file in an open folder.
    """
    start = 0
    for folder, group in groupby(files, _folder_of):
        with opened(folder + b"/", FOLDER) as below:
            for path, size in group:
                fd = os.open(path[len(folder) + 1 :], READ, dir_fd=below)
                try:
                    read_into(fd, buffer[start : start + size], 0)
                finally:
                    os.close(fd)
                start += size


def _folder_of(file: SmallFile) -> bytes:
    return file[0].rpartition(b"/")[0]


def write_all(fd: int, payload: bytes | bytearray | memoryview, offset: int) -> None:
    written = os.pwrite(fd, payload if len(payload) <= PIECE else memoryview(payload)[:PIECE], offset)
    while written < len(payload):
        payload = memoryview(payload)[written:]
        offset += written
        written = os.pwrite(fd, payload[:PIECE], offset)


def write_sparse(fd: int, payload: bytes | bytearray | memoryview, offset: int) -> None:
    """Write but the pages that are not zeros alone, where nothing but zeros is yet."""
    view, begun = memoryview(payload), None
    for start in range(0, len(view), PAGE):
        page = view[start : start + PAGE]
        is_zero = bytes(page) == ZEROS[: len(page)]
        if is_zero and begun is not None:
            write_all(fd, view[begun:start], offset + begun)
            begun = None
        elif not is_zero and begun is None:
            begun = start
    if begun is not None:
        write_all(fd, view[begun:], offset + begun)


@contextmanager
def opened(path: str | bytes, flags: int, below: int | None = None) -> Iterator[int]:
    """A descriptor of a file or a folder, ``below`` an open one, for as long as the block lasts."""
    fd = os.open(path, flags, 0o600, dir_fd=below)
    try:
        yield fd
    finally:
        os.close(fd)


def missing_folders(path: str) -> list[str]:
    """The folders that making ``path`` makes, the deepest first, as absolute paths."""
    missing: list[str] = []
    path = os.path.abspath(path)
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing


def remove_folders(folders: Iterable[str]) -> None:
    """Remove those that are empty, in that order."""
    for folder in folders:
        with suppress(OSError):
            os.rmdir(folder)


def lock_folder(path: str) -> int:
    """A descriptor that keeps others from locking that folder until it is closed. Raises OutputError where
    another has locked it; file systems that know no such lock have none."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OutputError(f"cannot write into {path!r}: another client writes there") from None
    except OSError:
        pass
    return fd


def identity(status: os.stat_result) -> tuple[int, int]:
    """What tells a file on the disk from every other."""
    return status.st_dev, status.st_ino


@contextmanager
def plainly(verb: str, path: str) -> Iterator[None]:
    """Any OSError becomes an OutputError that says what could not be read or written."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot {verb} {path!r}: {reason(error)}") from error
