"""The fold: every status event so far, as one view of the whole swarm.

``apply`` takes the events one at a time. Any interleaving that keeps each rank's own order gives the
same view (law 6): an event changes only counters, its own rank's state, or sets that grow. The view
knows no clock; what it says of time it has from the stamps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event, Stamped
from mpi_core.protocol.messages import SwarmRole
from mpi_core.protocol.roles import MOST_CLIENTS
from mpi_core.protocol.units import Rank
from tui_torrent.view.load import Load
from tui_torrent.view.parts import ClientState, ClientView, FileView, share
from tui_torrent.view.rates import History, Rate

__all__ = ["ClientState", "ClientView", "FileView", "SwarmView"]


@dataclass
class SwarmView:
    """The whole swarm, as the events so far tell it."""

    header: ev.RunStarted | None = None
    outcome: str | None = None
    #: When the run ended, seconds since the start.
    ended_at: float | None = None
    #: Some file is a real one: its bytes mean something.
    real_bytes: bool = False
    aborted: ev.RunAborted | None = None
    files: dict[str, FileView] = field(default_factory=dict)
    #: Bundle → for each of its segments, the names of the small files in it.
    bundles: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    clients: dict[Rank, ClientView] = field(default_factory=dict)
    #: Messages that the tracker received or sent, by tag.
    tracker_messages: Counter[str] = field(default_factory=Counter)
    tracker_rates: dict[str, Rate] = field(default_factory=dict)
    #: The same, all tags together, and the bytes and the segments that clients received: over time.
    tracker_load: History = field(default_factory=History)
    moved: History = field(default_factory=History)
    moved_segments: History = field(default_factory=History)
    #: How long the tracker takes, and how many messages wait for it.
    load: Load = field(default_factory=Load)
    #: The host of each rank that has told it.
    hosts: dict[Rank, str] = field(default_factory=dict)
    #: The tracker's swarms: file → client → seed or peer.
    swarms: dict[str, dict[Rank, SwarmRole]] = field(default_factory=dict)
    #: Client → [swarm requests answered, members told].
    served: dict[Rank, list[int]] = field(default_factory=dict)
    #: (from, to) → [segments, bytes] that were verified, as the receivers tell it.
    traffic: dict[tuple[Rank, Rank], list[int]] = field(default_factory=dict)
    #: How many clients have, or had, to fetch each file.
    fetchers: Counter[str] = field(default_factory=Counter)
    #: How many verified segments came from each client: the row sums of the traffic.
    delivered: Counter[Rank] = field(default_factory=Counter)
    #: The sums of the clients': segments and bytes to fetch, and those received, which is verified.
    to_fetch: int = 0
    to_fetch_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    events: int = 0
    #: Events that never came: their ranks' queues were full.
    dropped: int = 0
    nonsense: int = 0
    #: The latest stamp, seconds since the start.
    t: float = 0.0
    #: When the first client was allowed to download.
    began: float | None = None

    def apply(self, stamped: Stamped) -> None:
        """Fold one event in."""
        self.events += 1
        self.t = max(self.t, stamped.t)
        handler = _HANDLERS.get(type(stamped.event))
        if handler is not None:
            handler(self, stamped.rank, stamped.t, stamped.event)

    def client(self, rank: Rank) -> ClientView:
        """The view of that client, made at its first mention; its version grows."""
        client = self.clients.get(rank)
        if client is None:
            client = self.clients[rank] = ClientView(rank, real=self.real_bytes)
        client.version += 1
        return client

    def file(self, name: str, segments: int, size: int = 0) -> FileView:
        """The view of that file, made at its first mention."""
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = FileView(segments)
        file.size = max(file.size, size)
        return file

    def tracker_did(self, tag: str, t: float) -> None:
        """The tracker has received or sent a message."""
        self.tracker_messages[tag] += 1
        rate = self.tracker_rates.get(tag)
        if rate is None:
            rate = self.tracker_rates[tag] = Rate()
        rate.add(t, 1)
        self.tracker_load.add(t, 1)

    def client_is_lost(self, rank: Rank) -> bool:
        return rank in self.clients and self.clients[rank].lost

    @property
    def file_count(self) -> int:
        """How many files there are, a bundle's members one by one."""
        return len(self.files) - len(self.bundles)

    @property
    def done(self) -> int:
        """How many clients had something to fetch, and have all of it."""
        return sum(client.done for client in self.clients.values())

    @property
    def fetching(self) -> int:
        """How many clients have, or had, something to fetch."""
        return sum(bool(client.fetches) for client in self.clients.values())

    @property
    def seeds(self) -> int:
        """How many clients bring files and have nothing to fetch."""
        return sum(client.seed for client in self.clients.values())

    def rate(self, now: float) -> float:
        """What all receive together, in bytes a second or, where there are none, segments a second."""
        return sum(client.down_rate.at(now, self.real_bytes) for client in self.clients.values())

    @property
    def share_done(self) -> float:
        """0…1 of all that all clients have to fetch: received ÷ to be fetched."""
        if self.to_fetch:
            return share(
                self.real_bytes, self.received, self.to_fetch, self.received_bytes, self.to_fetch_bytes
            )
        ended = all(client.finished_at is not None for client in self.clients.values())
        return 1.0 if self.clients and ended else 0.0

    def delivered_as_owner(self, rank: Rank) -> int:
        """Of the segments that came from that client, those of files that it held from the start."""
        return sum(file.given[rank] for file in self.files.values() if rank in file.owners)

    def copies(self, name: str) -> list[int]:
        """For each segment of a file, how many clients hold it."""
        file = self.files[name]
        owners = len(file.owners)
        return [owners + copies for copies in file.copies]


