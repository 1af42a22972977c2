"""Whether a message says what only an honest sender could: checked whole, before any of it is believed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mpi_core.protocol.bundle import bundle, is_small
from mpi_core.protocol.entries import folders_above
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest, first_name_problem
from mpi_core.protocol.messages import Bundled, Gain, InitAck, SwarmResponse
from mpi_core.protocol.patterns import match_folders, match_names
from mpi_core.swarm.store import SegmentStore


def check_ack(message: InitAck, patterns: int) -> None:
    """Raise unless an INIT_ACK answers so many patterns, with entries that fit into one folder."""
    if len(message.matched) != patterns:
        raise RemoteProtocolError(f"INIT_ACK matches {len(message.matched)} patterns")
    names = [entry.name for entry in message.entries]
    links = {entry.name for entry in message.entries if entry.is_link}
    seconds = [name for twins in message.twins for name in twins[1:]]
    others = [name for twins in message.twins for name in twins]
    matched = (name for names in message.matched for name in names)
    problem = first_name_problem(others) if others else None
    if problem:
        raise RemoteProtocolError(f"INIT_ACK with {problem}")
    if len(set(names)) < len(names) or len(set(others)) < len(others) or not links.isdisjoint(matched):
        raise RemoteProtocolError("INIT_ACK with two entries of one name")
    what_is_no_folder = links.union(others)
    below = next((name for name in folders_above((*names, *others)) if name in what_is_no_folder), None)
    if below is not None:
        raise RemoteProtocolError(f"INIT_ACK with something below {below!r}, which is no folder")
    if not set(seconds).isdisjoint(names):
        raise RemoteProtocolError("INIT_ACK with an entry that is another's twin")


def meaningless(message: InitAck, patterns: Sequence[str], store: SegmentStore) -> list[str]:
    """Those of the ``patterns`` which mean neither a file nor anything else that ``store`` expects."""
    links, folders = tuple(store.links), tuple(store.folders)
    return [
        pattern
        for pattern, names in zip(patterns, message.matched, strict=True)
        if not names and not match_names(pattern, links) and not match_folders(pattern, folders)
    ]


def check_response(message: SwarmResponse, asked: Collection[str], store: SegmentStore, clients: int) -> None:
    """Raise unless a SWARM_RESPONSE speaks of what was asked, once, and of ranks 1…``clients``."""
    for manifest in message.manifests:
        if manifest.name not in asked or store.manifest(manifest.name):
            raise RemoteProtocolError(f"SWARM_RESPONSE with an unasked manifest of {manifest.name!r}")
    if len({manifest.name for manifest in message.manifests}) != len(message.manifests):
        raise RemoteProtocolError("SWARM_RESPONSE with two manifests of one name")
    if store.links or store.folders:
        names = [m.name for m in message.manifests if not m.members]
        names += [member.name for m in message.manifests for part in m.members for member in part]
        wrong = next((name for name in (*names, *folders_above(names)) if name in store.links), None)
        wrong = wrong or next((name for name in names if name in store.folders), None)
        if wrong is not None:
            raise RemoteProtocolError(f"SWARM_RESPONSE with a file in the place of, or below, {wrong!r}")
    for name in (*message.unknown, *(swarm.name for swarm in message.swarms)):
        if name not in asked:
            raise RemoteProtocolError(f"SWARM_RESPONSE for an unasked file {name!r}")
    members = [member.rank for swarm in message.swarms for member in swarm.members]
    if any(not 1 <= rank <= clients for rank in (*members, *message.lost)):
        raise RemoteProtocolError("SWARM_RESPONSE names a rank that is no client")


def bundle_of(told: Bundled, store: SegmentStore) -> Manifest:
    """The manifest of a bundle; raise unless all its members are small files of this client."""
    files = [manifest for name in told.members if (manifest := store.manifest(name)) is not None]
    if len(files) != len(told.members) or not files or not all(map(is_small, files)):
        raise RemoteProtocolError(f"INIT_ACK with a bundle {told.name!r} of files that are not here")
    if store.manifest(told.name) is not None:
        raise RemoteProtocolError(f"INIT_ACK with a bundle {told.name!r}, which is a file here")
    return bundle(told.name, files)


def gained(gain: Gain, segments: int) -> int:
    """What was gained of a file of so many segments, segment i as bit i; raise where it has no such one."""
    bits = 0
    for index in gain.indices:
        if not 0 <= index < segments:
            raise RemoteProtocolError(f"an ANNOUNCE of a segment that {gain.name!r} does not have")
        bits |= 1 << index
    return bits
