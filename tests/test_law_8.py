"""Law 8: no schedule of deliveries deadlocks. From any state the swarm ends, with every file that somebody
alive holds complete, and every file that nobody holds reported by name."""

from __future__ import annotations

from hypothesis import given

from tests.helpers.schedules import Schedule, check_answers, check_ending, check_stores, schedules


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
