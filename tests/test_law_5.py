"""Law 5: the networks under test are as MPI: reliable, first in first out per (sender, receiver, tag)."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import messages as msg
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.runtime.transport import LocalNetwork
from mpi_core.sim.agenda import Agenda
from mpi_core.sim.network import Link, LinkedNetwork, Network
from mpi_core.sim.simulation import NEVER
from tests.helpers.network import DrawnNetwork

CHANNELS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["reject", "cancel", "payload"]))


def numbered(kind: str, number: int) -> msg.Message:
    if kind == "payload":
        return msg.SendSegment(Ticket(number), b"")
    return msg.Reject(Ticket(number), "busy") if kind == "reject" else msg.Cancel(Ticket(number))


KINDS = {msg.SendSegment: "payload", msg.Reject: "reject", msg.Cancel: "cancel"}


@given(st.data(), st.lists(st.tuples(CHANNELS, st.floats(0, 1)), max_size=40), st.booleans())
def test_the_virtual_networks_keep_the_order_of_each_channel(
    data: st.DataObject, posts: list[tuple[tuple[int, int, str], float]], linked: bool
) -> None:
    agenda = Agenda()
    came: dict[tuple[int, int, str], list[int]] = {}
    sent: dict[tuple[int, int, str], list[int]] = {}

    def deliver(now: float, sender: Rank, to: Rank, message: msg.Stimulus) -> None:
        if not isinstance(message, msg.Sent):
            assert isinstance(message, msg.SendSegment | msg.Reject | msg.Cancel)
            came.setdefault((sender, to, KINDS[type(message)]), []).append(message.ticket)

    network: Network
    if linked:
        rates = st.floats(1.0, 1e4)
        links = [Link(data.draw(rates), data.draw(rates)) for _ in range(3)]
        network = LinkedNetwork(agenda, deliver, links, data.draw(st.floats(0, 1)), 1000)
    else:
        network = DrawnNetwork(agenda, deliver, lambda *where: data.draw(st.floats(0, 100)))
    for number, ((sender, to, kind), pause) in enumerate(posts):
        posted_at = agenda.now + pause
        while agenda.next_at < posted_at:
            agenda.step()
        network.post(max(agenda.now, posted_at), Rank(sender), [(Rank(to), numbered(kind, number))])
        sent.setdefault((sender, to, kind), []).append(number)
    while agenda.next_at != NEVER:
        agenda.step()
    assert came == sent


@given(st.lists(CHANNELS, max_size=40))
def test_the_local_network_keeps_the_order_of_each_channel(posts: list[tuple[int, int, str]]) -> None:
    network = LocalNetwork()
    sent: dict[tuple[int, int, str], list[int]] = {}
    came: dict[tuple[int, int, str], list[int]] = {}
    for number, (sender, to, kind) in enumerate(posts):
        network.endpoint(Rank(sender), "downloader").send(Rank(to), numbered(kind, number))
        sent.setdefault((sender, to, kind), []).append(number)
    for to in range(3):
        for kind, port in (("cancel", "uploader"), ("reject", "downloader")):
            endpoint = network.endpoint(Rank(to), port)
            while (delivery := endpoint.receive(0.0)) is not None:
                sender, message = delivery
                if isinstance(message, msg.Sent):
                    continue
                which = "payload" if isinstance(message, msg.SendSegment) else kind
                came.setdefault((sender, to, which), []).append(message.ticket)
    assert came == sent


def test_the_local_network_keeps_the_order_of_many_threads() -> None:
    network, each = LocalNetwork(), 300

    def talk(sender: int) -> None:
        endpoint = network.endpoint(Rank(sender), "downloader")
        for number in range(each):
            endpoint.send(Rank(9), numbered("reject", number))

    threads = [threading.Thread(target=talk, args=(sender,)) for sender in (1, 2, 3)]
    for thread in threads:
        thread.start()
    inbox = network.endpoint(Rank(9), "downloader")
    came: dict[int, list[int]] = {1: [], 2: [], 3: []}
    for _ in range(3 * each):
        delivery = inbox.receive(5.0)
        assert delivery is not None
        sender, message = delivery
        assert isinstance(message, msg.Reject)
        came[sender].append(message.ticket)
    for thread in threads:
        thread.join()
    assert came == {sender: list(range(each)) for sender in (1, 2, 3)}
    assert inbox.receive(0.0) is None


def test_what_travels_the_local_network_is_a_copy_that_went_through_the_codec() -> None:
    network = LocalNetwork()
    payload = bytearray(b"abc")
    network.endpoint(Rank(1), "uploader").send(Rank(2), msg.SendSegment(Ticket(4), memoryview(payload)))
    payload[:] = b"xyz"
    assert network.endpoint(Rank(2), "downloader").receive(1.0) == (1, msg.SendSegment(Ticket(4), b"abc"))
    assert network.endpoint(Rank(1), "uploader").receive(1.0) == (1, msg.Sent(Rank(2), Ticket(4)))
