"""A long journal as a large swarm would tell it, made quickly: the size matters, not the story."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex

SIZE = 256 * 1024

#: How long a rank's events wait until they are sent as a batch, in seconds.
BATCH = 0.1


def long_run(segments: int, clients: int = 64, files: int = 16, duration: float = 250.0) -> Iterator[Stamped]:
    """Some 3 events for each segment of each client, in the order in which batches of them would arrive.

    The first client owns all; whoever comes later gets each segment from the one before.
    """
    ranks = [Rank(rank) for rank in range(1, clients + 1)]
    names = [f"shards/part-{number:02}.bin" for number in range(files)]
    sizes = dict.fromkeys(names, segments // files)
    digests = {
        name: tuple(sha256(f"{name}{at}".encode()).hexdigest() for at in range(size))
        for name, size in sizes.items()
    }
    seqs: dict[Rank, int] = {}

    def told(rank: Rank, t: float, event: AnyEvent) -> Stamped:
        seqs[rank] = seqs.get(rank, -1) + 1
        return Stamped(round(t, 6), rank, seqs[rank], event)

    tracker = Rank(0)
    yield told(tracker, 0.0, ev.RunStarted(1, clients, "a long run", "swarm", 0, 10**9, 8))
    for rank in ranks:
        owned = tuple(ev.OwnedFile(name, sizes[name]) for name in names) if rank == 1 else ()
        yield told(rank, 0.1, ev.InitSent(owned))
        yield told(tracker, 0.1, ev.InitReceived(rank, len(owned)))
    for name in names:
        yield told(
            tracker, 0.2, ev.FileRegistered(name, sizes[name] * SIZE, sizes[name], "blake3", digests[name])
        )
    for rank in ranks:
        wanted = tuple(names) if rank > 1 else ()
        yield told(tracker, 0.3, ev.InitAckSent(rank))
        yield told(rank, 0.4, ev.InitAckReceived(wanted))
        for name in wanted:
            yield told(rank, 0.4, ev.DownloadStarted(name, sizes[name], sizes[name] * SIZE))
    steps = [(name, SegmentIndex(at)) for at in range(segments // files) for name in names]
    pace = (duration - 2) / (len(steps) + 2 * clients)
    waiting: dict[Rank, list[Stamped]] = {rank: [] for rank in ranks}
    sent_at = 0.5
    for turn in range(len(steps) + 2 * clients):
        t = 0.5 + turn * pace
        for rank in ranks[1:]:
            step = turn - 2 * rank
            if not 0 <= step < len(steps):
                continue
            (name, at), source = steps[step], Rank(rank - 1)
            waiting[rank].append(told(rank, t, ev.SegmentRequested(source, name, at)))
            waiting[source].append(told(source, t + pace / 3, ev.SegmentSent(rank, name, at, SIZE)))
            stored = ev.SegmentStored(source, name, at, SIZE, digests[name][at])
            waiting[rank].append(told(rank, t + pace / 2, stored))
            if at == sizes[name] - 1:
                waiting[rank].append(told(rank, t + pace / 2, ev.FileCompleted(name)))
            if step == len(steps) - 1:
                waiting[rank].append(told(rank, t + pace / 2, ev.AllCompleted()))
        if t >= sent_at + BATCH or turn == len(steps) + 2 * clients - 1:
            sent_at = t
            for batch in waiting.values():
                yield from batch
                batch.clear()
    for rank in ranks:
        yield told(rank, duration, ev.Stopped())
    yield told(tracker, duration, ev.RunEnded("complete"))
