"""Any run that the protocol must survive, as hypothesis strategies; and what must be true at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.runs import judged
from tests.helpers.virtual import NEVER, Faults, Plan, VirtualSwarm, declared

#: The longest delay of a message, in seconds. Timeouts are how one knows the dead from the slow, so a law
#: that speaks of both needs a bound: four of these are less than the time after which a file is given up.
LONGEST_DELAY = 3.0

Delay = Callable[[Random, Rank, Rank, msg.Message], float]


def small(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    return rng.random() * 0.002


def none(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    return 0.0


def heavy_tailed(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    return min(0.001 * rng.paretovariate(0.5), LONGEST_DELAY)


def reordering(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    """Each channel has a pace of its own, so that what was sent later on another comes sooner."""
    pace = Random(f"{sender}/{to}/{message.tag}").choice((0.0, 0.001, 0.02, 0.3, 1.0))
    return pace * (0.9 + 0.2 * rng.random())


def slow_payloads(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    return (
        LONGEST_DELAY * rng.random()
        if isinstance(message, msg.SendSegment)
        else small(rng, sender, to, message)
    )


def slow_client(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    return (0.5 if 1 in (sender, to) else 0.001) * (1 + rng.random())


DELAYS: tuple[Delay, ...] = (small, none, heavy_tailed, reordering, slow_payloads, slow_client)


@dataclass
class Schedule:
    """A scenario, a configuration, a seed and what is to go wrong."""

    plans: list[Plan]
    config: SwarmConfig
    seed: int
    faults: Faults

    def swarm(self) -> VirtualSwarm:
        return VirtualSwarm(self.plans, self.config, self.seed, self.faults)

    def honest(self, rank: int) -> bool:
        return not self.faults.corrupt.get(rank)

    def wanted(self, rank: int) -> list[str]:
        return list(dict.fromkeys(self.plans[rank - 1].wants))


def files(most: int = 4, segments: int = 16) -> st.SearchStrategy[list[Manifest]]:
    lengths = st.lists(st.integers(0, segments), max_size=most)
    return lengths.map(lambda ls: [declared(f"file{place}", length) for place, length in enumerate(ls, 1)])


@st.composite
def plans(draw: st.DrawFn, most: int = 6) -> list[Plan]:
    """1 to ``most`` clients, random owners and wants; some files are owned by nobody."""
    shared = draw(files())
    clients = draw(st.integers(1, most))
    names = [*(manifest.name for manifest in shared), "ghost"]
    owned = st.lists(st.sampled_from(shared), unique_by=lambda m: m.name) if shared else st.just([])
    # Most swarms have one origin and many who want it; others are what chance makes them.
    classic = draw(st.booleans())
    owns = [shared if classic and rank == 0 else draw(owned) for rank in range(clients)]
    wants = st.just(names[:-1]) if classic else st.lists(st.sampled_from(names), unique=True)
    return [Plan(owns[rank], draw(wants)) for rank in range(clients)]


@st.composite
def configs(draw: st.DrawFn, deaths: bool) -> SwarmConfig:
    return SwarmConfig(
        strategy=draw(st.sampled_from(("swarm", "classic"))),
        window=draw(st.one_of(st.none(), st.integers(1, 16))),
        swarm_update=draw(st.integers(1, 10)),
        slots=draw(st.integers(1, 4)),
        max_queue=draw(st.sampled_from((1, 2, 512))),
        rate=draw(st.sampled_from((None, None, 40.0, 2000.0))),
        # Who is told of one other client only, and loses that one, may be alone: the cap is never so low.
        swarm_cap=50 if deaths else draw(st.sampled_from((1, 2, 50))),
        neighbours=24 if deaths else draw(st.sampled_from((1, 2, 3, 24))),
        gather_for=draw(st.sampled_from((0.0, 0.05))),
        announce_interval=draw(st.sampled_from((0.0, 0.002, 0.1))),
    )


@st.composite
def schedules(draw: st.DrawFn, deaths: bool = True, corruption: bool = True) -> Schedule:
    clients = draw(plans())
    ranks = st.integers(1, len(clients))
    dead_at: dict[int, float] = {}
    if deaths:
        moments = st.one_of(st.floats(0.0, 0.05), st.floats(0.0, 3.0), st.floats(0.0, 90.0))
        dead_at = draw(st.dictionaries(ranks, moments, max_size=max(0, len(clients) - 1)))
    noticed = st.one_of(st.none(), st.floats(0.0, 5.0))
    notices = {rank: (at, draw(noticed)) for rank, at in dead_at.items()}
    full_after = draw(st.dictionaries(ranks, st.integers(0, 20), max_size=2)) if deaths else {}
    unwritable, absent = (draw(st.frozensets(ranks, max_size=1)) if deaths else () for _ in range(2))
    spoilt = st.sampled_from((0.05, 0.3, 0.6, 1.0))
    corrupt = draw(st.dictionaries(ranks, spoilt, max_size=2)) if corruption else {}
    rates = st.sampled_from((5e4, 2e5, 25e6))
    hosts = 1 + len(clients)
    links = st.lists(st.tuples(rates, rates), min_size=hosts, max_size=hosts)
    delay = draw(st.sampled_from((*DELAYS, None)))
    faults = Faults(
        delay=delay or none,
        links=() if delay else draw(links),
        dead_at=dead_at,
        noticed_at={rank: at + later for rank, (at, later) in notices.items() if later is not None},
        dead_take_payloads=draw(st.booleans()),
        full_after=full_after,
        unwritable=unwritable,
        absent=absent,
        corrupt=corrupt,
        sent_after=draw(st.sampled_from((lambda rng: 0.0, lambda rng: 1.0, lambda rng: 1.5 * rng.random()))),
    )
    config = draw(configs(bool(dead_at or corrupt or full_after or unwritable or absent)))
    return Schedule(clients, config, draw(st.integers(0, 2**16)), faults)


# What must be true at the end -------------------------------------------------------------------


def broken_rules(journal: list[Stamped]) -> list[str]:
    """What the trace checker finds in a run's journal."""
    return [finding.detail for finding in judged(journal).conformance if finding.holds is False]


