"""The messages, one frozen class each, and the MPI tags that carry them.

The first nine tags are the steps of the classic protocol, in their order. The others are ours: what
clients tell each other about the segments they hold, how a request ends otherwise than by its payload,
and what ranks tell the tracker and the observer beside the protocol.
A message knows to which *port* of a rank it goes: each machine (tracker, downloader, uploader)
listens on one of its own, so that no two threads wait for the same message.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Literal

import msgspec

from mpi_core.protocol.entries import Entry, Twins
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Payload, Rank, SegmentIndex, Ticket


class Tag(IntEnum):
    """MPI tags. A SEND_SEGMENT travels bare, as its payload alone, on a communicator of its own where the
    tag is its ticket."""

    INIT = 1
    INIT_ACK = 2
    SWARM_REQUEST = 3
    SWARM_RESPONSE = 4
    REQUEST_SEGMENT = 5
    SEND_SEGMENT = 6
    FILE_COMPLETE = 7
    ALL_COMPLETE = 8
    STOP = 9
    # Added to the classic ones.
    REJECT = 10
    CANCEL = 11
    PENDING = 12
    BITFIELD = 13
    ANNOUNCE = 14
    ABORT = 15
    ALIVE = 16
    STATUS = 17
    KEYS = 18
    SEGMENT_AT = 19
    FAILED = 20


Port = Literal["tracker", "downloader", "uploader", "observer"]

#: Why an uploader did not send: it does not have the segment, can no longer read it (its share was cut
#: short, say), is too busy, or was asked not to.
RejectReason = Literal["absent", "unreadable", "busy", "cancelled"]

#: What a member is in a swarm: a seed has the whole file, a peer is still fetching it.
SwarmRole = Literal["seed", "peer"]


class Message(msgspec.Struct, frozen=True, array_like=True):
    """The base of all messages."""

    tag: ClassVar[Tag]
    port: ClassVar[Port]


class Init(Message, frozen=True, array_like=True):
    """Client → tracker: what I own, and the patterns of names I want that only the tracker can match."""

    tag: ClassVar[Tag] = Tag.INIT
    port: ClassVar[Port] = "tracker"

    owned: tuple[Manifest, ...]
    patterns: tuple[str, ...] = ()
    #: Names that I want as they stand, so that no bundle swallows them.
    names: tuple[str, ...] = ()
    #: Folders and links of what I share, and which of its names are one file.
    entries: tuple[Entry, ...] = ()
    twins: tuple[Twins, ...] = ()
    #: How many files I was to share and could not read.
    unreadable: int = 0


class Bundled(msgspec.Struct, frozen=True, array_like=True):
    """Small files with the same owners and the same wanters: they travel as one from now on."""

    name: str
    members: tuple[str, ...]


class InitAck(Message, frozen=True, array_like=True):
    """Tracker → client: every INIT is in; ``matched[i]`` are the names that ``patterns[i]`` matches, a
    bundle's instead of its members'."""

    tag: ClassVar[Tag] = Tag.INIT_ACK
    port: ClassVar[Port] = "downloader"

    matched: tuple[tuple[str, ...], ...] = ()
    #: Bundles of files that the client owns.
    bundles: tuple[Bundled, ...] = ()
    #: Folders and links that belong to what it wants; and for each file, or link, of several wanted names
    #: these names. Only the first of them is in ``matched`` or an entry.
    entries: tuple[Entry, ...] = ()
    twins: tuple[Twins, ...] = ()
    #: Files that the client owns whose holes have segments.
    filled: tuple[str, ...] = ()


class SwarmRequest(Message, frozen=True, array_like=True):
    """Client → tracker: the swarms of these files.

    The first request of a client names its files. An update does not repeat the names: it bears a
    bitfield over that list, so that 20,000 files cost 2,500 bytes an update.
    """

    tag: ClassVar[Tag] = Tag.SWARM_REQUEST
    port: ClassVar[Port] = "tracker"

    names: tuple[str, ...] = ()
    #: In an update, which of the names first given are unfinished (Bitfield.to_bytes).
    unfinished: bytes = b""
    #: Which of them have segments that no client known to the asker holds: it is told of members anew,
    #: seeds first. Without this, one that drew no seed among 10,000 clients could not tell why.
    lacking: bytes = b""


class SwarmMember(msgspec.Struct, frozen=True, array_like=True):
    """A client that is in a swarm, as a seed or as a peer."""

    rank: Rank
    role: SwarmRole


class Swarm(msgspec.Struct, frozen=True, array_like=True):
    """What has changed in the swarm of one file: at most 50 members."""

    name: str
    members: tuple[SwarmMember, ...]


class SwarmResponse(Message, frozen=True, array_like=True):
    """Tracker → client: manifests that the asker has not had, and what changed in its swarms."""

    tag: ClassVar[Tag] = Tag.SWARM_RESPONSE
    port: ClassVar[Port] = "downloader"

    manifests: tuple[Manifest, ...] = ()
    swarms: tuple[Swarm, ...] = ()
    #: Names asked for that nobody owns.
    unknown: tuple[str, ...] = ()
    #: Clients that the tracker has lost since the asker's last request.
    lost: tuple[Rank, ...] = ()


class RequestSegment(Message, frozen=True, array_like=True):
    """Downloader → uploader: one segment, please. Exactly one SEND_SEGMENT, SEGMENT_AT or REJECT
    answers it."""

    tag: ClassVar[Tag] = Tag.REQUEST_SEGMENT
    port: ClassVar[Port] = "uploader"

    name: str
    index: SegmentIndex
    ticket: Ticket
    #: Bytes in the payload, for which the asker has posted a buffer.
    length: int
    #: Whether only the payload itself will do, since where it lies could not be read.
    as_payload: bool = False


class SendSegment(Message, frozen=True, array_like=True):
    """Uploader → downloader: the payload of the request with that ticket.

    The payload is valid only until the machine that receives it returns: its buffer is used again.
    """

    tag: ClassVar[Tag] = Tag.SEND_SEGMENT
    port: ClassVar[Port] = "downloader"

    ticket: Ticket
    payload: Payload

    @property
    def size(self) -> int:
        """Bytes in the payload."""
        return len(self.payload)


class Place(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a payload lies on a disk, or the part of it that is in one file."""

    #: The file, and the name that it is about to get, both absolute: one of them is there.
    paths: tuple[bytes, ...]
    #: Bytes of the file before it, and of it.
    offset: int
    length: int


