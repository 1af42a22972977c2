"""What a tree has beside the bytes of its files: folders, symbolic links, and names of one file.

Entries travel with a client's INIT and with the tracker's INIT_ACK, not through the swarm: they are small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import MODES, name_problem

#: The name of the folder that all others are below.
ROOT = ""

#: Names of one and the same file, or link: hard links.
Twins = tuple[str, ...]


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A folder or a symbolic link. Validated on arrival."""

    name: str
    #: The permission bits of a folder; a link has none of its own.
    mode: int
    #: When it was changed last, in nanoseconds since 1970; None: not told.
    mtime: int | None = None
    #: Where a link leads, as its text stands; of a folder: nothing.
    target: str = ""

    def __post_init__(self) -> None:
        problem = name_problem(self.name) if self.name != ROOT or self.target else None
        if problem is None and not 0 <= self.mode <= MODES:
            problem = f"mode {self.mode}"
        if problem is None and "\0" in self.target:
            problem = f"a target with a NUL in it: {self.target!r}"
        if problem:
            raise RemoteProtocolError(f"an entry with {problem}")

    @property
    def is_link(self) -> bool:
        return bool(self.target)


class OwnTree(NamedTuple):
    """What a client's INIT tells beside the files that it owns."""

    entries: tuple[Entry, ...] = ()
    twins: tuple[Twins, ...] = ()
    #: How many files it was to share and could not read.
    unreadable: int = 0


NO_TREE = OwnTree()


def folders_above(names: Iterable[str]) -> Iterator[str]:
    """Every folder that one of ``names`` is below, but for the root, each once."""
    seen: set[str] = set()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            yield folder
            folder = folder.rpartition("/")[0]
