"""A journal entered anywhere shows what it would show there had it been folded from its beginning."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from tests.helpers.lawful import Plan, journal, lawful, plans
from tests.helpers.long_journal import long_run
from tests.helpers.runs import scripted
from tests.test_swarm_view import report_of
from tui_torrent import recording as module
from tui_torrent.recording import BLOCK, Mark, Recording, State
from tui_torrent.replay import Replay
from tui_torrent.view.report import build, to_json


def small(events: list[Stamped], budget: int = 1 << 20) -> Recording:
    """With blocks and keyframes so close together that a run of some dozen events has several."""
    return Recording(events, block=4, spacing=8, budget=budget)


def in_time(events: list[Stamped]) -> list[Stamped]:
    """A lawful journal in the order of its stamps, header first and outcome last."""
    head, *body, end = events
    return [head, *sorted(body, key=lambda stamped: stamped.t), end]


def folded(events: list[Stamped]) -> State:
    state = State()
    state.fold(events)
    return state


def same(replay: Replay, events: list[Stamped]) -> None:
    """The replay shows what these events fold to."""
    reference = folded(events)
    assert replay.view == reference.view
    assert list(replay.tail) == list(reference.tail)


moments = st.lists(st.floats(-0.1, 2.5), min_size=1, max_size=8)


@given(plans(), st.integers(0, 2**32), st.integers(0, 2), moments)
def test_wherever_one_goes_the_view_is_the_fold_of_all_before(
    plan: Plan, seed: int, dies: int, goals: list[float]
) -> None:
    events = journal(lawful(plan, seed, dies), seed)
    replay = Replay(small(events), ticks=lambda: 0.0)
    for goal in goals:
        replay.seek(goal)
        same(replay, [e for e in in_time(events) if e.t <= goal or e is events[0]])
        assert replay.now == max(0.0, min(goal, replay.end))


@given(plans(), st.integers(0, 2**32), st.integers(0, 2), moments)
def test_going_back_and_forth_leaves_no_trace_in_view_or_report(
    plan: Plan, seed: int, dies: int, goals: list[float]
) -> None:
    events = journal(lawful(plan, seed, dies), seed)
    live = report_of(events)
    replay = Replay(small(events), ticks=lambda: 0.0)
    assert to_json(replay.report) == live
    for goal in [*goals, replay.end]:
        replay.seek(goal)
    assert replay.over
    same(replay, in_time(events))
    assert to_json(build(replay.view, replay.findings)) == live


@pytest.mark.parametrize("cut", [1, 2, 17, 60])
def test_a_run_that_was_interrupted_can_be_replayed(cut: int) -> None:
    events = journal(lawful())[:cut]
    replay = Replay(small(events), ticks=lambda: 0.0)
    assert replay.report.outcome == "failed"
    assert to_json(replay.report) == report_of(events)
    replay.seek(replay.end)
    assert replay.over
    assert replay.view == folded(events).view


def test_an_empty_recording_is_over_at_once() -> None:
    replay = Replay(Recording([]))
    replay.play()
    replay.poll()
    assert (replay.over, replay.paused, replay.now, replay.end) == (True, True, 0.0, 0.0)


# Order -----------------------------------------------------------------------------------------


def served(rank: int, *times: float) -> list[Stamped]:
    event = ev.SegmentRefused(Rank(1), "a", 0, "busy")  # type: ignore[arg-type]
    return [Stamped(t, Rank(rank), seq, event) for seq, t in enumerate(times)]


def test_events_stand_in_the_order_of_their_times() -> None:
    a, b = served(1, 1.0, 3.0, 5.0), served(2, 2.0, 3.0, 4.0)
    recording = Recording([*a, *b])
    assert list(recording.events()) == [a[0], b[0], a[1], b[1], b[2], a[2]]
    assert [recording.count(t) for t in (0.5, 1.0, 2.9, 3.0, 9.0)] == [0, 1, 2, 4, 6]


def test_each_rank_keeps_its_order_even_where_its_clock_goes_back() -> None:
    a, b = served(1, 5.0, 1.0, 6.0), served(2, 2.0)
    recording = Recording([*a, *b])
    assert list(recording.events()) == [b[0], *a]
    assert list(recording.times) == [2.0, 5.0, 5.0, 6.0]


def test_the_header_is_first_and_the_outcome_last_whatever_their_stamps() -> None:
    header = Stamped(0.5, Rank(3), 0, ev.RunStarted(1, 2, "", "swarm", 0, 10, 8))
    end = Stamped(0.7, Rank(3), 1, ev.RunEnded("complete"))
    body = served(1, 0.1, 0.9)
    recording = Recording([header, *body, end])
    assert list(recording.events()) == [header, *body, end]
    assert list(recording.times) == [0.0, 0.1, 0.9, 0.9]


@pytest.mark.parametrize("start", [0, 3, 4, 5])
@pytest.mark.parametrize("stop", [5, 8, 9, None])
def test_any_stretch_of_events_can_be_had(start: int, stop: int | None) -> None:
    events = in_time(journal(lawful()))
    assert list(small(events).events(start, stop)) == events[start:stop]


def test_a_mark_stands_where_a_client_finished_or_was_lost() -> None:
    events = scripted(lost=3)
    recording = Recording(events)
    finished = [Mark(e.t, e.rank, "finished") for e in events if isinstance(e.event, ev.AllCompleted)]
    (lost,) = [e.t for e in events if isinstance(e.event, ev.ClientLost)]
    assert recording.marks == sorted([*finished, Mark(lost, Rank(3), "lost")])
    assert recording.end == events[-1].t


# Cost ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long() -> Recording:
    return Recording(long_run(160, clients=40), spacing=4096)


def test_a_seek_folds_no_more_than_the_events_from_one_keyframe_to_the_next(
    long: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(long.times) > 19_000
    assert long.keyframes == 4
    counts = []
    fold = State.fold

    def counted(state: State, events: object) -> None:
        before = state.position
        fold(state, events)  # type: ignore[arg-type]
        counts.append(state.position - before)

    monkeypatch.setattr(State, "fold", counted)
    replay, chance = Replay(long), random.Random(1)
    for _ in range(40):
        replay.seek(chance.uniform(0, replay.end))
    assert max(counts) < 4096 + 2 * BLOCK


def test_playing_on_folds_each_event_once(long: Recording) -> None:
    replay = Replay(long)
    view = replay.view
    while not replay.over:
        replay.step(0.5)
    assert replay.view is view
    assert replay.view.events == len(long.times)


def test_keyframes_keep_to_their_budget_and_all_still_holds() -> None:
    events = scripted()
    free = Recording(events, block=16, spacing=16)
    bound = Recording(events, block=16, spacing=16, budget=20_000)
    assert 2 <= bound.keyframes <= free.keyframes / 2
    replay = Replay(bound, ticks=lambda: 0.0)
    for share in (0.9, 0.1, 0.5, 0.7, 0.2):
        goal = share * replay.end
        replay.seek(goal)
        same(replay, [e for e in events if e.t <= goal])


def test_a_large_state_gets_fewer_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    events = scripted()
    before = Recording(events, block=16, spacing=16).keyframes
    monkeypatch.setattr(module, "BYTES_AN_EVENT", 20)
    assert Recording(events, block=16, spacing=16).keyframes < before / 4
