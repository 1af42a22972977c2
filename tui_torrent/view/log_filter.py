"""What a reader of the log asks for: ``REQUEST from:3 to:5 seg:17 file:b*``.

A word matches the message's name or its sentence, a field what stands after its colon: ``from:`` and ``to:``
the rank (``tracker`` for 0), ``seg:`` a number or a range such as ``10-20``, ``file:`` a pattern of a name.
Several values of a field stand with commas between them, and one has to match; all words and fields must.
Case does not matter. Whatever is no field is a word, so nothing that can be typed is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Event, Stamped
from mpi_core.protocol.roles import TRACKER
from tui_torrent.view.story import is_told, sentence

FIELDS = ("from", "to", "seg", "file")


class Filter(NamedTuple):
    words: tuple[str, ...] = ()
    #: For each field the patterns of which one has to match; none where the field was not given.
    senders: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def match(self, stamped: Stamped) -> bool:
        """Whether the event has a sentence, and the reader asked for it."""
        if not is_told(stamped.event):
            return False
        if self == EVERYTHING:
            return True
        if self.senders or self.receivers:
            sender, receiver = ends(stamped)
            if not _rank_matches(sender, self.senders) or not _rank_matches(receiver, self.receivers):
                return False
        event: Any = stamped.event
        if self.segments and not any(_segment_matches(span, self.segments) for span in _segments(event)):
            return False
        if self.files and not any(
            fnmatchcase(name.lower(), pattern) for name in _files(event) for pattern in self.files
        ):
            return False
        # Sentences are made last, of those few that may match: most of the time goes into them.
        told = sentence(stamped.rank, stamped.event) if self.words else None
        if told is None:
            return not self.words
        text = f"{told.tag} {told.text}".lower()
        return all(word in text for word in self.words)


EVERYTHING = Filter()


def parse(text: str) -> Filter:
    """The filter that was typed, as far as it was typed: a field without a value asks for nothing."""
    found: dict[str, list[str]] = {name: [] for name in FIELDS}
    words = []
    for word in text.lower().split():
        name, colon, value = word.partition(":")
        if colon and name in found:
            found[name] += [part for part in value.split(",") if part]
        else:
            words.append(word)
    return Filter(tuple(words), *(tuple(found[name]) for name in FIELDS))


def ends(stamped: Stamped) -> tuple[int, int | None]:
    """Who sent the message behind the event, and to whom; None where there is none."""
    event, rank = stamped.event, stamped.rank
    route = _ROUTES.get(type(event))
    return route(rank, event) if route is not None else (rank, None)


def _to_source(rank: int, event: Any) -> tuple[int, int | None]:
    return rank, event.source


def _from_source(rank: int, event: Any) -> tuple[int, int | None]:
    return event.source, rank


def _to_tracker(rank: int, event: Any) -> tuple[int, int | None]:
    return rank, TRACKER


def _from_tracker(rank: int, event: Any) -> tuple[int, int | None]:
    return TRACKER, rank


_ROUTES: dict[type[Event], Callable[[int, Any], tuple[int, int | None]]] = {
    ev.InitSent: _to_tracker,
    ev.InitAckReceived: _from_tracker,
    ev.SwarmRequested: _to_tracker,
    ev.SwarmServed: lambda rank, event: (TRACKER, event.client),
    ev.SegmentRequested: _to_source,
    ev.SegmentStored: _from_source,
    ev.SegmentDropped: _from_source,
    ev.RequestRejected: _from_source,
    ev.RequestExpired: _to_source,
    ev.SourceAvoided: _to_source,
    ev.FileCompleted: _to_tracker,
    ev.FileUnavailable: _to_tracker,
    ev.AllCompleted: _to_tracker,
    ev.Stopped: _from_tracker,
    ev.ClientLost: lambda rank, event: (event.client, TRACKER),
    ev.ClientFailed: lambda rank, event: (event.client, TRACKER),
    ev.RunAborted: lambda rank, event: (event.culprit, None),
    ev.MessageSent: lambda rank, event: (rank, event.to),
    ev.NonsenseReceived: lambda rank, event: (event.sender, rank),
}


def _rank_matches(rank: int | None, patterns: Iterable[str]) -> bool:
    if not patterns:
        return True
    if rank is None:
        return False
    name = str(rank)
    return any(
        fnmatchcase(name, pattern) or (rank == TRACKER and pattern == "tracker") for pattern in patterns
    )


def _segments(event: Any) -> Iterable[tuple[int, int]]:
    """The first and last segment of each span that the event speaks of."""
    if isinstance(event, ev.MessageSent):
        for _, spans in event.segments:
            for span in spans.split(",") if spans else ():
                first, _, last = span.partition("-")
                if first.isdecimal() and (last or first).isdecimal():
                    yield int(first), int(last or first)
    elif (segment := getattr(event, "segment", None)) is not None:
        yield segment, segment


def _segment_matches(span: tuple[int, int], patterns: Iterable[str]) -> bool:
    first, last = span
    for pattern in patterns:
        low, dash, high = pattern.partition("-")
        if pattern.isdecimal() or (dash and low.isdecimal() and (high.isdecimal() or not high)):
            most = int(high) if high else last if dash else int(low)
            if int(low) <= last and first <= most:
                return True
        elif first == last and fnmatchcase(str(first), pattern):
            return True
    return False


def _files(event: Any) -> Iterable[str]:
    if isinstance(event, ev.SwarmRequested):
        return event.files
    if isinstance(event, ev.InitAckReceived):
        return event.wanted
    if isinstance(event, ev.InitSent):
        return [owned.file for owned in event.owned]
    if isinstance(event, ev.MessageSent):
        return [file for file, _ in event.segments]
    name = getattr(event, "file", None)
    return (name,) if name is not None else ()
