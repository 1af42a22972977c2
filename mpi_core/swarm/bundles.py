"""Which small files the tracker puts together.

Files with the same owners and the same wanters go the same ways, so nothing is lost if they go as one. A
file is left alone where somebody wants it by its exact name, or where one of its owners wants it too (it
puts that file where it wants it, and needs no swarm).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from mpi_core.protocol.bundle import BUNDLE_MEMBERS, bundle_name, is_small
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Bundled
from mpi_core.protocol.units import Rank


def group(
    files: Iterable[Manifest],
    owners: Mapping[str, Collection[Rank]],
    wanters: Mapping[str, Collection[Rank]],
    named: Collection[str],
    least: int,
) -> list[Bundled]:
    """The bundles that are worth it, of at least ``least`` members each, in a fixed order.

    ``owners`` and ``wanters`` by name, in ascending order; ``named`` are wanted by their exact names.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for manifest in files:
        name = manifest.name
        mine, theirs = tuple(owners[name]), tuple(wanters.get(name, ()))
        if is_small(manifest) and theirs and name not in named and not set(mine) & set(theirs):
            groups.setdefault((manifest.algorithm, mine, theirs), []).append(name)
    bundles = []
    for names in groups.values():
        for members in _chunks(sorted(names), least):
            # A file may bear the name of a bundle, though nobody would think of it.
            name = bundle_name(members)
            while name in owners:
                name += "+"
            bundles.append(Bundled(name, tuple(members)))
    return bundles


def _chunks(names: list[str], least: int) -> Iterator[list[str]]:
    """``names`` in parts of about one size, neither too short nor too long."""
    if len(names) < max(1, least):
        return
    parts = -(-len(names) // BUNDLE_MEMBERS)
    for part in range(parts):
        yield names[len(names) * part // parts : len(names) * (part + 1) // parts]
