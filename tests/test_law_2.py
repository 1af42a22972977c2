"""Law 2: any message from any rank, in any state, yields effects or a RemoteProtocolError, nothing else;
and after such an error the machine is as it was before."""

from __future__ import annotations

from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.swarm.bystander import Bystander
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Emit, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.picture import picture
from tests.helpers.schedules import Schedule, check_ending, check_stores, schedules
from tests.helpers.virtual import declared
from tests.helpers.wire import STIMULI

#: The tracker's, the clients', and some that nobody has.
SENDERS = st.one_of(st.integers(0, 3), st.integers(-1, 9)).map(Rank)


def try_out(machine: Any, now: float, sender: Rank, message: msg.Stimulus) -> bool:
    """Hand a message to a copy of the machine; whether it was taken. Checks the law."""
    trial = deepcopy(machine)
    try:
        effects = trial.receive(now, sender, message)
    except RemoteProtocolError:
        assert picture(trial) == picture(machine), f"{message} left its traces"
        return False
    assert all(isinstance(effect, (Send, Emit, Halt)) for effect in effects)
    assert trial.wake_at is None or trial.wake_at >= 0
    return True


class Meddled(RuleBasedStateMachine):
    """A running swarm into which messages are thrown."""

    @initialize(schedule=schedules(deaths=False, corruption=False))
    def begin(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.swarm = schedule.swarm()
        self.swarm.start()

    @rule(steps=st.integers(1, 60))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.swarm.step()

    def message(self, data: st.DataObject) -> msg.Stimulus:
        """Any message, or one that was sent before."""
        said = [message for _, _, _, message in self.swarm.sent]
        return data.draw(st.one_of(STIMULI, st.sampled_from(said)))


class Nonsense(Meddled):
    """Only what is refused is thrown: the swarm must not notice."""

    @precondition(lambda self: not self.swarm.over)
    @rule(sender=SENDERS, count=st.integers(1, 5), data=st.data())
    def meddle(self, sender: Rank, count: int, data: st.DataObject) -> None:
        machine = self.swarm.machines[data.draw(st.sampled_from(self.swarm.unfinished()))]
        for _ in range(count):
            message = self.message(data)
            if not try_out(machine, self.swarm.now, sender, message):
                with pytest.raises(RemoteProtocolError):
                    machine.receive(self.swarm.now, sender, message)

    def teardown(self) -> None:
        if hasattr(self, "swarm"):
            while self.swarm.step():
                pass
            self.swarm.end()
            check_ending(self.schedule, self.swarm)


class Lies(Meddled):
    """Whatever is taken is thrown as well: it may ruin the run, but no machine and no store."""

    @precondition(lambda self: not self.swarm.over)
    @rule(sender=SENDERS, count=st.integers(1, 5), data=st.data())
    def meddle(self, sender: Rank, count: int, data: st.DataObject) -> None:
        for _ in range(count):
            message = self.message(data)
            rank = data.draw(
                st.sampled_from([rank for rank, port in self.swarm.machines if port == message.port])
            )
            self.swarm.deliver(sender, rank, message)

    def teardown(self) -> None:
        if hasattr(self, "swarm"):
            for _ in range(3000):
                self.swarm.step()
            check_stores(self.swarm)


@pytest.mark.parametrize("meddler", [Nonsense, Lies])
def test_a_meddled_swarm(meddler: type[Meddled]) -> None:
    run_state_machine_as_test(meddler, settings=settings(stateful_step_count=10))


def machines() -> list[Machine]:
    """One of each, not started."""
    store = SegmentStore(MemoryBacking())
    store.add_owned(declared("file1", 4))
    config = SwarmConfig()
    return [
        Tracker(3, config, Random(0)),
        Downloader(Rank(1), 3, store, ["file2"], config, Random(0), ["file*"]),
        Uploader(Rank(1), 3, store, config),
        Bystander(Rank(2), msg.Abort(2, "no input")),
    ]


@given(st.sampled_from(range(4)), st.booleans(), st.lists(st.tuples(SENDERS, STIMULI), max_size=6))
def test_a_machine_alone(which: int, started: bool, deliveries: list[tuple[Rank, msg.Stimulus]]) -> None:
    machine = machines()[which]
    if started:
        machine.start(0.0)
    for now, (sender, message) in enumerate(deliveries, 1):
        if try_out(machine, float(now), sender, message):
            machine.receive(float(now), sender, message)


# Laws by example ----------------------------------------------------------------------------------


def refuses(machine: Machine, sender: int, message: msg.Stimulus, why: str) -> None:
    before = picture(machine)
    with pytest.raises(RemoteProtocolError, match=why):
        machine.receive(1.0, Rank(sender), message)
    assert picture(machine) == before


def test_each_machine_refuses_what_is_not_its_own() -> None:
    tracker, downloader, uploader, bystander = machines()
    refuses(tracker, 1, msg.InitAck(), "InitAck from rank 1 to the tracker")
    refuses(tracker, 7, msg.Alive(), "Alive from rank 7 to the tracker")
    refuses(tracker, 1, msg.Lost(Rank(2)), "rank 1 says that 2 is lost")
    refuses(downloader, 0, msg.InitAck(), "InitAck while starting")
    downloader.start(0.0)
    refuses(downloader, 2, msg.InitAck(((),)), "INIT_ACK from rank 2")
    refuses(downloader, 0, msg.InitAck(), "INIT_ACK matches 0 patterns")
    refuses(downloader, 2, msg.Stop(), "STOP from rank 2")
    refuses(downloader, 2, msg.SendSegment(Ticket(0), b""), "answers ticket 0, which is not its own")
    refuses(downloader, 2, msg.Pending((Ticket(0),)), "of which nothing was asked")
    refuses(uploader, 2, msg.Shutdown(), "Shutdown from rank 2 to an uploader")
    refuses(uploader, 2, msg.Sent(Rank(2), Ticket(0)), "Sent from rank 2 to an uploader")
    refuses(bystander, 2, msg.Stop(), "Stop to a client that takes no part")


def test_a_response_with_two_manifests_of_one_name_is_refused() -> None:
    downloader = machines()[1]
    downloader.start(0.0)
    downloader.receive(0.0, Rank(0), msg.InitAck((("file2",),)))
    refuses(
        downloader,
        0,
        msg.SwarmResponse((declared("file2", 3), declared("file2", 3))),
        "two manifests of one name",
    )
    refuses(downloader, 0, msg.SwarmResponse((declared("file9", 3),)), "an unasked manifest of 'file9'")
    refuses(downloader, 0, msg.SwarmResponse(lost=(Rank(4),)), "names a rank that is no client")
    assert downloader.receive(0.0, Rank(0), msg.SwarmResponse((declared("file2", 3),)))


@pytest.mark.parametrize("ticket", [-1, 1000, 2**40])
def test_a_ticket_that_no_tag_can_carry_is_refused(ticket: int) -> None:
    uploader = machines()[2]

    refuses(uploader, 2, msg.RequestSegment("file1", SegmentIndex(0), Ticket(ticket), 7), "asks with ticket")