class SegmentAt(Message, frozen=True, array_like=True):
    """Uploader → downloader beside it: read the payload of the request with that ticket yourself.

    It answers a request as SEND_SEGMENT does.
    """

    tag: ClassVar[Tag] = Tag.SEGMENT_AT
    port: ClassVar[Port] = "downloader"

    ticket: Ticket
    #: One, or that of each small file in a segment of a bundle.
    places: tuple[Place, ...]

    @property
    def size(self) -> int:
        """Bytes in the payload."""
        return sum(place.length for place in self.places)


class Reject(Message, frozen=True, array_like=True):
    """Uploader → downloader: no segment will come for that ticket."""

    tag: ClassVar[Tag] = Tag.REJECT
    port: ClassVar[Port] = "downloader"

    ticket: Ticket
    reason: RejectReason
    #: Of ``unreadable``: why, in words.
    why: str = ""


class Cancel(Message, frozen=True, array_like=True):
    """Downloader → uploader: I no longer need that segment. The request is still answered, once."""

    tag: ClassVar[Tag] = Tag.CANCEL
    port: ClassVar[Port] = "uploader"

    ticket: Ticket


class Pending(Message, frozen=True, array_like=True):
    """Uploader → downloader: I am alive and have not forgotten these; they wait in my queue."""

    tag: ClassVar[Tag] = Tag.PENDING
    port: ClassVar[Port] = "downloader"

    tickets: tuple[Ticket, ...]


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """Which segments of one file the sender holds (Bitfield.to_bytes)."""

    name: str
    length: int
    bits: bytes


