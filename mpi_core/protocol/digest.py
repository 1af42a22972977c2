"""How a segment is hashed. Nothing here is slow to load: a process that only hashes needs no more."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal, Protocol

from mpi_core.protocol.errors import LocalProtocolError
from mpi_core.protocol.units import Digest, Payload

Algorithm = Literal["declared", "blake3", "sha256"]


class Hasher(Protocol):
    """A hash of what comes piece by piece, as hashlib and blake3 have it."""

    def update(self, payload: Payload, /) -> object: ...

    def digest(self) -> Digest: ...


@cache
def hasher(algorithm: Algorithm) -> Callable[..., Hasher]:
    """What makes a new hash of real segments, of a first piece or of nothing."""
    if algorithm == "blake3":
        # Imported here: a run of declared segments should not pay for it on every rank.
        from blake3 import blake3

        return blake3
    if algorithm == "sha256":
        from hashlib import sha256

        return sha256
    raise LocalProtocolError(f"{algorithm} segments are not hashed")


@cache
def segment_hasher(algorithm: Algorithm) -> Callable[[Payload], Digest]:
    """The function from a payload to its digest. A declared payload is its own digest."""
    if algorithm == "declared":
        return bytes
    new = hasher(algorithm)
    return lambda payload: new(payload).digest()