def _run_started(view: SwarmView, rank: Rank, t: float, event: ev.RunStarted) -> None:
    view.header = event
    for client in range(1, min(event.clients, MOST_CLIENTS) + 1):
        view.client(Rank(client))


def _run_ended(view: SwarmView, rank: Rank, t: float, event: ev.RunEnded) -> None:
    view.outcome, view.ended_at = event.outcome, t


def _run_aborted(view: SwarmView, rank: Rank, t: float, event: ev.RunAborted) -> None:
    view.aborted = event
    view.tracker_did("ABORT", t)


def _file_registered(view: SwarmView, rank: Rank, t: float, event: ev.FileRegistered) -> None:
    view.file(event.file, event.segments, event.size)
    if event.algorithm != "declared" and not view.real_bytes:
        view.real_bytes = True
        for client in view.clients.values():
            client.real = True
    if event.members:
        view.bundles[event.file] = event.members


def _swarm_listed(view: SwarmView, rank: Rank, t: float, event: ev.SwarmListed) -> None:
    view.swarms.setdefault(event.file, {})[event.client] = event.role


def _swarm_served(view: SwarmView, rank: Rank, t: float, event: ev.SwarmServed) -> None:
    view.tracker_did("SWARM_REQUEST", t)
    view.tracker_did("SWARM_RESPONSE", t)
    served = view.served.setdefault(event.client, [0, 0])
    served[0] += 1
    served[1] += event.members


def _client_lost(view: SwarmView, rank: Rank, t: float, event: ev.ClientLost) -> None:
    client = view.client(event.client)
    client.lost, client.lost_reason = True, event.reason


def _client_failed(view: SwarmView, rank: Rank, t: float, event: ev.ClientFailed) -> None:
    view.client(event.client).failed = event.reason
    view.tracker_did("FAILED", t)


def _tracker_load(view: SwarmView, rank: Rank, t: float, event: ev.TrackerLoad) -> None:
    view.load.add(event)


def _rank_placed(view: SwarmView, rank: Rank, t: float, event: ev.RankPlaced) -> None:
    view.hosts[rank] = event.host


def _share_hashed(view: SwarmView, rank: Rank, t: float, event: ev.ShareHashed) -> None:
    client = view.client(rank)
    client.state = "hashing"
    client.hashed_bytes, client.share_bytes = event.done, event.total


def _not_kept(view: SwarmView, rank: Rank, t: float, event: ev.NotKept) -> None:
    view.client(rank).not_kept.append(event)


def _init_sent(view: SwarmView, rank: Rank, t: float, event: ev.InitSent) -> None:
    client = view.client(rank)
    client.state, client.initialised = "ready", True
    _own(view, client, event.owned)


def _own(view: SwarmView, client: ClientView, files: Iterable[ev.OwnedFile]) -> None:
    for owned in files:
        client.owned[owned.file] = owned.segments
        client.held[owned.file] = bytearray(b"\1" * owned.segments)
        view.file(owned.file, owned.segments).owners.add(client.rank)


def _init_ack_received(view: SwarmView, rank: Rank, t: float, event: ev.InitAckReceived) -> None:
    client = view.client(rank)
    client.state = "downloading"
    client.detail.last_at = client.began = t
    _own(view, client, event.bundled)
    view.began = t if view.began is None else min(view.began, t)
    client.wanted, client.wanting = event.wanted, frozenset(event.wanted)
    client.fetches = tuple(name for name in dict.fromkeys(event.wanted) if name not in client.owned)
    for name in client.fetches:
        view.fetchers[name] += 1


def _download_started(view: SwarmView, rank: Rank, t: float, event: ev.DownloadStarted) -> None:
    client = view.client(rank)
    client.detail.start(event.file, event.segments)
    segments = max(0, event.segments)
    if event.file not in client.held:
        client.held[event.file] = bytearray(segments)
        client.to_fetch += segments
        client.to_fetch_bytes += event.size
        view.to_fetch += segments
        view.to_fetch_bytes += event.size
    view.file(event.file, event.segments, event.size)


def _segment_requested(view: SwarmView, rank: Rank, t: float, event: ev.SegmentRequested) -> None:
    client = view.clients.get(rank) or view.client(rank)
    # Nothing in the client's row hangs on it: its version stays.
    client.detail.requested(t, event)


