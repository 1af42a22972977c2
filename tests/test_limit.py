"""How near to the limit: a bound that no run beats, what binds, when the last is done; and rates of links."""

from __future__ import annotations

from math import inf
from pathlib import Path
from statistics import median

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from mpi_core.runtime.journal import read_journal
from tests.helpers import recount_limit
from tests.helpers.recount import Run
from tests.helpers.runs import fold, scripted, view_of
from tests.test_health import Told, sent, stored, swarm
from tui_torrent.view.headline import headline
from tui_torrent.view.limit import Limit, forecast, limit
from tui_torrent.view.rates import BUCKETS, LONGEST, Rate
from tui_torrent.view.swarm_view import SwarmView

JOURNALS = Path(__file__).parents[1] / "demo" / "journals"


@pytest.mark.parametrize("clients", [2, 20])
def test_no_run_beats_its_limit(clients: int) -> None:
    view, _ = fold(scripted(clients))
    bound, last = limit(view, view.t), forecast(view, view.t)
    assert bound is not None
    assert last is not None
    assert view.began is not None
    assert last.certain
    assert bound.seconds <= last.at - view.began


def uploads(seconds: int, *, of: tuple[int, ...] = (1,)) -> list[Told]:
    """Each of these clients sends 10 bytes twice a second."""
    return [
        (1 + second / 2, rank, sent(5 - rank, second % 8)) for second in range(2 * seconds) for rank in of
    ]


def test_the_tightest_bound_binds() -> None:
    """Clients fetch 80 bytes of client 1, which sends 20 a second."""
    told: list[Told] = [*swarm(fetching=(2, 3, 4), segments=8), *uploads(4)]
    assert limit(view_of(*told), 6.0) == Limit(4.0, "the uplink of client 1, the only seed of a", (Rank(1),))
    assert limit(view_of(*told), 1.5) is None, "nothing is measured yet"


def test_all_uplinks_bind_once_all_are_known() -> None:
    told = [*swarm(fetching=(2, 3, 4), segments=8), *uploads(8)]
    told += [(second + 0.1, rank, sent(1, second)) for second in range(1, 9) for rank in (2, 3, 4)]
    bound = limit(view_of(*sorted(told, key=lambda event: event[0])), 9.0)
    assert bound is not None
    assert bound.binds == "all uplinks together"
    assert bound.seconds == pytest.approx(3 * 80 / (20 + 10 + 10 + 10), rel=0.1)


def test_one_who_has_hardly_sent_counts_as_fast_as_the_fastest() -> None:
    told = [*swarm(fetching=(2, 3, 4, 5), segments=8), *uploads(8), (5.0, 2, sent(3, 1))]
    bound = limit(view_of(*sorted(told, key=lambda event: event[0])), 9.0)
    assert bound == Limit(4.0, "the uplink of client 1, the only seed of a", (Rank(1),))


def test_a_downlink_binds_where_it_is_plainly_slower_than_the_others() -> None:
    told: list[Told] = [*swarm(fetching=(2, 3, 4), segments=16)]
    for rank, step in ((2, 0.25), (3, 0.25), (4, 2.0)):
        told += [(1.0 + at * step, rank, stored(1, at, size=10)) for at in range(10)]
    view = view_of(*sorted(told, key=lambda event: event[0]))
    bound = limit(view, 20.0)
    assert bound is not None
    assert bound.binds == "the downlink of client 4"
    assert bound.seconds == pytest.approx(160 / 5, rel=0.2)


