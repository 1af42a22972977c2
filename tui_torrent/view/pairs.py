"""Messages between a client and the tracker of which both tell: what is sent comes, what comes was sent.

Only how often is compared, since the two tell in no common order. Which sides tell of which message, and
which rule is broken where one side tells alone, is a table.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event
from mpi_core.protocol.units import Rank
from tui_torrent.view.ledger import Rule, Spot, clip


class Message(NamedTuple):
    name: str
    to_tracker: bool
    #: The rule that is broken where it is sent and never comes, and where it comes and was never sent.
    unheard: Rule
    unsent: Rule


INIT = Message("INIT", True, Rule.INIT_ACK, Rule.INIT)
INIT_ACK = Message("INIT_ACK", False, Rule.REQUEST, Rule.INIT_ACK)
SWARM_REQUEST = Message("SWARM_REQUEST", True, Rule.ANSWER, Rule.ANSWER)
FILE_COMPLETE = Message("FILE_COMPLETE", True, Rule.FILE_COMPLETE, Rule.FILE_COMPLETE)
ALL_COMPLETE = Message("ALL_COMPLETE", True, Rule.STOP, Rule.ALL_COMPLETE)
STOP = Message("STOP", False, Rule.STOP, Rule.STOP)

SENT: dict[type[Event], Message] = {
    ev.InitSent: INIT,
    ev.InitAckSent: INIT_ACK,
    ev.SwarmRequested: SWARM_REQUEST,
    ev.FileCompleted: FILE_COMPLETE,
    ev.AllCompleted: ALL_COMPLETE,
    ev.StopSent: STOP,
}
#: What is told of a message by the side that it comes to; of a SWARM_REQUEST, that it was answered.
HEARD: dict[type[Event], Message] = {
    ev.InitReceived: INIT,
    ev.InitAckReceived: INIT_ACK,
    ev.SwarmServed: SWARM_REQUEST,
    ev.FileCompleteReceived: FILE_COMPLETE,
    ev.AllCompleteReceived: ALL_COMPLETE,
    ev.Stopped: STOP,
}


class Lone(NamedTuple):
    """A message that one side alone tells of."""

    rule: Rule
    spot: Spot
    what: str


class Pairs:
    """What one side has told and the other has not, so far."""

    def __init__(self) -> None:
        #: Message, client and file → where it was sent (or came) without its counterpart, in order.
        self._sent: dict[tuple[Message, Rank, str], list[Spot]] = {}
        self._heard: dict[tuple[Message, Rank, str], list[Spot]] = {}

    def see(self, spot: Spot, event: Event, client: Rank) -> None:
        """An event of ``client``, or one that the tracker tells of it."""
        kind = type(event)
        message = SENT.get(kind)
        if message is not None:
            _match(self._sent, self._heard, (message, client, getattr(event, "file", "")), spot)
        elif (message := HEARD.get(kind)) is not None:
            _match(self._heard, self._sent, (message, client, getattr(event, "file", "")), spot)

    def lone(
        self, told_all: Callable[[Rank], bool], tracker_told_all: bool, lost: Container[int]
    ) -> Iterator[Lone]:
        """Messages without a counterpart, where the other side has told all that it had to tell. The tracker
        owes nothing to clients that it has lost."""
        for (message, client, file), spots in self._sent.items():
            if client not in lost and (tracker_told_all if message.to_tracker else told_all(client)):
                what = "is never answered" if message is SWARM_REQUEST else "never comes in"
                whose = f"the {message.name} of client {client}"
                if not message.to_tracker:
                    whose = f"the {message.name} to client {client}"
                yield Lone(message.unheard, spots[0], f"{whose}{_for(file)} {what}")
        for (message, client, file), spots in self._heard.items():
            if client not in lost and (told_all(client) if message.to_tracker else tracker_told_all):
                sender = f"client {client}" if message.to_tracker else "the tracker"
                what = f"{sender} does not tell that it sent that {message.name}{_for(file)}"
                yield Lone(message.unsent, spots[-1], what)


def _for(file: str) -> str:
    return f" for {clip(file)}" if file else ""


def _match(
    mine: dict[tuple[Message, Rank, str], list[Spot]],
    theirs: dict[tuple[Message, Rank, str], list[Spot]],
    key: tuple[Message, Rank, str],
    spot: Spot,
) -> None:
    waiting = theirs.get(key)
    if waiting is None:
        mine.setdefault(key, []).append(spot)
        return
    del waiting[0]
    if not waiting:
        del theirs[key]
