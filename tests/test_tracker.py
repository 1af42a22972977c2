"""Who is in which swarm, never who holds which segment: the tracker, and a test that plays the clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.codec import encode
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank
from tests.helpers.alone import Alone, tracker
from tests.helpers.virtual import declared

FILE = declared("file1", 3)


def begun(clients: int, owned: dict[int, Iterable[Manifest]] | None = None, **choices: object) -> Alone:
    """A tracker that has every INIT; client 1 owns file1, unless it is said who owns what."""
    alone = tracker(clients, **choices)
    for rank in range(1, clients + 1):
        alone.hear(rank, msg.Init(tuple((owned or {1: [FILE]}).get(rank, ()))))
    return alone


def asks(alone: Alone, rank: int, *names: str) -> msg.SwarmResponse:
    """A first SWARM_REQUEST."""
    return response(alone.hear(rank, msg.SwarmRequest(names)), rank)


def updates(alone: Alone, rank: int, marks: str) -> msg.SwarmResponse:
    """An update for the files that are marked among those first named."""
    unfinished = Bitfield.of(len(marks), (at for at, mark in enumerate(marks) if mark == "x"))
    return response(alone.hear(rank, msg.SwarmRequest((), unfinished.to_bytes())), rank)


def response(news: list[tuple[int, msg.Stimulus]], rank: int) -> msg.SwarmResponse:
    ((to, message),) = news
    assert to == rank
    assert isinstance(message, msg.SwarmResponse)
    return message


def members(answer: msg.SwarmResponse, name: str = "file1") -> dict[int, str]:
    return {
        member.rank: member.role for swarm in answer.swarms if swarm.name == name for member in swarm.members
    }


def kinds(news: list[tuple[int, msg.Stimulus]]) -> list[tuple[int, str]]:
    return [(to, type(message).__name__) for to, message in news]


# INIT ---------------------------------------------------------------------------------------------


@given(st.permutations(range(1, 7)))
def test_no_init_ack_before_the_last_init(order: list[int]) -> None:
    alone = tracker(6)
    for rank in order[:-1]:
        assert alone.hear(rank, msg.Init(())) == []
    assert kinds(alone.hear(order[-1], msg.Init(()))) == [(rank, "InitAck") for rank in range(1, 7)]


def test_init_comes_once() -> None:
    alone = tracker(2)
    alone.hear(1, msg.Init((FILE,)))
    with pytest.raises(RemoteProtocolError, match="a second INIT from rank 1"):
        alone.hear(1, msg.Init(()))
    with pytest.raises(RemoteProtocolError, match="rank 2 owns one name twice"):
        alone.hear(2, msg.Init((FILE, FILE)))
    with pytest.raises(RemoteProtocolError, match="SWARM_REQUEST from rank 1 before its INIT_ACK"):
        alone.hear(1, msg.SwarmRequest(("file1",)))


def test_init_ack_bears_what_each_pattern_matches() -> None:
    alone = tracker(2)
    alone.hear(1, msg.Init(tuple(declared(name, 1) for name in ("b/2", "a", "b/1"))))
    alone.hear(2, msg.Init((), ("b/*", "c", "a")))
    assert alone.messages(msg.InitAck) == [msg.InitAck(()), msg.InitAck((("b/1", "b/2"), (), ("a",)))]


# Owners that disagree -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "what"),
    [
        (declared("file1", 4), "3 and 4 segments"),
        (
            Manifest.declared("file1", ("file1-0", "file1-1", "other-2")),
            "different segments, the first 'file1-2' and 'other-2'",
        ),
        (Manifest("file1", 9, 3, "blake3", (b"x", b"y", b"z")), f"{FILE.size} and 9 bytes"),
        (Manifest("file1", FILE.size, 7, "blake3", (b"x", b"y", b"z")), "different segments"),
    ],
)
def test_two_owners_of_one_name_that_differ_abort_the_run_naming_both(theirs: Manifest, what: str) -> None:
    alone = begun(4, {2: [FILE], 3: [theirs]})
    (aborted,) = alone.events(ev.RunAborted)
    assert (aborted.culprit, aborted.code) == (3, 2)
    assert aborted.reason == (
        f"clients 2 and 3 both own 'file1' but with {what}: expected the same file from every owner"
    )
    assert kinds(alone.sent) == [(rank, "Stop") for rank in (1, 2, 3, 4)]
    assert alone.halted
    assert not alone.messages(msg.InitAck)


def test_owners_that_agree_are_both_seeds() -> None:
    alone = begun(3, {1: [FILE], 2: [FILE]})
    assert members(asks(alone, 3, "file1")) == {1: "seed", 2: "seed"}
    assert len(alone.events(ev.FileRegistered)) == 1


@pytest.mark.parametrize("order", [("data", "data/x"), ("data/x", "data"), ("data/x/y", "data")])
def test_a_name_that_is_a_file_here_and_a_folder_there_aborts_the_run(order: tuple[str, str]) -> None:
    alone = begun(2, {1: [declared(order[0], 1)], 2: [declared(order[1], 1)]})
    (aborted,) = alone.events(ev.RunAborted)
    assert aborted.code == 2
    assert "'data' as a file" in aborted.reason
    assert "expected names that fit into one folder" in aborted.reason


def test_names_that_only_begin_alike_do_not_clash() -> None:
    assert not begun(1, {1: [declared("data", 1), declared("data2/x", 1)]}).events(ev.RunAborted)


# Swarms -------------------------------------------------------------------------------------------


def test_the_first_response_bears_manifests_and_members_and_makes_the_asker_a_peer() -> None:
    alone = begun(3)
    answer = asks(alone, 2, "file1", "ghost")
    assert (answer.manifests, answer.unknown) == ((FILE,), ("ghost",))
    assert members(answer) == {1: "seed"}
    assert members(asks(alone, 3, "file1")) == {1: "seed", 2: "peer"}


def test_a_response_bears_only_what_changed() -> None:
    alone = begun(4, {1: [FILE, declared("file2", 2)]})
    asks(alone, 2, "file1", "file2")
    assert updates(alone, 2, "xx") == msg.SwarmResponse()
    asks(alone, 3, "file2")
    assert members(updates(alone, 2, "xx"), "file2") == {3: "peer"}
    assert updates(alone, 2, "xx") == msg.SwarmResponse()
    alone.hear(3, msg.FileComplete("file2"))
    asks(alone, 4, "file1", "file2")
    answer = updates(alone, 2, "x.")
    assert (members(answer), members(answer, "file2")) == ({4: "peer"}, {})


def test_the_asker_is_never_in_its_own_response() -> None:
    alone = begun(2)
    assert members(asks(alone, 2, "file1")) == {1: "seed"}
    alone.hear(2, msg.FileComplete("file1"))
    assert updates(alone, 2, "x") == msg.SwarmResponse()


def test_file_complete_makes_a_peer_a_seed() -> None:
    alone = begun(3)
    asks(alone, 2, "file1")
    alone.hear(2, msg.FileComplete("file1"))
    assert members(asks(alone, 3, "file1")) == {1: "seed", 2: "seed"}
    for rank in (1, 2):
        with pytest.raises(RemoteProtocolError, match=f"FILE_COMPLETE from rank {rank}, no peer"):
            alone.hear(rank, msg.FileComplete("file1"))


def test_names_are_given_once() -> None:
    alone = begun(2)
    asks(alone, 2, "file1")
    with pytest.raises(RemoteProtocolError, match="names its files a second time"):
        alone.hear(2, msg.SwarmRequest(("file1",)))
    with pytest.raises(RemoteProtocolError, match="a bitfield of 1 segments"):
        alone.hear(2, msg.SwarmRequest((), b"\xff"))


# Many ---------------------------------------------------------------------------------------------


def test_for_one_file_a_response_names_at_most_50_clients_drawn_at_random() -> None:
    drawn: Counter[int] = Counter()
    for rng in range(40):
        alone = begun(300, rng=rng)
        for rank in range(2, 300):
            answer = members(asks(alone, rank, "file1"))
            assert len(answer) == min(rank - 1, 50)
        last = members(asks(alone, 300, "file1"))
        assert len(last) == 50
        assert 300 not in last
        drawn.update(list(last))
    # 40 draws of 50 among 299: each is expected 6.7 times.
    assert len(drawn) > 290
    assert max(drawn.values()) < 25


def test_an_update_names_at_most_50_as_well() -> None:
    alone = begun(200)
    asks(alone, 2, "file1")
    for rank in range(3, 201):
        asks(alone, rank, "file1")
    assert len(members(updates(alone, 2, "x"))) == 50
    assert updates(alone, 2, "x") == msg.SwarmResponse()


def test_who_lacks_holders_is_told_of_members_anew_seeds_first() -> None:
    alone = begun(200, swarm_cap=10)
    for rank in range(2, 201):
        asks(alone, rank, "file1")
    for rank in (50, 60):
        alone.hear(rank, msg.FileComplete("file1"))
    updates(alone, 2, "x")
    draws = []
    for _ in range(2):
        answer = response(alone.hear(2, msg.SwarmRequest((), b"\1", b"\1")), 2)
        draws.append(members(answer))
        assert [rank for rank, role in draws[-1].items() if role == "seed"] == [*draws[-1]][:3]
        assert len(draws[-1]) == 10
        assert 2 not in draws[-1]
        assert draws[-1].keys() >= {1, 50, 60}
    assert draws[0] != draws[1]
    with pytest.raises(RemoteProtocolError, match="a bitfield of 1 segments"):
        alone.hear(2, msg.SwarmRequest((), b"\1", b"\2"))


def test_20_000_files_cost_little() -> None:
    names = [f"data/shards/part-{number:05}" for number in range(20_000)]
    alone = begun(3, {1: [Manifest.declared(name, ("hash",)) for name in names]})
    asks(alone, 2, *names)
    update = msg.SwarmRequest((), Bitfield.full(20_000).to_bytes())
    assert len(encode(update)) < 4096
    assert len(encode(updates(alone, 2, "x" * 20_000))) < 10
    asks(alone, 3, *names[:3])
    changed = updates(alone, 2, "x" * 20_000)
    assert [swarm.name for swarm in changed.swarms] == names[:3]
    assert len(encode(changed)) < 200


def test_many_changes_and_few_give_the_same_answer() -> None:
    names = [f"file{number}" for number in range(5000)]
    alone = begun(4, {1: [declared(name, 1) for name in names]})
    asks(alone, 2, *names)
    asks(alone, 3, *names)
    answer = updates(alone, 2, "x" * 4999 + ".")
    assert [swarm.name for swarm in answer.swarms] == names[:-1]
    assert members(answer, "file17") == {3: "peer"}


# The end ------------------------------------------------------------------------------------------


def test_stop_follows_the_last_all_complete() -> None:
    alone = begun(3)
    assert alone.hear(1, msg.AllComplete()) == []
    assert alone.hear(3, msg.AllComplete()) == []
    with pytest.raises(RemoteProtocolError, match="ALL_COMPLETE from rank 3"):
        alone.hear(3, msg.AllComplete())
    assert alone.hear(2, msg.AllComplete()) == [(rank, msg.Stop()) for rank in (1, 2, 3)]
    assert (alone.halted, alone.machine.exit_code) == (True, 0)  # type: ignore[attr-defined]
    with pytest.raises(RemoteProtocolError, match="after STOP"):
        alone.hear(1, msg.Alive())


def test_what_could_not_be_had_is_exit_code_1() -> None:
    alone = begun(1)
    alone.hear(1, msg.AllComplete(("ghost",)))
    assert alone.machine.exit_code == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("code", [2, 3])
def test_an_abort_stops_everyone(acknowledged: bool, code: int) -> None:
    alone = begun(3) if acknowledged else tracker(3)
    news = alone.hear(2, msg.Abort(code, "in2.txt:1: expected a number"))  # type: ignore[arg-type]
    assert news == [(rank, msg.Stop(aborted=True)) for rank in (1, 2, 3)]
    assert alone.events(ev.RunAborted) == [ev.RunAborted(Rank(2), code, "in2.txt:1: expected a number")]
    assert (alone.halted, alone.machine.exit_code) == (True, code)  # type: ignore[attr-defined]


# Lost ---------------------------------------------------------------------------------------------


def lost(alone: Alone) -> list[tuple[int, str]]:
    return [(event.client, event.reason) for event in alone.events(ev.ClientLost)]


def test_a_silent_client_is_lost_and_the_others_go_on() -> None:
    alone = begun(2, client_timeout=60.0)
    alone.wait(30)
    asks(alone, 2, "file1")
    alone.wait(29.9)
    assert lost(alone) == []
    alone.wait(0.2)
    assert lost(alone) == [(1, "silent for 60 s")]
    assert updates(alone, 2, "x").lost == (1,)
    assert updates(alone, 2, "x").lost == ()
    assert kinds(alone.hear(2, msg.AllComplete())) == [(1, "Stop"), (2, "Stop")]
    assert alone.machine.exit_code == 1  # type: ignore[attr-defined]


def test_a_client_that_never_sends_init_does_not_hold_the_others_up() -> None:
    alone = tracker(3, client_timeout=60.0)
    alone.wait(1)
    alone.hear(1, msg.Init(()))
    alone.hear(2, msg.Init(()))
    assert kinds(alone.wait(60)) == [(1, "InitAck"), (2, "InitAck")]
    assert lost(alone) == [(3, "silent for 60 s")]


def test_who_waits_for_init_ack_is_not_lost_however_long_another_hashes() -> None:
    alone = tracker(2, client_timeout=60.0)
    alone.hear(1, msg.Init(()))
    for _ in range(20):
        alone.wait(30)
        alone.hear(2, msg.Alive())
    assert lost(alone) == []
    assert kinds(alone.hear(2, msg.Init(()))) == [(1, "InitAck"), (2, "InitAck")]
    alone.wait(59)
    assert lost(alone) == []


def test_a_finished_client_owes_no_sign_of_life() -> None:
    alone = begun(2)
    alone.hear(1, msg.AllComplete())
    for _ in range(10):
        alone.wait(50)
        updates(alone, 2, "")
    assert lost(alone) == []


def test_a_client_whose_process_ended_is_lost_at_once_and_in_no_swarm() -> None:
    alone = begun(3)
    asks(alone, 2, "file1")
    alone.hear(0, msg.Lost(Rank(1)))
    assert lost(alone) == [(1, "its process ended")]
    answer = asks(alone, 3, "file1")
    assert (members(answer), answer.lost) == ({2: "peer"}, (1,))
    with pytest.raises(RemoteProtocolError, match="rank 2 says that 3 is lost"):
        alone.hear(2, msg.Lost(Rank(3)))


def test_where_all_are_lost_the_run_ends() -> None:
    alone = tracker(2, client_timeout=60.0)
    assert kinds(alone.wait(61)) == [(1, "Stop"), (2, "Stop")]
    assert alone.halted
    assert alone.machine.exit_code == 1  # type: ignore[attr-defined]


def test_bad_input_on_its_own_rank_ends_the_run_before_it_begins() -> None:
    from random import Random

    from mpi_core.swarm.config import SwarmConfig
    from mpi_core.swarm.tracker import Tracker

    alone = Alone(Tracker(2, SwarmConfig(), Random(0), "no such folder"))
    assert kinds(alone.sent) == [(1, "Stop"), (2, "Stop")]
    assert alone.events(ev.RunAborted) == [ev.RunAborted(Rank(0), 2, "no such folder")]


# The first requests of a crowd --------------------------------------------------------------------


def test_the_first_requests_are_answered_when_all_have_come() -> None:
    alone = begun(3, gather_for=0.05)
    assert alone.hear(2, msg.SwarmRequest(("file1",))) == []
    alone.hear(1, msg.AllComplete())
    news = alone.hear(3, msg.SwarmRequest(("file1",)))
    assert {to: members(response([(to, message)], to)) for to, message in news} == {
        2: {1: "seed", 3: "peer"},
        3: {1: "seed", 2: "peer"},
    }


def test_but_nobody_is_waited_for_long() -> None:
    alone = begun(3, gather_for=0.05)
    assert alone.hear(2, msg.SwarmRequest(("file1",))) == []
    assert members(response(alone.wait(0.05), 2)) == {1: "seed"}
    assert members(asks(alone, 3, "file1")) == {1: "seed", 2: "peer"}
