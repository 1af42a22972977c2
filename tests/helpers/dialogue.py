"""A swarm's whole dialogue as lines that a person can read: who says what to whom, and when.

    0.0012  3 → 1  REQUEST_SEGMENT file1 #4 ticket 0

Between them, further in, what nobody says but what is worth a line: a segment dropped, a client lost …
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.swarm.machine import Send
from tests.helpers.virtual import VirtualSwarm


def dialogue(swarm: VirtualSwarm) -> str:
    """The run so far; it ends with who holds what."""
    speaker = _Speaker()
    lines = []
    for at, rank, what in swarm.story:
        if isinstance(what, Send):
            assert isinstance(what.message, msg.Message)
            words = speaker.words(rank, what.to, what.message)
            lines.append(f"{at:7.4f}  {rank} → {what.to}  {what.message.tag.name} {words}".rstrip())
        elif (aside := _aside(rank, what)) is not None:
            lines.append(f"{at:7.4f}           {aside}")
    for rank, store in swarm.stores.items():
        files = [f"{m.name} {store.bitfield(m.name)}" for m in store.manifests]
        lines.append(
            f"client {rank} has {', '.join(files) or 'nothing'}{' and is dead' * swarm.is_dead(rank)}"
        )
    return "\n".join(lines) + "\n"


def _aside(rank: Rank, event: ev.Event) -> str | None:
    match event:
        case ev.SegmentDropped():
            return f"{rank} drops {event.file} #{event.segment} of {event.source}: {event.reason}"
        case ev.RequestExpired():
            return f"{rank} waits no longer for {event.file} #{event.segment} of {event.source}"
        case ev.SourceAvoided():
            return f"{rank} avoids {event.source}: {event.reason}"
        case ev.FileUnavailable():
            return f"{rank} cannot have {event.file}: {event.reason}"
        case ev.ClientLost():
            return f"{rank} has lost {event.client}: {event.reason}"
        case ev.NonsenseReceived():
            return f"{rank} does not understand {event.sender}: {event.problem}"
        case ev.RunEnded():
            return f"the run is {event.outcome}"
    return None


class _Speaker:
    """Says each message in words; remembers what tickets and bitfields stand for."""

    def __init__(self) -> None:
        self._names: dict[Rank, Sequence[str]] = {}
        #: Asker, source, ticket → the segment.
        self._asked: dict[tuple[Rank, Rank, Ticket], str] = {}

    def _chosen(self, sender: Rank, packed: bytes) -> list[str]:
        """The names that a bitfield over those first given stands for."""
        names = self._names[sender]
        return [names[place] for place in Bitfield.from_bytes(len(names), packed)] if packed else []

    def words(self, sender: Rank, to: Rank, message: msg.Message) -> str:
        match message:
            case msg.Init():
                return _several(("owns", map(_manifest, message.owned)), ("matches", message.patterns))
            case msg.InitAck():
                return _several(("matched", (", ".join(names) or "nothing" for names in message.matched)))
            case msg.SwarmRequest():
                self._names.setdefault(sender, message.names)
                again = self._chosen(sender, message.unfinished)
                return _several(
                    ("", message.names), ("again", again), ("lacks", self._chosen(sender, message.lacking))
                )
            case msg.SwarmResponse():
                return _response(message)
            case msg.RequestSegment():
                segment = self._asked[sender, to, message.ticket] = f"{message.name} #{message.index}"
                return f"{segment} ticket {message.ticket}"
            case msg.SendSegment() | msg.Reject():
                reason = f" {message.reason}" if isinstance(message, msg.Reject) else ""
                return f"{self._asked[to, sender, message.ticket]} ticket {message.ticket}{reason}"
            case msg.Cancel():
                return f"{self._asked[sender, to, message.ticket]} ticket {message.ticket}"
            case msg.Pending():
                return f"tickets {', '.join(map(str, message.tickets))}"
            case msg.BitfieldMessage():
                fields = ((h.name, Bitfield.from_bytes(h.length, h.bits)) for h in message.holdings)
                return ", ".join(f"{name} {field}" for name, field in fields)
            case msg.Announce():
                return ", ".join(
                    " ".join((g.name, *(f"#{index}" for index in g.indices))) for g in message.gains
                )
            case msg.FileComplete():
                return message.name
            case msg.AllComplete():
                return _several(("unavailable", message.unavailable))
            case msg.Stop():
                return "aborted" * message.aborted
            case msg.Abort():
                return f"{message.code} {message.reason}"
        return ""


def _manifest(manifest: Manifest) -> str:
    return f"{manifest.name} ({manifest.segments})"


def _response(message: msg.SwarmResponse) -> str:
    swarms = (
        f"{swarm.name}: " + " ".join(f"{member.role} {member.rank}" for member in swarm.members)
        for swarm in message.swarms
    )
    return _several(
        ("", map(_manifest, message.manifests)),
        ("", swarms),
        ("unknown", message.unknown),
        ("lost", map(str, message.lost)),
    )


def _several(*parts: tuple[str, Iterable[str]]) -> str:
    """``word a, b; word c``, without the parts in which there is nothing."""
    said = ((word, ", ".join(items)) for word, items in parts)
    return "; ".join(f"{word} {text}".strip() for word, text in said if text)
