"""The disk below a swarm: real files, read and written by segment.

Rules. A file is downloaded into ``<name>.part`` and gets its own name, and its mode, only when it is
whole: by one rename, so whoever sees the name sees all of it. Nothing is read from or written to memory
but single segments. Nothing is made outside the output folder, whatever symbolic links stand in it, and
a file that is shared is never written over. What the disk refuses is an OutputError, which is an OSError
of one line; only :meth:`RealFiles.read`, whose caller treats any OSError alike, lets it through as it is.

A backing belongs to two threads: one that writes (begin, write, finish), one that reads (read).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count, groupby, repeat
from pathlib import Path
from threading import Lock

from mpi_core.protocol.digest import hasher
from mpi_core.protocol.entries import Entry, Twins
from mpi_core.protocol.errors import LocalProtocolError, UnreadableError, reason
from mpi_core.protocol.events import NotKept
from mpi_core.protocol.manifest import Manifest, Member
from mpi_core.protocol.messages import Place
from mpi_core.protocol.units import Digest, Payload
from mpi_core.runtime.beside import Reader
from mpi_core.runtime.disk import (
    CREATE,
    READ,
    OpenFiles,
    OutputError,
    SmallFile,
    identity,
    partial_name,
    path_of,
    plainly,
    read_all,
    read_small_files,
    write_all,
    write_sparse,
)
from mpi_core.runtime.links import make_links
from mpi_core.runtime.tree import Tree
from mpi_core.swarm.store import Backing

__all__ = ["OutputError", "RealFiles"]


class RealFiles(Backing):
    """Real files: downloads below ``out``, the client's own ones where they are."""

    in_files = True

    def __init__(self, out: Path, shares: Mapping[str, str]) -> None:
        self._shares = shares
        self._tree = Tree(str(out), self._is_share, self._move_partial)
        self._links: tuple[Entry, ...] = ()
        self._twins: Sequence[Twins] = ()
        #: Partial name → the name of its file. Never a name of the tree's files or folders.
        self._partials: dict[str, str] = {}
        #: Where the bytes of a downloaded file are now, below ``out``. Changed under the lock, together
        #: with the disk, so that the reader opens the right file.
        self._places: dict[str, str] = {}
        self._lock = Lock()
        self._writers = OpenFiles()
        self._readers = OpenFiles()
        self._reader = Reader()
        self._share_ids: set[tuple[int, int]] | None = None

    def expect(self, entries: Sequence[Entry], twins: Sequence[Twins]) -> None:
        self._links = tuple(entry for entry in entries if entry.is_link)
        self._twins = twins
        self._tree.expect(entry for entry in entries if not entry.is_link)

    def settle(self) -> tuple[NotKept, ...]:
        unmade = make_links(self._tree, self._links, self._twins, self._is_here)
        with plainly("write", self._tree.out):
            # What was not had whole goes when nobody reads it any more, and its folder is done then.
            self._tree.settle(later={partial.rpartition("/")[0] for partial in self._partials})
        return (*unmade.take(), *self._tree.refused.take())

    def begin(self, manifest: Manifest) -> None:
        if manifest.members:
            return
        name = manifest.name
        with plainly("write", self._tree.path(name)):
            self._claim(name)
            partial, fd = self._create_partial(name)
            self._writers.add(name, fd)
            self._partials[partial] = name
            self._places[name] = partial
            os.ftruncate(fd, manifest.size)

    def write(self, manifest: Manifest, index: int, payload: Payload) -> None:
        if manifest.members:
            self._put(manifest.members[index], memoryview(payload))
            return
        self._write(manifest, payload, manifest.offset(index))

    def _write(self, manifest: Manifest, payload: Payload, offset: int) -> None:
        name = manifest.name
        try:
            (write_sparse if manifest.sparse else write_all)(self._writer(name), payload, offset)
        except OSError:
            with plainly("write", self._tree.path(name)):
                raise

    def read(self, manifest: Manifest, index: int) -> bytes | bytearray:
        if manifest.members:
            return self._get(manifest.members[index])
        name = manifest.name
        fd = self._readers.get(name)
        if fd is None:
            fd = self._open(name)
            self._readers.add(name, fd)
        return read_all(fd, manifest.payload_length(index), manifest.offset(index))

    def locate(self, manifest: Manifest, index: int) -> tuple[Place, ...]:
        if manifest.members:
            found = map(self._whereabouts, manifest.members[index])
            return tuple([Place((path,), 0, size) for path, size in found])
        name = manifest.name
        place = self._places.get(name)
        paths = [self._shares[name]] if place is None else [self._tree.path(place), self._tree.path(name)]
        start = manifest.offset(index)
        return (Place(tuple(map(_absolute, paths)), start, manifest.payload_length(index)),)

    def copy(self, manifest: Manifest, index: int, places: Sequence[Place]) -> Digest:
        if manifest.members:
            # Each is to get its name at once, so all are verified first.
            payload = self._reader.small_files(places)
            digest = manifest.digest_of(index, payload)
            if digest == manifest.digests[index]:
                self.write(manifest, index, payload)
            return digest
        why = "told of no file"
        for path in places[0].paths:
            try:
                return self._copy(manifest, index, path, places[0])
            except UnreadableError as error:
                why = str(error)
        raise UnreadableError(why)

    def _copy(self, manifest: Manifest, index: int, path: bytes, place: Place) -> Digest:
        pieces = self._reader.pieces(path, place.offset, place.length)
        if manifest.sparse:
            # Where zeros are left out, nothing may have been written that is not verified.
            payload = b"".join(map(bytes, pieces))
            digest = manifest.digest_of(index, payload)
            if digest == manifest.digests[index]:
                self.write(manifest, index, payload)
            return digest
        hashed, start = hasher(manifest.algorithm)(), manifest.offset(index)
        for piece in pieces:
            hashed.update(piece)
            self._write(manifest, piece, start)
            start += len(piece)
        return hashed.digest()

    def finish(self, manifest: Manifest) -> None:
        if manifest.members:
            # Each member was put in place as it came.
            return
        name = manifest.name
        if name not in self._places:
            for _ in self.place(manifest):
                pass
            return
        with plainly("write", self._tree.path(name)):
            self._tree.finish(self._writer(name), name, manifest.mode, manifest.mtime)
            self._writers.close(name)
            self._rename(name, name)

    def place(self, manifest: Manifest) -> Iterator[int]:
        with plainly("write", self._tree.path(manifest.name)):
            yield from self._copy_share(manifest)

    def close(self, remove_partial: bool) -> None:
        """Close every file, when both threads are done. Unfinished files stay as ``.part`` or go."""
        self._writers.close_all()
        self._readers.close_all()
        if remove_partial:
            for partial in self._partials:
                with suppress(OSError):
                    self._tree.unlink(partial)
            self._partials.clear()
        self._tree.close(remove_made=remove_partial)

    # Small files: their system calls cost more than their bytes, so each names but a file in an open folder.

    def _put(self, members: Sequence[Member], payload: memoryview) -> None:
        """Write small files, whole and verified, and put each in its place."""
        start = 0
        for folder, group in groupby(members, lambda member: member.name.rpartition("/")[0]):
            name = folder
            try:
                self._tree.make(folder)
                above = len(folder) + bool(folder)
                with self._tree.held(folder) as below:
                    for member in group:
                        name, end = member.name, start + member.size
                        self._put_below(below, above, member, payload[start:end])
                        start = end
            except OutputError:
                raise
            except OSError as error:
                what = "a folder is there" if isinstance(error, IsADirectoryError) else reason(error)
                raise OutputError(f"cannot write {self._tree.path(name)!r}: {what}") from error

    def _put_below(self, below: int, above: int, member: Member, content: memoryview) -> None:
        """``below`` is the open folder, whose name takes ``above`` characters of its members' names."""
        name = member.name
        # A small file that no share can be hurt by is put in place at once: the system says what is there.
        self._tree.reserve(name, look=bool(self._shares))
        partial, fd = self._create_partial(name, below)
        try:
            write_all(fd, content, 0)
            self._tree.finish(fd, name, member.mode, member.mtime)
            os.replace(path_of(partial[above:]), path_of(name[above:]), src_dir_fd=below, dst_dir_fd=below)
        except BaseException:
            self._partials[partial] = name
            raise
        finally:
            os.close(fd)

    def _get(self, members: Sequence[Member]) -> bytearray:
        """Small files, of a share or put in their places."""
        payload = bytearray(sum(member.size for member in members))
        read_small_files(map(self._whereabouts, members), memoryview(payload))
        return payload

    def _whereabouts(self, member: Member) -> SmallFile:
        share = self._shares.get(member.name)
        path = self._tree.path(member.name) if share is None else share
        return _absolute(path), member.size

    def _open(self, name: str) -> int:
        """A descriptor to read a share or a download by."""
        with self._lock:
            place = self._places.get(name)
            if place is None and name not in self._shares:
                raise FileNotFoundError(f"{name!r}: neither begun nor shared")
            return os.open(self._shares[name] if place is None else self._tree.path(place), READ)

    def _copy_share(self, manifest: Manifest) -> Iterator[int]:
        """Put an owned file into the output folder, unless it is that very file; the bytes of each step."""
        name = manifest.name
        source = self._shares[name]
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(os.lstat(self._tree.path(name)), os.stat(source)):
                self._tree.files.add(name)
                return
        self._claim(name)
        partial, target = self._create_partial(name)
        self._partials[partial] = name
        try:
            with plainly("read", source):
                origin = os.open(source, READ)
            try:
                os.ftruncate(target, manifest.size)
                for index in range(manifest.segments):
                    offset = manifest.offset(index)
                    with plainly("read", source):
                        payload = read_all(origin, manifest.payload_length(index), offset)
                    if not manifest.verifies(index, payload):
                        raise OutputError(f"cannot read {source!r}: changed since it was hashed")
                    (write_sparse if manifest.sparse else write_all)(target, payload, offset)
                    yield len(payload)
            finally:
                os.close(origin)
            self._tree.finish(target, name, manifest.mode, manifest.mtime)
        except OSError:
            partial = self._partial_of(name)
            self._tree.unlink(partial)
            del self._partials[partial]
            raise
        finally:
            os.close(target)
        partial = self._partial_of(name)
        self._tree.replace(partial, name)
        del self._partials[partial]

    def _claim(self, name: str) -> None:
        """Reserve ``name`` for a file: its folder is made, and no partial file stands in its way."""
        self._tree.make(name.rpartition("/")[0])
        self._tree.reserve(name, look=name not in self._partials)

    def _create_partial(self, name: str, below: int | None = None) -> tuple[str, int]:
        """A new file of a partial name that nothing else bears, and its descriptor."""
        tree = self._tree
        if below is None:
            below = tree.below(name.rpartition("/")[0])
        for partial in map(partial_name, repeat(name), count(1)):
            if partial in tree.files or partial in tree.folders or partial in self._partials:
                continue
            last = _last(partial)
            try:
                return partial, os.open(last, CREATE, 0o600, dir_fd=below)
            except FileExistsError:
                status = os.lstat(last, dir_fd=below)
            if not stat.S_ISDIR(status.st_mode) and not self._is_share(status):
                # Left over from an earlier run.
                os.unlink(last, dir_fd=below)
                return partial, os.open(last, CREATE, 0o600, dir_fd=below)
        raise LocalProtocolError("partial names never end")

    def _move_partial(self, partial: str) -> None:
        """Clear a name of the partial file that bears it, if one does."""
        name = self._partials.get(partial)
        if name is not None:
            other, fd = self._create_partial(name)
            os.close(fd)
            if name in self._places:
                self._rename(name, other)
            else:  # A share that is being copied.
                self._tree.replace(partial, other)
                del self._partials[partial]
            self._partials[other] = name

    def _is_here(self, name: str) -> bool:
        """Whether all of a file is in its place, where this run has put it."""
        return name in self._tree.files and name not in self._partials.values()

    def _partial_of(self, name: str) -> str:
        """The partial name that a file bears now: it may have moved since it was begun."""
        return next(partial for partial, other in self._partials.items() if other == name)

    def _rename(self, name: str, place: str) -> None:
        """Move the bytes of a download to another place below ``out``."""
        with self._lock:
            self._tree.replace(self._places[name], place)
            del self._partials[self._places[name]]
            self._places[name] = place

    def _writer(self, name: str) -> int:
        fd = self._writers.get(name)
        if fd is None:
            fd = self._tree.open(self._places[name], os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._writers.add(name, fd)
        return fd

    def _is_share(self, status: os.stat_result) -> bool:
        """Whether that file on the disk is one that this client shares."""
        if self._share_ids is None:
            self._share_ids = set()
            for path in self._shares.values():
                with suppress(OSError):
                    self._share_ids |= {identity(os.lstat(path)), identity(os.stat(path))}
        return identity(status) in self._share_ids


def _last(name: str) -> str:
    """What the last component of a name is called on the disk."""
    return path_of(name.rpartition("/")[2])


def _absolute(path: str) -> bytes:
    """As another process can open it: not made simpler, for a link may lead elsewhere than ``..`` says."""
    return os.fsencode(path if path.startswith("/") else os.path.join(os.getcwd(), path))
