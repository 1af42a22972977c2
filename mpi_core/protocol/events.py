"""The status facts: one class each, each with one teller.

Machines emit events; the reporter stamps them with the run's time, the rank and a sequence number.
Folded in any order that keeps each rank's own, they give the same view (law 6). A journal is these
events, one JSON object a line. Names are in the past tense, times in seconds, sizes in bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mpi_core.protocol.digest import Algorithm
from mpi_core.protocol.event import Event as Event
from mpi_core.protocol.event import EventsDropped as EventsDropped
from mpi_core.protocol.event import MessageName as MessageName
from mpi_core.protocol.event import MessageReceived as MessageReceived
from mpi_core.protocol.event import MessageSent as MessageSent
from mpi_core.protocol.event import NonsenseReceived as NonsenseReceived
from mpi_core.protocol.event import RankPlaced as RankPlaced
from mpi_core.protocol.histogram import Bins
from mpi_core.protocol.messages import RejectReason, SwarmRole
from mpi_core.protocol.roles import MOST_CLIENTS
from mpi_core.protocol.units import Rank, SegmentIndex

#: The version of the journal's format; in every journal's first line. Since 2 it tells hosts (RankPlaced)
#: and the tracker's load (TrackerLoad). Since 3 all times are on the tracker's clock, and the lines are in an
#: order in which nothing is received before it was sent. Older ones are read all the same.
JOURNAL_VERSION = 3
OLDEST_VERSION = 1

#: What RunEnded may say.
OUTCOMES = ("complete", "incomplete", "failed", "interrupted")

#: A SWARM_REQUEST event lists the files' names up to this many; above, it only counts them.
NAMES_LISTED = 32


# Told by the observer -------------------------------------------------------------------------


class Links(msgspec.Struct, frozen=True):
    """What bounds the links of clients with ranks in a row, in bytes a second; None: nothing known."""

    first: Rank
    last: Rank
    up: float | None = None
    down: float | None = None


class RunStarted(Event, frozen=True):
    """The header: the first line of a journal."""

    version: int
    clients: int
    scenario: str
    strategy: str
    seed: int
    swarm_update: int
    window: int
    #: The rates that are known beforehand, in order of rank.
    links: tuple[Links, ...] = ()
    #: Bytes that each segment takes of a simulated link, whose segments have none of their own.
    segment_bytes: int = 0


def header_problem(header: RunStarted) -> str | None:
    """Why no run has that header, or None; what is kept for each client takes memory."""
    if not 1 <= header.clients <= MOST_CLIENTS:
        return f"expected clients from 1 to {MOST_CLIENTS}, found {header.clients}"
    if header.swarm_update < 1:
        return f"expected swarm_update from 1 on, found {header.swarm_update}"
    if header.window < 0:
        return f"expected window from 0 on, found {header.window}"
    return None


class RunEnded(Event, frozen=True):
    """The outcome: the last line of a journal; one whose run was killed has none."""

    #: One of OUTCOMES.
    outcome: str


# Told by the tracker --------------------------------------------------------------------------


class InitReceived(Event, frozen=True):
    client: Rank
    files: int


class FileRegistered(Event, frozen=True):
    """The first owner of a file has named it."""

    file: str
    size: int
    segments: int
    algorithm: Algorithm
    digests: tuple[str, ...]
    #: Of a bundle: for each segment the names of the small files in it.
    members: tuple[tuple[str, ...], ...] = ()


class InitAckSent(Event, frozen=True):
    client: Rank


class SwarmListed(Event, frozen=True):
    """A client came into a swarm, or became a seed of it."""

    client: Rank
    file: str
    role: SwarmRole


class SwarmServed(Event, frozen=True):
    """A SWARM_REQUEST was answered by a SWARM_RESPONSE with that many manifests and members."""

    client: Rank
    files: int
    manifests: int
    members: int


class FileCompleteReceived(Event, frozen=True):
    client: Rank
    file: str


class AllCompleteReceived(Event, frozen=True):
    client: Rank


class StopSent(Event, frozen=True):
    client: Rank


class ClientLost(Event, frozen=True):
    """The tracker no longer waits for that client."""

    client: Rank
    reason: str


class ClientFailed(Event, frozen=True):
    """That client has told that it fetches nothing more, and why; what it holds it serves on."""

    client: Rank
    reason: str


class TrackerLoad(Event, frozen=True):
    """What the tracker did since it last told (about a second ago), as histograms of its messages."""

    #: Bins of the microseconds that a message took, all that followed from it included.
    service: Bins
    #: Bins of the messages that waited meanwhile.
    waiting: Bins


class RunAborted(Event, frozen=True):
    """Somebody could not go on; every rank leaves with that exit code."""

    culprit: Rank
    code: int
    reason: str


# Told by a client's downloader ----------------------------------------------------------------


class OwnedFile(msgspec.Struct, frozen=True):
    file: str
    segments: int


class ShareHashed(Event, frozen=True):
    """Progress before INIT: so many bytes of the client's shares are hashed."""

    done: int
    total: int