def check_ending(schedule: Schedule, swarm: VirtualSwarm) -> None:
    """Law 8, of a swarm that has ended."""
    living = swarm.living()
    lost = {event.client for event in swarm.events(ev.ClientLost)}
    assert not lost & set(living), f"clients that live were lost: {lost & set(living)}"
    failed = {event.client for event in swarm.events(ev.ClientFailed)}
    may_fail = {*swarm.faults.full_after, *swarm.faults.unwritable, *swarm.faults.absent}
    assert failed <= may_fail, f"clients that could go on have failed: {failed - may_fail}"
    for rank in living:
        if rank in failed:
            continue
        reported = [event.file for event in swarm.events(ev.FileUnavailable, rank)]
        assert len(reported) == len(set(reported))
        for name in schedule.wanted(rank):
            assert swarm.holds(rank, name) or name in reported, f"{name} is neither at {rank} nor reported"
            assert not (swarm.holds(rank, name) and name in reported), f"{name} is at {rank} yet reported"
            if can_be_had(schedule, swarm, name):
                assert swarm.holds(rank, name), f"{name} is there, but {rank} does not have it"
    lacking = failed or any(swarm.events(ev.FileUnavailable, rank) for rank in living)
    assert swarm.tracker.exit_code in ((1,) if lacking else (0, 1) if swarm.faults.dead_at else (0,))
    assert not broken_rules(swarm.journal)


def can_be_had(schedule: Schedule, swarm: VirtualSwarm, name: str) -> bool:
    """Whether living and honest clients hold every segment of a file between them."""
    union = None
    for rank in swarm.living():
        held = swarm.stores[rank].bitfield(name)
        if held is not None and schedule.honest(rank):
            union = held if union is None else union.union(held)
    return union is not None and union.is_full


def check_answers(swarm: VirtualSwarm) -> None:
    """Each request between living clients got exactly one answer, but for those that STOP overtook."""
    open_requests: Counter[tuple[Rank, Rank, int]] = Counter()
    stopped = any(isinstance(message, msg.Stop) for _, _, _, message in swarm.sent)
    for _, sender, to, message in swarm.sent:
        if isinstance(message, msg.RequestSegment):
            open_requests[sender, to, message.ticket] += 1
        elif isinstance(message, msg.SendSegment | msg.Reject):
            open_requests[to, sender, message.ticket] -= 1
            assert open_requests[to, sender, message.ticket] >= 0, f"{sender} answers {to} twice"
    for (asker, source, ticket), count in open_requests.items():
        assert count <= 1, f"{asker} asks {source} twice with ticket {ticket}"
        if count and not stopped:
            assert (
                min(swarm.faults.dead_at.get(asker, NEVER), swarm.faults.dead_at.get(source, NEVER)) < NEVER
            )


def check_stores(swarm: VirtualSwarm) -> None:
    """Law 3: every segment that a store shows can be read and is what its digest says."""
    for store in swarm.stores.values():
        for manifest in store.manifests:
            for index in store.bitfield(manifest.name) or Bitfield(0):
                assert manifest.verifies(index, store.read(manifest.name, index))