def test_the_rates_of_the_scenario_count_from_the_start() -> None:
    """Clients 2 to 4 fetch 80 bytes each; client 1 may send 20 a second, the others as much as they like."""

    def bound(*links: ev.Links, segment_bytes: int = 0) -> Limit | None:
        told = swarm(fetching=(2, 3, 4), segments=8)
        told[0] = (0.0, 0, ev.RunStarted(1, 4, "x", "swarm", 1, 10, 8, links, segment_bytes))
        return limit(view_of(*told), 1.0)

    seed = "the uplink of client 1, the only seed of a"
    assert bound() is None
    assert bound(ev.Links(Rank(1), Rank(1), up=20.0)) == Limit(4.0, seed, (Rank(1),))
    assert bound(ev.Links(Rank(1), Rank(4), up=20.0)) == Limit(4.0, seed, (Rank(1),))
    two = (ev.Links(Rank(1), Rank(1), up=20.0), ev.Links(Rank(2), Rank(4), up=5.0))
    assert bound(*two) == Limit(3 * 80 / (20 + 3 * 5), "all uplinks together")
    slow = (ev.Links(Rank(1), Rank(3), 20.0, 20.0), ev.Links(Rank(4), Rank(4), 20.0, 2.0))
    assert bound(*slow) == Limit(40.0, "the downlink of client 4", (Rank(4),))
    # Simulated links carry whole segments: 1000 bytes for each of 10 that stand for it.
    assert bound(ev.Links(Rank(1), Rank(4), up=2000.0), segment_bytes=1000) == Limit(4.0, seed, (Rank(1),))


# Clients that are lost, fail or give a file up --------------------------------------------------


def linked(
    *more: Told, owners: tuple[int, ...] = (1,), fetching: tuple[int, ...] = (2, 3, 4), down: float = 100.0
) -> list[Told]:
    """Clients fetch the 100 bytes of a from 1 s on; each uplink is told to carry 10 bytes a second."""
    told = swarm(owners, fetching, segments=10)
    count = len(owners) + len(fetching)
    links = (ev.Links(Rank(1), Rank(count), 10.0, down),)
    told[0] = (0.0, 0, ev.RunStarted(1, count, "x", "swarm", 1, 10, 8, links))
    return [*told, *more]


def lost(rank: int, at: float = 1.5) -> Told:
    return at, 0, ev.ClientLost(Rank(rank), "its process ended")


def failed(rank: int, at: float = 1.5) -> Told:
    return at, 0, ev.ClientFailed(Rank(rank), "its disk is full")


def done(rank: int, at: float) -> list[Told]:
    return [*((at, rank, stored(1, segment)) for segment in range(10)), (at, rank, ev.AllCompleted())]


def bound_of(told: list[Told], now: float = 2.0) -> Limit | None:
    """The limit, which the recount confirms."""
    bound = limit(view_of(*told), now)
    events = [Stamped(t, Rank(rank), seq, event) for seq, (t, rank, event) in enumerate(told)]
    counted = recount_limit.limit(Run(msgspec.to_builtins(events), now))
    assert counted == (None if bound is None else pytest.approx(bound.seconds))
    return bound


SEED = "the uplink of client 1, the only seed of a"


def test_nobody_need_carry_what_lost_clients_lack() -> None:
    told = linked(*map(lost, (3, 4, 5, 6)), fetching=(2, 3, 4, 5, 6))
    assert bound_of(told) == Limit(10.0, SEED, (Rank(1),)), "not 500 bytes over two uplinks"
    told += done(2, at=13.2)
    assert bound_of(told, 14.0) == Limit(10.0, SEED, (Rank(1),))
    line = headline(view_of(*told), 14.0)
    assert line.of_best == pytest.approx(10 / 12.2)


def test_what_was_carried_to_a_client_counts_though_it_is_lost_afterwards() -> None:
    told = linked(*done(4, at=9.0), lost(4, at=9.5), owners=(1, 2), fetching=(3, 4, 5))
    assert bound_of(told, 10.0) == Limit(3 * 100 / (4 * 10), "all uplinks together")


def test_a_run_took_as_long_as_a_client_that_was_lost_afterwards() -> None:
    told = linked(*done(2, at=12.0), *done(3, at=21.0), lost(3, at=22.0), fetching=(2, 3))
    assert bound_of(told, 23.0) == Limit(10.0, SEED, (Rank(1),))
    last = forecast(view_of(*told), 23.0)
    assert last is not None
    assert (last.clients, last.at, last.certain) == ((3,), 21.0, True)


