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
from mpi_core.protocol.errors import LocalProtocolError, UnreadableError, reason
from mpi_core.protocol.manifest import Manifest, Member
from mpi_core.protocol.messages import Place
from mpi_core.protocol.units import Digest, Payload
from mpi_core.runtime.beside import Reader
from mpi_core.runtime.disk import (
    CREATE,
    FOLDER,
    READ,
    OpenFiles,
    OutputError,
    SmallFile,
    identity,
    lock_folder,
    missing_folders,
    opened,
    partial_name,
    plainly,
    read_all,
    read_small_files,
    remove_folders,
    write_all,
)
from mpi_core.swarm.store import Backing

__all__ = ["OutputError", "RealFiles"]


class RealFiles(Backing):
    """Real files: downloads below ``out``, the client's own ones where they are."""

    in_files = True

    def __init__(self, out: Path, shares: Mapping[str, str]) -> None:
        self._out = str(out)
        self._shares = shares
        #: Names of files begun or put in place; none is also in _folders.
        self._files: set[str] = set()
        #: Folders below ``out``, all made and safe; the empty name is ``out`` itself.
        self._folders: set[str] = set()
        #: Folders that were not there before, in the order of making.
        self._made: list[str] = []
        #: Partial name → the name of its file. Never a name of _files or _folders.
        self._partials: dict[str, str] = {}
        #: Where the bytes of a downloaded file are now, below ``out``. Changed under the lock, together
        #: with the disk, so that the reader opens the right file.
        self._places: dict[str, str] = {}
        self._lock = Lock()
        #: What keeps others out of ``out`` from the first file on.
        self._locked: int | None = None
        self._writers = OpenFiles()
        self._readers = OpenFiles()
        self._reader = Reader()
        self._share_ids: set[tuple[int, int]] | None = None

    def begin(self, manifest: Manifest) -> None:
        if manifest.members:
            return
        name = manifest.name
        with plainly("write", self._path(name)):
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
        self._write(manifest.name, payload, index * manifest.segment_length)

    def _write(self, name: str, payload: Payload, offset: int) -> None:
        try:
            write_all(self._writer(name), payload, offset)
        except OSError:
            with plainly("write", self._path(name)):
                raise

    def read(self, manifest: Manifest, index: int) -> bytes | bytearray:
        if manifest.members:
            return self._get(manifest.members[index])
        name = manifest.name
        fd = self._readers.get(name)
        if fd is None:
            fd = self._open(name)
            self._readers.add(name, fd)
        return read_all(fd, manifest.payload_length(index), index * manifest.segment_length)

    def locate(self, manifest: Manifest, index: int) -> tuple[Place, ...]:
        if manifest.members:
            found = map(self._whereabouts, manifest.members[index])
            return tuple([Place((path,), 0, size) for path, size in found])
        name = manifest.name
        place = self._places.get(name)
        paths = [self._shares[name]] if place is None else [self._path(place), self._path(name)]
        start = index * manifest.segment_length
        return (Place(tuple(map(_absolute, paths)), start, manifest.payload_length(index)),)

    def copy(self, manifest: Manifest, index: int, places: Sequence[Place]) -> Digest:
        if manifest.members:
            # Each is to get its name at once, so all are verified first.
            payload = self._reader.small_files(places)
            digest = manifest.digest_of(index, payload)
            if digest == manifest.digests[index]:
                self.write(manifest, index, payload)
            return digest
        for path in places[0].paths:
            with suppress(UnreadableError):
                return self._copy(manifest, index, path, places[0])
        raise UnreadableError(f"{manifest.name}, segment {index}")

    def _copy(self, manifest: Manifest, index: int, path: bytes, place: Place) -> Digest:
        digest, start = hasher(manifest.algorithm)(), index * manifest.segment_length
        for piece in self._reader.pieces(path, place.offset, place.length):
            digest.update(piece)
            self._write(manifest.name, piece, start)
            start += len(piece)
        return digest.digest()

    def finish(self, manifest: Manifest) -> None:
        if manifest.members:
            # Each member was put in place as it came.
            return
        name = manifest.name
        if name not in self._places:
            for _ in self.place(manifest):
                pass
            return
        with plainly("write", self._path(name)):
            os.fchmod(self._writer(name), manifest.mode)
            self._writers.close(name)
            self._rename(name, name)

    def place(self, manifest: Manifest) -> Iterator[int]:
        with plainly("write", self._path(manifest.name)):
            yield from self._copy_share(manifest)

    def close(self, remove_partial: bool) -> None:
        """Close every file, when both threads are done. Unfinished files stay as ``.part`` or go."""
        self._writers.close_all()
        self._readers.close_all()
        if remove_partial:
            for partial in self._partials:
                with suppress(OSError):
                    os.unlink(self._path(partial))
            self._partials.clear()
            remove_folders(reversed(self._made))
            self._made.clear()
        if self._locked is not None:
            os.close(self._locked)
            self._locked = None

    # Small files: their system calls cost more than their bytes, so each names but a file in an open folder.

    def _put(self, members: Sequence[Member], payload: memoryview) -> None:
        """Write small files, whole and verified, and put each in its place."""
        start = 0
        for folder, group in groupby(members, lambda member: member.name.rpartition("/")[0]):
            name = folder
            try:
                self._folder(folder)
                with opened(self._path(folder), FOLDER) as below:
                    for member in group:
                        name, end = member.name, start + member.size
                        self._put_below(below, member, payload[start:end])
                        start = end
            except OutputError:
                raise
            except OSError as error:
                what = "a folder is there" if isinstance(error, IsADirectoryError) else reason(error)
                raise OutputError(f"cannot write {self._path(name)!r}: {what}") from error

    def _put_below(self, below: int, member: Member, content: memoryview) -> None:
        name = member.name
        self._reserve(name, below)
        partial, fd = self._create_partial(name, below)
        try:
            write_all(fd, content, 0)
            os.fchmod(fd, member.mode)
            os.replace(_last(partial), _last(name), src_dir_fd=below, dst_dir_fd=below)
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
        path = self._path(member.name) if share is None else share
        return _absolute(path), member.size

    def _open(self, name: str) -> int:
        """A descriptor to read a share or a download by."""
        with self._lock:
            place = self._places.get(name)
            if place is None and name not in self._shares:
                raise FileNotFoundError(f"{name!r}: neither begun nor shared")
            return os.open(self._shares[name] if place is None else self._path(place), READ)

    def _copy_share(self, manifest: Manifest) -> Iterator[int]:
        """Put an owned file into the output folder, unless it is that very file; the bytes of each step."""
        name = manifest.name
        source = self._shares[name]
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samefile(self._path(name), source):
                return
        self._claim(name)
        partial, target = self._create_partial(name)
        self._partials[partial] = name
        try:
            with plainly("read", source):
                origin = os.open(source, READ)
            try:
                for index in range(manifest.segments):
                    offset = index * manifest.segment_length
                    with plainly("read", source):
                        payload = read_all(origin, manifest.payload_length(index), offset)
                    if not manifest.verifies(index, payload):
                        raise OutputError(f"cannot read {source!r}: changed since it was hashed")
                    write_all(target, payload, offset)
                    yield len(payload)
            finally:
                os.close(origin)
            os.fchmod(target, manifest.mode)
        except OSError:
            partial = self._partial_of(name)
            os.unlink(self._path(partial))
            del self._partials[partial]
            raise
        finally:
            os.close(target)
        partial = self._partial_of(name)
        os.replace(self._path(partial), self._path(name))
        del self._partials[partial]

    def _claim(self, name: str) -> None:
        """Reserve ``name`` for a file: its folder is made, and no partial file stands in its way."""
        self._folder(name.rpartition("/")[0])
        self._reserve(name)

    def _reserve(self, name: str, below: int | None = None) -> None:
        """Claim a name in a folder that is made; ``below`` is its descriptor, if it is open."""
        if name in self._folders:
            raise self._clash(name)
        # A small file that no share can be hurt by is put in place at once: the system says what is there.
        if below is None or self._shares:
            self._look(name)
        self._files.add(name)
        if name in self._partials:
            self._move_partial(name)

    def _look(self, name: str) -> None:
        """Raise if what bears that name on the disk must not be replaced."""
        with suppress(FileNotFoundError):
            status = os.lstat(self._path(name))
            if name not in self._partials:
                if stat.S_ISDIR(status.st_mode):
                    raise OutputError(f"cannot write {self._path(name)!r}: a folder is there")
                if self._is_share(status):
                    raise OutputError(f"cannot write {self._path(name)!r}: a file that is shared is there")

    def _folder(self, folder: str) -> None:
        """Make a folder below ``out``, and prove that no link leads from it to elsewhere."""
        if folder in self._folders:
            return
        if not folder:
            self._make_out()
        else:
            if folder in self._files:
                raise self._clash(folder)
            self._folder(folder.rpartition("/")[0])
            self._move_partial(folder)
            path = self._path(folder)
            try:
                os.mkdir(path)
                self._made.append(path)
            except FileExistsError:
                if not os.path.isdir(path):
                    raise OutputError(f"cannot make the folder {path!r}: a file is there") from None
                root = os.path.realpath(self._out)
                if os.path.islink(path) and os.path.commonpath([root, os.path.realpath(path)]) != root:
                    raise OutputError(
                        f"cannot use the folder {path!r}: it leads out of {self._out!r}"
                    ) from None
        self._folders.add(folder)

    def _make_out(self) -> None:
        missing = missing_folders(self._out)
        try:
            os.makedirs(self._out, exist_ok=True)
        except FileExistsError:
            raise OutputError(f"cannot make the folder {self._out!r}: a file is there") from None
        self._made += reversed(missing)
        self._locked = lock_folder(self._out)

    def _create_partial(self, name: str, below: int | None = None) -> tuple[str, int]:
        """A new file of a partial name that nothing else bears, and its descriptor."""
        for partial in map(partial_name, repeat(name), count(1)):
            if partial in self._files or partial in self._folders or partial in self._partials:
                continue
            path = self._path(partial) if below is None else _last(partial)
            try:
                return partial, os.open(path, CREATE, 0o600, dir_fd=below)
            except FileExistsError:
                status = os.lstat(path, dir_fd=below)
            if not stat.S_ISDIR(status.st_mode) and not self._is_share(status):
                # Left over from an earlier run.
                os.unlink(path, dir_fd=below)
                return partial, os.open(path, CREATE, 0o600, dir_fd=below)
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
                os.replace(self._path(partial), self._path(other))
                del self._partials[partial]
            self._partials[other] = name

    def _partial_of(self, name: str) -> str:
        """The partial name that a file bears now: it may have moved since it was begun."""
        return next(partial for partial, other in self._partials.items() if other == name)

    def _rename(self, name: str, place: str) -> None:
        """Move the bytes of a download to another place below ``out``."""
        with self._lock:
            os.replace(self._path(self._places[name]), self._path(place))
            del self._partials[self._places[name]]
            self._places[name] = place

    def _writer(self, name: str) -> int:
        fd = self._writers.get(name)
        if fd is None:
            fd = os.open(self._path(self._places[name]), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
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

    def _path(self, place: str) -> str:
        """Names are relative and free of ``..``: a Manifest has no others."""
        return os.path.join(self._out, place) if place else self._out

    def _clash(self, name: str) -> OutputError:
        return OutputError(f"cannot write {self._path(name)!r}: it is a file and a folder at once")


def _last(name: str) -> str:
    """The last component of a name."""
    return name.rpartition("/")[2]


def _absolute(path: str) -> bytes:
    """As another process can open it: not made simpler, for a link may lead elsewhere than ``..`` says."""
    return os.fsencode(path if path.startswith("/") else os.path.join(os.getcwd(), path))
