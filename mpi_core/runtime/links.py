"""Symbolic and hard links in the output folder, made when all files are there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from mpi_core.protocol.entries import Entry, Twins
from mpi_core.protocol.errors import reason
from mpi_core.runtime.disk import CREATE, PIECE, READ, TEMPORARY, OutputError, opened, path_of, write_all
from mpi_core.runtime.tree import Losses, Tree

#: What a file system says that has no hard links, or no more of one file.
NO_HARD_LINKS = frozenset((errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS))


def make_links(
    tree: Tree, links: Iterable[Entry], twins: Iterable[Twins], is_here: Callable[[str], bool]
) -> Losses:
    """Make the symbolic links, then the hard ones; what could not be made. ``is_here`` says of a file's name
    whether this run has put it there: what stands there from before is no file of the run."""
    unmade = Losses("unmade")
    for link in links:
        with _noted(unmade, link.name):
            _make_symbolic(tree, link)
    for first, *others in twins:
        for other in others:
            with _noted(unmade, other):
                if not is_here(first):
                    raise OutputError(f"{first!r}, which is the same file, is not there")
                _make_hard(tree, first, other)
    return unmade


@contextmanager
def _noted(unmade: Losses, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        unmade.add(name, str(error) if isinstance(error, OutputError) else reason(error))


@contextmanager
def _replacing(below: int, last: str) -> Iterator[str]:
    """A name for what is to replace ``last``, which it does at the end; after an error nothing is left."""
    beside = f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"
    try:
        yield beside
        os.replace(beside, last, src_dir_fd=below, dst_dir_fd=below)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=below)
        raise


def _make_symbolic(tree: Tree, link: Entry) -> None:
    folder, _, last = link.name.rpartition("/")
    last, target = path_of(last), path_of(link.target)
    tree.make(folder)
    with tree.held(folder) as below:
        try:
            os.symlink(target, last, dir_fd=below)
            tree.reserve(link.name, look=False)
        except FileExistsError:
            tree.reserve(link.name)
            status = os.lstat(last, dir_fd=below)
            if not stat.S_ISLNK(status.st_mode) or os.readlink(last, dir_fd=below) != target:
                with _replacing(below, last) as beside:
                    os.symlink(target, beside, dir_fd=below)
    tree.set_time(link.name, link.mtime)


def _make_hard(tree: Tree, first: str, other: str) -> None:
    above, _, old = first.rpartition("/")
    folder, _, last = other.rpartition("/")
    old, last = path_of(old), path_of(last)
    tree.make(above)
    tree.make(folder)
    # Held, both: opening the folders above one closes others.
    with tree.held(above) as there, tree.held(folder) as below:
        source = os.lstat(old, dir_fd=there)
        with suppress(FileNotFoundError):
            if os.path.samestat(source, os.lstat(last, dir_fd=below)):
                return
        tree.reserve(other)
        with _replacing(below, last) as beside:
            try:
                os.link(old, beside, src_dir_fd=there, dst_dir_fd=below, follow_symlinks=False)
            except OSError as error:
                if error.errno not in NO_HARD_LINKS or not stat.S_ISREG(source.st_mode):
                    raise
                _copy(tree, first, below, beside, source)
                tree.refused.add(other, f"hard link: {reason(error)}")


def _copy(tree: Tree, name: str, below: int, beside: str, status: os.stat_result) -> None:
    """The same bytes, mode and time in a file of its own."""
    with (
        opened(tree.path(name), READ) as source,
        opened(beside, CREATE, below) as target,
    ):
        for start in range(0, status.st_size, PIECE):
            write_all(target, os.pread(source, PIECE, start), start)
        tree.finish(target, name, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