def test_the_uplinks_are_those_of_who_lives_and_a_failed_client_serves_on() -> None:
    assert bound_of(linked(owners=(1, 2), fetching=(3, 4, 5))) == Limit(6.0, "all uplinks together")
    assert bound_of(linked(lost(5), owners=(1, 2), fetching=(3, 4, 5))) == Limit(
        5.0, "the uplinks of the 2 seeds of a", (Rank(1), Rank(2))
    )
    assert bound_of(linked(failed(2), fetching=(2, 3, 4, 5, 6))) == Limit(10.0, SEED, (Rank(1),))
    assert bound_of(linked(lost(2), owners=(1, 2), fetching=(3,))) == Limit(10.0, SEED, (Rank(1),))


def test_only_the_downlinks_of_who_fetches_bind() -> None:
    slow: dict[str, float] = {"down": 2.0}
    assert bound_of(linked(fetching=(2,), **slow)) == Limit(50.0, "the downlink of client 2", (Rank(2),))
    told = linked(failed(2), fetching=(2, 3), **slow)
    assert bound_of(told) == Limit(50.0, "the downlink of client 3", (Rank(3),))
    assert bound_of(linked(failed(2), lost(3), fetching=(2, 3), **slow)) is None


def test_a_file_that_all_gave_up_is_nobodys_to_send() -> None:
    gone = [(1.5, rank, ev.FileUnavailable("a", "nobody alive holds it")) for rank in (2, 3)]
    assert bound_of(linked(gone[0], fetching=(2, 3))) == Limit(10.0, SEED, (Rank(1),))
    assert bound_of(linked(*gone, fetching=(2, 3))) is None


@pytest.mark.parametrize("journal", sorted(JOURNALS.glob("*.zst")), ids=lambda path: path.name)
def test_the_demo_journals_took_longer_than_their_limit(journal: Path) -> None:
    view = SwarmView()
    for stamped in read_journal(journal):
        view.apply(stamped)
    bound, last = limit(view, view.t), forecast(view, view.t)
    assert bound is not None
    assert last is not None
    assert view.began is not None
    assert 0 < bound.seconds <= last.at - view.began


def test_the_last_is_not_done_before_the_only_holder_has_sent_the_rest_once() -> None:
    told: list[Told] = [*swarm(fetching=(2,), segments=24), *uploads(4)]
    told += [(1.0 + at / 8, 2, stored(1, at, size=10)) for at in range(16)]
    view = view_of(*sorted(told, key=lambda event: event[0]))
    last = forecast(view, 3.0)
    assert last is not None
    assert last.at == pytest.approx(3.0 + 80 / 20)


def test_too_few_segments_say_nothing_of_the_end() -> None:
    some = swarm(fetching=(2, 3), segments=32)
    some += [(1.5, rank, stored(1, at)) for at in range(8) for rank in (2, 3)]
    found = forecast(view_of(*some), 3.0)
    assert found is not None
    assert found.at == pytest.approx(3.0 + 24 / (8 / 3))
    assert not found.certain
    assert forecast(view_of(*some[:-1]), 3.0) is None, "client 3 has seven"
    # Of four in all one is enough.
    short = [*swarm(fetching=(2,), segments=4), (1.5, 2, stored(1, 0))]
    assert forecast(view_of(*short), 3.0) is not None
    assert forecast(view_of(*swarm()), 3.0) is None


def test_who_stands_still_has_no_end() -> None:
    told = swarm(segments=4)
    told += [(1.5, 2, stored(1, 0)), (1.6, 3, stored(1, 0)), (8.0, 3, stored(1, 1))]
    found = forecast(view_of(*told), 9.0)
    assert found is not None
    assert (found.clients, found.at) == ((2,), inf)


def sharing(up: int, slow: float) -> SwarmView:
    """For 4 s, client 1 has sent ``up`` segments a second to 2 and 3, and to 4 as many times ``slow``."""
    told: list[Told] = swarm(fetching=(2, 3, 4), segments=200)
    for rank, pace in ((2, up), (3, up), (4, up * slow)):
        for at in range(int(4 * pace)):
            told += [(1 + at / pace, 1, sent(rank, at)), (1 + at / pace, rank, stored(1, at))]
    return view_of(*sorted(told, key=lambda event: event[0]))


