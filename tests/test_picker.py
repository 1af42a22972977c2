"""Which segment next. A picker's world is drawn as strings of equal length, one character a segment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.units import Rank
from mpi_core.swarm.picker import Picker, any_key, lowest_key


def keys(marks: str) -> int:
    """The segments marked with an ``x``."""
    return Bitfield.of(len(marks), (at for at, mark in enumerate(marks) if mark == "x")).bits


def picker_of(
    have: str, copies: str, rank: int, peers: Collection[int], seeds: Collection[int], rng: int
) -> Picker:
    picker = Picker(Rank(rank), Random(rng))
    file = picker.add("file1", len(have))
    picker.todo &= ~keys(have)
    for level in range(1, 10):
        picker.gained(keys("".join("x" if int(count) >= level else "." for count in copies)))
    file.peers.update(map(Rank, peers))
    file.seeds.update(map(Rank, seeds))
    picker.members_changed(file)
    return picker


def asked_of(picker: Picker, peer: str, seed: str, patient: bool) -> int | None:
    """What is asked of somebody who holds those keys as a peer, and those as a seed."""
    held = (keys(peer) | keys(seed) & picker.seed_keys(patient)) & picker.todo
    return picker.rarest(held) if held else None


def pick_all(
    have: str,
    peer: str = "",
    seed: str = "",
    copies: str = "",
    rank: int = 1,
    peers: Collection[int] = (),
    seeds: Collection[int] = (),
    patient: bool = True,
    rng: int = 0,
) -> list[int]:
    """Whatever would be picked, in its order, if nothing else changed meanwhile."""
    width = len(have)
    strings = [string or "." * width for string in (peer, seed)]
    assert all(len(string) == width for string in (*strings, copies or have)), "strings of equal length"
    picker = picker_of(have, copies or "0" * width, rank, peers, seeds, rng)
    picks = []
    while (key := asked_of(picker, *strings, patient)) is not None:
        picks.append(key)
        picker.todo &= ~(1 << key)
    return picks


def pick(have: str, peer: str = "", seed: str = "", copies: str = "") -> int | None:
    return next(iter(pick_all(have, peer, seed, copies)), None)


# Rarest first -----------------------------------------------------------------------------------


def test_rarest_first() -> None:
    #           segment 0123456
    assert pick(have = "x......",
                peer = "xxxx.x.",
                copies="9312923") == 2  # fmt: skip


def test_what_is_here_or_asked_for_is_not_picked() -> None:
    #           segment 0123456
    assert pick(have = "xxx.x..",
                peer = "xxx.x..",
                copies="1111111") is None  # fmt: skip


def test_nothing_that_the_source_does_not_hold() -> None:
    #           segment 0123456
    assert pick(have = ".......",
                peer = ".....x.",
                copies="0000090") == 5  # fmt: skip
    assert pick(have = ".......",
                peer = ".......",
                copies="1111111") is None  # fmt: skip


def test_all_in_the_order_of_their_copies() -> None:
    #               segment 0123456
    assert pick_all(have = "....x..",
                    peer = "xxxxxx.",
                    copies="5213940") == [2, 1, 3, 5, 0]  # fmt: skip


def test_ties_are_broken_at_random() -> None:
    first = Counter(
        pick_all(have="........", peer="xx.xx.xx", copies="21111121", rng=rng)[0] for rng in range(200)
    )
    assert set(first) == {1, 3, 4, 7}
    assert min(first.values()) > 20


@given(st.integers(1, 2**80 - 1), st.integers(0, 2**32))
def test_a_random_key_is_a_key(some: int, rng: int) -> None:
    key = any_key(some, Random(rng))
    assert some >> key & 1


def test_every_key_has_its_chance() -> None:
    sparse = 1 << 900 | 1 << 30 | 1 << 2 | 1
    rng = Random(1)
    assert {any_key(sparse, rng) for _ in range(300)} == {0, 2, 30, 900}


@given(st.data())
def test_rarest_means_that_no_candidate_is_rarer(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 12))
    marks = st.text("x.", min_size=width, max_size=width)
    have, peer = data.draw(marks), data.draw(marks)
    copies = data.draw(st.text("0123", min_size=width, max_size=width))
    candidates = [at for at in range(width) if peer[at] == "x" and have[at] == "."]
    picks = pick_all(have, peer, copies=copies)
    assert sorted(picks) == candidates
    assert [copies[at] for at in picks] == sorted(copies[at] for at in candidates)


def test_a_copy_that_is_lost_counts_no_more() -> None:
    picker = picker_of(have="...", copies="221", rank=1, peers=(), seeds=(), rng=0)
    picker.lost(keys("x.x"))
    assert picker.unheld == keys("..x")
    assert [picker.held_by_few(most) for most in (1, 2)] == [keys("x.."), keys("xx.")]
    assert asked_of(picker, "xx.", "...", True) == 0


def test_all_files_lie_on_one_axis() -> None:
    picker = Picker(Rank(1), Random(0))
    first, second = picker.add("file1", 3), picker.add("file2", 2)
    assert [picker.locate(key) for key in range(5)] == [
        (first, 0),
        (first, 1),
        (first, 2),
        (second, 0),
        (second, 1),
    ]
    assert picker.keys_of(second, Bitfield.full(2)) == second.mask == keys("...xx")
    assert picker.file("file2") is second
    assert picker.file("file3") is None


# First copies are shared out --------------------------------------------------------------------


def stripe(rank: int, peers: Collection[int], seeds: Collection[int] = (9,), copies: str = "00000000") -> str:
    """What a patient downloader may ask of the seed."""
    width = len(copies)
    picks = pick_all("." * width, seed="x" * width, copies=copies, rank=rank, peers=peers, seeds=seeds)
    return "".join("x" if at in picks else "." for at in range(width))


def test_each_downloader_asks_the_seed_for_its_own_stripe() -> None:
    stripes = {stripe(rank, peers={1, 2, 3} - {rank}) for rank in (1, 2, 3)}
    assert stripes == {"x..x..x.",
                       ".x..x..x",
                       "..x..x.."}  # fmt: skip


@given(st.integers(0, 12), st.sets(st.integers(1, 8), min_size=2))
def test_every_segment_is_in_one_stripe(width: int, downloaders: set[int]) -> None:
    stripes = [stripe(rank, downloaders - {rank}, copies="0" * width) for rank in downloaders]
    assert ["".join(column).count("x") for column in zip(*stripes, strict=True)] == [1] * width


def test_a_seed_sends_no_second_copy_before_one_of_everything() -> None:
    alone = stripe(1, peers=[2])
    after = stripe(1, peers=[2], copies="".join("1" if at in (0, 1, 2, 3) else "0" for at in range(8)))
    assert after == "...." + alone[4:]


@pytest.mark.parametrize("seeds", [(8, 9), (7, 8, 9)])
def test_seeds_that_are_not_outnumbered_are_asked_for_anything(seeds: tuple[int, ...]) -> None:
    assert stripe(1, peers=[2], seeds=seeds) == "xxxxxxxx"


def test_so_is_a_seed_with_one_downloader() -> None:
    assert stripe(1, peers=[]) == "xxxxxxxx"


def test_what_a_peer_holds_is_nobodys_stripe() -> None:
    picks = pick_all(have="........", peer="xxxxxxxx", copies="11111111", rank=1, peers=[2, 3], seeds=[9])
    assert sorted(picks) == list(range(8))


def test_files_of_one_segment_fall_to_different_downloaders() -> None:
    def owner(name: str) -> int:
        for rank in (1, 2, 3):
            picker = Picker(Rank(rank), Random(0))
            file = picker.add(name, 1)
            file.peers.update(Rank(other) for other in (1, 2, 3) if other != rank)
            file.seeds.add(Rank(9))
            picker.members_changed(file)
            if asked_of(picker, ".", "x", True) is not None:
                return rank
        raise AssertionError(f"{name} falls to nobody")

    assert set(Counter(owner(f"file{number}") for number in range(30))) == {1, 2, 3}


# Patience ---------------------------------------------------------------------------------------


def test_patience_ends() -> None:
    world = {"have": "........", "seed": "xxxxxxxx", "copies": "01010101"}
    patient = pick_all(**world, rank=1, peers=[2, 3, 4], seeds=[9], patient=True)
    impatient = pick_all(**world, rank=1, peers=[2, 3, 4], seeds=[9], patient=False)
    assert len(patient) <= 2
    assert sorted(impatient) == list(range(8))
    assert [at % 2 for at in impatient] == [0, 0, 0, 0, 1, 1, 1, 1]


# Sequential -------------------------------------------------------------------------------------


def first(have: str, *held: str) -> int | None:
    return picker_of(have, "0" * len(have), 1, (), (), 0).first(map(keys, held))


def test_the_classic_strategy_takes_the_first_missing_segment_that_anyone_holds() -> None:
    #             segment 0123456
    assert first(        "xx.....",
                         "xxx...x",
                         ".x.x...") == 2  # fmt: skip
    assert first(        "xxx....",
                         "xxx...x",
                         ".x.x...") == 3  # fmt: skip
    assert first(        "xxxx...",
                         "xxxx...") is None  # fmt: skip
    assert first(        ".......") is None  # fmt: skip


@given(st.integers(1, 2**70))
def test_the_lowest_key_is_the_first_of_them(some: int) -> None:
    assert lowest_key(some) == next(iter(Bitfield(some.bit_length(), some)))
