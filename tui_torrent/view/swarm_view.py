"""The fold: every status event so far, as one view of the whole swarm.

``apply`` takes the events one at a time. Any interleaving that keeps each rank's own order gives the
same view (law 6): an event changes only counters, its own rank's state, or sets that grow. The view
knows no clock; what it says of time it has from the stamps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event, Stamped
from mpi_core.protocol.units import Rank
from tui_torrent.view.rates import Rate

ClientState = Literal["starting", "hashing", "ready", "downloading", "serving", "stopped", "lost"]


@dataclass
class FileView:
    """What is known of one file of the swarm."""

    segments: int
    #: Bytes; 0 until the tracker or a downloader has told it.
    size: int = 0
    #: Clients that held the whole file from the start.
    owners: set[Rank] = field(default_factory=set)
    #: For each segment, how many clients have downloaded it.
    copies: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.copies = [0] * self.segments


@dataclass
class ClientView:
    """What is known of one client."""

    rank: Rank
    state: ClientState = "starting"
    #: The tracker has given it up; cleared by nothing.
    lost: bool = False
    #: Why it was given up.
    lost_reason: str = ""
    hashed_bytes: int = 0
    share_bytes: int = 0
    owned: dict[str, int] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    #: For each file it owns or downloads: one byte a segment, 1 where it holds it.
    held: dict[str, bytearray] = field(default_factory=dict)
    #: Segments of each wanted file that were verified and stored here.
    stored: Counter[str] = field(default_factory=Counter)
    completed: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    #: Segments and bytes.
    downloaded: int = 0
    uploaded: int = 0
    #: Of the segments uploaded, those of files that it held from the start.
    uploaded_as_owner: int = 0
    bytes_down: int = 0
    bytes_up: int = 0
    rejects_sent: int = 0
    rejects_received: int = 0
    corrupt_received: int = 0
    expired: int = 0
    down_rate: Rate = field(default_factory=Rate)
    up_rate: Rate = field(default_factory=Rate)
    #: When nothing was left to fetch, seconds since the start.
    finished_at: float | None = None
    #: Grows with every event that concerns this client: a row drawn at the same number is the same.
    version: int = 0

    #: Segments of the wanted files whose manifest is known; those that are here, owned ones included.
    segments_wanted: int = 0
    segments_had: int = 0
    #: The names of ``wanted``, each once.
    wanting: frozenset[str] = frozenset()

    @property
    def share_done(self) -> float:
        """0…1 of what it wants (and can have); 1 where it wants nothing."""
        wanted = self.segments_wanted
        if wanted:
            return self.segments_had / wanted
        return 0.0 if self.finished_at is None and self.state != "stopped" else 1.0


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
    clients: dict[Rank, ClientView] = field(default_factory=dict)
    #: Messages that the tracker received or sent, by tag.
    tracker_messages: Counter[str] = field(default_factory=Counter)
    #: (from, to) → [segments, bytes], as the senders tell it.
    traffic: dict[tuple[Rank, Rank], list[int]] = field(default_factory=dict)
    events: int = 0
    #: Events that never came: their ranks' queues were full.
    dropped: int = 0
    nonsense: int = 0
    #: The latest stamp, seconds since the start.
    t: float = 0.0

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
            client = self.clients[rank] = ClientView(rank)
        client.version += 1
        return client

    def file(self, name: str, segments: int, size: int = 0) -> FileView:
        """The view of that file, made at its first mention."""
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = FileView(segments)
        file.size = max(file.size, size)
        return file

    @property
    def done(self) -> int:
        """How many clients have nothing left to fetch."""
        return sum(client.finished_at is not None for client in self.clients.values())

    @property
    def share_done(self) -> float:
        """0…1 of all segments that all clients want."""
        wanted = sum(client.segments_wanted for client in self.clients.values())
        had = sum(client.segments_had for client in self.clients.values())
        if wanted:
            return had / wanted
        return 1.0 if self.clients and self.done == len(self.clients) else 0.0

    def copies(self, name: str) -> list[int]:
        """For each segment of a file, how many clients hold it."""
        file = self.files[name]
        owners = len(file.owners)
        return [owners + copies for copies in file.copies]


def _run_started(view: SwarmView, rank: Rank, t: float, event: ev.RunStarted) -> None:
    view.header = event
    for client in range(1, event.clients + 1):
        view.client(Rank(client))


def _run_ended(view: SwarmView, rank: Rank, t: float, event: ev.RunEnded) -> None:
    view.outcome, view.ended_at = event.outcome, t


def _run_aborted(view: SwarmView, rank: Rank, t: float, event: ev.RunAborted) -> None:
    view.aborted = event
    view.tracker_messages["ABORT"] += 1


def _init_received(view: SwarmView, rank: Rank, t: float, event: ev.InitReceived) -> None:
    view.tracker_messages["INIT"] += 1


def _file_registered(view: SwarmView, rank: Rank, t: float, event: ev.FileRegistered) -> None:
    view.file(event.file, event.segments, event.size)
    view.real_bytes |= event.algorithm != "declared"


def _init_ack_sent(view: SwarmView, rank: Rank, t: float, event: ev.InitAckSent) -> None:
    view.tracker_messages["INIT_ACK"] += 1


def _swarm_served(view: SwarmView, rank: Rank, t: float, event: ev.SwarmServed) -> None:
    view.tracker_messages["SWARM_REQUEST"] += 1
    view.tracker_messages["SWARM_RESPONSE"] += 1


def _file_complete_received(view: SwarmView, rank: Rank, t: float, event: ev.FileCompleteReceived) -> None:
    view.tracker_messages["FILE_COMPLETE"] += 1


def _all_complete_received(view: SwarmView, rank: Rank, t: float, event: ev.AllCompleteReceived) -> None:
    view.tracker_messages["ALL_COMPLETE"] += 1


def _stop_sent(view: SwarmView, rank: Rank, t: float, event: ev.StopSent) -> None:
    view.tracker_messages["STOP"] += 1


def _client_lost(view: SwarmView, rank: Rank, t: float, event: ev.ClientLost) -> None:
    client = view.client(event.client)
    client.lost, client.lost_reason = True, event.reason


def _share_hashed(view: SwarmView, rank: Rank, t: float, event: ev.ShareHashed) -> None:
    client = view.client(rank)
    client.state = "hashing"
    client.hashed_bytes, client.share_bytes = event.done, event.total


def _init_sent(view: SwarmView, rank: Rank, t: float, event: ev.InitSent) -> None:
    client = view.client(rank)
    client.state = "ready"
    for owned in event.owned:
        client.owned[owned.file] = owned.segments
        client.held[owned.file] = bytearray(b"\1" * owned.segments)
        view.file(owned.file, owned.segments).owners.add(rank)


def _init_ack_received(view: SwarmView, rank: Rank, t: float, event: ev.InitAckReceived) -> None:
    client = view.client(rank)
    client.state = "downloading"
    client.wanted, client.wanting = event.wanted, frozenset(event.wanted)
    known = [held for name, held in client.held.items() if name in client.wanting]
    client.segments_wanted = sum(map(len, known))
    client.segments_had = sum(held.count(1) for held in known)


def _download_started(view: SwarmView, rank: Rank, t: float, event: ev.DownloadStarted) -> None:
    client = view.client(rank)
    if event.file not in client.held:
        client.held[event.file] = bytearray(max(0, event.segments))
        if event.file in client.wanting:
            client.segments_wanted += max(0, event.segments)
    view.file(event.file, event.segments, event.size)


def _segment_stored(view: SwarmView, rank: Rank, t: float, event: ev.SegmentStored) -> None:
    client = view.client(rank)
    client.downloaded += 1
    client.bytes_down += event.size
    client.down_rate.add(t, event.size)
    client.stored[event.file] += 1
    held = client.held.get(event.file)
    # A journal made by hand may name what was never started: the checker says so, we just go on.
    if held is not None and 0 <= event.segment < len(held):
        if event.file in client.wanting:
            client.segments_had += not held[event.segment]
        held[event.segment] = 1
        copies = view.files[event.file].copies
        if event.segment < len(copies):
            copies[event.segment] += 1


def _segment_dropped(view: SwarmView, rank: Rank, t: float, event: ev.SegmentDropped) -> None:
    client = view.client(rank)
    client.bytes_down += event.size
    client.corrupt_received += event.reason == "corrupt"


def _request_rejected(view: SwarmView, rank: Rank, t: float, event: ev.RequestRejected) -> None:
    view.client(rank).rejects_received += event.reason != "cancelled"


def _request_expired(view: SwarmView, rank: Rank, t: float, event: ev.RequestExpired) -> None:
    view.client(rank).expired += 1


def _file_completed(view: SwarmView, rank: Rank, t: float, event: ev.FileCompleted) -> None:
    view.client(rank).completed[event.file] = t


def _file_unavailable(view: SwarmView, rank: Rank, t: float, event: ev.FileUnavailable) -> None:
    view.client(rank).unavailable[event.file] = event.reason


def _all_completed(view: SwarmView, rank: Rank, t: float, event: ev.AllCompleted) -> None:
    client = view.client(rank)
    client.state = "serving"
    client.finished_at = t


def _stopped(view: SwarmView, rank: Rank, t: float, event: ev.Stopped) -> None:
    view.client(rank).state = "stopped"


def _segment_sent(view: SwarmView, rank: Rank, t: float, event: ev.SegmentSent) -> None:
    client = view.client(rank)
    client.uploaded += 1
    client.uploaded_as_owner += event.file in client.owned
    client.bytes_up += event.size
    client.up_rate.add(t, event.size)
    cell = view.traffic.setdefault((rank, event.target), [0, 0])
    cell[0] += 1
    cell[1] += event.size


def _segment_refused(view: SwarmView, rank: Rank, t: float, event: ev.SegmentRefused) -> None:
    view.client(rank).rejects_sent += event.reason != "cancelled"


def _nonsense_received(view: SwarmView, rank: Rank, t: float, event: ev.NonsenseReceived) -> None:
    view.nonsense += 1


def _events_dropped(view: SwarmView, rank: Rank, t: float, event: ev.EventsDropped) -> None:
    view.dropped += event.count


_HANDLERS: dict[type[Event], Callable[..., None]] = {
    ev.RunStarted: _run_started,
    ev.RunEnded: _run_ended,
    ev.RunAborted: _run_aborted,
    ev.InitReceived: _init_received,
    ev.FileRegistered: _file_registered,
    ev.InitAckSent: _init_ack_sent,
    ev.SwarmServed: _swarm_served,
    ev.FileCompleteReceived: _file_complete_received,
    ev.AllCompleteReceived: _all_complete_received,
    ev.StopSent: _stop_sent,
    ev.ClientLost: _client_lost,
    ev.ShareHashed: _share_hashed,
    ev.InitSent: _init_sent,
    ev.InitAckReceived: _init_ack_received,
    ev.DownloadStarted: _download_started,
    ev.SegmentStored: _segment_stored,
    ev.SegmentDropped: _segment_dropped,
    ev.RequestRejected: _request_rejected,
    ev.RequestExpired: _request_expired,
    ev.FileCompleted: _file_completed,
    ev.FileUnavailable: _file_unavailable,
    ev.AllCompleted: _all_completed,
    ev.Stopped: _stopped,
    ev.SegmentSent: _segment_sent,
    ev.SegmentRefused: _segment_refused,
    ev.NonsenseReceived: _nonsense_received,
    ev.EventsDropped: _events_dropped,
}