def test_who_is_done_leaves_its_share_to_the_others() -> None:
    """Its uplink is at work all the time, so that the rates say nothing of the downlinks."""
    view = sharing(up=10, slow=0.5)
    last = forecast(view, 5.0)
    missing, rate = 3 * 200 - 2 * 40 - 20, 25
    assert last is not None
    assert (last.clients, last.at) == ((4,), pytest.approx(5.0 + missing / rate, rel=0.02))
    view.clients[Rank(2)].finished_at = 4.9
    last = forecast(view, 5.0)
    assert last is not None
    assert last.at == pytest.approx(5.0 + (missing - 160) / rate, rel=0.02)


def test_but_a_plainly_slower_downlink_takes_no_more() -> None:
    last = forecast(sharing(up=20, slow=0.2), 5.0)
    assert last is not None
    assert last.at == pytest.approx(5.0 + (200 - 16) / 4, rel=0.1)


def test_where_uplinks_idle_each_downlink_is_what_it_seems() -> None:
    view = sharing(up=10, slow=0.5)
    # There is another uplink, which once gave as much.
    view.clients[Rank(2)].up_rate.steady = view.clients[Rank(1)].up_rate.steady
    last = forecast(view, 5.0)
    assert last is not None
    assert last.at == pytest.approx(5.0 + (200 - 20) / 5, rel=0.1)


def misses(journal: Path, shares: tuple[float, ...]) -> list[float]:
    """How far from the end the forecasts were at these parts of the run, as parts of the run."""
    whole, view, found = SwarmView(), SwarmView(), list[float]()
    events = list(read_journal(journal))
    for stamped in events:
        whole.apply(stamped)
    end = forecast(whole, whole.t)
    assert end is not None
    at = 0
    for share in shares:
        while events[at].t <= share * end.at:
            view.apply(events[at])
            at += 1
        last = forecast(view, share * end.at)
        found.append(inf if last is None else abs(last.at - end.at) / end.at)
    return found


def test_the_forecasts_of_the_demo_journals_were_near_the_end() -> None:
    missed = [misses(journal, (0.25, 0.5, 0.75)) for journal in JOURNALS.glob("*.zst")]
    early, halfway, late = zip(*missed, strict=True)
    assert max(early) <= 0.35
    assert max(*halfway, *late) <= 0.12
    assert median(halfway) <= 0.05


# Rates --------------------------------------------------------------------------------------------


def test_a_peak_is_the_best_second() -> None:
    rate = Rate()
    for t, size in ((0.1, 5), (0.6, 10), (1.1, 20), (5.0, 1)):
        rate.add(t, size)
    assert rate.peak == 30


def test_a_forecast_looks_back_as_far_as_it_takes_to_be_steady() -> None:
    rate = Rate()
    for at in range(10):
        rate.add(2.0 * at, 100)
    assert rate.at(18.6) == pytest.approx(200 / 3)
    assert rate.lately(18.6) == pytest.approx(50, rel=0.15)
    assert rate.lately(25.0) == pytest.approx(37, rel=0.2), "it sinks while nothing comes"
    assert rate.lately(18.5 + 16) == 0
    quick = Rate()
    for at in range(40):
        quick.add(at / 4, 100)
    assert quick.lately(10.0) == quick.at(10.0) == pytest.approx(400)


@pytest.mark.parametrize("seconds", [0.125, 0.5, 1.0, 3.0])
def test_a_steady_rate_is_not_taken_for_twice_as_much(seconds: float) -> None:
    rate = Rate()
    for at in range(40):
        rate.add(0.49 + at * seconds, 100)
    assert 100 / seconds <= rate.peak <= 1.25 * 100 / seconds


@given(st.lists(st.floats(0, 4), min_size=1, max_size=300))
def test_a_rate_keeps_few_buckets_and_no_second_was_better_than_its_burst(gaps: list[float]) -> None:
    rate, now, seconds = Rate(), 0.0, dict[int, int]()
    for gap in gaps:
        now += gap
        rate.add(now, 10)
        seconds[int(now)] = seconds.get(int(now), 0) + 10
    assert len(rate.buckets) == len(rate.counts) <= max(BUCKETS + 1, LONGEST)
    assert max(seconds.values()) <= rate.burst
    assert rate.steady <= rate.burst
