"""Whether a message says what only an honest sender could: checked whole, before any of it is believed."""

from __future__ import annotations

from collections.abc import Collection

from mpi_core.protocol.bundle import bundle, is_small
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Bundled, Gain, SwarmResponse
from mpi_core.swarm.store import SegmentStore


def check_response(message: SwarmResponse, asked: Collection[str], store: SegmentStore, clients: int) -> None:
    """Raise unless a SWARM_RESPONSE speaks of what was asked, once, and of ranks 1…``clients``."""
    for manifest in message.manifests:
        if manifest.name not in asked or store.manifest(manifest.name):
            raise RemoteProtocolError(f"SWARM_RESPONSE with an unasked manifest of {manifest.name!r}")
    if len({manifest.name for manifest in message.manifests}) != len(message.manifests):
        raise RemoteProtocolError("SWARM_RESPONSE with two manifests of one name")
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
