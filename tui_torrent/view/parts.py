"""What is known of one file and of one client: the parts of the view."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from mpi_core.protocol.events import Cause, FileUnavailable, NotKept
from mpi_core.protocol.units import Rank
from tui_torrent.view.client_detail import Detail
from tui_torrent.view.rates import Rate

ClientState = Literal["starting", "hashing", "ready", "downloading", "serving", "stopped"]

#: What a client does, in the word that every screen has for it.
Doing = Literal["waiting", "downloading", "seeding", "done", "lost"]


@dataclass
class FileView:
    """What is known of one file of the swarm."""

    segments: int
    #: Bytes; 0 until the tracker or a downloader has told it.
    size: int = 0
    #: Clients that held the whole file from the start.
    owners: set[Rank] = field(default_factory=set)
    #: For each segment, how many clients have downloaded it.
    copies: list[int] = field(init=False)
    #: For each segment, when a client first had downloaded it.
    first_copy: array[float] = field(init=False)
    #: How many verified segments of it came from each client.
    given: Counter[Rank] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.copies = [0] * self.segments
        self.first_copy = array("d", [inf]) * self.segments


@dataclass
class ClientView:
    """What is known of one client."""

    rank: Rank
    state: ClientState = "starting"
    #: The tracker has given it up; cleared by nothing.
    lost: bool = False
    #: Why it was given up.
    lost_reason: str = ""
    #: Why it fetches nothing more, as it has told the tracker; it serves on.
    failed: str | None = None
    #: It has sent INIT.
    initialised: bool = False
    hashed_bytes: int = 0
    share_bytes: int = 0
    owned: dict[str, int] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    #: For each file it owns or downloads: one byte a segment, 1 where it holds it.
    held: dict[str, bytearray] = field(default_factory=dict)
    completed: dict[str, float] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    #: Those of them that are some clients' trouble → whose.
    blamed: dict[str, tuple[Cause, ...]] = field(default_factory=dict)
    #: What of its share or of its results is not as it should be.
    not_kept: list[NotKept] = field(default_factory=list)
    #: The wanted files that it has not owned from the start, each once: what it has to fetch.
    fetches: tuple[str, ...] = ()
    #: Segments and bytes of those files, as far as their manifests have come.
    to_fetch: int = 0
    to_fetch_bytes: int = 0
    #: Segments and bytes that came and were verified; all else that came is waste.
    received: int = 0
    received_bytes: int = 0
    corrupt: int = 0
    corrupt_bytes: int = 0
    duplicates: int = 0
    duplicate_bytes: int = 0
    #: Segments and bytes that left, whatever became of them.
    sent: int = 0
    sent_bytes: int = 0
    rejects_sent: int = 0
    rejects_received: int = 0
    #: Requests that went unanswered.
    expired: int = 0
    down_rate: Rate = field(default_factory=Rate)
    up_rate: Rate = field(default_factory=Rate)
    #: When nothing was left to fetch, seconds since the start.
    finished_at: float | None = None
    #: When STOP came.
    stopped_at: float | None = None
    #: Grows with every event that concerns this client: a row drawn at the same number is the same.
    version: int = 0

    #: The names of ``wanted``, each once.
    wanting: frozenset[str] = frozenset()
    #: When it was allowed to download, seconds since the start.
    began: float | None = None
    #: The run has files of bytes (the view's ``real_bytes``): its amounts are bytes, and not segments.
    real: bool = False
    #: Whence its segments came, its requests in flight, its waits.
    detail: Detail = field(default_factory=Detail)

    def cannot_have(self, event: FileUnavailable) -> None:
        self.unavailable[event.file] = event.reason
        if event.causes:
            self.blamed[event.file] = event.causes

    @property
    def gone(self) -> bool:
        """Whether it fetches nothing more, for its own trouble."""
        return self.lost or self.failed is not None

    @property
    def seed(self) -> bool:
        """Whether it brings files and has nothing to fetch."""
        return bool(self.owned) and not self.fetches and self.state not in ("starting", "hashing", "ready")

    @property
    def done(self) -> bool:
        """Whether it had something to fetch, and has all of it."""
        return bool(self.fetches) and self.finished_at is not None and not self.unavailable

    @property
    def missing(self) -> int:
        """Segments that it has still to fetch."""
        return max(0, self.to_fetch - self.received)

    @property
    def share_done(self) -> float:
        """0…1: received ÷ to be fetched; 1 where that is nothing."""
        if self.to_fetch:
            return share(self.real, self.received, self.to_fetch, self.received_bytes, self.to_fetch_bytes)
        return 0.0 if self.finished_at is None and self.state != "stopped" else 1.0

    def doing(self, now: float) -> Doing:
        """What it does at ``now``, in seconds of the run."""
        if self.gone:
            return "lost"
        if self.state == "stopped":
            return "done"
        if self.state == "serving":
            return "seeding"
        return "downloading" if self.state == "downloading" and self.down_rate.at(now) else "waiting"

    def down(self, now: float) -> float:
        """What it receives lately, in bytes a second or segments a second; of one that has ended the mean."""
        if self.finished_at is not None and self.began is not None and self.finished_at > self.began:
            return (self.received_bytes if self.real else self.received) / (self.finished_at - self.began)
        return self.down_rate.at(now, self.real)

    def up(self, now: float) -> float:
        """What it sends lately; of one that has stopped the mean since it began."""
        if self.stopped_at is not None and self.began is not None and self.stopped_at > self.began:
            return (self.sent_bytes if self.real else self.sent) / (self.stopped_at - self.began)
        return self.up_rate.at(now, self.real)


def share(real: bool, received: int, to_fetch: int, received_bytes: int, to_fetch_bytes: int) -> float:
    """0…1: received ÷ to be fetched, in bytes where there are any; 1 means all and nothing less."""
    if received >= to_fetch:
        return 1.0
    part = received_bytes / to_fetch_bytes if real and to_fetch_bytes else received / to_fetch
    return min(part, 1 - 1e-9)
