"""Is anything received before it was sent? By the order of some events, and by their time stamps.

Its own reading of the events, which shares nothing with the code that puts them into order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped


def ends(stamped: Stamped) -> list[tuple[str, tuple[object, ...]]]:
    """What the event tells of messages: ``sent`` or ``received``, and which message."""
    rank, event = stamped.rank, stamped.event
    match event:
        case ev.InitSent():
            return [("sent", ("INIT", rank, 0))]
        case ev.InitReceived():
            return [("received", ("INIT", event.client, rank))]
        case ev.InitAckSent():
            return [("sent", ("INIT_ACK", rank, event.client))]
        case ev.InitAckReceived():
            return [("received", ("INIT_ACK", 0, rank))]
        case ev.SwarmRequested():
            return [("sent", ("SWARM_REQUEST", rank, 0))]
        case ev.SwarmServed():
            return [("received", ("SWARM_REQUEST", event.client, rank))]
        case ev.SegmentRequested():
            return [("sent", ("REQUEST_SEGMENT", rank, event.source, event.file, event.segment))]
        case ev.SegmentSent() | ev.SegmentRefused():
            what = event.file, event.segment
            return [
                ("received", ("REQUEST_SEGMENT", event.target, rank, *what)),
                ("sent", ("answer", rank, event.target, *what)),
            ]
        case ev.SegmentStored() | ev.SegmentDropped() | ev.RequestRejected():
            return [("received", ("answer", event.source, rank, event.file, event.segment))]
        case ev.FileCompleted():
            return [("sent", ("FILE_COMPLETE", rank, 0, event.file))]
        case ev.FileCompleteReceived():
            return [("received", ("FILE_COMPLETE", event.client, rank, event.file))]
        case ev.AllCompleted():
            return [("sent", ("ALL_COMPLETE", rank, 0))]
        case ev.AllCompleteReceived():
            return [("received", ("ALL_COMPLETE", event.client, rank))]
        case ev.StopSent():
            return [("sent", ("STOP", rank, event.client))]
        case ev.Stopped():
            return [("received", ("STOP", 0, rank))]
        case ev.MessageSent():
            return [("sent", (event.message, rank, event.to))]
        case ev.MessageReceived():
            return [("received", (event.message, event.sender, rank))]
    return []


def received_before_sent(events: Iterable[Stamped]) -> list[str]:
    """The receipts that stand before their sending. The n-th receipt of a message is of its n-th sending;
    where that is told nowhere (its rank has died, say) nothing can be said."""
    events = list(events)
    sendings: dict[object, list[int]] = defaultdict(list)
    served: dict[int, int] = {}
    for place, stamped in enumerate(events):
        if isinstance(stamped.event, ev.SwarmServed):
            served.setdefault(stamped.event.client, place)
        for which, message in ends(stamped):
            if which == "sent":
                sendings[message].append(place)
    problems = []
    receipts: dict[object, int] = defaultdict(int)
    for place, stamped in enumerate(events):
        if isinstance(stamped.event, ev.DownloadStarted) and served.get(stamped.rank, place) > place:
            problems.append(f"{place + 1}: {stamped} before any SWARM_RESPONSE")
        for which, message in ends(stamped):
            if which == "received":
                nth, receipts[message] = receipts[message], receipts[message] + 1
                if nth < len(sendings[message]) and sendings[message][nth] > place:
                    problems.append(f"{place + 1}: {stamped} is sent in line {sendings[message][nth] + 1}")
    return problems


def stamped_before_sent(events: Iterable[Stamped]) -> list[str]:
    """The receipts that are stamped earlier than their sending, by more than the clocks may be wrong."""
    events = list(events)
    error = {s.rank: s.event.clock_error for s in events if isinstance(s.event, ev.RankPlaced)}
    sent: dict[object, list[Stamped]] = defaultdict(list)
    received: dict[object, list[Stamped]] = defaultdict(list)
    # Of a pair each half is told by one rank, so the n-th of both is known in any order of the ranks.
    for stamped in events:
        for which, message in ends(stamped):
            (sent if which == "sent" else received)[message].append(stamped)
    return [
        f"{there.t - here.t:.6f} s too early: {here} of {there}"
        for message, receipts in received.items()
        for here, there in zip(receipts, sent[message], strict=False)
        if here.t < there.t - error.get(here.rank, 0.0) - error.get(there.rank, 0.0)
    ]


def times_fall(events: Iterable[Stamped]) -> list[str]:
    """The events that are stamped earlier than the one that their rank told before."""
    told: dict[int, float] = {}
    problems = []
    for stamped in events:
        if not stamped.t >= told.get(stamped.rank, 0.0):
            problems.append(str(stamped))
        told[stamped.rank] = stamped.t
    return problems
