"""The files below a root that a share entry means: a file, a folder (all below it) or a glob.

The meaning is that of mpi_core.protocol.patterns, walked on a disk. As in pathlib, ``**`` and a folder
do not lead through symbolic links to folders (which may lead in circles), while a component that is
written out or matched by ``*`` does. Links to files are followed. Whatever is matched and is no file
that can be read is an error: a share that quietly lacks a file would be worse.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Container, Iterable, Iterator

from mpi_core.protocol.errors import reason
from mpi_core.protocol.patterns import Parts, glob_regex, has_magic, pattern_parts
from tui_torrent.scenario.plan import Share, quoted

#: Whether the system can be asked who we are, not who we were.
_EFFECTIVE = os.access in os.supports_effective_ids


class ShareError(Exception):
    """One line without file and line of the scenario; ``entry`` is what could not be shared."""

    entry = ""


def shares_of(root: str, entry: str, known: Container[str] = ()) -> dict[str, Share]:
    """The shares that ``entry`` means below the folder ``root``, those already ``known`` left out.

    Raises ShareError where it means none, or one that cannot be read.
    """
    parts = pattern_parts(entry)
    if parts is None:
        raise ShareError(f"expected share to name files below root, found {quoted(entry)}")
    names = dict.fromkeys(_names(root, parts, folder_only=entry.endswith("/")))
    if not names:
        raise ShareError(f"share {quoted(entry)}: expected at least one file below {root!r}, found none")
    return {name: _share(root, name) for name in names if name not in known}


def all_shares(root: str, entries: Iterable[str]) -> tuple[Share, ...]:
    """The shares that all of ``entries`` mean, each once, sorted by name; raises ShareError."""
    found: dict[str, Share] = {}
    for entry in entries:
        try:
            found.update(shares_of(root, entry, known=found))
        except ShareError as error:
            error.entry = entry
            raise
    return tuple(found[name] for name in sorted(found))


def _names(root: str, parts: Parts, folder_only: bool) -> Iterator[str]:
    name = "/".join(parts)
    try:
        mode = os.lstat(_join(root, name)).st_mode
        if stat.S_ISLNK(mode) and os.path.exists(_join(root, name)):
            mode = os.stat(_join(root, name)).st_mode
    except OSError as error:
        # The text of a pattern may be too long, or lead through a file, and match all the same.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise ShareError(f"{quoted(name)}: expected a file that can be read: {reason(error)}") from None
        if has_magic(name) and not folder_only:
            yield from _glob(root, "", parts)
        return
    if stat.S_ISDIR(mode):
        yield from (file for folder in _folders(root, name) for file in _files(root, folder))
    elif not folder_only:
        yield name


def _glob(root: str, folder: str, parts: Parts) -> Iterator[str]:
    """The files that ``parts`` mean below ``folder``; one may come twice where there are two ``**``."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest and rest[0] == "**":
            rest = rest[1:]
        for below in _folders(root, folder):
            yield from _glob(root, below, rest) if rest else _files(root, below)
        return
    matches = glob_regex((part,)).fullmatch if has_magic(part) else part.__eq__
    for entry in _entries(root, folder):
        if matches(entry.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if not _is_folder(entry):
                if not rest:
                    yield name
            elif rest:
                yield from _glob(root, name, rest)


def _folders(root: str, folder: str) -> Iterator[str]:
    """``folder`` and all folders below it, links left out."""
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        yield folder
        for entry in _entries(root, folder):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{folder}/{entry.name}" if folder else entry.name)


def _files(root: str, folder: str) -> Iterator[str]:
    """All that stands in ``folder`` and is no folder."""
    for entry in _entries(root, folder):
        if not _is_folder(entry):
            yield f"{folder}/{entry.name}" if folder else entry.name


def _entries(root: str, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(_join(root, folder)) as entries:
            return list(entries)
    except OSError as error:
        problem = f"{_join(root, folder)!r}: expected a folder that can be read: {reason(error)}"
        raise ShareError(problem) from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one or a link to one; a link that leads in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _share(root: str, name: str) -> Share:
    path = _join(root, name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ShareError(f"{path!r}: expected a name in UTF-8") from None
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ShareError(f"{path!r}: expected a regular file, found a device, pipe or socket")
        if not os.access(path, os.R_OK, effective_ids=_EFFECTIVE):
            # Said by the error that it gives.
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError:
        raise ShareError(f"{path!r}: expected a file, found a link that leads nowhere") from None
    except OSError as error:
        raise ShareError(f"{path!r}: expected a file that can be read: {reason(error)}") from None
    return Share(name, path, status.st_size, stat.S_IMODE(status.st_mode) & 0o777)


def _join(root: str, name: str) -> str:
    return os.path.join(root, name) if name else root
