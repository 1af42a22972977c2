"""Law 8: no schedule of deliveries deadlocks. From any state the swarm ends, with every file that somebody
alive holds complete, and every file that nobody holds reported by name."""

from __future__ import annotations

from hypothesis import given

from mpi_core.protocol import events as ev
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.schedules import (
    Schedule,
    broken_rules,
    check_answers,
    check_ending,
    check_stores,
    schedules,
    small,
)
from tests.helpers.virtual import FULL, Faults, Plan, VirtualSwarm, declared


@given(schedules())
def test_whatever_happens_the_swarm_ends_with_all_that_can_be_had(schedule: Schedule) -> None:
    swarm = schedule.swarm().run()
    check_ending(schedule, swarm)
    check_stores(swarm)
    check_answers(swarm)


@given(schedules(deaths=False, corruption=False))
def test_where_nothing_fails_but_time_everything_arrives(schedule: Schedule) -> None:
    swarm = schedule.swarm().run()
    check_ending(schedule, swarm)
    owned = {manifest.name for plan in schedule.plans for manifest in plan.owns}
    for rank in swarm.plans:
        assert all(swarm.holds(rank, name) == (name in owned) for name in schedule.wanted(rank))


def test_a_liar_and_a_busy_seed_do_not_keep_newcomers_waiting_for_ever() -> None:
    """The one peer that claims everything sends rubbish, before anything good has come from anybody."""
    plans = [Plan([declared("file1", 2)], ["file1"]), *(Plan([], ["file1"]) for _ in range(5))]
    config = SwarmConfig(
        swarm_update=1, rate=40.0, gather_for=0.0, slots=1, max_queue=1, announce_interval=0.0
    )
    faults = Faults(delay=small, corrupt={2: 1.0}, sent_after=lambda rng: 0.0)
    swarm = VirtualSwarm(plans, config, 51, faults).run()
    assert all(swarm.holds(rank, "file1") for rank in swarm.plans)


# One client's trouble is its own -----------------------------------------------------------------


def failing(*plans: Plan, strict: bool = False, **faults: object) -> VirtualSwarm:
    return VirtualSwarm(plans, SwarmConfig(strict=strict), 1, Faults(small, **faults)).run()  # type: ignore[arg-type]


def test_a_full_disk_stops_nobody_else_and_what_is_on_it_is_served_on() -> None:
    """Client 2 alone has file2, and its own disk is full after a few segments of file1."""
    first, second = declared("file1", 12), declared("file2", 12)
    wants = ["file1", "file2"]
    swarm = failing(Plan([first], ["file2"]), Plan([second], wants), Plan([], wants), full_after={2: 4})
    why = f"cannot write 'file1': {FULL}"
    assert swarm.events(ev.ClientFailed) == [ev.ClientFailed(Rank(2), why)]
    assert all(swarm.holds(rank, name) for rank in (1, 3) for name in wants)
    assert not swarm.holds(2, "file1")
    assert not swarm.events(ev.FileUnavailable)
    assert (swarm.tracker.exit_code, broken_rules(swarm.journal)) == (1, [])


def test_whoever_cannot_write_from_the_start_serves_what_it_owns() -> None:
    files = declared("file1", 12), declared("file2", 12)
    swarm = failing(Plan(files[:1], ["file2"]), Plan(files[1:], ["file1"]), unwritable=[1])
    assert [event.client for event in swarm.events(ev.ClientFailed)] == [1]
    assert (swarm.holds(1, "file2"), swarm.holds(2, "file1")) == (False, True)
    assert broken_rules(swarm.journal) == []


def test_whoever_wants_nothing_needs_no_disk() -> None:
    swarm = failing(Plan([declared("file1", 2)]), Plan([], ["file1"]), unwritable=[1], full_after={1: 0})
    assert (swarm.holds(2, "file1"), swarm.tracker.exit_code) == (True, 0)


def test_the_others_go_on_without_a_client_that_takes_no_part() -> None:
    swarm = failing(
        Plan([declared("file1", 2)]), Plan([declared("file2", 2)]), Plan([], ["file1", "file2"]), absent=[2]
    )
    assert swarm.holds(3, "file1")
    assert [event.file for event in swarm.events(ev.FileUnavailable)] == ["file2"]
    assert (swarm.tracker.exit_code, broken_rules(swarm.journal)) == (1, [])


def test_where_all_fail_the_run_ends() -> None:
    swarm = failing(*(Plan([], ["file1"]) for _ in range(3)), absent=[1, 3], unwritable=[2])
    assert sorted(event.client for event in swarm.events(ev.ClientFailed)) == [1, 2, 3]
    assert swarm.tracker.exit_code == 1


def test_strict_ends_all_at_once() -> None:
    plans = Plan([declared("file1", 50)]), Plan([], ["file1"]), Plan([], ["file1"])
    swarm = failing(*plans, full_after={3: 2}, strict=True)
    assert swarm.events(ev.RunAborted) == [ev.RunAborted(Rank(3), 2, f"cannot write 'file1': {FULL}")]
    assert swarm.tracker.exit_code == 2
    assert not swarm.holds(2, "file1")
