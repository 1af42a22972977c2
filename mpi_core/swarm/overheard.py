"""Events of the messages that no machine tells of: what a run says beside its protocol's steps.

Most messages of a swarm are announcements, one event each would be a third of a journal or more, and nobody
but a reader of single messages asks for them. So machines do not emit them: where they are wanted, whoever
drives a machine hands its messages in here as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket

_NAMES: dict[type[msg.Stimulus], ev.MessageName] = {
    msg.BitfieldMessage: "BITFIELD",
    msg.Announce: "ANNOUNCE",
    msg.Cancel: "CANCEL",
    msg.Pending: "PENDING",
    msg.Alive: "ALIVE",
    msg.Abort: "ABORT",
}


class Overheard:
    """What one machine says and hears."""

    def __init__(self) -> None:
        #: Which segment a ticket stands for, with each asker or source.
        self._tickets: dict[tuple[Rank, Ticket], tuple[str, SegmentIndex]] = {}

    def sent(self, to: Rank, message: msg.Stimulus) -> ev.MessageSent | None:
        """The event of a message that leaves, if it has one."""
        if isinstance(message, msg.RequestSegment):
            self._tickets[to, message.ticket] = message.name, message.index
        name = _NAMES.get(type(message))
        return None if name is None else ev.MessageSent(name, to, tuple(self._segments(to, message)))

    def received(self, sender: Rank, message: msg.Stimulus) -> ev.MessageReceived | None:
        """The event of a message that came, if it has one."""
        if isinstance(message, msg.RequestSegment):
            self._tickets[sender, message.ticket] = message.name, message.index
        name = _NAMES.get(type(message))
        return None if name is None else ev.MessageReceived(name, sender)

    def _segments(self, to: Rank, message: msg.Stimulus) -> Iterable[tuple[str, str]]:
        match message:
            case msg.Announce():
                return [(gain.name, spans(gain.indices)) for gain in message.gains]
            case msg.BitfieldMessage():
                return [(h.name, spans(Bitfield.from_bytes(h.length, h.bits))) for h in message.holdings]
            case msg.Cancel():
                return self._of(to, (message.ticket,))
            case msg.Pending():
                return self._of(to, message.tickets)
        return ()

    def _of(self, to: Rank, tickets: Iterable[Ticket]) -> Iterable[tuple[str, str]]:
        files: dict[str, list[SegmentIndex]] = {}
        for ticket in tickets:
            if (to, ticket) in self._tickets:
                name, index = self._tickets[to, ticket]
                files.setdefault(name, []).append(index)
        return [(name, spans(sorted(indices))) for name, indices in files.items()]


def spans(indices: Iterable[int]) -> str:
    """``0-3,7`` of 0, 1, 2, 3 and 7, ascending."""
    found: list[list[int]] = []
    for index in indices:
        if found and index == found[-1][1] + 1:
            found[-1][1] = index
        else:
            found.append([index, index])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
