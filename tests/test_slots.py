"""Few payloads on the way at once, but never too few for the link."""

from __future__ import annotations

import pytest

from mpi_core.protocol.units import Rank
from mpi_core.swarm.slots import (
    ALONE,
    FEW,
    FIRST_TAKES,
    GAIN,
    LEAVING,
    MOST_BYTES,
    MOST_SLOTS,
    SHARING,
    SHORT,
    Slots,
)

KIB = 1024


def run(slots: Slots, latency: float, each: float, payloads: int = 400, size: int = 256 * KIB) -> float:
    """A link that takes one payload after another, ``each`` seconds, and says so ``latency`` later.

    Payloads a second of the last half.
    """
    now = free_at = 0.0
    under_way: list[tuple[float, float, int]] = []
    times: list[float] = []
    while len(times) < payloads:
        while len(under_way) < slots.size:
            free_at = max(free_at, now) + each
            under_way.append((free_at + latency, now, slots.left))
        at, since, left_before = under_way.pop(0)
        now = at
        slots.leaves(now - since, left_before, size)
        times.append(now)
    half = payloads // 2
    return (payloads - half) / (times[-1] - times[half - 1])


def test_it_begins_with_few_and_has_several_once_it_has_sent_a_while() -> None:
    for each in (SHORT / 10, SHORT / 2, 2 * SHORT, 0.1):
        slots = Slots(2)
        sizes = [slots.size]
        for number in range(1, 100):
            slots.leaves(slots.size * each, max(0, number - slots.size), 256 * KIB)
            sizes.append(slots.size)
        assert sizes[LEAVING - 1] <= 3
        assert sizes == sorted(sizes)
        assert sizes[-1] == SHARING


def test_a_long_link_is_filled() -> None:
    for latency, each in ((0.08, 0.01), (0.04, 0.01), (0.2, 0.02), (0.02, 0.01)):
        slots = Slots(2)
        assert run(slots, latency, each) > 0.95 / each
        assert slots.size <= max(SHARING, GAIN * (latency + each) / each)


def test_a_link_that_only_waits_for_somebody_to_look_is_no_long_one() -> None:
    slots = Slots(2)
    run(slots, SHORT / 2, SHORT / 1000)
    assert slots.size == SHARING


def test_there_is_a_bound_in_number_and_in_bytes() -> None:
    slots = Slots(2)
    run(slots, 10.0, 0.001)
    assert slots.size == MOST_SLOTS
    slots = Slots(2)
    run(slots, 10.0, 0.001, size=4 * KIB * KIB)
    assert slots.size == MOST_BYTES // (4 * KIB * KIB)
    slots = Slots(2)
    run(slots, 10.0, 0.001, size=64 * KIB * KIB)
    assert slots.size == 2


def test_where_the_first_payload_takes_long_there_are_twice_as_many_until_a_few_have_one() -> None:
    slots = Slots(2)
    for step, opened in enumerate((2, FEW - 2), start=1):
        assert slots.opens_at(1.0) == 1.0 + step * FIRST_TAKES
        slots.open()
        assert slots.opened == opened
    assert slots.size == 2
    assert slots.opens_at(1.0) is None
    slots.leaves(0.3, 0, 256 * KIB)
    assert slots.size == FEW
    slots.leaves(0.02, 1, 256 * KIB)
    assert slots.size == SHARING


def test_who_knows_that_the_link_is_long_has_as_many_at_once() -> None:
    slots = Slots(2)
    slots.asked_by(Rank(1), link_is_long=True)
    assert slots.size + slots.opened == FEW
    assert slots.opens_at(1.0) is None
    for receiver in range(FEW + 1):
        slots.asked_by(Rank(receiver), link_is_long=True)
    assert (slots.size, slots.opened) == (1, 0)


def test_a_crowd_opens_one_slot_at_a_time() -> None:
    slots = Slots(2)
    for receiver in range(FEW + 1):
        slots.asked_by(Rank(receiver))
    for opened in range(1, SHARING - 1):
        assert slots.opens_at(1.0) == 1.0 + opened * FIRST_TAKES
        slots.open()
        assert slots.opened == opened
    assert slots.opens_at(1.0) is None


def in_crowd() -> Slots:
    slots = Slots(2)
    for receiver in range(FEW + 1):
        slots.asked_by(Rank(receiver))
    return slots


@pytest.mark.parametrize(("each", "alone"), [(SHORT, ALONE), (SHORT / 2, 1)])
def test_a_crowds_first_payloads_leave_alone_unless_the_next_would_follow_with_a_gap(
    each: float, alone: int
) -> None:
    slots = in_crowd()
    sizes = []
    for number in range(100):
        sizes.append(slots.size)
        slots.leaves(each, number, 256 * KIB)
    assert sizes == [1] * alone + [2] * (100 - alone)


def test_a_crowd_may_be_known_before_its_members_ask() -> None:
    slots = Slots(2)
    slots.asked_by(Rank(1), in_crowd=True)
    assert slots.size == 1


def test_payloads_without_a_byte_tell_nothing() -> None:
    slots = Slots(2)
    for _ in range(100):
        slots.leaves(0.01, slots.left, 0)
    assert 2 <= slots.size <= MOST_SLOTS
