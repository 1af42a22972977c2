"""The output folder: its folders, and what stands in a name's way.

Rules. Whatever is made or moved is named below an open folder, and each folder is opened below the one it
is in, never through a symbolic link: so nothing is made outside, whoever has put links there. A folder that
is to have a mode of its own is private until all in it has its own. What the file system refuses of modes
and times is noted, and no reason to stop.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from mpi_core.protocol.entries import ROOT, Entry
from mpi_core.protocol.errors import reason
from mpi_core.protocol.events import LOSSES_LISTED, Loss, NotKept
from mpi_core.runtime.disk import (
    FOLDER,
    OpenFiles,
    OutputError,
    lock_folder,
    missing_folders,
    path_of,
    remove_folders,
)

#: How a folder is opened that no link may stand for.
BELOW = FOLDER | os.O_NOFOLLOW

#: Folders held open.
OPEN_FOLDERS = 8

#: The mode of a folder that is to get one.
PRIVATE = 0o700


class Losses:
    """What could not be made or kept, of one kind."""

    def __init__(self, kind: Loss) -> None:
        self._kind: Loss = kind
        #: By name, each once, and the first reason.
        self._files: dict[str, str] = {}

    def add(self, name: str, why: str) -> None:
        self._files.setdefault(name, why)

    def take(self) -> tuple[NotKept, ...]:
        """The event that tells of them, if there are any."""
        files, self._files = self._files, {}
        return (
            (NotKept(self._kind, tuple(islice(files.items(), LOSSES_LISTED)), len(files)),) if files else ()
        )


class Tree:
    """The folder ``out`` and those below it. ``make_way`` moves a partial file that bears a name."""

    def __init__(
        self,
        out: str,
        is_share: Callable[[os.stat_result], bool],
        make_way: Callable[[str], None],
    ) -> None:
        self.out = out
        self._is_share = is_share
        self._make_way = make_way
        #: Names of files begun or put in place; none is also in ``folders``.
        self.files: set[str] = set()
        #: Folders that are there, and no link; the empty name is ``out`` itself.
        self.folders: set[str] = set()
        #: Folders that were not there before, in the order of making: their paths.
        self._made: list[str] = []
        #: Folders that are to have a mode and a time.
        self._expected: dict[str, Entry] = {}
        self._open = OpenFiles(OPEN_FOLDERS)
        #: ``out`` itself, and what keeps others out of it.
        self._locked: int | None = None
        self.refused = Losses("attributes")

    def path(self, name: str) -> str:
        """For people, and other processes. No name leads out of a folder: a Manifest has no such."""
        return os.path.join(self.out, path_of(name)) if name else self.out

    def below(self, folder: str) -> int:
        """A descriptor of a folder that was made, valid until a few others are asked for."""
        if not folder:
            assert self._locked is not None
            return self._locked
        fd = self._open.get(folder)
        if fd is None:
            above, _, last = folder.rpartition("/")
            fd = os.open(path_of(last), BELOW, dir_fd=self.below(above))
            self._open.add(folder, fd)
        return fd

    @contextmanager
    def held(self, folder: str) -> Iterator[int]:
        """A descriptor of a folder that was made, open as long as the block lasts."""
        fd = os.dup(self.below(folder))
        try:
            yield fd
        finally:
            os.close(fd)

    def place(self, name: str) -> tuple[int, str]:
        """The open folder that a name is in (see ``below``), and what it is called there."""
        folder, _, last = name.rpartition("/")
        return self.below(folder), path_of(last)

    def lstat(self, name: str) -> os.stat_result:
        below, last = self.place(name)
        return os.lstat(last, dir_fd=below)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        below, last = self.place(name)
        return os.open(last, flags, mode, dir_fd=below)

    def unlink(self, name: str) -> None:
        below, last = self.place(name)
        os.unlink(last, dir_fd=below)

    def replace(self, name: str, other: str) -> None:
        """Give what has one name another."""
        folder, _, last = name.rpartition("/")
        with self.held(folder) as below:
            there, new = self.place(other)
            os.replace(path_of(last), new, src_dir_fd=below, dst_dir_fd=there)

    def reserve(self, name: str, look: bool = True) -> None:
        """Claim a name, whose folder is made, for what is no folder; ``look`` what stands there."""
        if name in self.folders:
            raise self.clash(name)
        if look:
            self.look(name)
        self.files.add(name)
        self._make_way(name)

    def look(self, name: str) -> None:
        """Raise if what has that name on the disk must not be replaced."""
        with suppress(FileNotFoundError):
            status = self.lstat(name)
            if stat.S_ISDIR(status.st_mode):
                raise OutputError(f"cannot write {self.path(name)!r}: a folder is there")
            if self._is_share(status):
                raise OutputError(f"cannot write {self.path(name)!r}: a file that is shared is there")

    def clash(self, name: str) -> OutputError:
        return OutputError(f"cannot write {self.path(name)!r}: it is a file and a folder at once")

    # Folders ----------------------------------------------------------------------------------

    def expect(self, entries: Iterable[Entry]) -> None:
        """Folders that are to have a mode and a time, told before anything is made in them."""
        self._expected = {entry.name: entry for entry in entries}
        with suppress(OSError):  # The current folder may have gone.
            here, out = os.path.realpath("."), os.path.realpath(self.out)
            if os.path.commonpath((here, out)) == out:
                # Whoever is at work there, or below, has their own ideas of its mode.
                self._expected.pop(ROOT, None)

    def make(self, folder: str) -> None:
        """Make a folder, and those that it is in."""
        if folder in self.folders:
            return
        if not folder:
            self._make_out()
        else:
            if folder in self.files:
                raise self.clash(folder)
            above, _, last = folder.rpartition("/")
            self.make(above)
            self._make_way(folder)
            self._make_below(folder, self.below(above), path_of(last))
        self.folders.add(folder)

    def _make_below(self, folder: str, below: int, last: str) -> None:
        mode = PRIVATE if folder in self._expected else 0o777
        try:
            os.mkdir(last, mode, dir_fd=below)
        except FileExistsError:
            if self._is_link_within(folder, os.lstat(last, dir_fd=below)):
                # What an earlier run has put there is replaced.
                os.unlink(last, dir_fd=below)
                os.mkdir(last, mode, dir_fd=below)
            else:
                self._hide(folder)
                return
        self._made.append(self.path(folder))

    def _is_link_within(self, folder: str, status: os.stat_result) -> bool:
        """Whether a link is there that may be replaced; False: a folder is. Raises OutputError."""
        if stat.S_ISDIR(status.st_mode):
            return False
        path = self.path(folder)
        if not stat.S_ISLNK(status.st_mode) or self._is_share(status):
            raise OutputError(f"cannot make the folder {path!r}: a file is there")
        root = os.path.realpath(self.out)
        if os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise OutputError(f"cannot use the folder {path!r}: it leads out of {self.out!r}")
        return True

    def _make_out(self) -> None:
        missing = missing_folders(self.out)
        try:
            os.makedirs(self.out, exist_ok=True)
        except FileExistsError:
            raise OutputError(f"cannot make the folder {self.out!r}: a file is there") from None
        self._made += reversed(missing)
        self._locked = lock_folder(self.out)
        self._hide(ROOT)

    def _hide(self, folder: str) -> None:
        """Make a folder private that was there before, unless it has the mode that it is to have."""
        entry = self._expected.get(folder)
        if entry is None:
            return
        status = os.fstat(self.below(ROOT)) if not folder else self.lstat(folder)
        ready = stat.S_IMODE(status.st_mode) == entry.mode and entry.mode & PRIVATE == PRIVATE
        if not ready and os.geteuid() in (0, status.st_uid):
            self._chmod(folder, PRIVATE)

    def settle(self, later: Iterable[str] = ()) -> None:
        """Give folders the modes and times that they are to have; ``later`` are those that must wait."""
        waiting = set(later)
        for folder in self._expected:
            self.make(folder)
        # The deepest first: what is done in a folder changes its time.
        for folder in sorted(self._expected, key=lambda name: -name.count("/") - bool(name)):
            if folder in waiting:
                continue
            entry = self._expected.pop(folder)
            self._chmod(folder, entry.mode)
            self.set_time(folder, entry.mtime)
        # They belong to the tree now, empty or not.
        self._made.clear()

    def _chmod(self, folder: str, mode: int) -> None:
        try:
            if not folder:
                os.fchmod(self.below(folder), mode)
                return
            below, last = self.place(folder)
            fd = os.open(last, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=below)
            try:
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
        except OSError as error:
            self.refused.add(folder or ".", f"mode: {reason(error)}")

    # Modes and times --------------------------------------------------------------------------

    def finish(self, fd: int, name: str, mode: int, mtime: int | None) -> None:
        """Give a file, all of which is written, its mode and its time."""
        try:
            os.fchmod(fd, mode)
        except OSError as error:
            self.refused.add(name, f"mode: {reason(error)}")
        if mtime is not None:
            try:
                # What frees scratch space of what nobody reads looks at the time of the last reading.
                os.utime(fd, ns=(time.time_ns(), mtime))
            except (OSError, OverflowError) as error:
                self.refused.add(name, f"time: {reason(error)}")

    def set_time(self, name: str, mtime: int | None) -> None:
        """Give a folder or a link its time."""
        if mtime is None:
            return
        try:
            if not name:
                os.utime(self.below(name), ns=(time.time_ns(), mtime))
                return
            below, last = self.place(name)
            os.utime(last, ns=(time.time_ns(), mtime), dir_fd=below, follow_symlinks=False)
        except (OSError, OverflowError) as error:
            self.refused.add(name or ".", f"time: {reason(error)}")

    def close(self, remove_made: bool) -> None:
        """Let go of all; ``remove_made``: of the folders that were made, those that are empty go."""
        if remove_made:
            remove_folders(reversed(self._made))
            self._made.clear()
        if self._locked is not None:
            for folder in list(self._expected):
                # What was not made, or has gone, is not to be settled.
                if folder not in self.folders or not os.path.lexists(self.path(folder)):
                    del self._expected[folder]
            self.settle()
        self._open.close_all()
        if self._locked is not None:
            os.close(self._locked)
            self._locked = None
