"""A manifest is what all clients agree on; whoever has one can tell a segment from any other bytes."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import (
    LONGEST_SEGMENT,
    MANY_SEGMENTS,
    MAX_SEGMENT_LENGTH,
    MIN_SEGMENT_LENGTH,
    Hole,
    Manifest,
    first_name_problem,
    name_problem,
    segment_length_for,
)

KIB, MIB = 1024, 1024**2


def manifest_of(data: bytes, length: int, algorithm: Algorithm = "blake3", name: str = "file1") -> Manifest:
    digest = segment_hasher(algorithm)
    parts = [data[at : at + length] for at in range(0, len(data), length)]
    return Manifest(name, len(data), length, algorithm, tuple(map(digest, parts)))


# Verification -----------------------------------------------------------------------------------


@given(st.binary(max_size=50), st.integers(1, 20), st.sampled_from(["blake3", "sha256"]))
def test_each_segment_verifies_and_nothing_else_does(data: bytes, length: int, algorithm: Algorithm) -> None:
    manifest = manifest_of(data, length, algorithm)
    assert sum(manifest.payload_length(index) for index in range(manifest.segments)) == len(data)
    for index in range(manifest.segments):
        payload = data[index * length : (index + 1) * length]
        assert len(payload) == manifest.payload_length(index)
        assert manifest.verifies(index, memoryview(bytearray(payload)))
        for other in (b"", payload + b"\0", payload[:-1], bytes([payload[0] ^ 1]) + payload[1:]):
            assert not manifest.verifies(index, other)


def test_the_digests_are_those_of_the_standard_tools() -> None:
    assert manifest_of(b"abc", 3, "sha256").digests == (hashlib.sha256(b"abc").digest(),)
    assert manifest_of(b"abc", 3, "blake3").digests == (blake3(b"abc").digest(),)


def test_a_declared_segment_is_its_own_hash() -> None:
    manifest = Manifest.declared("file1", ("3fcf", "NONE", "3fcf"))
    assert (manifest.segments, manifest.size) == (3, 12)
    assert [manifest.payload_length(index) for index in range(3)] == [4, 4, 4]
    assert manifest.verifies(0, b"3fcf")
    assert manifest.verifies(2, b"3fcf")
    assert not manifest.verifies(1, b"3fcf")
    assert manifest.digest_text(b"3fcf") == "3fcf"
    assert manifest_of(b"abc", 3).digest_text(b"\x01\xff") == "01ff"


def test_owners_may_differ_in_the_mode_alone() -> None:
    ours = manifest_of(b"abcdef", 3)
    fields = (ours.size, ours.segment_length, ours.algorithm, ours.digests)
    assert ours.difference(Manifest(ours.name, *fields, mode=0o755)) is None
    for other in (manifest_of(b"abcdeg", 3), manifest_of(b"abcdef", 2), manifest_of(b"abcdef", 3, "sha256")):
        assert ours.difference(other)


# Shapes that cannot be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "length", "algorithm", "digests", "problem"),
    [
        (-1, 4, "blake3", 0, "size -1"),
        (4, 0, "blake3", 1, "segment length 0"),
        (4, -4, "blake3", 1, "segment length -4"),
        (9, 4, "blake3", 2, "2 digests where 3 segments are"),
        (8, 4, "sha256", 3, "3 digests where 2 segments are"),
        (0, 4, "sha256", 1, "1 digests where 0 segments are"),
        (5, 0, "declared", 1, "1 bytes of digests for a size of 5"),
    ],
)
def test_a_shape_that_cannot_be(
    size: int, length: int, algorithm: Algorithm, digests: int, problem: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=problem):
        Manifest("file1", size, length, algorithm, (b"x",) * digests)


@pytest.mark.parametrize("mode", [-1, 0o10000])
def test_a_mode_is_permissions_alone(mode: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"mode {mode}"):
        Manifest("file1", 0, 4, "blake3", (), mode)


def test_an_empty_file_has_no_segment() -> None:
    assert manifest_of(b"", 4).segments == Manifest.declared("file1", ()).segments == 0


# Names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "../x",
        "a/../../x",
        "a/..",
        ".",
        "./x",
        "a//b",
        "a/",
        "//",
        "a\0b",
        "a/./b",
    ],
)
def test_a_name_that_escapes_is_refused(name: str) -> None:
    assert name_problem(name)
    assert first_name_problem(["a", name, "b/c"]) == name_problem(name)
    with pytest.raises(RemoteProtocolError, match="a manifest with "):
        Manifest.declared(name, ("h",))


@pytest.mark.parametrize(
    "name", ["a", "a/b", "...", "..a", "a..", ".hidden", "~", "C:\\x", "é/…", "-rf", "a b"]
)
def test_a_name_that_stays_is_taken(name: str) -> None:
    assert name_problem(name) is None
    assert first_name_problem([name]) is None
    assert first_name_problem(["a/b", name, name]) is None
    assert Manifest.declared(name, ("h",)).name == name


# Segment lengths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (0, 128 * KIB),
        (64 * MIB, 128 * KIB),
        (64 * MIB + 1, 256 * KIB),
        (96 * MIB, 256 * KIB),
        (96 * MIB + 1, 512 * KIB),
        (144 * MIB, 512 * KIB),
        (144 * MIB + 1, 1 * MIB),
        (216 * MIB, 1 * MIB),
        (216 * MIB + 1, 2 * MIB),
        (324 * MIB, 2 * MIB),
        (324 * MIB + 1, 4 * MIB),
        (10**15, 4 * MIB),
    ],
)
def test_the_length_of_segments_grows_with_the_file(size: int, length: int) -> None:
    assert segment_length_for(size) == length


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_it_stays_in_its_bounds_and_never_falls(size: int, other: int) -> None:
    length = segment_length_for(size)
    assert MIN_SEGMENT_LENGTH <= length <= MAX_SEGMENT_LENGTH
    assert length == MAX_SEGMENT_LENGTH or size <= length * MANY_SEGMENTS
    # More than half as many as made the length double: of the longest, half of 162.
    assert length == MIN_SEGMENT_LENGTH or size > 81 * length
    assert (length <= segment_length_for(other)) or other < size


def test_a_manifest_may_not_make_its_receiver_reserve_more_than_64_mib_a_segment() -> None:
    size = LONGEST_SEGMENT + 1
    with pytest.raises(RemoteProtocolError, match="segment length"):
        Manifest("file1", size, size, "blake3", (bytes(32),))


# Holes ----------------------------------------------------------------------------------------


@given(st.lists(st.booleans(), min_size=2, max_size=12), st.integers(1, 4))
def test_a_file_with_holes_has_its_segments_where_they_are(solid: list[bool], last: int) -> None:
    slices = [bytes([at + 1]) * 4 if is_solid else bytes(4) for at, is_solid in enumerate(solid)]
    slices[-1] = slices[-1][:last]
    data, hash_of = b"".join(slices), segment_hasher("sha256")
    holes: list[Hole] = []
    digests = []
    for payload in slices:
        if any(payload):
            digests.append(hash_of(payload))
        else:
            count = holes[-1].slices + 1 if holes else 1
            if holes and holes[-1].segments == len(digests):
                holes.pop()
            holes.append(Hole(len(digests), count))
    manifest = Manifest("f", len(data), 4, "sha256", tuple(digests), holes=tuple(holes))
    for index in range(manifest.segments):
        at = manifest.offset(index)
        assert manifest.verifies(index, data[at : at + manifest.payload_length(index)])
    assert manifest.payload_size == sum(len(payload) for payload in slices if any(payload))
    filled = manifest.filled()
    assert filled.digests == tuple(map(hash_of, slices))
    assert (filled.payload_size, filled.offset(len(slices) - 1)) == (len(data), 4 * (len(slices) - 1))


@pytest.mark.parametrize(
    "holes",
    [((0, 3),), ((2, 1),), ((0, 1), (0, 2)), ((1, 1), (0, 2)), ((0, 1), (1, 1)), ((0, 0),), ((-1, 1),)],
)
def test_holes_that_cannot_be(holes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(RemoteProtocolError):
        Manifest("f", 8, 4, "sha256", (b"x",), holes=tuple(Hole(*hole) for hole in holes))
