"""Symbolic and hard links in the output folder, made when all files are there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mpi_core.protocol.entries import Entry, Twins
from mpi_core.protocol.errors import reason
from mpi_core.runtime.disk import CREATE, PIECE, READ, TEMPORARY, OutputError, opened, path_of, write_all
from mpi_core.runtime.tree import Losses, Tree

#: What a file system says that has no hard links, or no more of one file.
NO_HARD_LINKS = frozenset((errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS))


def make_links(tree: Tree, links: Iterable[Entry], twins: Iterable[Twins]) -> Losses:
    """Make the symbolic links, then the hard ones; what could not be made."""
    unmade = Losses("unmade")
    for link in links:
        with _noted(unmade, link.name):
            _make_symbolic(tree, link)
    for first, *others in twins:
        for other in others:
            with _noted(unmade, other):
                _make_hard(tree, first, other)
    return unmade


@contextmanager
def _noted(unmade: Losses, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        unmade.add(name, str(error) if isinstance(error, OutputError) else reason(error))


def _make_symbolic(tree: Tree, link: Entry) -> None:
    tree.make(link.name.rpartition("/")[0])
    below, last = tree.place(link.name)
    target = path_of(link.target)
    try:
        os.symlink(target, last, dir_fd=below)
        tree.reserve(link.name, look=False)
    except FileExistsError:
        tree.reserve(link.name)
        status = os.lstat(last, dir_fd=below)
        if not stat.S_ISLNK(status.st_mode) or os.readlink(last, dir_fd=below) != target:
            beside = _temporary()
            os.symlink(target, beside, dir_fd=below)
            os.replace(beside, last, src_dir_fd=below, dst_dir_fd=below)
    tree.set_time(link.name, link.mtime)


def _make_hard(tree: Tree, first: str, other: str) -> None:
    try:
        tree.make(first.rpartition("/")[0])
        source = tree.lstat(first)
    except FileNotFoundError:
        raise OutputError(f"{first!r}, which is the same file, is not there") from None
    tree.make(other.rpartition("/")[0])
    below, last = tree.place(other)
    try:
        if os.path.samestat(source, os.lstat(last, dir_fd=below)):
            return
    except FileNotFoundError:
        pass
    tree.reserve(other)
    beside = _temporary()
    try:
        there, old = tree.place(first)
        os.link(old, beside, src_dir_fd=there, dst_dir_fd=below, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS or not stat.S_ISREG(source.st_mode):
            raise
        _copy(tree, first, below, beside, source)
        tree.refused.add(other, f"hard link: {reason(error)}")
    os.replace(beside, last, src_dir_fd=below, dst_dir_fd=below)


def _copy(tree: Tree, name: str, below: int, beside: str, status: os.stat_result) -> None:
    """The same bytes, mode and time in a file of its own."""
    with (
        opened(tree.path(name), READ) as source,
        opened(beside, CREATE, below) as target,
    ):
        for start in range(0, status.st_size, PIECE):
            write_all(target, os.pread(source, PIECE, start), start)
        tree.finish(target, name, stat.S_IMODE(status.st_mode), status.st_mtime_ns)


def _temporary() -> str:
    return f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"
