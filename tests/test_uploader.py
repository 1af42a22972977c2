"""Serve, within its slots: each request gets exactly one answer, and nobody keeps the others waiting."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.slots import FIRST_TAKES
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.uploader import Uploader
from tests.helpers.alone import Alone, request, seed
from tests.helpers.virtual import declared


def sent(client: Alone, to: int, ticket: int) -> list[tuple[int, msg.Stimulus]]:
    """That payload has left."""
    return client.hear(1, msg.Sent(Rank(to), Ticket(ticket)))


def answers(client: Alone) -> list[tuple[int, int, str]]:
    """Who was answered, for which ticket, and how."""
    kinds = {msg.SendSegment: "sent", msg.Reject: "refused"}
    return [
        (to, m.ticket, kinds[type(m)])
        for to, m in client.sent
        if isinstance(m, (msg.SendSegment, msg.Reject))
    ]


# Answers ------------------------------------------------------------------------------------------


def test_a_request_is_answered_by_its_segment() -> None:
    client = seed()
    assert client.hear(2, request(7, ticket=3)) == [(2, msg.SendSegment(Ticket(3), b"file1-7"))]
    assert client.events(ev.SegmentSent) == [ev.SegmentSent(Rank(2), "file1", SegmentIndex(7), 7)]


@pytest.mark.parametrize(
    ("name", "index"), [("file2", 0), ("file1", 40), ("file1", -1), ("file1", 2**60), ("", 0)]
)
def test_what_is_not_here_is_refused(name: str, index: int) -> None:
    client = seed()
    assert client.hear(2, request(index, 0, name)) == [(2, msg.Reject(Ticket(0), "absent"))]
    assert client.events(ev.SegmentRefused) == [
        ev.SegmentRefused(Rank(2), name, SegmentIndex(index), "absent")
    ]


def test_beyond_a_full_queue_it_is_busy() -> None:
    client = seed(slots=1, max_queue=2)
    for ticket in range(5):
        client.hear(2, request(ticket, ticket))
    assert answers(client) == [(2, 0, "sent"), (2, 3, "refused"), (2, 4, "refused")]
    assert {m.reason for m in client.messages(msg.Reject)} == {"busy"}


@given(st.integers(1, 4), st.sampled_from([1, 3, 512]), st.integers(0, 2**32))
def test_each_request_gets_exactly_one_answer(slots: int, queue: int, chance: int) -> None:
    client, rng = seed(slots=slots, max_queue=queue), Random(chance)
    open_requests: set[tuple[int, int]] = set()
    on_the_way: list[tuple[int, int]] = []
    for _ in range(60):
        before = len(client.sent)
        client.now += rng.random()
        choice, rank, ticket = rng.random(), rng.randint(2, 4), rng.randint(0, 9)
        if choice < 0.6 and (rank, ticket) not in open_requests:
            open_requests.add((rank, ticket))
            client.hear(rank, request(rng.randint(0, 45), ticket))
        elif choice < 0.7:
            client.hear(rank, msg.Cancel(Ticket(ticket)))
        elif on_the_way:
            sent(client, *on_the_way.pop(rng.randrange(len(on_the_way))))
        else:
            client.wait(0.0)
        for to, message in client.sent[before:]:
            if isinstance(message, (msg.SendSegment, msg.Reject)):
                open_requests.remove((to, message.ticket))
                if isinstance(message, msg.SendSegment):
                    on_the_way.append((to, message.ticket))
    for _ in range(200):
        before = len(client.sent)
        client.wait(0.1)
        if on_the_way:
            sent(client, *on_the_way.pop())
        for to, message in client.sent[before:]:
            if isinstance(message, (msg.SendSegment, msg.Reject)):
                open_requests.remove((to, message.ticket))
                on_the_way += [(to, message.ticket)] * isinstance(message, msg.SendSegment)
    assert not open_requests


def test_a_second_request_with_a_waiting_ticket_is_refused_as_nonsense() -> None:
    client = seed(slots=1)
    client.hear(3, request(0, 0))
    client.hear(2, request(0, 5))
    with pytest.raises(RemoteProtocolError, match="ticket 5 of rank 2 is in use"):
        client.hear(2, request(1, 5))
    assert sent(client, 3, 0) == [(2, msg.SendSegment(Ticket(5), b"file1-0"))]


def test_a_ticket_may_come_again_before_its_sender_hears_that_the_payload_left() -> None:
    """The receiver may well know first that a payload has arrived."""
    client = seed(slots=2)
    client.hear(2, request(0, 5))
    assert client.hear(2, request(1, 5)) == [(2, msg.SendSegment(Ticket(5), b"file1-1"))]
    assert client.hear(3, request(0, 0)) == []
    assert sent(client, 2, 5) == [(3, msg.SendSegment(Ticket(0), b"file1-0"))]


@pytest.mark.parametrize("rank", [0, 6, -1])
def test_only_clients_may_ask(rank: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"rank {rank} asks for a segment"):
        seed().hear(rank, request(0, 0))


# Slots and turns ----------------------------------------------------------------------------------


def test_no_more_payloads_are_on_the_way_than_there_are_slots() -> None:
    client = seed(slots=3)
    for ticket in range(8):
        client.hear(2, request(ticket, ticket))
    assert [ticket for _, ticket, _ in answers(client)] == [0, 1, 2]
    assert sent(client, 2, 1) == [(2, msg.SendSegment(Ticket(3), b"file1-3"))]


def test_the_answers_go_round_the_requesters() -> None:
    client = seed(slots=1)
    for ticket in range(4):
        client.hear(2, request(ticket, ticket))
    client.hear(3, request(0, 0))
    client.hear(3, request(1, 1))
    client.hear(4, request(0, 0))
    for _ in range(6):
        to, ticket, _ = answers(client)[-1]
        sent(client, to, ticket)
    assert [to for to, _, _ in answers(client)] == [2, 2, 3, 4, 2, 3, 2]


def test_a_receiver_that_takes_no_payload_holds_no_slot_for_long() -> None:
    """A client may die with payloads on their way to it; the others must not wait for them."""
    client = seed(slots=2, request_timeout=5.0)
    for ticket in range(4):
        client.hear(2, request(ticket, ticket))
    client.hear(3, request(0, 0))
    assert [to for to, _, _ in answers(client)] == [2, 2]
    client.wait(5.0)
    assert [to for to, _, _ in answers(client)] == [2, 2, 3]
    client.wait(60.0)
    assert [to for to, _, _ in answers(client)] == [2, 2, 3]
    sent(client, 2, 0)
    sent(client, 2, 1)
    assert [to for to, _, _ in answers(client)] == [2, 2, 3, 2, 2]


def test_nor_a_place_in_the_queue() -> None:
    client = seed(slots=1, max_queue=2, request_timeout=5.0)
    for ticket in range(3):
        client.hear(2, request(ticket, ticket))
    client.hear(3, request(0, 0))
    assert answers(client)[-1] == (3, 0, "refused")
    client.wait(5.0)
    client.hear(3, request(0, 0))
    assert answers(client)[-1] == (3, 0, "sent")


# Cancel -------------------------------------------------------------------------------------------


def test_a_request_cancelled_in_the_queue_is_answered_by_a_reject() -> None:
    client = seed(slots=1)
    client.hear(2, request(0, 0))
    client.hear(2, request(1, 1))
    assert client.hear(2, msg.Cancel(Ticket(1))) == [(2, msg.Reject(Ticket(1), "cancelled"))]
    assert sent(client, 2, 0) == []


def test_a_request_cancelled_too_late_gets_no_second_answer() -> None:
    client = seed(slots=1)
    client.hear(2, request(0, 0))
    assert client.hear(2, msg.Cancel(Ticket(0))) == []
    assert client.hear(2, msg.Cancel(Ticket(77))) == []
    assert client.hear(3, msg.Cancel(Ticket(0))) == []


# Pending ------------------------------------------------------------------------------------------


def test_who_waits_long_hears_pending() -> None:
    client = seed(slots=1, request_timeout=6.0)
    client.hear(2, request(0, 0))
    client.hear(2, request(0, 4))
    assert client.wait(1.9) == []
    assert client.wait(0.2) == [(2, msg.Pending((Ticket(0), Ticket(4))))]
    assert client.wait(1.8) == []
    assert client.wait(0.2) == [(2, msg.Pending((Ticket(0), Ticket(4))))]


def test_while_the_first_payload_is_on_its_way_others_get_theirs() -> None:
    client = seed(slots=1)
    for rank in (2, 3, 4):
        client.hear(rank, request(0, 0))
        client.hear(rank, request(1, 1))
    assert [to for to, _, _ in answers(client)] == [2]
    client.wait(2 * FIRST_TAKES)
    assert [to for to, _, _ in answers(client)] == [2, 3, 4]
    client.wait(10 * FIRST_TAKES)
    assert [to for to, _, _ in answers(client)] == [2, 3, 4]


def test_pending_comes_three_times_before_a_request_expires() -> None:
    client = seed(slots=1, rate=0.001, request_timeout=5.0)
    for rank in (2, 3, 4):
        client.hear(rank, request(0, 0))
    client.wait(60.0)
    times = Counter(to for to, m in client.sent if isinstance(m, msg.Pending))
    assert min(times.values()) >= 30
    assert client.machine.wake_at is not None


def test_who_serves_nobody_sleeps() -> None:
    client = seed()
    assert client.machine.wake_at is None
    client.hear(2, request(0, 0))
    sent(client, 2, 0)
    assert client.wait(100) == []
    assert client.machine.wake_at is None


# Rate ---------------------------------------------------------------------------------------------


@given(st.floats(5.0, 500.0), st.integers(1, 4), st.integers(0, 2**32))
def test_no_stretch_of_time_carries_more_than_the_rate(rate: float, slots: int, chance: int) -> None:
    client, rng = seed(rate=rate, slots=slots), Random(chance)
    departures: list[tuple[float, int]] = []

    def leave(news: list[tuple[int, msg.Stimulus]]) -> None:
        while news:
            to, message = news.pop()
            if isinstance(message, msg.SendSegment):
                departures.append((client.now, len(message.payload)))
                news += sent(client, to, message.ticket)

    for ticket in range(20):
        leave(client.hear(2, request(ticket, ticket)))
        pause_ends = client.now + rng.choice((0.0, 0.01, 0.3))
        while client.machine.wake_at is not None and client.machine.wake_at < pause_ends:
            leave(client.wait(client.machine.wake_at - client.now))
        client.now = pause_ends
    while client.machine.wake_at is not None:
        leave(client.wait(client.machine.wake_at - client.now))
    assert len(departures) == 20
    for first, (begin, _) in enumerate(departures):
        total = 0
        for end, size in departures[first:]:
            # The last payload may be as long as it likes; a tenth of a second may be made good.
            assert total <= rate * (end - begin + 0.1) + 1e-6
            total += size


# The end ------------------------------------------------------------------------------------------


def test_serving_ends_with_stop() -> None:
    client = seed(slots=1)
    for ticket in range(3):
        client.hear(2, request(ticket, ticket))
    assert client.hear(1, msg.Shutdown()) == []
    assert client.halted
    assert client.told[-1] == ev.ServingEnded()
    with pytest.raises(RemoteProtocolError, match="after STOP"):
        client.hear(2, request(9, 9))


# What goes first ----------------------------------------------------------------------------------


def bundler() -> SegmentStore:
    """A store whose owned files were found to make a bundle when the machines stood already."""
    store = SegmentStore(MemoryBacking())
    store.may_be_bundled = True
    return store


@pytest.mark.parametrize("bundled", [False, True])
def test_an_owner_sends_no_second_copy_while_somebody_waits_for_a_first(bundled: bool) -> None:
    client = seed(slots=1)
    if bundled:
        store = bundler()
        client = Alone(Uploader(Rank(1), 5, store, SwarmConfig(slots=1)))
        store.add_bundles([declared("file1", 40)])
    client.hear(2, request(0, 0))
    client.now = 1.0
    sent(client, 2, 0)
    client.hear(2, request(1, 1))
    client.hear(3, request(0, 1))
    client.now = 4.0
    client.hear(4, request(7, 1))
    for _ in range(2):
        to, ticket, _ = answers(client)[-1]
        client.now += 0.5
        sent(client, to, ticket)
    assert [to for to, _, _ in answers(client)] == [2, 2, 4, 3]


def test_a_second_payload_for_one_receiver_waits_for_the_others() -> None:
    client = seed(slots=2)
    client.hear(2, request(0, 0))
    client.hear(3, request(1, 0))
    client.hear(3, request(2, 1))
    client.hear(4, request(3, 0))
    sent(client, 2, 0)
    assert [to for to, _, _ in answers(client)] == [2, 3, 4]


# Bundles ------------------------------------------------------------------------------------------


def test_a_request_for_a_bundle_waits_until_init_ack_has_told_of_it() -> None:
    store = bundler()
    client = Alone(Uploader(Rank(1), 5, store, SwarmConfig()))
    assert client.hear(2, request(3, 0)) == []
    assert client.hear(3, request(3, 0, "nothing")) == []
    assert client.wait(1.0) == []
    store.add_bundles([declared("file1", 40)])
    client.wait(0.01)
    assert answers(client) == [(3, 0, "refused"), (2, 0, "sent")]
