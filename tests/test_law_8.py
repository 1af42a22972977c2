"""Law 8: no schedule of deliveries deadlocks. From any state the swarm ends, with every file that somebody
alive holds complete, and every file that nobody holds reported by name."""

from __future__ import annotations

from hypothesis import given

from mpi_core.swarm.config import SwarmConfig
from tests.helpers.schedules import Schedule, check_answers, check_ending, check_stores, schedules, small
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared


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
