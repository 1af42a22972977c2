"""How many requests to keep in flight: what the links need, whatever the queues do."""

from __future__ import annotations

import pytest

from mpi_core.protocol.messages import SendSegment
from mpi_core.protocol.units import Rank
from mpi_core.swarm.asking import FIRST_COPIES, FIRST_COPIES_ON_LONG
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.uploader import Uploader
from mpi_core.swarm.window import (
    EARLY_ON_LONG,
    FEW,
    FIRST,
    FIRST_IN_CROWD,
    GAIN,
    GROWTH_ON_LONG,
    LONG,
    LONG_BYTES,
    MOST,
    MOST_BYTES,
    SPARE,
    Window,
)
from tests.helpers.alone import Alone, leecher, payload, request
from tests.helpers.virtual import declared


def after(answers: int, gap: float, took: float, **choices: object) -> Window:
    """The window after so many answers, each so long after the last one and after its request."""
    window = Window(SwarmConfig(**choices))  # type: ignore[arg-type]
    for number in range(answers):
        window.answered(gap * number, took)
    return window


def test_a_window_begins_small_and_grows_by_one_an_answer() -> None:
    assert [after(answers, 0.001, 0.01).size for answers in (0, 1, 2)] == [FIRST, FIRST + 1, FIRST + 2]


def test_where_answers_take_long_it_grows_faster() -> None:
    assert [after(answers, 0.001, 0.1).size for answers in (0, 1, 2)] == [
        FIRST,
        FIRST + GROWTH_ON_LONG,
        FIRST + 2 * GROWTH_ON_LONG,
    ]
    assert after(FEW - 1, 0.001, 1.0).size == EARLY_ON_LONG


def test_a_link_is_long_until_an_answer_came_soon() -> None:
    window = Window(SwarmConfig())
    assert not window.is_link_long
    window.answered(1.0, 2 * LONG)
    assert window.is_link_long
    window.answered(1.1, LONG / 2)
    window.answered(1.2, 2 * LONG)
    assert not window.is_link_long


def test_large_segments_take_longer() -> None:
    window = Window(SwarmConfig())
    window.holds_segments_of(4 * LONG_BYTES)
    window.answered(1.0, 3 * LONG)
    assert not window.is_link_long


def test_it_covers_what_arrives_during_an_answer() -> None:
    near, far = after(100, gap=0.01, took=0.01), after(100, gap=0.01, took=0.05)
    assert SPARE < near.size <= SPARE + GAIN + 1
    assert SPARE + 4 * GAIN < far.size <= SPARE + 5 * GAIN + 1


def test_who_is_served_slowly_asks_for_no_less() -> None:
    window = after(100, gap=0.01, took=0.05)
    before = window.size
    for number in range(50):
        window.answered(1.0 + 0.1 * number, 0.5)
    assert window.size >= before - 1


def crowded(answers: int, gap: float, took: float) -> Window:
    window = Window(SwarmConfig())
    window.enter_crowd()
    for number in range(answers):
        window.answered(gap * number, took)
    return window


def test_in_a_crowd_there_is_next_to_nothing_to_spare() -> None:
    assert crowded(0, 0.01, 0.01).size == crowded(100, 0.01, 0.01).size == FIRST_IN_CROWD


def test_but_for_a_long_link_where_it_does_not_wait_for_a_rate() -> None:
    assert [crowded(answers, 0.01, 0.05).size for answers in (0, 1, 2)] == [2, 3, 4]
    assert crowded(100, 0.01, 0.05).size > 4 * FIRST_IN_CROWD


def test_nor_does_a_crowd_move_a_fixed_window() -> None:
    window = Window(SwarmConfig(window=9))
    window.enter_crowd()
    assert window.size == 9


def test_it_has_an_end_in_requests_and_in_bytes() -> None:
    assert after(500, gap=0.0001, took=1.0).size == MOST
    window = Window(SwarmConfig())
    window.holds_segments_of(MOST_BYTES // 10)
    for number in range(100):
        window.answered(0.0001 * number, 1.0)
    assert window.size == 10


def test_a_fixed_window_stays_and_the_classic_one_is_one() -> None:
    assert after(100, 0.001, 1.0, window=9).size == 9
    assert after(100, 0.001, 1.0, window=9, strategy="classic").size == 1


# Long links, in a client ------------------------------------------------------------------------


@pytest.mark.parametrize(("took", "long"), [(LONG / 4, False), (2 * LONG, True)])
def test_where_answers_take_long_a_seed_is_asked_for_more_and_the_uploader_knows(
    took: float, long: bool
) -> None:
    client = leecher({"file1": 300}, clients=5)
    client.joins({"file1": [2]}, {"file1": [3, 4, 5]})
    asked = client.requests(to=2)
    assert len(asked) == FIRST_COPIES
    client.wait(took)
    client.hear(2, payload(asked[0]))
    assert client.store.is_link_long is long
    assert len(client.requests(to=2)) - 1 == (FIRST_COPIES_ON_LONG if long else FIRST_COPIES)


def test_an_uploader_that_knows_serves_each_of_a_few_at_once() -> None:
    store = SegmentStore(MemoryBacking())
    store.add_owned(declared("file1", 40))
    store.is_link_long = True
    client = Alone(Uploader(Rank(1), 9, store, SwarmConfig()))
    for rank in range(2, 10):
        client.hear(rank, request(rank, ticket=0))
    assert len(client.messages(SendSegment)) == 8
