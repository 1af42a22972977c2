"""Events told as short sentences, and the tail of them that a viewer reads.

Every step of the protocol is told once, under its own name, although two ranks report most of them:
a request by who asks, an answer by who gets it. ``Tail`` keeps the newest sentences. What comes too
often to be read (segments, swarm updates) gets a line now and then: one event as a sample, and how
many more it stands for. So lines keep their order in time, and none changes under the reader's eyes.
A sentence is made when it is read, so that an event costs next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Event, Stamped
from mpi_core.protocol.units import Rank
from tui_torrent.view.log import Log
from tui_torrent.view.words import counted, who

#: What a sentence is about: the run, a step of the protocol, one segment, something achieved, or trouble.
Kind = Literal["run", "step", "segment", "done", "trouble"]


class Sentence(NamedTuple):
    """``tag`` is a message's name where one stands behind the event, ``text`` what happened."""

    tag: str
    text: str
    kind: Kind


class _Form(NamedTuple):
    tag: str
    kind: Kind
    #: At most so many lines of this event …
    lines: int
    #: … in so many seconds of the run; more of them share the last line.
    seconds: float
    tell: Callable[[Rank, Any], str]


def _segment(event: Any) -> str:
    return f"{event.file} #{event.segment}"


def _init(rank: Rank, event: ev.InitSent) -> str:
    return f"{who(rank)} → tracker  owns {counted(len(event.owned), 'file')}"


def _stop(rank: Rank, event: ev.Stopped) -> str:
    return f"tracker → {who(rank)}  {'the run is aborted' if event.aborted else 'everybody is done'}"


def _init_ack(rank: Rank, event: ev.InitAckReceived) -> str:
    wants = f"it wants {counted(len(event.wanted), 'file')}" if event.wanted else "it wants nothing"
    return f"tracker → {who(rank)}  may begin, {wants}"


def _swarm_request(rank: Rank, event: ev.SwarmRequested) -> str:
    return f"{who(rank)} → tracker  {counted(event.unfinished, 'file')} unfinished"


def _swarm_response(rank: Rank, event: ev.SwarmServed) -> str:
    news = counted(event.members, "member") if event.members else "nothing new"
    return f"tracker → {who(event.client)}  {news}"


def _hashed(rank: Rank, event: ev.ShareHashed) -> str:
    share = 100 * event.done // event.total if event.total else 100
    return f"{who(rank)} has hashed {share}% of what it shares"


def _started(rank: Rank, event: ev.RunStarted) -> str:
    return (
        f"{counted(event.clients, 'client')}, strategy {event.strategy}, seed {event.seed}: {event.scenario}"
    )


def _dropped(rank: Rank, event: ev.SegmentDropped) -> str:
    why = "bad hash" if event.reason == "corrupt" else event.reason
    return f"{who(rank)} ← {who(event.source)}  {_segment(event)}: {why}"


def _told(said: str) -> Callable[[Rank, ev.MessageSent], str]:
    """The sentence of a message that speaks of segments: ``said`` stands before these."""

    def tell(rank: Rank, event: ev.MessageSent) -> str:
        what = "; ".join(f"{file} #{segments}" for file, segments in event.segments if segments)
        return f"{who(rank)} → {who(event.to)}  {said} {what or 'nothing'}"

    return tell


_OFTEN = 2.0

_FORMS: dict[type[Event], _Form] = {
    ev.RunStarted: _Form("RUN", "run", 4, 1, _started),
    ev.RunEnded: _Form("END", "run", 4, 1, lambda rank, e: f"the run is over: {e.outcome}"),
    ev.RunAborted: _Form("ABORT", "trouble", 4, 1, lambda rank, e: f"{who(e.culprit)}: {e.reason}"),
    ev.ShareHashed: _Form("HASHING", "run", 1, 1, _hashed),
    ev.InitSent: _Form("INIT", "step", 3, 1, _init),
    ev.InitAckReceived: _Form("INIT_ACK", "step", 3, 1, _init_ack),
    ev.SwarmRequested: _Form("SWARM_REQUEST", "step", 1, _OFTEN, _swarm_request),
    ev.SwarmServed: _Form("SWARM_RESPONSE", "step", 1, _OFTEN, _swarm_response),
    ev.SegmentRequested: _Form(
        "REQUEST_SEGMENT",
        "segment",
        1,
        _OFTEN,
        lambda rank, e: f"{who(rank)} → {who(e.source)}  {_segment(e)}",
    ),
    ev.SegmentStored: _Form(
        "SEND_SEGMENT", "segment", 1, _OFTEN, lambda rank, e: f"{who(rank)} ← {who(e.source)}  {_segment(e)}"
    ),
    ev.SegmentDropped: _Form("CORRUPT", "trouble", 3, 1, _dropped),
    ev.RequestRejected: _Form(
        "REJECT",
        "segment",
        1,
        _OFTEN,
        lambda rank, e: f"{who(rank)} ← {who(e.source)}  {_segment(e)}: {e.reason}",
    ),
    ev.RequestExpired: _Form(
        "TIMEOUT",
        "trouble",
        2,
        1,
        lambda rank, e: f"{who(rank)} ← {who(e.source)}  {_segment(e)}: no answer in time",
    ),
    ev.SourceAvoided: _Form(
        "AVOIDED", "trouble", 3, 1, lambda rank, e: f"{who(rank)} asks {who(e.source)} no more: {e.reason}"
    ),
    ev.FileCompleted: _Form(
        "FILE_COMPLETE", "done", 3, 1, lambda rank, e: f"{who(rank)} has all of {e.file}"
    ),
    ev.FileUnavailable: _Form(
        "UNAVAILABLE", "trouble", 3, 1, lambda rank, e: f"{who(rank)} cannot have {e.file}: {e.reason}"
    ),
    ev.AllCompleted: _Form(
        "ALL_COMPLETE", "done", 4, 1, lambda rank, e: f"{who(rank)} has all it wants and goes on serving"
    ),
    ev.Stopped: _Form("STOP", "step", 3, 1, _stop),
    ev.ClientLost: _Form("LOST", "trouble", 4, 1, lambda rank, e: f"{who(e.client)} is given up: {e.reason}"),
    ev.ClientFailed: _Form("FAILED", "trouble", 4, 1, lambda rank, e: f"{who(e.client)}: {e.reason}"),
    ev.NonsenseReceived: _Form(
        "NONSENSE", "trouble", 2, 1, lambda rank, e: f"{who(rank)} ← {who(e.sender)}: {e.problem}"
    ),
    ev.EventsDropped: _Form(
        "EVENTS LOST", "trouble", 2, 1, lambda rank, e: f"{counted(e.count, 'status event')} of {who(rank)}"
    ),
}

