"""``python -m tui_torrent simulate``: the machines that run live, over a simulated network; no mpirun.

What it prints is measured on the simulated run, but for its last line, which is what the simulation cost.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count, groupby
from math import floor
from random import Random
from typing import Any

import msgspec

from mpi_core.protocol import events as ev
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Tag
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.runtime.outputs import OutputFile
from mpi_core.sim.crowd import Crowd, Member
from tui_torrent.compiled import are_compiled
from tui_torrent.config import SLOW_RATE, SimulateOptions
from tui_torrent.curves import Curves, draw
from tui_torrent.large_pages import use_large_pages
from tui_torrent.sinks import BAD_INPUT, Guarded, JournalFile
from tui_torrent.view.units import bytes_text, moment_text, percent, rate_text, time_text
from tui_torrent.view.words import counted

SCHEMA = "tui_torrent.simulation/1"

#: When, in shares of the bound, memory has grown: when the clients are made, have met, and have most of what
#: they keep.
GROWING = (0.0, 0.05, 0.15, 0.4)

#: How often a run tells how far it is, in shares of the bound.
STEP = 0.01

#: Events that are handed to the journal at once.
BATCH = 5000

#: Messages that a tracker receives or sends.
OF_TRACKER = (
    Tag.INIT,
    Tag.INIT_ACK,
    Tag.SWARM_REQUEST,
    Tag.SWARM_RESPONSE,
    Tag.FILE_COMPLETE,
    Tag.ALL_COMPLETE,
)


def run_simulate(
    options: SimulateOptions,
    files: Mapping[str, OutputFile],
    write: Callable[[str], object],
    tell: Callable[[str], object] = lambda line: None,
) -> int:
    """Run and report; the exit code: 0 where everybody who lives has everything, else 1. ``files`` are those
    of ``--journal`` and ``--plot``; ``tell`` hears how far it is, and an empty line when it is over."""
    members = members_of(options)
    journal = _Journal(options, members, files["--journal"]) if "--journal" in files else None
    collecting = gc.isenabled()
    # Ten thousand clients are millions of objects that live to the end; none of them is in a cycle that ends.
    gc.disable()
    try:
        crowd = _crowd(options, members, journal)
        for share in GROWING:
            crowd.simulation.agenda.put(share * options.bound, _grown)
        began = time.process_time()
        _run(options, crowd, tell)
        result = measured(options, crowd, time.process_time() - began)
        if journal is not None:
            crowd.finish()
            journal.end(complete=not crowd.waiting and not crowd.simulation.dead)
    finally:
        if collecting:
            gc.enable()
    write(msgspec.json.encode(result).decode() + "\n" if options.json else plain(options, result))
    if "--plot" in files:
        files["--plot"].write_at_last(draw(_curves(options, crowd, result["bound_s"])).encode())
    if crowd.waiting:
        return 1
    return BAD_INPUT if journal is not None and journal.failed else 0


def _run(options: SimulateOptions, crowd: Crowd, tell: Callable[[str], object]) -> None:
    wanted = options.clients * options.segments
    agenda = crowd.simulation.agenda
    crowd.start()
    while crowd.run(until=agenda.next_at + STEP * options.bound):
        done = len(crowd.stored_at) / max(1, wanted)
        tell(f"{percent(done)} % of {counted(wanted, 'transfer')}, {agenda.now:.3f} s simulated")
    tell("")


def _grown(now: float) -> None:
    use_large_pages()


def members_of(options: SimulateOptions) -> list[Member]:
    """Seeds first, then those who want the file, some of them slow, dying or corrupting: others in each."""
    name = "file"
    file = Manifest.declared(name, tuple(f"{index:x}" for index in range(options.segments)))
    rng = Random(f"{options.seed}/crowd")
    fetching = [Member(wants=(name,), up=options.rate, down=options.rate) for _ in range(options.clients)]
    troubled = rng.sample(fetching, options.clients)
    slow, dead, corrupt = (
        [troubled.pop() for _ in range(min(len(troubled), _share(share, options.clients)))]
        for share in (options.slow, options.dead, options.corrupt)
    )
    for member in slow:
        member.up = member.down = SLOW_RATE * options.rate
    for member in dead:
        member.dies_at = options.bound / 3
    for member in corrupt:
        member.corrupt = True
    if options.arrivals == "poisson":
        # They come, on average, over as long as one of them needs for the file.
        pause, now = options.segments * options.round / options.clients, 0.0
        for member in fetching:
            now += rng.expovariate(1 / pause) if pause else 0.0
            member.comes_at = now
    return [Member((file,), (), options.rate, options.rate) for _ in range(options.seeds)] + fetching


def _share(share: float, clients: int) -> int:
    """So many of the clients: 0.29 of 100 are 29, though no float is 0.29."""
    return floor(share * clients + 1e-9)


def _crowd(options: SimulateOptions, members: list[Member], journal: _Journal | None) -> Crowd:
    config = options.swarm_config
    # Whoever comes later says nothing before.
    last = max(member.comes_at for member in members)
    return Crowd(
        members,
        replace(config, client_timeout=last + config.client_timeout),
        options.seed,
        options.segment_size,
        options.latency,
        options.tracker_rate,
        None if journal is None else journal.tell,
        journal is not None and options.journal_level == "all",
    )


def _links(members: list[Member]) -> tuple[ev.Links, ...]:
    """The links of all, those of neighbours that are alike as one."""
    links, first = list[ev.Links](), 1
    for (up, down), group in groupby(members, lambda member: (member.up, member.down)):
        size = len(list(group))
        links.append(ev.Links(Rank(first), Rank(first + size - 1), up, down))
        first += size
    return tuple(links)


class _Journal:
    """The simulated run as a journal, so that it can be checked and replayed."""

    def __init__(self, options: SimulateOptions, members: list[Member], file: OutputFile) -> None:
        self._writer = Guarded(JournalFile(file), repr(file.path))
        self._seqs = {Rank(rank): count() for rank in range(options.seeds + options.clients + 1)}
        self._batch: list[ev.Stamped] = []
        self._now = 0.0
        config = options.swarm_config
        self.tell(
            0.0,
            TRACKER,
            ev.RunStarted(
                version=ev.JOURNAL_VERSION,
                clients=options.seeds + options.clients,
                scenario=f"simulation of {options.clients} clients",
                strategy=config.strategy,
                seed=options.seed,
                swarm_update=config.swarm_update,
                window=config.requests_in_flight,
                links=_links(members),
                segment_bytes=options.segment_size,
            ),
        )

    def tell(self, now: float, rank: Rank, event: ev.Event) -> None:
        self._now = now
        self._batch.append(ev.Stamped(now, rank, next(self._seqs[rank]), event))  # type: ignore[arg-type]
        if len(self._batch) >= BATCH:
            self._writer.append(self._batch)
            self._batch.clear()

    @property
    def failed(self) -> bool:
        """Whether it could not be written to its end."""
        return self._writer.failed

    def end(self, complete: bool) -> None:
        self.tell(self._now, TRACKER, ev.RunEnded("complete" if complete else "incomplete"))
        self._writer.append(self._batch)
        self._writer.close()


def measured(options: SimulateOptions, crowd: Crowd, cost: float) -> dict[str, Any]:
    """The report, as JSON has it."""
    network = crowd.network
    done = sorted(crowd.done_at[rank] for rank, member in crowd.members.items() if _counts(crowd, rank))
    last_came = max((member.comes_at for member in crowd.members.values()), default=0.0)
    # Whoever comes last finds others with what it wants, but has one link.
    bound = max(options.bound, last_came + options.segments * options.round)
    wanted = options.segments * options.segment_size
    sent = network.sent
    payload = sent[Tag.SEND_SEGMENT].bytes
    everything = sum(tally.bytes for tally in sent.values())
    transfers = len(crowd.stored_at)
    of_tracker = {tag.name: sent[tag].messages for tag in OF_TRACKER}
    seeds = [Rank(rank) for rank in range(1, options.seeds + 1)]
    return {
        "schema": SCHEMA,
        "clients": options.clients,
        "seeds": options.seeds,
        "segments": options.segments,
        "segment_bytes": options.segment_size,
        "seed": options.seed,
        "living": len(done) + len(crowd.waiting),
        "complete": len(done),
        "lost": len(crowd.lost - crowd.simulation.dead),
        "bound_s": bound,
        "makespan_s": done[-1] if done else None,
        "ratio": (done[-1] / bound if bound else 1.0) if done else None,
        "median_s": done[len(done) // 2] if done else None,
        "first_s": done[0] if done else None,
        "seeds_sent": sum(network.sent_by[rank] for rank in seeds) / wanted if wanted else 0.0,
        "all_sent": payload / (wanted * options.clients) if wanted else 0.0,
        "other_bytes_share": (everything - payload) / everything if everything else 0.0,
        "transfers": transfers,
        "dropped": dict(crowd.dropped),
        "messages": {tag.name: tally.messages for tag, tally in sorted(sent.items()) if tally.messages},
        "largest_bytes": {tag.name: tally.largest for tag, tally in sorted(sent.items()) if tally.largest},
        "tracker": {
            "messages": of_tracker,
            "messages_per_client": sum(of_tracker.values()) / len(crowd.members),
            "bytes": sum(sent[tag].bytes for tag in OF_TRACKER),
            "sent_in_busiest_tenth": _busiest(network.tracker_sent, (done[-1] if done else 0.0) / 10),
        },
        "events": crowd.simulation.agenda.done,
        "compiled": are_compiled(),
        "cpu_s": cost,
        "cpu_us_per_transfer": 1e6 * cost / transfers if transfers else 0.0,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _counts(crowd: Crowd, rank: Rank) -> bool:
    """Whether that client wanted something, lives and has it."""
    return bool(crowd.members[rank].wants) and rank in crowd.done_at and rank not in crowd.simulation.dead


def _busiest(times: list[float], span: float) -> int:
    """The most of some ascending times that lie within one span."""
    first = most = 0
    for place, at in enumerate(times):
        while at - times[first] > span:
            first += 1
        most = max(most, place - first + 1)
    return most


def plain(options: SimulateOptions, result: dict[str, Any]) -> str:
    """The report as lines for a person."""
    r = result
    per = {name: number / max(1, r["transfers"]) for name, number in r["messages"].items()}
    swarm = ("REQUEST_SEGMENT", "SEND_SEGMENT", "REJECT", "CANCEL", "BITFIELD", "ANNOUNCE", "PENDING")
    tracker = r["tracker"]
    largest = r["largest_bytes"]
    return "\n".join(
        (
            f"{counted(options.clients, 'client')} and {counted(options.seeds, 'seed')}, "
            f"{counted(options.segments, 'segment')} of {bytes_text(options.segment_size)}, "
            f"{rate_text(options.rate)}, latency {moment_text(options.latency)}, "
            f"{options.arrivals} arrivals, seed {options.seed}",
            *_ends(r),
            f"bytes        seeds sent {r['seeds_sent']:.3f} × the file, all together {r['all_sent']:.3f} × "
            f"clients × file; messages beside payloads {100 * r['other_bytes_share']:.2f} % of all bytes",
            "messages     a transfer: " + ", ".join(f"{n} {per[n]:.2f}" for n in swarm if n in per),
            f"tracker      {tracker['messages_per_client']:.1f} messages a client, "
            f"{bytes_text(tracker['bytes'])}; "
            f"{tracker['sent_in_busiest_tenth']} sent in the busiest tenth of the run",
            f"largest      SWARM_RESPONSE {bytes_text(largest.get('SWARM_RESPONSE', 0))}, "
            f"ANNOUNCE {bytes_text(largest.get('ANNOUNCE', 0))}",
            f"simulated    {counted(r['transfers'], 'transfer')}, {counted(r['events'], 'event')} in "
            f"{time_text(r['cpu_s'])} of one core: {r['cpu_us_per_transfer']:.0f} µs a "
            f"transfer{', compiled' * r['compiled']}; {bytes_text(r['peak_mib'] * 2**20)} of memory",
            "",
        )
    )


def _ends(r: dict[str, Any]) -> Iterator[str]:
    """Who was done when, in lines."""
    clients = f"clients      {r['complete']} of {r['living']} that live are complete"
    if r["complete"]:
        yield f"last client  {r['makespan_s']:.3f} s, {r['ratio']:.3f} × the bound of {r['bound_s']:.3f} s"
        clients += f": the first at {r['first_s']:.3f} s, the median at {r['median_s']:.3f} s"
    yield clients
    if r["lost"]:
        yield f"lost         {counted(r['lost'], 'living client')}, silent for too long to the tracker"


def _curves(options: SimulateOptions, crowd: Crowd, bound: float) -> Curves:
    done = sorted(crowd.done_at[rank] for rank, member in crowd.members.items() if _counts(crowd, rank))
    return Curves(
        title=f"{options.clients} clients, {options.segments} segments, seed {options.seed}",
        clients=(done, options.clients),
        segments=(crowd.stored_at, options.clients * options.segments),
        bound=bound,
    )
