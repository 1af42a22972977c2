"""In a crowd news go round, to few at a time, sooner where a link idles; who hears of an idle one asks it."""

from __future__ import annotations

import pytest

from mpi_core.protocol import messages as msg
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.swarm import requests
from mpi_core.swarm.neighbours import AT_A_TIME, FEW, GATHERED, LATEST, LOADED, SENDING
from tests.helpers.alone import Leecher, announce, holding, leecher, payload, request, seed

SEGMENTS = 120

#: Seconds between two segments of who is at work.
GAP = 0.01


class Member(Leecher):
    """A client with a neighbour, 2, that holds all but one segment, or a seed; the others, from 3 on, hold
    nothing."""

    answered = 0

    def gain(self) -> list[int]:
        """The next request is answered; who hears of it at once."""
        before = len(self.sent)
        self.hear(2, payload(self.requests(to=2)[self.answered]))
        self.answered += 1
        return told(self, before)


def told(client: Leecher, since: int) -> list[int]:
    return [to for to, message in client.sent[since:] if isinstance(message, msg.Announce)]


def among(neighbours: int, seeded: bool = False, **choices: object) -> Member:
    client = leecher({"file1": SEGMENTS}, clients=1 + neighbours, **choices)
    client.__class__ = Member
    assert isinstance(client, Member)
    if seeded:
        client.joins({"file1": [2]}, {"file1": range(3, 2 + neighbours)})
    else:
        client.joins({}, {"file1": range(2, 2 + neighbours)})
        client.hear(2, holding("file1", "x" * (SEGMENTS - 1) + "."))
    for rank in range(3, 2 + neighbours):
        client.hear(rank, holding("file1", "." * SEGMENTS))
    client.wait(1.0)
    return client


def at_work(client: Member, load: int, sending: bool) -> Member:
    """It has told all that it gained, a segment every GAP; its uploader has so much to do."""
    for _ in range(8):
        client.now += GAP
        client.gain()
    client.wait(1.0)
    client.store.load, client.store.sending = load, sending
    return client


def test_few_neighbours_hear_of_a_gain_at_once() -> None:
    assert among(FEW).gain() == list(range(3, 2 + FEW))


def test_many_hear_of_it_in_turn() -> None:
    client = among(12)
    heard = client.gain()
    assert len(heard) == AT_A_TIME
    since = len(client.sent)
    client.wait(1.0)
    assert sorted(heard + told(client, since)) == list(range(3, 14))


def test_who_was_told_longest_ago_is_told_next() -> None:
    client = among(12)
    rounds = []
    for _ in range(3):
        rounds += client.gain()
        client.now += client.machine._config.announce_interval  # type: ignore[attr-defined]
    assert len(set(rounds)) == 3 * AT_A_TIME


def test_one_message_tells_all_that_was_missed() -> None:
    client = among(12, announce_interval=1.0)
    for _ in range(2):
        client.gain()
    client.wait(30.0)
    gains = {
        to: [index for gain in message.gains for index in gain.indices]
        for to, message in client.sent
        if isinstance(message, msg.Announce)
    }
    assert sorted(map(len, gains.values())) == [1] * AT_A_TIME + [2] * (11 - AT_A_TIME)


@pytest.mark.parametrize(
    ("load", "sending", "wait", "hearers"),
    [
        pytest.param(0, False, 0.01, 11 - AT_A_TIME, id="nothing to do: all at once"),
        pytest.param(0, True, 0.0101, 2 * AT_A_TIME, id="a payload on the way: twice in its time"),
        pytest.param(1, False, 0.01, 0, id="requests wait: once in its time"),
    ],
)
def test_who_has_less_to_do_tells_the_next_ones_sooner(
    load: int, sending: bool, wait: float, hearers: int
) -> None:
    client = at_work(among(12, announce_interval=0.001), load, sending)
    client.gain()
    since = len(client.sent)
    client.wait(wait)
    assert len(told(client, since)) == hearers


@pytest.mark.parametrize(
    ("load", "sending", "times"),
    [
        pytest.param(0, False, 0.0, id="nothing to do: at once"),
        pytest.param(0, True, SENDING, id="a payload on the way: soon"),
        pytest.param(1, False, LOADED, id="requests wait: later"),
    ],
)
def test_few_too_hear_of_many_gains_together_from_who_has_enough_to_do(
    load: int, sending: bool, times: float
) -> None:
    client = at_work(among(FEW, announce_interval=0.0), load, sending)
    client.gain()
    since = len(client.sent)
    client.gain()
    pause = min(times * GATHERED * GAP, LATEST)
    client.wait(0.99 * pause)
    assert len(told(client, since)) == (0 if times else FEW - 1)
    client.wait(0.02 * pause)
    assert len(told(client, since)) == FEW - 1


