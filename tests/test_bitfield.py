"""A bitfield is a set of segments, and its bytes are what BEP 3 would call one, lowest bit first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.errors import RemoteProtocolError


@st.composite
def members(draw: st.DrawFn, sets: int = 1) -> tuple[int, ...]:
    """A length, and so many sets of segments below it."""
    length = draw(st.integers(0, 70))
    each = st.sets(st.integers(0, length - 1)) if length else st.just(set())
    return (length, *(draw(each) for _ in range(sets)))


@given(members())
def test_it_is_a_set(drawn: tuple[int, set[int]]) -> None:
    length, segments = drawn
    field = Bitfield.of(length, segments)
    assert list(field) == sorted(segments)
    assert len(field) == len(segments)
    assert bool(field) == bool(segments)
    assert field.is_full == (len(segments) == length)
    assert [field.has(index) for index in range(length)] == [index in segments for index in range(length)]
    assert str(field) == "".join("x" if index in segments else "." for index in range(length))


@given(members(sets=2))
def test_union_and_difference_are_those_of_sets(drawn: tuple[int, set[int], set[int]]) -> None:
    length, ours, theirs = drawn
    a, b = Bitfield.of(length, ours), Bitfield.of(length, theirs)
    assert set(a.union(b)) == ours | theirs
    assert set(a.minus(b)) == ours - theirs


@given(members())
def test_one_more_leaves_the_old_as_it_was(drawn: tuple[int, set[int]]) -> None:
    length, segments = drawn
    field = Bitfield.of(length, segments)
    for index in range(length):
        assert set(field.plus(index)) == segments | {index}
    assert set(field) == segments


@given(members())
def test_its_bytes_are_itself(drawn: tuple[int, set[int]]) -> None:
    length, segments = drawn
    field = Bitfield.of(length, segments)
    assert Bitfield.from_bytes(length, field.to_bytes()) == field


@given(st.integers(-3, 40), st.binary(max_size=6))
def test_any_bytes_are_a_bitfield_or_a_remote_error(length: int, packed: bytes) -> None:
    try:
        field = Bitfield.from_bytes(length, packed)
    except RemoteProtocolError:
        return
    assert field.to_bytes() == packed
    assert all(0 <= index < length for index in field)


def test_segment_0_is_the_lowest_bit_of_the_first_byte() -> None:
    assert Bitfield.of(10, [0, 9]).to_bytes() == b"\x01\x02"
    assert str(Bitfield.from_bytes(10, b"\x01\x02")) == "x........x"


@pytest.mark.parametrize(
    ("length", "packed"), [(9, b"\xff"), (8, b"\xff\x00"), (3, b"\x08"), (-1, b""), (0, b"\0")]
)
def test_bytes_that_do_not_fit_are_refused(length: int, packed: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=f"a bitfield of {length} segments"):
        Bitfield.from_bytes(length, packed)


@pytest.mark.parametrize("index", [-1, 3, 2**70])
def test_a_segment_outside_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match=r"is not in 0…2"):
        Bitfield.of(3, [index])
    with pytest.raises(ValueError, match=r"is not in 0…2"):
        Bitfield(3).plus(index)


def test_a_bitfield_of_no_segments_is_full_and_empty() -> None:
    none = Bitfield(0)
    assert none.is_full
    assert not none
    assert (none.to_bytes(), list(none), str(none)) == (b"", [], "")
    assert Bitfield.full(3) == Bitfield.of(3, range(3))
