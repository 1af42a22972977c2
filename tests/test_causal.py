"""Nothing is received before it was sent: in the log and its tail, in a replay, and in a run's journal."""

from __future__ import annotations

from collections import defaultdict, deque
from math import isfinite
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import encode_batch
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.messages import Tag
from mpi_core.protocol.units import Rank, SegmentIndex
from mpi_core.runtime.journal import read_journal
from mpi_core.runtime.reporter import Reporter
from tests.helpers.causality import received_before_sent, stamped_before_sent, times_fall
from tests.helpers.lawful import Plan, lawful, merged, plans, stamped
from tests.helpers.mpirun import REPOSITORY, mpirun, needs_mpirun
from tests.test_feed import HEADER, SetClock
from tests.test_swarm_view import report_of
from tui_torrent.feed import HELD_BACK, Feed
from tui_torrent.recording import Recording
from tui_torrent.view.causal import PATIENCE, CausalMerge, Entry
from tui_torrent.view.report import to_json

#: How far clocks may be apart here, in seconds.
SKEW = 0.2


def skewed(told: dict[int, list[Stamped]], random: Random) -> dict[int, list[Stamped]]:
    """The same events by clocks that are each wrong by some time."""
    shifted = {}
    for rank, events in told.items():
        by = random.uniform(0, SKEW)
        shifted[rank] = [Stamped(s.t + by, s.rank, s.seq, s.event) for s in events]
    return shifted


def is_cancelled(event: AnyEvent) -> bool:
    return isinstance(event, ev.SegmentRefused) and event.reason == "cancelled"


def by_rank(events: list[Stamped]) -> dict[Rank, list[Stamped]]:
    found: dict[Rank, list[Stamped]] = defaultdict(list)
    for event in events:
        found[event.rank].append(event)
    return found


# A replay -----------------------------------------------------------------------------------------


@given(plans(), st.integers(0, 2**32))
def test_a_replay_is_in_causal_order_however_wrong_the_clocks(plan: Plan, seed: int) -> None:
    random = Random(seed)
    # A refusal that nobody asked for waits for its request.
    told = {rank: [t for t in of if not is_cancelled(t.event)] for rank, of in lawful(plan, seed).items()}
    events = merged(skewed(stamped(told), random), random)
    recording = Recording(events, block=4)
    order = list(recording.events())
    assert received_before_sent(order) == []
    assert by_rank(order) == by_rank(events)
    assert list(recording.times) == sorted(recording.times)
    # The stamps of this run are less than PATIENCE wrong: nothing stands further off than that.
    assert all(at - s.t <= SKEW + 1e-9 for at, s in zip(recording.times, order, strict=True) if s.t >= 0.02)
    assert to_json(recording.report) == report_of(events)


def test_times_alone_would_not_do() -> None:
    random = Random(3)
    events = merged(skewed(stamped(lawful()), random), random)
    assert received_before_sent(sorted(events, key=lambda s: s.t))


kinds = st.sampled_from(
    [
        ev.InitSent(()),
        ev.InitReceived(Rank(1), 0),
        ev.InitAckSent(Rank(1)),
        ev.InitAckReceived(()),
        ev.SwarmRequested(0, ()),
        ev.SwarmServed(Rank(2), 1, 1, 1),
        ev.DownloadStarted("a", 3, 3),
        ev.SegmentRequested(Rank(1), "a", SegmentIndex(0)),
        ev.SegmentSent(Rank(2), "a", SegmentIndex(0), 1),
        ev.SegmentDropped(Rank(1), "a", SegmentIndex(0), 1, "corrupt"),
        ev.Stopped(),
        ev.StopSent(Rank(2)),
        ev.MessageReceived("ANNOUNCE", Rank(1)),
        ev.MessageSent("ANNOUNCE", Rank(2)),
    ]
)
times = st.one_of(st.floats(-2, 5), st.sampled_from([float("inf"), float("-inf"), float("nan"), 1.7e9]))
nonsense = st.lists(st.tuples(times, st.integers(-1, 3), st.integers(0, 40), kinds), max_size=40)