def _segment_stored(view: SwarmView, rank: Rank, t: float, event: ev.SegmentStored) -> None:
    client = view.client(rank)
    client.detail.stored(t, event)
    view.moved.add(t, event.size)
    view.moved_segments.add(t, 1)
    client.received += 1
    client.received_bytes += event.size
    view.received += 1
    view.received_bytes += event.size
    client.down_rate.add(t, event.size)
    view.delivered[event.source] += 1
    cell = view.traffic.get((event.source, rank))
    if cell is None:
        cell = view.traffic[event.source, rank] = [0, 0]
    cell[0] += 1
    cell[1] += event.size
    held = client.held.get(event.file)
    # A journal made by hand may name what was never started: the checker says so, we just go on.
    if held is not None and 0 <= event.segment < len(held):
        held[event.segment] = 1
        file = view.files[event.file]
        file.given[event.source] += 1
        if event.segment < len(file.copies):
            file.copies[event.segment] += 1
            if t < file.first_copy[event.segment]:
                file.first_copy[event.segment] = t


def _segment_dropped(view: SwarmView, rank: Rank, t: float, event: ev.SegmentDropped) -> None:
    client = view.client(rank)
    if event.reason == "corrupt":
        client.corrupt += 1
        client.corrupt_bytes += event.size
    else:
        client.duplicates += 1
        client.duplicate_bytes += event.size
    client.detail.dropped(event)


def _request_rejected(view: SwarmView, rank: Rank, t: float, event: ev.RequestRejected) -> None:
    client = view.client(rank)
    client.rejects_received += event.reason != "cancelled"
    client.detail.answered(event)


def _request_expired(view: SwarmView, rank: Rank, t: float, event: ev.RequestExpired) -> None:
    client = view.client(rank)
    client.expired += 1
    client.detail.expired(event)


def _source_avoided(view: SwarmView, rank: Rank, t: float, event: ev.SourceAvoided) -> None:
    view.client(rank).detail.avoids(event)


def _file_completed(view: SwarmView, rank: Rank, t: float, event: ev.FileCompleted) -> None:
    view.client(rank).completed[event.file] = t


def _all_completed(view: SwarmView, rank: Rank, t: float, event: ev.AllCompleted) -> None:
    client = view.client(rank)
    client.state = "serving"
    client.finished_at = t
    client.detail.open.clear()


def _stopped(view: SwarmView, rank: Rank, t: float, event: ev.Stopped) -> None:
    client = view.client(rank)
    client.state, client.stopped_at = "stopped", t


def _segment_sent(view: SwarmView, rank: Rank, t: float, event: ev.SegmentSent) -> None:
    client = view.client(rank)
    client.sent += 1
    client.sent_bytes += event.size
    client.up_rate.add(t, event.size)


def _segment_refused(view: SwarmView, rank: Rank, t: float, event: ev.SegmentRefused) -> None:
    view.client(rank).rejects_sent += event.reason != "cancelled"


def _nonsense_received(view: SwarmView, rank: Rank, t: float, event: ev.NonsenseReceived) -> None:
    view.nonsense += 1


def _events_dropped(view: SwarmView, rank: Rank, t: float, event: ev.EventsDropped) -> None:
    view.dropped += event.count
    client = view.clients.get(rank)
    if client is not None:
        # The answers may be among what is missing.
        client.detail.open.clear()


def _tracker_did(tag: str) -> Callable[..., None]:
    """An event that tells of a message of the tracker's and no more."""
    return lambda view, rank, t, event: view.tracker_did(tag, t)


_HANDLERS: dict[type[Event], Callable[..., None]] = {
    ev.RunStarted: _run_started,
    ev.RunEnded: _run_ended,
    ev.RunAborted: _run_aborted,
    ev.InitReceived: _tracker_did("INIT"),
    ev.FileRegistered: _file_registered,
    ev.InitAckSent: _tracker_did("INIT_ACK"),
    ev.SwarmListed: _swarm_listed,
    ev.SwarmServed: _swarm_served,
    ev.FileCompleteReceived: _tracker_did("FILE_COMPLETE"),
    ev.AllCompleteReceived: _tracker_did("ALL_COMPLETE"),
    ev.StopSent: _tracker_did("STOP"),
    ev.ClientLost: _client_lost,
    ev.ClientFailed: _client_failed,
    ev.TrackerLoad: _tracker_load,
    ev.RankPlaced: _rank_placed,
    ev.ShareHashed: _share_hashed,
    ev.NotKept: _not_kept,
    ev.InitSent: _init_sent,
    ev.InitAckReceived: _init_ack_received,
    ev.DownloadStarted: _download_started,
    ev.SegmentRequested: _segment_requested,
    ev.SegmentStored: _segment_stored,
    ev.SegmentDropped: _segment_dropped,
    ev.RequestRejected: _request_rejected,
    ev.RequestExpired: _request_expired,
    ev.SourceAvoided: _source_avoided,
    ev.FileCompleted: _file_completed,
    ev.FileUnavailable: lambda view, rank, t, event: view.client(rank).cannot_have(event),
    ev.AllCompleted: _all_completed,
    ev.Stopped: _stopped,
    ev.SegmentSent: _segment_sent,
    ev.SegmentRefused: _segment_refused,
    ev.NonsenseReceived: _nonsense_received,
    ev.EventsDropped: _events_dropped,
}
