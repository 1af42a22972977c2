"""From whom: round robin, the least loaded first; the busy, the silent and the corrupt are passed over."""

from __future__ import annotations

from random import Random

import pytest

from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.sources import FIRST_PAUSE, LAST_PAUSE, Source, Sources

ALL = 0b1111_1111


#: The size of the window in these tests.
WINDOW = 8


def sources(*ranks: int, keys: int = ALL) -> Sources:
    """Sources between which chance decides in the order in which they are named."""
    found = Sources(SwarmConfig(), Random(0))
    for place, rank in enumerate(ranks):
        source = found.of(Rank(rank), now=0.0)
        source.peer_keys, source.tie = keys, float(place)
    return found


def source(known: Sources, rank: int) -> Source:
    found = known.get(Rank(rank))
    assert found is not None
    return found


def turns(known: Sources, now: float = 0.0) -> list[int]:
    known.changed()
    return [source.rank for source in known.in_turn(now, WINDOW)]


def ask(known: Sources, key: int, now: float = 0.0) -> int:
    """Ask whose turn it is; who that was."""
    asked = known.in_turn(now, WINDOW)[0]
    known.asked(asked, key)
    return asked.rank


# Whose turn it is -------------------------------------------------------------------------------


def test_the_turn_goes_round() -> None:
    known = sources(1, 2, 3)
    asked = []
    for key in range(6):
        asked.append(ask(known, key))
        known.answered(source(known, asked[-1]), key)
    assert asked == [1, 2, 3, 1, 2, 3]


def test_the_less_loaded_come_first() -> None:
    known = sources(1, 2, 3)
    assert [ask(known, key) for key in range(3)] == [1, 2, 3]
    known.answered(source(known, 2), 1)
    assert turns(known) == [2, 1, 3]


def test_who_was_asked_less_often_comes_before_who_was_asked_long_ago() -> None:
    known = sources(1, 2)
    for key in range(4):
        known.asked(source(known, 1), key)
        known.answered(source(known, 1), key)
    known.asked(source(known, 2), 4)
    known.answered(source(known, 2), 4)
    assert turns(known) == [2, 1]


def test_nobody_has_more_than_its_share_of_the_window() -> None:
    known = sources(1, 2, 3)
    asked = [ask(known, key) for key in range(9)]
    assert (sorted(asked), turns(known)) == ([1, 1, 1, 2, 2, 2, 3, 3, 3], [])


def test_a_lone_source_has_the_whole_window() -> None:
    known = sources(1)
    for key in range(8):
        assert ask(known, key) == 1
    assert turns(known) == []


def test_who_holds_nothing_is_not_asked() -> None:
    known = sources(1, 2)
    source(known, 1).peer_keys = 0
    assert turns(known) == [2]
    source(known, 1).seed_keys = 1
    assert turns(known) == [1, 2]


def test_chance_decides_who_is_first() -> None:
    first = set()
    for seed in range(40):
        known = Sources(SwarmConfig(), Random(seed))
        for rank in (1, 2, 3):
            known.of(Rank(rank), now=0.0).peer_keys = ALL
        first.add(turns(known)[0])
    assert first == {1, 2, 3}


def test_who_says_that_much_waits_there_comes_later() -> None:
    known = sources(1, 2)
    source(known, 1).load = 3
    assert [ask(known, key) for key in range(4)] == [2, 2, 2, 1]
    known.answered(source(known, 2), 0)
    known.answered(source(known, 2), 1)
    assert turns(known) == [2, 1]


def test_who_takes_far_longer_than_usual_comes_last() -> None:
    known = sources(1, 2)
    source(known, 1).usual, source(known, 2).usual, source(known, 2).load = 4.0, 1.0, 7
    assert [s.rank for s in known.in_turn(0.0, WINDOW, usual=1.0)] == [2, 1]
    assert [s.rank for s in known.in_turn(0.0, WINDOW, usual=2.0)] == [1, 2]


# Who is passed over -----------------------------------------------------------------------------


def test_a_busy_source_is_left_alone_for_a_while_and_then_for_longer() -> None:
    known, now, pauses = sources(1, 2), 10.0, []
    for _ in range(8):
        known.paused(source(known, 1), now)
        assert turns(known, now) == [2]
        end = known.next_pause_end(now)
        assert end is not None
        pauses.append(end - now)
        assert turns(known, end) == [1, 2]
        now = end
    assert pauses == [pytest.approx(min(FIRST_PAUSE * 2**n, LAST_PAUSE)) for n in range(8)]
    source(known, 1).delivered("file1", 0.1, 1.0)
    known.paused(source(known, 1), now)
    assert known.next_pause_end(now) == pytest.approx(now + FIRST_PAUSE)


