"""Who says nothing is told little; and whoever speaks hears all that it missed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.units import Rank
from mpi_core.sim.crowd import Crowd, Member
from mpi_core.swarm.audience import AGAIN, IN_VAIN, Hearer
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.sources import Source
from tests.helpers.virtual import declared

ALL = (1 << 40) - 1


@given(st.lists(st.tuples(st.floats(0, 2 * AGAIN), st.booleans()), max_size=200))
def test_whatever_it_misses_it_hears_when_it_speaks(turns: list[tuple[float, bool]]) -> None:
    source = Source(Rank(2))
    hearer, told, now, stored, in_vain = Hearer(source, 0, keys=ALL), 0, 0.0, 0, 0
    for number, (pause, speaks) in enumerate(turns):
        now += pause
        if speaks:
            source.last_heard, in_vain = now, 0
        stored |= 1 << number % 40
        new = hearer.take_turn(now, stored)
        assert not new & told, "nothing is told twice"
        told |= new
        in_vain += bool(new)
        assert told | hearer.owed == stored, "and nothing is forgotten"
        assert not (speaks and hearer.owed)
    assert in_vain <= IN_VAIN + now / AGAIN


def test_a_client_that_takes_no_messages_is_sent_few() -> None:
    """MPI keeps what is sent to it, and may have room for some sixty messages of each sender."""
    file, rate = declared("file", 400), 5e6
    members = [Member((file,), (), rate, rate), *(Member((), ("file",), rate, rate) for _ in range(4))]
    stopped, at = Rank(2), 2.0
    members[stopped - 1].dies_at = at
    crowd = Crowd(members, SwarmConfig(), 0, 131072)
    sent: dict[int, int] = dict.fromkeys(range(6), 0)
    post = crowd.network.post

    def counted(now: float, sender: Rank, sends: list) -> None:  # type: ignore[type-arg]
        sent[sender] += sum(to == stopped for to, _ in sends) if now > at else 0
        post(now, sender, sends)

    crowd.network.post = counted  # type: ignore[method-assign,assignment]
    crowd.simulation.connect(crowd.network)
    crowd.start()
    crowd.run()
    assert crowd.waiting == []
    assert max(sent.values()) <= 40