@given(nonsense)
def test_all_of_any_nonsense_is_given_and_each_rank_keeps_its_order(
    told: list[tuple[float, int, int, AnyEvent]],
) -> None:
    events = [Stamped(t, Rank(rank), seq, event) for t, rank, seq, event in told]
    left = {
        rank: deque(Entry(s.t, number, s) for number, s in enumerate(of))
        for rank, of in by_rank(events).items()
    }
    merge = CausalMerge(lambda rank: left[rank].popleft() if left[rank] else None, left)
    for rank in left:
        merge.offer(rank)
    order = [entry.stamped for entry in (*merge.release(2.0), *merge.release())]
    # NaN is not equal to itself.
    assert {r: [*map(id, e)] for r, e in by_rank(order).items()} == {
        r: [*map(id, e)] for r, e in by_rank(events).items()
    }


@given(nonsense)
def test_nonsense_is_replayed_to_its_end(told: list[tuple[float, int, int, AnyEvent]]) -> None:
    # A journal has finite times.
    events = [Stamped(t, Rank(rank), seq, event) for t, rank, seq, event in told if isfinite(t)]
    recording = Recording(events, block=4)
    assert by_rank(list(recording.events())) == by_rank(events)
    assert list(recording.times) == sorted(recording.times)


def test_what_was_never_sent_keeps_nobody_waiting_for_long() -> None:
    """A segment comes of which its sender tells nothing, though it tells of others."""

    def stored(rank: int, seq: int, t: float, source: int) -> Stamped:
        return Stamped(t, Rank(rank), seq, ev.SegmentStored(Rank(source), "a", SegmentIndex(seq), 1, "00"))

    def sent(rank: int, seq: int, t: float) -> Stamped:
        return Stamped(t, Rank(rank), seq, ev.SegmentSent(Rank(9), "a", SegmentIndex(seq), 1))

    events = [stored(2, 0, 1.0, source=1), stored(2, 1, 1.1, source=4)]
    events += [sent(1, seq, seq / 10) for seq in range(100)]
    recording = Recording(events)
    at = {(s.rank, s.seq): t for s, t in zip(recording.events(), recording.times, strict=True)}
    assert 1.0 <= at[Rank(2), 0] <= 1.0 + PATIENCE + 0.2
    assert at[Rank(2), 1] == at[Rank(2), 0]


# A live run ---------------------------------------------------------------------------------------


class Live:
    """A feed on the tracker's rank, and what a journal of it gets."""

    def __init__(self, clients: int) -> None:
        self.clock = SetClock()
        self.reporter = Reporter(Rank(0), self.clock)
        self.lines: list[Stamped] = []
        header = ev.RunStarted(ev.JOURNAL_VERSION, clients, "test", "swarm", 0, 10, 8)
        others = [Rank(rank) for rank in range(1, clients + 1)]
        self.feed = Feed(self.clock, self.reporter, others, header, [self])

    def append(self, batch: list[Stamped]) -> None:
        self.lines += batch

    def close(self) -> None: ...

    def hears(self, rank: int, *told: tuple[float, AnyEvent], seq: int = 0) -> None:
        batch = [Stamped(t, Rank(rank), seq + place, event) for place, (t, event) in enumerate(told)]
        self.feed.deliver(Rank(rank), Tag.STATUS, bytearray(encode_batch(batch) if batch else b""))

    def at(self, t: float) -> list[Stamped]:
        """What the journal has then."""
        self.clock.t = t
        self.feed.poll()
        return self.lines


@given(plans(), st.integers(0, 2**32))
def test_batches_in_any_order_give_one_causal_journal(plan: Plan, seed: int) -> None:
    random = Random(seed)
    plan = Plan(plan.files, plan.owns, plan.wants, plan.every, False, plan.trouble)
    told = skewed(stamped(lawful(plan, seed)), random)
    live = Live(plan.clients)
    # The tracker's own are told as they are decided; header and outcome are the feed's.
    own = deque(s for s in told[0] if not isinstance(s.event, (ev.RunStarted, ev.RunEnded)))
    left = {rank: deque(events) for rank, events in told.items() if rank}
    now = 0.0
    while own or any(left.values()):
        now += 0.05
        live.clock.t = now
        while own and own[0].t <= now:
            live.reporter.tell(own[0].event, own.popleft().t)
        for rank, events in left.items():
            # A batch of what was told by then, often late.
            if events and events[0].t <= now and random.random() < 0.5:
                live.hears(rank, *[(s.t, s.event) for s in events if s.t <= now], seq=events[0].seq)
                while events and events[0].t <= now:
                    events.popleft()
        live.at(now)
    for rank in left:
        live.hears(rank)
    live.feed.end_own()
    live.at(now)
    assert live.feed.over
    assert received_before_sent(live.lines) == []
    told_by_clients = [s for s in live.lines if s.rank]
    assert by_rank(told_by_clients) == {Rank(r): told[r] for r in told if r}
    assert to_json(live.feed.report) == report_of(live.lines)  # type: ignore[arg-type]
    assert list(live.feed.tail.log.read(0, len(live.lines))) == live.lines