def test_few_hear_at_once_of_what_none_of_them_holds() -> None:
    client = among(FEW, announce_interval=0.0, seeded=True)
    at_work(client, load=1, sending=True).gain()
    assert client.gain() == list(range(3, 2 + FEW))


# Who is asked -------------------------------------------------------------------------------------


def hears(client: Leecher, rank: int, load: int) -> None:
    client.hear(rank, msg.Announce(announce("file1", 4, 5).gains, load))


@pytest.fixture
def nothing_is_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "RARE", 0)


@pytest.mark.usefixtures("nothing_is_rare")
@pytest.mark.parametrize("load", [0, 1])
def test_who_has_nothing_to_do_is_asked_beside_the_window(load: int) -> None:
    client = among(12)
    assert [to for to, _ in client.asked()] == [2]
    hears(client, 3, load)
    assert [to for to, _ in client.asked()] == ([2] if load else [2, 3])


@pytest.mark.parametrize("rare", [1, 2])
def test_so_is_who_holds_something_that_few_others_hold(rare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "RARE", rare)
    client = among(12)
    hears(client, 3, load=1)  # Of what 2 holds already.
    assert [to for to, _ in client.asked()] == ([2] if rare < 2 else [2, 3])


def test_but_for_one_segment_and_of_one_alone() -> None:
    client = among(12)
    for rank in (3, 3, 4, 5):
        hears(client, rank, load=0)
    assert [to for to, _ in client.asked()] == [2, 3]


def test_few_need_no_more_than_the_window() -> None:
    client = among(FEW)
    hears(client, 3, load=0)
    assert [to for to, _ in client.asked()] == [2]


def test_the_last_requests_go_to_who_is_idle_after_one_segments_time_though_nothing_comes() -> None:
    client = among(12)
    for _ in range(SEGMENTS - 2):
        client.now += 0.01
        client.gain()
    client.hear(3, msg.Announce(announce("file1", SEGMENTS - 1).gains, 0))
    client.hear(4, msg.Announce(announce("file1", *range(SEGMENTS)).gains, 0))
    assert not client.messages(msg.Cancel)
    client.wait(0.0101)
    assert client.messages(msg.Cancel, to=2)

    # It goes on to who is idle, however much oftener that one was asked.
    known = client.machine._sources  # type: ignore[attr-defined]
    known.get(Rank(2)).times_asked, known.get(Rank(4)).times_asked = 0, 99
    since = len(client.asked())
    for rank in (2, 3):
        for withdrawn in client.messages(msg.Cancel, to=rank):
            client.hear(rank, msg.Reject(withdrawn.ticket, "cancelled"))
    assert [to for to, _ in client.asked()[since:]] == [4]


def test_the_classic_strategy_keeps_its_one_request_in_flight() -> None:
    client = among(12, strategy="classic")
    hears(client, 3, load=0)
    assert len(client.asked()) == 1


def test_the_classic_strategy_withdraws_nothing_that_a_peer_has_come_to_hold() -> None:
    client = leecher({"file1": SEGMENTS}, clients=4, strategy="classic")
    client.joins({"file1": [2]}, {"file1": [3, 4]})
    assert client.asked() == [(2, 0)]
    for index in range(3):
        client.hear(3, announce("file1", index))
        client.hear(4, announce("file1", index))
        client.wait(0.5)
    assert client.asked() == [(2, 0)]
    assert client.messages(msg.Cancel) == []


@pytest.mark.parametrize(("peers", "crowd", "first_copies"), [(FEW, False, 2), (FEW + 1, True, 1)])
def test_a_crowd_is_known_from_the_trackers_first_answer(peers: int, crowd: bool, first_copies: int) -> None:
    client = leecher({"file1": SEGMENTS}, clients=2 + peers)
    client.joins({"file1": [2]}, {"file1": range(3, 3 + peers)})
    assert client.store.in_crowd == crowd
    assert len(client.requests(to=2)) == first_copies


# What an uploader says of itself ------------------------------------------------------------------


def test_what_fills_the_slots_does_not_wait() -> None:
    client, loads = seed(slots=2), []
    store = client.machine._store  # type: ignore[attr-defined]
    for ticket in range(4):
        client.hear(2 + ticket, request(ticket, ticket))
        loads.append(store.load)
    assert loads == [0, 1, 2, 3]
    for ticket in range(4):
        client.hear(1, msg.Sent(Rank(2 + ticket), Ticket(ticket)))
    assert store.load == 0
