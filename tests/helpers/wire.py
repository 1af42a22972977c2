"""Hypothesis strategies for whatever travels: built from the types of the fields, so that a new message is
tested from the day it is written."""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any, Literal, NewType

import msgspec
from hypothesis import strategies as st

from mpi_core.protocol import messages as msg
from mpi_core.protocol.bundle import bundle
from mpi_core.protocol.entries import Entry
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.manifest import LONGEST_SEGMENT, MODES, Hole, Manifest
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket

#: Integers as MessagePack and JSON carry them.
INTEGERS = st.one_of(st.integers(-1, 12), st.integers(-(2**63), 2**64 - 1))
NAMES = st.one_of(st.sampled_from(["file1", "file2", "ghost"]), st.text(max_size=8))

#: Likely to be taken, now and then absurd.
UNITS: dict[Any, st.SearchStrategy[int]] = {
    Rank: st.one_of(st.integers(0, 4), INTEGERS),
    SegmentIndex: st.one_of(st.integers(0, 9), INTEGERS),
    Ticket: st.one_of(st.integers(0, 9), INTEGERS),
}
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS,
    str: NAMES,
    bytes: st.binary(max_size=3),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
}


def manifests(names: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Manifest]:
    """Valid ones of each kind."""
    path = st.lists(st.sampled_from(("a", "é", "file1", "x y", "…", "-")), min_size=1, max_size=3).map(
        "/".join
    )
    name = names or st.one_of(st.sampled_from(["file1", "file2"]), path)
    hashes = st.lists(st.text(alphabet="0123456789abcdef", min_size=1, max_size=64), max_size=5).map(tuple)

    def real(
        name: str, size: int, length: int, algorithm: Literal["blake3", "sha256"], mode: int
    ) -> Manifest:
        slices = -(-size // length)
        # Of some files the second slice is a hole.
        holes = (Hole(1, 1),) if mode & 1 and slices > 1 else ()
        digests = tuple(bytes([place % 256]) * 32 for place in range(slices - len(holes)))
        return Manifest(name, size, length, algorithm, digests, mode, mtime=mode or None, holes=holes)

    def bundled(name: str, sizes: list[int], algorithm: Literal["blake3", "sha256"]) -> Manifest:
        return bundle(
            name, [real(f"{name}{at}", size, 400, algorithm, 0o640) for at, size in enumerate(sizes)]
        )

    algorithms = st.sampled_from(("blake3", "sha256"))
    sizes, lengths = st.integers(0, 400), st.integers(50, LONGEST_SEGMENT)
    return st.one_of(
        st.builds(Manifest.declared, name, hashes),
        st.builds(real, name, sizes, lengths, algorithms, st.integers(0, 0o777)),
        st.builds(bundled, name, st.lists(st.integers(0, 400), min_size=1, max_size=4), algorithms),
    )


def entries() -> st.SearchStrategy[Entry]:
    """Valid ones: folders, the root among them, and links."""
    name, mtime = (
        st.sampled_from(["file1", "file2", "a", "a/é"]),
        st.none() | st.integers(-(2**63), 2**63 - 1),
    )
    folder = st.builds(Entry, st.just("") | name, st.integers(0, MODES), mtime)
    link = st.builds(Entry, name, st.just(0o777), mtime, st.text("a/.é", min_size=1, max_size=8))
    return folder | link


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if isinstance(kind, NewType):
        return UNITS[kind]
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is Manifest:
        return manifests()
    if kind is Entry:
        return entries()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and Ellipsis not in arguments:
        return st.tuples(*[of_type(each) for each in arguments])
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin in (UnionType, typing.Union):
        # Of the memory a payload may lie in, bytes will do.
        return PLAIN[bytes] if bytes in arguments else st.one_of([of_type(each) for each in arguments])
    raise TypeError(f"no strategy for {kind}")


def structs(kind: type[Any]) -> st.SearchStrategy[Any]:
    fields = {field.name: of_type(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


ENCODED = st.one_of([structs(kind) for kind in msg.ENCODED.values()])
LOCALS = st.one_of(structs(msg.Sent), structs(msg.Shutdown), structs(msg.Lost))
#: Whatever a machine may be handed.
STIMULI = st.one_of(ENCODED, structs(msg.SendSegment), LOCALS)
EVENTS = st.one_of([structs(kind) for kind in typing.get_args(AnyEvent)])
STAMPED = st.builds(Stamped, PLAIN[float], UNITS[Rank], INTEGERS, EVENTS)