class BitfieldMessage(Message, frozen=True, array_like=True):
    """Downloader ↔ downloader: all that I hold of these files. Each side sends it once per file."""

    tag: ClassVar[Tag] = Tag.BITFIELD
    port: ClassVar[Port] = "downloader"

    holdings: tuple[Holding, ...]


class Gain(msgspec.Struct, frozen=True, array_like=True):
    """Segments of one file that the sender has come to hold."""

    name: str
    indices: tuple[SegmentIndex, ...]


class Announce(Message, frozen=True, array_like=True):
    """Downloader → downloader: what I have come to hold since I last told you."""

    tag: ClassVar[Tag] = Tag.ANNOUNCE
    port: ClassVar[Port] = "downloader"

    gains: tuple[Gain, ...]
    #: Requests that wait at my uploader: the less loaded are asked first, and who has none at once.
    load: int = 0


class FileComplete(Message, frozen=True, array_like=True):
    """Client → tracker: I have the whole file and wrote it; list me as a seed."""

    tag: ClassVar[Tag] = Tag.FILE_COMPLETE
    port: ClassVar[Port] = "tracker"

    name: str


class AllComplete(Message, frozen=True, array_like=True):
    """Client → tracker: nothing is left to fetch. I serve on."""

    tag: ClassVar[Tag] = Tag.ALL_COMPLETE
    port: ClassVar[Port] = "tracker"

    #: Wanted names that could not be had.
    unavailable: tuple[str, ...] = ()


class Failed(Message, frozen=True, array_like=True):
    """Client → tracker: I fetch nothing more, for that reason. It stands in the place of ALL_COMPLETE."""

    tag: ClassVar[Tag] = Tag.FAILED
    port: ClassVar[Port] = "tracker"

    reason: str
    #: Whether I serve what I hold; if not, it stands in the place of INIT as well.
    serves: bool = True


class Abort(Message, frozen=True, array_like=True):
    """Any rank → tracker: I cannot go on; end the run with that exit code (2, 3, or 128 and the number of the
    signal that interrupted it) and that line."""

    tag: ClassVar[Tag] = Tag.ABORT
    port: ClassVar[Port] = "tracker"

    code: int
    reason: str


class Alive(Message, frozen=True, array_like=True):
    """Client → tracker: I am hashing what I share; my INIT will come."""

    tag: ClassVar[Tag] = Tag.ALIVE
    port: ClassVar[Port] = "tracker"


class Stop(Message, frozen=True, array_like=True):
    """Tracker → client: everyone is done (or the run is aborted): stop.

    The tracker sends one to each downloader, which hands it on to the uploader beside it.
    """

    tag: ClassVar[Tag] = Tag.STOP
    port: ClassVar[Port] = "downloader"

    aborted: bool = False


class Local(msgspec.Struct, frozen=True):
    """The base of what a rank tells its own machines; never on a wire."""

    port: ClassVar[Port]


class Sent(Local, frozen=True):
    """Endpoint → uploader: the payload for that request has left; its slot is free again."""

    port: ClassVar[Port] = "uploader"

    to: Rank
    ticket: Ticket


class Shutdown(Local, frozen=True):
    """Downloader → uploader of the same rank: STOP has come."""

    port: ClassVar[Port] = "uploader"


class Lost(Local, frozen=True):
    """To the tracker, and to downloaders: that rank will not be heard of any more."""

    port: ClassVar[Port] = "tracker"

    rank: Rank
    reason: str = "its process ended"


Stimulus = Message | Local

#: Every message that is encoded; a SEND_SEGMENT is its payload alone.
ENCODED: dict[Tag, type[Message]] = {
    message.tag: message
    for message in (
        Init,
        InitAck,
        SwarmRequest,
        SwarmResponse,
        RequestSegment,
        SegmentAt,
        FileComplete,
        AllComplete,
        Stop,
        Reject,
        Cancel,
        Pending,
        BitfieldMessage,
        Announce,
        Failed,
        Abort,
        Alive,
    )
}
