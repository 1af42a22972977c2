"""Many small files as one: a *bundle*, so that no message, event or table is paid a file.

A bundle is a file of the swarm like any other, but its segments are whole small files, one behind the
other. Nobody stores it: each member is read from, and written to, its own place. The digest of a segment
is the hash of its members' digests in their order, so whoever has the manifests of the members (an owner,
the tracker) makes the bundle's manifest without reading a byte, and all make the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from mpi_core.protocol.digest import segment_hasher
from mpi_core.protocol.manifest import Manifest, Member

#: A file of more bytes than this travels alone.
SMALL_FILE = 128 * 1024
#: A bundle has about so many segments, since each costs its clients CPU …
BUNDLE_SEGMENTS = 64
#: … of so many bytes at least, in which every small file has room, and so many at most.
MIN_BUNDLE_SEGMENT = SMALL_FILE
MAX_BUNDLE_SEGMENT = 2 * 1024 * 1024
#: Members of a segment, where they are very small or empty, and of a bundle, at the most.
SEGMENT_MEMBERS = 256
BUNDLE_MEMBERS = 4096


def is_small(manifest: Manifest) -> bool:
    """Whether that file may be a bundle's member: a real one of one segment, or of none."""
    return (
        manifest.algorithm != "declared"
        and manifest.segments <= 1
        and manifest.size <= SMALL_FILE
        and not manifest.holes
        and not manifest.members
    )


def bundle(name: str, files: Sequence[Manifest]) -> Manifest:
    """The manifest of the bundle of ``files``, which are small, of one algorithm, and at least one."""
    algorithm = files[0].algorithm
    digest_of = segment_hasher(algorithm)
    size = sum(file.size for file in files)
    length = min(max(MIN_BUNDLE_SEGMENT, size // BUNDLE_SEGMENTS), MAX_BUNDLE_SEGMENT)
    segments = list(_segments(files, length))
    return Manifest(
        name=name,
        size=size,
        segment_length=length,
        algorithm=algorithm,
        digests=tuple(digest_of(b"".join(chain.from_iterable(f.digests for f in s))) for s in segments),
        members=tuple(tuple(Member(f.name, f.size, f.mode, f.mtime) for f in s) for s in segments),
    )


def _segments(files: Sequence[Manifest], length: int) -> Iterator[list[Manifest]]:
    segment: list[Manifest] = []
    size = 0
    for file in files:
        if segment and (size + file.size > length or len(segment) == SEGMENT_MEMBERS):
            yield segment
            segment, size = [], 0
        segment.append(file)
        size += file.size
    yield segment


def bundle_name(files: Sequence[str]) -> str:
    """What people see: the first member, and how many more there are."""
    return f"{files[0]} +{len(files) - 1}"