INIT = ev.InitReceived(Rank(1), 0)


def test_events_are_in_order_of_time_though_one_batch_comes_after_another() -> None:
    live = Live(2)
    live.hears(2, (0.03, ev.InitSent(())))
    assert live.at(0.05)[1:] == []
    live.hears(1, (0.01, ev.InitSent(())))
    assert [s.rank for s in live.at(0.04 + HELD_BACK)[1:]] == [1, 2]


def test_a_receipt_waits_for_a_batch_that_is_late() -> None:
    live = Live(2)
    live.clock.t = 0.02
    live.reporter.tell(INIT)
    live.reporter.tell(ev.InitReceived(Rank(2), 0))
    live.hears(2, (0.01, ev.InitSent(())))
    assert [s.rank for s in live.at(0.6)] == [0, 2]
    live.hears(1, (0.015, ev.InitSent(())))
    assert [s.rank for s in live.at(0.61)] == [0, 2, 1, 0, 0]


def test_a_silent_rank_holds_up_what_it_has_caused_and_that_not_for_long() -> None:
    live = Live(2)
    live.clock.t = 0.02
    live.reporter.tell(INIT)
    live.hears(2, (0.03, ev.InitSent(())))
    assert [s.rank for s in live.at(0.5)] == [0, 2]
    assert [s.rank for s in live.at(0.02 + PATIENCE + HELD_BACK + 0.01)] == [0, 2, 0]


@pytest.mark.parametrize("how", ["ends", "has lost events"])
def test_a_rank_of_which_nothing_can_come_is_not_waited_for(how: str) -> None:
    live = Live(2)
    live.clock.t = 0.02
    live.reporter.tell(INIT)
    if how == "ends":
        live.hears(1)
    else:
        live.hears(1, (0.02, ev.EventsDropped(7)), seq=7)
    assert INIT in [s.event for s in live.at(0.02 + HELD_BACK)]


def test_the_header_is_the_first_line_and_has_no_time_of_its_own() -> None:
    live = Live(2)
    assert [s.event for s in live.lines] == [HEADER]
    assert live.lines[0].t == 0.0


# Runs ---------------------------------------------------------------------------------------------


def check(path: Path) -> list[Stamped]:
    """The events of a journal of ours, which keeps to the order of cause and effect in every way."""
    events = list(read_journal(path))
    assert times_fall(events) == []
    assert stamped_before_sent(events) == []
    assert received_before_sent(events) == []
    assert received_before_sent(list(Recording(events).events())) == []
    return events


@pytest.mark.mpirun
@needs_mpirun
@pytest.mark.parametrize(
    ("scenario", "options"),
    [(None, ("--rate", "8000000")), ("demo/classic", ("--rate", "3000", "--strategy", "classic"))],
)
def test_nothing_is_received_before_it_was_sent(
    scenario: str | None, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    ranks, words = (5, [REPOSITORY / scenario]) if scenario else (7, [])
    run = mpirun(ranks, *words, "--out", tmp_path / "out", "--journal", path, *options)
    assert run.code == 0, run
    events = check(path)
    messages = [s.event for s in events if isinstance(s.event, (ev.MessageSent, ev.MessageReceived))]
    # Every message of a declared scenario, and none that costs time of another.
    assert bool(messages) == bool(scenario)
    if scenario:
        assert {m.message for m in messages} >= {"BITFIELD", "ANNOUNCE"}
        assert not any(m.message == "CANCEL" for m in messages)
        assert all(number <= 1 for number in most_in_flight(events).values())


def most_in_flight(events: list[Stamped]) -> dict[Rank, int]:
    """The most requests that each client had in flight at one time."""
    now: dict[Rank, int] = defaultdict(int)
    most: dict[Rank, int] = defaultdict(int)
    for s in events:
        if isinstance(s.event, ev.SegmentRequested):
            now[s.rank] += 1
            most[s.rank] = max(most[s.rank], now[s.rank])
        elif isinstance(s.event, (ev.SegmentStored, ev.SegmentDropped, ev.RequestRejected)):
            now[s.rank] -= 1
    return most
