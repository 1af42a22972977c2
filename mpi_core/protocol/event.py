"""The base of all events, and those that any rank may tell."""

from __future__ import annotations

from typing import Literal

import msgspec

from mpi_core.protocol.units import Rank


class Event(msgspec.Struct, frozen=True, tag_field="kind"):
    """The base of all events; the class's name is the JSON object's ``kind``."""


class RankPlaced(Event, frozen=True):
    """The host that the rank runs on; each tells it once."""

    host: str
    #: Seconds by which the rank's times may differ from the tracker's, as measured at the start; 0 where both
    #: read one clock.
    clock_error: float = 0.0


#: Messages beside those of which other events tell.
MessageName = Literal["BITFIELD", "ANNOUNCE", "CANCEL", "PENDING", "ALIVE", "ABORT"]


class MessageSent(Event, frozen=True):
    """Told only where every message is wanted (``--journal-level all``), as is MessageReceived."""

    message: MessageName
    to: Rank
    #: The segments that it speaks of, by file: ``("model.bin", "0-3,7")``.
    segments: tuple[tuple[str, str], ...] = ()


class MessageReceived(Event, frozen=True):
    """The n-th of a kind and sender is the n-th that it sent."""

    message: MessageName
    sender: Rank


class NonsenseReceived(Event, frozen=True):
    """A message broke the protocol; it was dropped."""

    sender: Rank
    problem: str


class EventsDropped(Event, frozen=True):
    """The rank's queue of events was full; so many are missing here."""

    count: int
