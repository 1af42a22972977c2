"""The machines in real threads: a swarm over the local network, the driver's duties, the reporter's bound."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.runtime.awake import Awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.disk import OutputError
from mpi_core.runtime.driver import LONGEST_WAIT, Driver
from mpi_core.runtime.reporter import BATCH_BOUND, Reporter
from mpi_core.runtime.transport import LocalEndpoint, LocalNetwork
from mpi_core.swarm.config import Strategy, SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effects, Emit, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.schedules import broken_rules
from tests.helpers.virtual import Plan, declared
from tui_torrent.crew import Crew

#: Far more than any of these runs takes.
PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Threads:
    """A swarm with every machine in a thread of its own."""

    def __init__(self, plans: list[Plan], network: LocalNetwork, config: SwarmConfig) -> None:
        self.network = network
        self.clock = Clock()
        self.stores: dict[int, SegmentStore] = {}
        clients = len(plans)
        self.reporters = {Rank(rank): Reporter(Rank(rank), self.clock) for rank in range(clients + 1)}
        self.drivers: list[Driver] = []
        self.tracker = Tracker(clients, config, Random(0))
        self._drive(Rank(0), "tracker", self.tracker)
        for rank, plan in enumerate(plans, start=1):
            store = self.stores[rank] = SegmentStore(MemoryBacking())
            for manifest in plan.owns:
                store.add_owned(manifest)
            machine = Downloader(Rank(rank), clients, store, plan.wants, config, Random(rank), plan.patterns)
            awake = Awake(self.clock.now)
            self._drive(Rank(rank), "downloader", machine, awake)
            self._drive(Rank(rank), "uploader", Uploader(Rank(rank), clients, store, config), awake)

    def _drive(self, rank: Rank, port: msg.Port, machine: Machine, awake: Awake | None = None) -> None:
        endpoint, tell = self.network.endpoint(rank, port), self.reporters[rank].tell
        self.drivers.append(Driver(rank, machine, endpoint, self.clock, tell, awake=awake))

    def run(self) -> None:
        threads = [threading.Thread(target=driver.run, daemon=True) for driver in self.drivers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(thread.is_alive() for thread in threads), "the swarm has not ended"
        assert [driver.failure for driver in self.drivers] == [None] * len(self.drivers)

    def journal(self) -> list[Stamped]:
        """Header, what each rank told, outcome."""
        told: list[Stamped] = []
        for reporter in self.reporters.values():
            reporter.drain(told.extend)
        header = ev.RunStarted(1, len(self.stores), "threads", "swarm", 0, 10, 8)
        outcome = ev.RunEnded(("complete", "incomplete")[self.tracker.exit_code])
        seqs = [stamped.seq + 1 for stamped in told if stamped.rank == 0]
        shifted = [
            Stamped(s.t, s.rank, s.seq + (s.rank == 0), s.event) for s in sorted(told, key=lambda s: s.t)
        ]
        return [
            Stamped(0.0, Rank(0), 0, header),
            *shifted,
            Stamped(self.clock.now(), Rank(0), max(seqs, default=0) + 1, outcome),
        ]


@pytest.mark.parametrize("strategy", ["swarm", "classic"])
def test_a_swarm_of_threads_completes_with_spoiled_and_late_payloads(strategy: Strategy) -> None:
    chance, spoiled = Random(5), []

    def fault(sender: Rank, to: Rank, message: msg.Message) -> msg.Message:
        if chance.random() < 0.05:
            time.sleep(0.003)
        if isinstance(message, msg.SendSegment) and sender == 1 and chance.random() < 0.1:
            spoiled.append(to)
            return msg.SendSegment(message.ticket, b"spoiled")
        return message

    files = [declared("file1", 60), declared("file2", 25), declared("file3", 0)]
    names = [file.name for file in files]
    plans = [Plan(files), Plan(wants=names), Plan(wants=[*names, "ghost"]), Plan(patterns=["file[12]"])]
    swarm = Threads(plans, LocalNetwork(fault), SwarmConfig(strategy=strategy))
    swarm.run()
    for rank in (2, 3):
        assert all((held := swarm.stores[rank].bitfield(name)) and held.is_full for name in names[:2])
    assert spoiled
    assert swarm.tracker.exit_code == 1
    journal = swarm.journal()
    assert broken_rules(journal) == []
    unavailable = [s for s in journal if isinstance(s.event, ev.FileUnavailable)]
    assert [(s.rank, s.event.file) for s in unavailable] == [(3, "ghost")]  # type: ignore[union-attr]
    dropped = [
        s.rank for s in journal if isinstance(s.event, ev.SegmentDropped) and s.event.reason == "corrupt"
    ]
    assert dropped
    assert not Counter(dropped) - Counter(spoiled)


# The driver ---------------------------------------------------------------------------------------


class Scripted:
    """A machine that does as the test says."""

    def __init__(self, error: Exception | None = None, wake_at: float | None = None) -> None:
        self.error = error
        self.wake_at = wake_at
        self.woken: list[float] = []

    def start(self, now: float) -> Effects:
        return [Emit(ev.InitSent(()))]

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        if isinstance(message, msg.Stop):
            return [Emit(ev.Stopped()), Halt()]
        if self.error is not None:
            raise self.error
        return [Send(sender, message)] if isinstance(message, msg.Message) else []

    def wake(self, now: float) -> Effects:
        self.woken.append(now)
        self.wake_at = None
        return [Halt()]


class Scene:
    """One driver, its machine, and the endpoints around it."""

    def __init__(self, machine: Scripted) -> None:
        self.network = LocalNetwork()
        self.told: list[ev.Event] = []
        self.tracker: LocalEndpoint = self.network.endpoint(Rank(0), "tracker")
        endpoint = self.network.endpoint(Rank(2), "downloader")
        self.driver = Driver(Rank(2), machine, endpoint, Clock(), self._tell)

    def _tell(self, event: ev.Event, at: float) -> None:
        assert at >= 0.0
        self.told.append(event)

    def run(self, *messages: msg.Message) -> None:
        for message in messages:
            self.tracker.send(Rank(2), message)
        thread = threading.Thread(target=self.driver.run, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("error", "abort"),
    [
        (OutputError("cannot write 'f'"), msg.Abort(2, "rank 2: cannot write 'f'")),
        (OSError(24, "Too many open files"), msg.Abort(3, "rank 2: [Errno 24] Too many open files")),
        (ZeroDivisionError("division by zero"), msg.Abort(3, "rank 2: ZeroDivisionError: division by zero")),
    ],
)
def test_an_exception_in_a_machine_becomes_an_abort(error: Exception, abort: msg.Abort) -> None:
    scene = Scene(Scripted(error))
    scene.run(msg.InitAck())
    assert (scene.driver.failure, scene.driver.exit_code) == (error, abort.code)
    assert scene.tracker.receive(1.0) == (2, abort)


def test_nonsense_is_told_with_its_sender_and_the_machine_goes_on() -> None:
    scene = Scene(Scripted(RemoteProtocolError("never in this state")))
    scene.run(msg.InitAck(), msg.Reject(Ticket(0), "busy"), msg.Stop())
    nonsense = ev.NonsenseReceived(Rank(0), "never in this state")
    assert scene.told == [ev.InitSent(()), nonsense, nonsense, ev.Stopped()]
    assert scene.driver.failure is None
    assert scene.driver.halted


def test_what_is_no_message_is_told_with_the_sender_that_the_endpoint_knows() -> None:
    scene = Scene(Scripted(RemoteProtocolError("REJECT: truncated", Rank(5))))
    scene.run(msg.InitAck(), msg.Stop())
    assert scene.told[1] == ev.NonsenseReceived(Rank(5), "REJECT: truncated")


def test_a_machine_is_woken_at_its_deadline_and_not_before() -> None:
    machine = Scripted(wake_at=LONGEST_WAIT / 2)
    Scene(machine).run()
    assert len(machine.woken) == 1
    assert LONGEST_WAIT / 2 <= machine.woken[0] < 5.0


def test_a_driver_can_be_abandoned() -> None:
    scene = Scene(Scripted())
    scene.driver.abandon()
    scene.run()
    assert not scene.driver.halted


def test_whoever_is_interrupted_leaves_no_thread_that_could_still_write() -> None:
    crew = Crew({"under test": Scene(Scripted()).driver})

    def interrupted() -> None:
        with crew:
            assert "under test" in {thread.name for thread in threading.enumerate()}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "under test" not in {thread.name for thread in threading.enumerate()}


# The reporter -------------------------------------------------------------------------------------


def event(number: int) -> ev.Event:
    return ev.SegmentRequested(Rank(1), "file1", SegmentIndex(number))


def test_events_are_stamped_in_their_order_and_batched() -> None:
    reporter = Reporter(Rank(3), Clock())
    for number in range(BATCH_BOUND + 5):
        reporter.tell(event(number))
    batches: list[list[Stamped]] = []
    reporter.drain(batches.append)
    assert [len(batch) for batch in batches] == [BATCH_BOUND, 5]
    told = [stamped for batch in batches for stamped in batch]
    assert [stamped.seq for stamped in told] == list(range(BATCH_BOUND + 5))
    assert [stamped.event for stamped in told] == [event(number) for number in range(BATCH_BOUND + 5)]
    assert {stamped.rank for stamped in told} == {3}
    assert sorted(stamped.t for stamped in told) == [stamped.t for stamped in told]
    assert reporter.take() == []


def test_what_is_dropped_is_counted_and_told() -> None:
    reporter = Reporter(Rank(3), Clock(), bound=10)
    for number in range(25):
        reporter.tell(event(number))
    told: list[Stamped] = []
    reporter.drain(told.extend)
    assert [stamped.event for stamped in told] == [*map(event, range(10)), ev.EventsDropped(15)]
    assert told[-1].seq == 25
    reporter.tell(event(99))
    reporter.drain(told.extend)
    assert (told[-1].seq, told[-1].event) == (26, event(99))


def test_every_event_of_many_threads_is_told_or_counted() -> None:
    reporter, told, each = Reporter(Rank(1), Clock(), bound=50), [], 2000
    threads = [
        threading.Thread(target=lambda: [reporter.tell(event(number)) for number in range(each)])  # type: ignore[misc]
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        told += reporter.take()
    for thread in threads:
        thread.join()
    reporter.drain(told.extend)
    dropped = sum(s.event.count for s in told if isinstance(s.event, ev.EventsDropped))
    plain = [s for s in told if not isinstance(s.event, ev.EventsDropped)]
    assert len(plain) + dropped == 3 * each
    seqs = [stamped.seq for stamped in told]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] + 1 == len(told) + dropped
