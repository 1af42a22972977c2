"""The folders, links and twins of all owners, as the tracker joins them, and which of them a client gets.

The first owner of a name, by rank, says what it is. No two names may stand in each other's way in one folder:
least of all may a link be a folder of somebody else's file, for then writing that file would write elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from mpi_core.protocol.entries import ROOT, Entry, Twins, folders_above
from mpi_core.protocol.messages import Init
from mpi_core.protocol.patterns import match_folders, means_all
from mpi_core.protocol.units import Rank


class Part(NamedTuple):
    """What one client gets beside files."""

    entries: tuple[Entry, ...]
    twins: tuple[Twins, ...]
    #: Files that it makes as hard links, and need not fetch.
    linked: frozenset[str]


class Forest:
    """All that is no file."""

    def __init__(self) -> None:
        self.links: dict[str, Entry] = {}
        self._folders: dict[str, Entry] = {}
        #: Who told of a link first, and of a folder.
        self._link_owners: dict[str, Rank] = {}
        self._folder_owners: dict[str, Rank] = {}
        self._twins: list[Twins] = []

    def register(self, owner: Rank, init: Init, owner_of: Mapping[str, Rank]) -> str | None:
        """Take in what an owner has, whose files are registered; the sentence that says why not, or None.

        ``owner_of`` is the first owner of each file.
        """
        for entry in init.entries:
            if not entry.is_link:
                self._folders.setdefault(entry.name, entry)
                self._folder_owners.setdefault(entry.name, owner)
                continue
            known = self.links.setdefault(entry.name, entry)
            first = self._link_owners.setdefault(entry.name, owner)
            if known.target != entry.target:
                return (
                    f"clients {first} and {owner} both share the link {entry.name!r}, but to "
                    f"{known.target!r} and {entry.target!r}: expected the same from every owner"
                )
        for twins in init.twins:
            # What another said of a name before counts.
            ours = tuple(
                n for n in twins if (self._link_owners if n in self.links else owner_of).get(n) == owner
            )
            if len(ours) > 1:
                self._twins.append(ours)
        return None

    def clash(self, owner_of: Mapping[str, Rank]) -> str | None:
        """Why names cannot stand in one folder, or None: what is no folder has something below it, or two
        owners say different things of one name."""
        fits = "expected names that fit into one folder"
        #: Every folder that something is in, and the first such thing.
        below: dict[str, str] = {}
        for name in (*owner_of, *self.links, *self._folders):
            folder = name.rpartition("/")[0]
            while folder and folder not in below:
                below[folder] = name
                folder = folder.rpartition("/")[0]
        kinds: tuple[tuple[str, Mapping[str, Rank]], ...] = (
            ("a file", owner_of),
            ("a link", self._link_owners),
            ("a folder", self._folder_owners),
        )
        for name, under in below.items():
            for what, owners in kinds[:2]:
                if name in owners:
                    other = next(of[under] for _, of in kinds if under in of)
                    first = f"client {owners[name]} shares {name!r} as {what}"
                    return f"{first} and client {other} {under!r} below it: {fits}"
        for (what, owners), (other_kind, others) in combinations(kinds, 2):
            for name in others:
                if name in owners:
                    first = f"client {owners[name]} shares {name!r} as {what}"
                    return f"{first} and client {others[name]} as {other_kind}: {fits}"
        return None

    @property
    def second_twins(self) -> frozenset[str]:
        """The names that are another's file as well."""
        return frozenset(name for twins in self._twins for name in twins[1:])

    def part_of(self, patterns: Sequence[str], matched: Iterable[str], named: Iterable[str] = ()) -> Part:
        """What belongs to the files and links that a client gets: those that its patterns have ``matched``,
        and those that it wants as they are ``named``."""
        names = dict.fromkeys(matched)
        everything = tuple(self._folders)
        folders = {name for pattern in patterns for name in match_folders(pattern, everything)}
        folders.update(folders_above((*names, *named, *folders)))
        folders.discard(ROOT)
        if any(map(means_all, patterns)):
            folders.add(ROOT)
        twins = []
        for group in self._twins:
            ours = tuple(name for name in group if name in names)
            if len(ours) > 1:
                twins.append(ours)
        linked = frozenset(name for group in twins for name in group[1:])
        entries = [self._folders[name] for name in sorted(folders) if name in self._folders]
        entries += [self.links[name] for name in names if name in self.links and name not in linked]
        return Part(tuple(entries), tuple(twins), linked)
