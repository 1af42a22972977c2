"""What a scenario says of a run, and whether its clients own and want just that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mpi_core.protocol.patterns import match_names
from mpi_core.protocol.units import Rank
from tui_torrent.view.client_trace import ClientTrace
from tui_torrent.view.ledger import Spot, clip
from tui_torrent.view.tracker_trace import Catalog
from tui_torrent.view.words import counted


@dataclass(frozen=True)
class ExpectedClient:
    """What one client brings and wants."""

    #: Declared files, with the digests of their segments; None: it shares what ``shares`` matches.
    owns: Mapping[str, tuple[str, ...]] | None = None
    #: Names, and patterns that the tracker matches.
    wants: tuple[str, ...] = ()
    #: Names, folders and patterns of what it may share.
    shares: tuple[str, ...] = ()
    by_pattern: bool = False


@dataclass(frozen=True)
class Expected:
    """A scenario: its clients in the order of their ranks, and N, the segments between two updates."""

    clients: tuple[ExpectedClient, ...]
    update_every: int
    digests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Difference(NamedTuple):
    spot: Spot
    what: str


def differences(
    expected: Expected, clients: Mapping[Rank, ClientTrace], catalog: Catalog, lost: set[int]
) -> Iterator[Difference]:
    """Where a client tells that it owns or wants something else."""
    names = {name for trace in clients.values() for name in (*trace.declared, *trace.bundled)}
    names -= catalog.bundles.keys()
    bundle_of = {member: bundle for bundle, members in catalog.bundles.items() for member in members}
    for rank, client in enumerate(expected.clients, 1):
        trace = clients.get(Rank(rank))
        if trace is None:
            continue
        if trace.init is not None:
            for what in _owned_otherwise(client, trace):
                yield Difference(trace.init, f"client {rank} {what}")
        # Whether somebody who was lost had brought a file is not known.
        if trace.ack is not None and not (client.by_pattern and lost):
            wanted, unmatched = _wanted(client, sorted(names), bundle_of)
            for name in wanted:
                if name not in trace.wanted and not _has_twin(name, trace, catalog):
                    yield Difference(trace.ack, f"client {rank} wants {clip(name)}, but does not say so")
            for name in trace.wanted:
                if name not in wanted and name not in unmatched:
                    yield Difference(trace.ack, f"client {rank} does not want {clip(name)}, but says so")


def _owned_otherwise(client: ExpectedClient, trace: ClientTrace) -> Iterator[str]:
    if client.owns is None:
        for name in trace.declared:
            if not any(match_names(pattern, [name]) for pattern in client.shares):
                yield f"does not share {clip(name)}, but says so"
        return
    for name, digests in client.owns.items():
        if name not in trace.declared:
            yield f"owns {clip(name)}, but does not say so"
        elif trace.declared[name] != len(digests):
            yield f"owns {clip(name)} with {counted(len(digests), 'segment')}, not {trace.declared[name]}"
    for name in trace.declared:
        if name not in client.owns:
            yield f"does not own {clip(name)}, but says so"


def _wanted(
    client: ExpectedClient, names: list[str], bundle_of: Mapping[str, str]
) -> tuple[dict[str, None], set[str]]:
    """The names that a client should tell that it wants, and patterns that mean no file: what these mean (a
    link, an empty folder) is in no journal."""
    if not client.by_pattern:
        return dict.fromkeys(client.wants), set()
    wanted, unmatched = dict[str, None](), set[str]()
    for pattern in client.wants:
        matched = match_names(pattern, names)
        wanted.update(dict.fromkeys(bundle_of.get(name, name) for name in matched))
        if not matched:
            unmatched.add(pattern)
    return wanted, unmatched


def _has_twin(name: str, trace: ClientTrace, catalog: Catalog) -> bool:
    """Whether a client that fetches another file of the same content, or a bundle that may have one, may make
    a hard link to it."""
    digests = catalog.digests(name)
    alike = any(catalog.digests(other) == digests or other in catalog.bundles for other in trace.wanted)
    return digests is not None and alike
