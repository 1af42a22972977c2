"""Which small files the tracker puts together.

Files with the same owners and the same wanters go the same ways, so nothing is lost if they go as one. A
file is left alone where somebody wants it by its exact name, where one of its owners wants it too (it puts
that file where it wants it, and needs no swarm), where it has holes, and where it is another's twin.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from mpi_core.protocol.bundle import BUNDLE_MEMBERS, bundle_name, is_small
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Bundled, Init
from mpi_core.protocol.units import Rank


def group(
    files: Iterable[Manifest],
    inits: Mapping[Rank, Init],
    matched: Mapping[str, Sequence[str]],
    least: int,
    twins: Container[str] = (),
) -> list[Bundled]:
    """The bundles that are worth it, of at least ``least`` members each, in a fixed order.

    ``inits`` are the clients' own, by rank, ascending; ``matched`` the names that each pattern in them means;
    ``twins`` the names of files that are others' as well, and that few need fetch.
    """
    owners: dict[str, list[Rank]] = {}
    for rank, init in inits.items():
        for manifest in init.owned:
            owners.setdefault(manifest.name, []).append(rank)
    # Who wants the same, in the same words, is of one party: clients may be thousands, parties are few.
    parties: dict[tuple[str, ...], int] = {}
    for init in inits.values():
        parties.setdefault(init.patterns, len(parties))
    #: The parties that want a file, in order.
    wanters: dict[str, dict[int, None]] = {}
    for patterns, party in parties.items():
        for name in dict.fromkeys(chain.from_iterable(matched[pattern] for pattern in patterns)):
            wanters.setdefault(name, {})[party] = None
    alone = set(_left_alone(inits.values(), parties, wanters))
    groups: dict[tuple[object, ...], list[str]] = {}
    for manifest in files:
        name = manifest.name
        if name in twins or manifest.sparse:
            continue
        if name in wanters and name not in alone and is_small(manifest):
            ways = (manifest.algorithm, tuple(owners[name]), tuple(wanters[name]))
            groups.setdefault(ways, []).append(name)
    bundles = []
    for names in groups.values():
        for members in _chunks(sorted(names), least):
            # A file may bear the name of a bundle, though nobody would think of it.
            name = bundle_name(members)
            while name in owners:
                name += "+"
            bundles.append(Bundled(name, tuple(members)))
    return bundles


def _left_alone(
    inits: Iterable[Init], parties: Mapping[tuple[str, ...], int], wanters: Mapping[str, Container[int]]
) -> Iterator[str]:
    for init in inits:
        yield from init.names
        party = parties[init.patterns]
        yield from (file.name for file in init.owned if party in wanters.get(file.name, ()))


def _chunks(names: list[str], least: int) -> Iterator[list[str]]:
    """``names`` in parts of about one size, neither too short nor too long."""
    if len(names) < max(1, least):
        return
    parts = -(-len(names) // BUNDLE_MEMBERS)
    for part in range(parts):
        yield names[len(names) * part // parts : len(names) * (part + 1) // parts]