_DUPLICATE = _Form("SEND_SEGMENT", "segment", 1, _OFTEN, _dropped)

#: Messages that have no event of their own are told by who sends them.
_MESSAGES: dict[ev.MessageName, _Form] = {
    "BITFIELD": _Form("BITFIELD", "segment", 1, _OFTEN, _told("holds")),
    "ANNOUNCE": _Form("ANNOUNCE", "segment", 1, _OFTEN, _told("has got")),
    "CANCEL": _Form("CANCEL", "segment", 1, _OFTEN, _told("no longer needs")),
    "PENDING": _Form("PENDING", "segment", 1, _OFTEN, _told("has yet to send")),
    "ALIVE": _Form("ALIVE", "step", 1, _OFTEN, lambda rank, e: f"{who(rank)} → tracker  goes on"),
    "ABORT": _Form("ABORT", "trouble", 4, 1, lambda rank, e: f"{who(rank)} → tracker  cannot go on"),
}

#: The longest tag, so that a column can be as wide.
TAG_WIDTH = max(len(form.tag) for form in _FORMS.values())


def _form_of(event: AnyEvent) -> _Form | None:
    if isinstance(event, ev.MessageSent):
        return _MESSAGES[event.message]
    if isinstance(event, ev.SegmentDropped) and event.reason != "corrupt":
        return _DUPLICATE
    return _FORMS.get(type(event))


def is_told(event: AnyEvent) -> bool:
    """Whether the event has a sentence."""
    return _form_of(event) is not None


def sentence(rank: Rank, event: AnyEvent) -> Sentence | None:
    """What that rank's event says; None where another event tells it, or nobody would ask."""
    form = _form_of(event)
    return Sentence(form.tag, form.tell(rank, event), form.kind) if form is not None else None


@dataclass
class Told:
    """One line of the tail: an event, and how many more of its kind the line stands for."""

    stamped: Stamped
    more: int = 0

    @property
    def t(self) -> float:
        return self.stamped.t

    @property
    def sentence(self) -> Sentence:
        told = sentence(self.stamped.rank, self.stamped.event)
        assert told is not None  # add() took it
        return told


class Tail:
    """The newest sentences, at most ``length`` of them, and behind them the log of the newest events."""

    def __init__(self, length: int = 200) -> None:
        self.told: deque[Told] = deque(maxlen=length)
        self.log = Log()
        #: For each tag: until when its lines are counted, how many there are, and the last of them.
        self._quota: dict[str, tuple[float, int, Told]] = {}

    def add(self, stamped: Stamped) -> None:
        """Take one event; most cost a dictionary's look-up."""
        self.log.add(stamped)
        form = _form_of(stamped.event)
        if form is None:
            return
        until, lines, last = self._quota.get(form.tag, (stamped.t, 0, None))
        if last is not None and stamped.t < until and lines >= form.lines:
            last.more += 1
            return
        if last is None or stamped.t >= until:
            until, lines = stamped.t + form.seconds, 0
        told = Told(stamped)
        self.told.append(told)
        self._quota[form.tag] = (until, lines + 1, told)

    def last(self, count: int) -> list[Told]:
        """The newest ``count`` lines, oldest first."""
        if count <= 0:
            return []
        return list(self)[-count:]

    def __iter__(self) -> Iterator[Told]:
        return iter(self.told)

    def __len__(self) -> int:
        return len(self.told)
