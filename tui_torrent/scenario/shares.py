"""What a share entry means below a root: a file, a link, a folder (all below it) or a glob.

The meaning is that of mpi_core.protocol.patterns, walked on a disk. A symbolic link is shared as a link.
Only a folder that an entry writes out is reached through one: ``link/x``, or ``link/`` for all below it.

A walk never fails for the sake of one file: what no swarm can carry (a FIFO, a socket, a device), and what
cannot be read, is told beside what was found. Where clients of the same run put their files is not shared.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence

from mpi_core.protocol.entries import ROOT, Entry, folders_above
from mpi_core.protocol.errors import reason
from mpi_core.protocol.patterns import Parts, glob_regex, has_magic, is_deep, means_all, pattern_parts
from mpi_core.runtime.disk import TEMPORARY, name_on_disk, path_of
from tui_torrent.scenario.plan import Found, Share, quoted

#: What no swarm can carry.
_UNTRAVELLED = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class ShareError(Exception):
    """One line without file and line of the scenario; ``entry`` is what could not be shared."""

    entry = ""


def all_shares(root: str, entries: Iterable[str], apart: Collection[str] = ()) -> Found:
    """What all of ``entries`` mean below the folder ``root``, each thing once, sorted by name.

    ``apart`` are folders that are left out, by their real paths. Raises ShareError where an entry means
    nothing.
    """
    walk = _Walk(root, apart)
    for entry in entries:
        try:
            walk.take(entry)
        except ShareError as error:
            error.entry = entry
            raise
    return walk.found(means_root=any(map(means_all, entries)))


class _Walk:
    """One pass over a root. Names are the swarm's."""

    def __init__(self, root: str, apart: Collection[str]) -> None:
        self._root = root
        real = os.path.realpath(root)
        #: Real paths of the folders that are left out. A folder that the root lies in is none of them.
        self._real_apart = tuple(path for path in apart if not _is_in(real, path))
        #: Their names: below the root, and below each link that was followed.
        self._apart: set[str] = set()
        self._leave_out_below("", real)
        #: Whether an entry wrote out a folder that is left out, or one below it.
        self._led_apart = False
        #: Files and links, by name.
        self._stats: dict[str, os.stat_result] = {}
        #: Folders that are shared, beside those that files are in.
        self._folders: dict[str, None] = {}
        self._untravelled: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}

    def take(self, entry: str) -> None:
        """Find what ``entry`` means. Raises ShareError where that is nothing."""
        parts = pattern_parts(entry)
        if parts is None:
            raise ShareError(f"expected share to name files below root, found {quoted(entry)}")
        before = self._count
        if not self._take_plain(parts, folder_only=entry.endswith("/")) and self._count == before:
            left_out = " (where this run writes is never shared)" if self._apart or self._led_apart else ""
            problem = f"expected at least one file below {self._root!r}, found none{left_out}"
            raise ShareError(f"share {quoted(entry)}: {problem}")

    @property
    def _count(self) -> int:
        return len(self._stats) + len(self._folders) + len(self._untravelled) + len(self._unreadable)

    def _take_plain(self, parts: Parts, folder_only: bool) -> bool:
        """Take what an entry means as it is written, or as a glob; whether that is something."""
        name = "/".join(parts)
        path = self._path(name)
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode) and (folder_only or not name):
                status = os.stat(path)
        except OSError as error:
            # The text of a pattern may be too long, or lead through a file, and match all the same.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                self._unreadable[name] = reason(error)
                return True
            return has_magic(name) and not folder_only and self._glob("", parts)
        if stat.S_ISDIR(status.st_mode):
            if self._leads_apart(name):
                return False
            self._take_all_below(name)
            return True
        if folder_only:
            return False
        self._take_one(name, status)
        return True

    def _glob(self, folder: str, parts: Parts) -> bool:
        """Take what ``parts`` mean below ``folder``; whether that is something."""
        part, rest = parts[0], parts[1:]
        if is_deep(parts) and set(parts[:-1]) <= {"**"}:
            return self._take_all_below(folder)
        if part == "**":
            while rest[0] == "**":
                rest = rest[1:]
            # Every folder counts, and not only the first that has something.
            return sum(self._glob(below, rest) for below in self._folders_below(folder)) > 0
        matches = glob_regex((part,)).fullmatch if has_magic(part) else part.__eq__
        found = False
        for name, entry in self._entries(folder):
            last = name.rpartition("/")[2]
            if not matches(last):
                continue
            if not rest:
                if not entry.is_dir(follow_symlinks=False):
                    self._take_entry(name, entry)
                    found = True
            elif _is_folder(entry, follow=not has_magic(part)) and not (
                entry.is_symlink() and self._leads_apart(name)
            ):
                found |= self._glob(name, rest)
        return found

    def _take_all_below(self, folder: str) -> bool:
        """Take a folder with all that is in it; whether it has anything in it."""
        if folder:
            self._folders[folder] = None
        found = False
        waiting = [folder]
        while waiting:
            for name, entry in self._entries(waiting.pop()):
                found = True
                if entry.is_dir(follow_symlinks=False):
                    self._folders[name] = None
                    waiting.append(name)
                else:
                    self._take_entry(name, entry)
        return found

    def _folders_below(self, folder: str) -> Iterator[str]:
        """``folder`` and all folders below it."""
        waiting = [folder]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += [name for name, entry in self._entries(folder) if entry.is_dir(follow_symlinks=False)]

    def _entries(self, folder: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        """What is in a folder, with the names; that it cannot be read is noted."""
        above = folder + "/" if folder else ""
        try:
            with os.scandir(self._path(folder)) as entries:
                found = [(above + name_on_disk(entry.name), entry) for entry in entries]
        except OSError as error:
            self._unreadable[folder or "."] = reason(error)
            return ()
        apart = self._apart
        return [
            (name, entry)
            for name, entry in found
            if name not in apart and not entry.name.startswith(TEMPORARY)
        ]

    def _take_entry(self, name: str, entry: os.DirEntry[str]) -> None:
        if name not in self._stats:
            try:
                self._take_one(name, entry.stat(follow_symlinks=False))
            except OSError as error:
                self._unreadable[name] = reason(error)

    def _take_one(self, name: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
            self._stats[name] = status
        else:
            self._untravelled[name] = _UNTRAVELLED.get(stat.S_IFMT(status.st_mode), "of an unknown kind")

    def _leads_apart(self, name: str) -> bool:
        """Whether the real path of a folder is that of one that is left out, or lies in it.

        Otherwise the names below ``name`` of those that are left out are noted. Every link that an
        entry leads through is asked about here, so no walk needs to look at a real path.
        """
        if not self._real_apart:
            return False
        real = os.path.realpath(self._path(name))
        if any(_is_in(real, apart) for apart in self._real_apart):
            self._led_apart = True
            return True
        self._leave_out_below(name, real)
        return False

    def _leave_out_below(self, name: str, real: str) -> None:
        """Note the folders that are left out by their names below ``name``, whose real path is ``real``."""
        above = name + "/" if name else ""
        start = len(os.path.join(real, ""))
        self._apart.update(
            above + name_on_disk(apart[start:]) for apart in self._real_apart if _is_in(apart, real)
        )

    def _path(self, name: str) -> str:
        return os.path.join(self._root, path_of(name)) if name else self._root

    def found(self, means_root: bool) -> Found:
        """All of it, with the folders that it is in; ``means_root``: the root as well."""
        names = sorted(self._stats)
        shares: list[Share] = []
        links: list[Entry] = []
        same: dict[tuple[int, int], list[str]] = {}
        for name in names:
            status = self._stats[name]
            if stat.S_ISREG(status.st_mode):
                shares.append(Share(name, self._path(name), status.st_size))
            else:
                links += self._link(name, status)
            if status.st_nlink > 1 and name not in self._unreadable:
                same.setdefault((status.st_dev, status.st_ino), []).append(name)
        folders = dict.fromkeys((*self._folders, *folders_above((*names, *self._folders))))
        if means_root:
            folders[ROOT] = None
        entries = [entry for folder in sorted(folders) for entry in self._folder(folder)]
        return Found(
            shares=tuple(shares),
            entries=(*entries, *links),
            twins=tuple(tuple(group) for group in same.values() if len(group) > 1),
            untravelled=tuple(sorted(self._untravelled.items())),
            unreadable=tuple(sorted(self._unreadable.items())),
        )

    def _link(self, name: str, status: os.stat_result) -> Iterator[Entry]:
        try:
            yield Entry(name, 0o777, status.st_mtime_ns, name_on_disk(os.readlink(self._path(name))))
        except OSError as error:
            self._unreadable[name] = reason(error)

    def _folder(self, name: str) -> Iterator[Entry]:
        try:
            status = os.stat(self._path(name))
            yield Entry(name, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
        except OSError as error:
            self._unreadable.setdefault(name or ".", reason(error))


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    """Whether it is one, or a link to one that may be followed; a link that leads in a circle is none."""
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _is_in(path: str, folder: str) -> bool:
    """Whether a real path is ``folder`` or lies in it."""
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