def test_a_silent_source_is_not_asked_until_it_speaks() -> None:
    known = sources(1, 2)
    source(known, 1).silent = True
    assert turns(known) == [2]
    assert known.hopeful_keys() == ALL
    source(known, 2).silent = True
    assert (turns(known), known.hopeful_keys()) == ([], 0)
    source(known, 1).silent = False
    assert turns(known) == [1]


def test_a_source_that_owes_a_late_answer_comes_last() -> None:
    known = sources(1, 2)
    source(known, 1).late, source(known, 2).load = 1, 5
    assert turns(known) == [2, 1]


# Strikes ----------------------------------------------------------------------------------------


def struck(
    strikes: int, corrupted: int, keys: int = ALL, honest: int = ALL
) -> tuple[Sources, Source, Source]:
    """A source with so many strikes that spoiled those keys, and a blameless one."""
    known = sources(1, 2)
    bad, good = source(known, 1), source(known, 2)
    bad.peer_keys, good.peer_keys = keys, honest
    bad.strikes, bad.corrupted = strikes, corrupted
    known._any_strikes = strikes > 0
    return known, bad, good


def test_where_all_are_blameless_nothing_is_barred() -> None:
    known, bad, good = struck(0, 0)
    trusted = known.trusted_keys()
    assert trusted is None
    assert known.last_resort(bad, trusted) == known.last_resort(good, trusted) == 0


def test_a_corrupt_segment_is_asked_of_another() -> None:
    known, bad, good = struck(1, corrupted=0b0001)
    trusted = known.trusted_keys()
    assert (known.last_resort(bad, trusted), known.last_resort(good, trusted)) == (0b0001, 0)


def test_three_strikes_and_the_sender_is_avoided() -> None:
    known, bad, good = struck(3, corrupted=0b0111)
    trusted = known.trusted_keys()
    assert known.avoided(bad)
    assert (known.last_resort(bad, trusted), known.last_resort(good, trusted)) == (ALL, 0)


def test_but_asked_for_what_nobody_else_holds() -> None:
    known, bad, _ = struck(3, corrupted=0b0111, honest=0b1111_0000)
    assert ALL & ~known.last_resort(bad, known.trusted_keys()) == 0b0000_1111


def test_nothing_is_hoped_of_a_source_in_a_file_that_is_barred_to_it() -> None:
    known, bad, _ = struck(12, corrupted=ALL, honest=0b1)
    assert known.hopeful_keys() == ALL
    bad.barred = 0b1110
    assert known.hopeful_keys() == ALL & ~0b1110
    bad.barred = ALL
    assert (turns(known), known.hopeful_keys()) == ([2], 0b1)


def test_a_good_segment_ends_the_row_but_forgives_no_strike() -> None:
    known, bad, _ = struck(3, corrupted=0b0111)
    bad.corrupt_in_a_row = {"file1": 3, "file2": 1}
    bad.delivered("file1", 0.1, 1.0)
    assert (bad.corrupt_in_a_row, bad.strikes, known.avoided(bad)) == ({"file2": 1}, 3, True)


def test_a_source_that_owes_a_key_is_not_asked_for_it_twice() -> None:
    known = sources(1)
    known.asked(source(known, 1), 3)
    assert source(known, 1).asked == 0b1000
    known.answered(source(known, 1), 3)
    assert (source(known, 1).asked, source(known, 1).outstanding) == (0, 0)


def test_a_slow_source_gets_another_chance() -> None:
    known = sources(1, 2)
    slow = source(known, 1)
    slow.delivered("file1", 1.0, now=10.0)
    assert known.turn(slow, now=11.0, usual=0.1)[0]
    assert not known.turn(slow, now=12.0, usual=0.1)[0]


def test_what_a_source_said_of_its_load_grows_old() -> None:
    known = sources(1)
    told = source(known, 1)
    told.load, told.load_told_at = 7, 10.0
    assert known.load(told, now=10.1, usual=None) == 7
    assert known.load(told, now=10.3, usual=None) == 0
    assert known.load(told, now=10.3, usual=1.0) == 7


def test_of_seeds_that_are_named_one_after_the_other_not_all_ask_the_first() -> None:
    known = sources(1, 2, 3, keys=0)
    for rank in (1, 2, 3):
        source(known, rank).seed_keys = ALL
    asked = []
    for key in range(3):
        known.changed()
        seed = known.ready_seeds(0.0, 1)[0]
        known.asked(seed, key)
        known.answered(seed, key)  # It was withdrawn: the next asked is another.
        asked.append(seed.rank)
    assert asked == [1, 2, 3]