#: What was not shared, or not kept. ``untravelled`` is what no swarm carries (a FIFO, a socket, a device) and
#: ``attributes`` what the file system does not take (modes, times); nothing is missing for their sake.
#: ``unreadable`` is what could not be shared, ``unmade`` what could not be made here: either is missing.
Loss = Literal["untravelled", "unreadable", "unmade", "attributes"]

#: A NotKept event names up to this many files; above, it only counts them.
LOSSES_LISTED = 1000


class NotKept(Event, frozen=True):
    """What of a tree does not arrive as it is, all of one kind at once."""

    what: Loss
    #: Names, each with what is the matter with it; the first LOSSES_LISTED of ``count``.
    files: tuple[tuple[str, str], ...]
    count: int


class InitSent(Event, frozen=True):
    owned: tuple[OwnedFile, ...]


class InitAckReceived(Event, frozen=True):
    """Downloads may begin; these are the files that the client wants, its own ones included."""

    wanted: tuple[str, ...]
    #: Bundles of its small files, and its files with holes, which it owns from now on.
    bundled: tuple[OwnedFile, ...] = ()


class SwarmRequested(Event, frozen=True):
    """A SWARM_REQUEST for so many unfinished files; they are listed where they are few."""

    unfinished: int
    files: tuple[str, ...]


class DownloadStarted(Event, frozen=True):
    """The manifest of a wanted file has come."""

    file: str
    segments: int
    size: int


class SegmentRequested(Event, frozen=True):
    source: Rank
    file: str
    segment: SegmentIndex


class SegmentStored(Event, frozen=True):
    """A segment was verified and stored; ``digest`` is what its payload hashed to."""

    source: Rank
    file: str
    segment: SegmentIndex
    size: int
    digest: str


class SegmentDropped(Event, frozen=True):
    """A payload came that is not stored: ``corrupt``, or a ``duplicate`` of what is there."""

    source: Rank
    file: str
    segment: SegmentIndex
    size: int
    reason: str


class RequestRejected(Event, frozen=True):
    """A REJECT came."""

    source: Rank
    file: str
    segment: SegmentIndex
    reason: RejectReason
    #: Of ``unreadable``: why.
    why: str = ""


class RequestExpired(Event, frozen=True):
    """A request went unanswered for so long that the segment is asked of another."""

    source: Rank
    file: str
    segment: SegmentIndex


class SourceAvoided(Event, frozen=True):
    """That sender is asked no more (three corrupt segments), or not for a while (silent)."""

    source: Rank
    reason: str


class FileCompleted(Event, frozen=True):
    """A wanted file is whole and written; FILE_COMPLETE was sent unless the client owned it."""

    file: str


class Cause(msgspec.Struct, frozen=True):
    """Why a client does not serve a file that it has."""

    client: Rank
    reason: str


class FileUnavailable(Event, frozen=True):
    """A wanted file that could not be had, and why."""

    file: str
    reason: str
    #: Whose trouble that is, where it is known.
    causes: tuple[Cause, ...] = ()


class AllCompleted(Event, frozen=True):
    """ALL_COMPLETE was sent: nothing is left to fetch."""


class Stopped(Event, frozen=True):
    """STOP came: the download thread ends."""

    #: Whether the run was ended before everybody was done.
    aborted: bool = False


# Told by a client's uploader ------------------------------------------------------------------


class SegmentSent(Event, frozen=True):
    target: Rank
    file: str
    segment: SegmentIndex
    size: int


class SegmentRefused(Event, frozen=True):
    """A REJECT was sent."""

    target: Rank
    file: str
    segment: SegmentIndex
    reason: RejectReason
    #: Of ``unreadable``: why.
    why: str = ""


class ServingEnded(Event, frozen=True):
    """The upload thread ends."""


AnyEvent = (
    RunStarted
    | RunEnded
    | InitReceived
    | FileRegistered
    | InitAckSent
    | SwarmListed
    | SwarmServed
    | FileCompleteReceived
    | AllCompleteReceived
    | StopSent
    | ClientLost
    | ClientFailed
    | TrackerLoad
    | RunAborted
    | ShareHashed
    | NotKept
    | InitSent
    | InitAckReceived
    | SwarmRequested
    | DownloadStarted
    | SegmentRequested
    | SegmentStored
    | SegmentDropped
    | RequestRejected
    | RequestExpired
    | SourceAvoided
    | FileCompleted
    | FileUnavailable
    | AllCompleted
    | Stopped
    | SegmentSent
    | SegmentRefused
    | ServingEnded
    | RankPlaced
    | MessageSent
    | MessageReceived
    | NonsenseReceived
    | EventsDropped
)


class Stamped(msgspec.Struct, frozen=True):
    """An event with its time (seconds since the run began), its teller and its place there."""

    t: float
    rank: Rank
    #: 0, 1, 2 … within one rank; a gap is a loss.
    seq: int
    event: AnyEvent
