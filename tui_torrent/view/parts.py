"""What is known of one file and of one client: the parts of the view."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from mpi_core.protocol.units import Rank
from tui_torrent.view.client_detail import Detail
from tui_torrent.view.rates import Rate

ClientState = Literal["starting", "hashing", "ready", "downloading", "serving", "stopped"]


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
    hashed_bytes: int = 0
    share_bytes: int = 0
    owned: dict[str, int] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    #: For each file it owns or downloads: one byte a segment, 1 where it holds it.
    held: dict[str, bytearray] = field(default_factory=dict)
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
    #: Whence its segments came, its requests in flight, its waits.
    detail: Detail = field(default_factory=Detail)

    @property
    def fetched(self) -> list[str]:
        """The wanted files that it has not owned from the start, each once."""
        return [name for name in dict.fromkeys(self.wanted) if name not in self.owned]

    @property
    def share_done(self) -> float:
        """0…1 of what it wants (and can have); 1 where it wants nothing."""
        wanted = self.segments_wanted
        if wanted:
            return self.segments_had / wanted
        return 0.0 if self.finished_at is None and self.state != "stopped" else 1.0
