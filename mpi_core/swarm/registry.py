"""Who is in which swarm, and what changed in it since a given client last asked.

The tracker's memory. It knows files, manifests and members; it never knows who holds which segment. Each
change in a swarm has a number; a client's next response is made of the changes since the last number it
saw. Neither 20,000 files nor 10,000 clients make a response dear: unchanged files are not looked at one by
one as long as the changes are few, and one file names at most ``cap`` members, drawn at random.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from mpi_core.protocol.bundle import bundle
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Bundled, Swarm, SwarmMember, SwarmRole
from mpi_core.protocol.units import Rank

#: Up to so many changes since an asker's last request are looked at one by one; above, its files are.
FEW_CHANGES = 4096


@dataclass
class SwarmFile:
    """One file and its swarm."""

    manifest: Manifest
    owner: Rank
    roles: dict[Rank, SwarmRole] = field(default_factory=dict)
    #: The changes in order: their numbers, ascending, and beside them whom they concern.
    numbers: list[int] = field(default_factory=list)
    changed: list[Rank] = field(default_factory=list)


class Registry:
    """All files and their swarms."""

    def __init__(self, rng: Random, cap: int) -> None:
        self._rng = rng
        self._cap = cap
        self.files: dict[str, SwarmFile] = {}
        #: The name of the file of each change; a change's number is its place here plus one.
        self._changes: list[str] = []

    @property
    def now(self) -> int:
        """The number of the last change."""
        return len(self._changes)

    def register(self, owner: Rank, manifest: Manifest) -> str | None:
        """Take an owner's manifest in; the sentence that says why not, or None."""
        file = self.files.get(manifest.name)
        if file is None:
            self.files[manifest.name] = SwarmFile(manifest, owner)
            return None
        difference = file.manifest.difference(manifest)
        if difference is None:
            return None
        return (
            f"clients {file.owner} and {owner} both own {manifest.name!r} but with {difference}: "
            "expected the same file from every owner"
        )

    def fill(self) -> frozenset[str]:
        """Give segments to holes that take room on their first owners' disks; which files these are."""
        solid = {n: f for n, f in self.files.items() if f.manifest.is_solid}
        for file in solid.values():
            file.manifest = file.manifest.filled()
        return frozenset(solid)

    def bundle(self, bundled: Bundled) -> None:
        """Put a bundle in the place of its members, which have no swarm yet."""
        members = [self.files.pop(name) for name in bundled.members]
        manifest = bundle(bundled.name, [file.manifest for file in members])
        self.files[bundled.name] = SwarmFile(manifest, members[0].owner)

    def enlist(self, rank: Rank, name: str, role: SwarmRole) -> bool:
        """Make ``rank`` a member of a swarm; whether that changed anything. A seed stays a seed."""
        file = self.files[name]
        before = file.roles.get(rank)
        if before == role or before == "seed":
            return False
        file.roles[rank] = role
        self._changes.append(name)
        file.numbers.append(len(self._changes))
        file.changed.append(rank)
        return True

    def anew(self, name: str, asker: Rank) -> Swarm | None:
        """Members of one swarm, but for the asker itself, whether it was told of them or not: seeds first."""
        roles = self.files[name].roles
        others = [rank for rank in roles if rank != asker]
        drawn = sorted(self._rng.sample(others, len(others)), key=lambda rank: roles[rank] != "seed")
        members = tuple(SwarmMember(rank, roles[rank]) for rank in drawn[: self._cap])
        return Swarm(name, members) if members else None

    def dismiss(self, rank: Rank) -> None:
        """Take a lost client out of every swarm."""
        for file in self.files.values():
            file.roles.pop(rank, None)

    def changed_files(
        self, since: int, is_asked: Callable[[str], bool], asked: Iterable[str]
    ) -> Iterable[str]:
        """The names asked for whose swarms changed after number ``since``. ``asked`` are all of them, which
        are gone through only where the changes are many."""
        if self.now - since <= FEW_CHANGES:
            return [name for name in dict.fromkeys(self._changes[since:]) if is_asked(name)]
        return [name for name in asked if self._changed_after(name, since)]

    def _changed_after(self, name: str, since: int) -> bool:
        numbers = self.files[name].numbers
        return bool(numbers) and numbers[-1] > since

    def swarm(self, name: str, asker: Rank, since: int) -> Swarm | None:
        """What changed in one swarm after number ``since``, but for the asker itself."""
        file = self.files[name]
        first = bisect_right(file.numbers, since)
        places: Iterable[int] = range(first, len(file.numbers))
        # One more than the cap, since the asker may be drawn and is left out.
        if len(file.numbers) - first > self._cap + 1:
            places = self._rng.sample(range(first, len(file.numbers)), self._cap + 1)
        ranks = dict.fromkeys(file.changed[place] for place in places)
        members = [SwarmMember(r, file.roles[r]) for r in ranks if r != asker and r in file.roles]
        return Swarm(name, tuple(members[: self._cap])) if members else None
