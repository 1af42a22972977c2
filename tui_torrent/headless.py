"""The run without a screen: plain lines for people and screen readers, or JSON Lines for programs.

Both watch the same view and differ only in what they say. A progress line is written when something has
changed and a second or 10 % has passed since the last one, and every ten seconds where nothing changes.
No cursor is moved and no line is ever written over. The time is the run's, and is handed in.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from mpi_core.protocol.errors import one_line
from tui_torrent.view.report import Report, problems, tally, to_mapping
from tui_torrent.view.swarm_view import SwarmView

Phase = Literal["starting", "hashing", "swarm", "ending"]

#: A line at most every second …
SECONDS = 1.0
#: … or every so much of the whole, 0…1 …
SHARE = 0.1
#: … and one after so long even where nothing has changed, in seconds.
HEARTBEAT = 10.0
#: The view is looked at no more often than this, in seconds …
LOOK = 0.1
#: … or than every second, where the files of all clients are more than this: a look takes time.
MANY_FILES = 10_000


class Progress(NamedTuple):
    """What a progress line says: counts of the whole swarm."""

    phase: Phase
    #: 0…1 of this phase, never rounded up to 1.
    share: float
    #: Clients that have INIT sent (while hashing) or nothing left to fetch.
    done: int
    clients: int
    segments: int
    segments_wanted: int
    hashed_bytes: int
    share_bytes: int
    rejects: int
    corrupt: int
    lost: int
    #: Files that some client wants and cannot have.
    unavailable: int
    #: Real bytes a second; 0 where every segment is declared, which has none worth telling.
    rate: float


def progress(view: SwarmView, now: float) -> Progress:
    """The whole swarm at ``now``, seconds since the run began."""
    clients = list(view.clients.values())
    hashed = sum(client.hashed_bytes for client in clients)
    to_hash = sum(client.share_bytes for client in clients)
    phase: Phase = "swarm"
    share, done = view.share_done, view.done
    if not _is_known(view, now):
        phase = "hashing" if to_hash else "starting"
        share = hashed / to_hash if to_hash else 0.0
        done = sum(client.state == "ready" for client in clients)
    if view.aborted is not None:
        phase = "ending"
    return Progress(
        phase=phase,
        share=share,
        done=done,
        clients=len(clients),
        segments=view.received,
        segments_wanted=view.to_fetch,
        hashed_bytes=hashed,
        share_bytes=to_hash,
        rejects=sum(client.rejects_sent for client in clients),
        corrupt=sum(client.corrupt for client in clients),
        lost=sum(client.lost for client in clients),
        unavailable=sum(len(client.unavailable) for client in clients),
        rate=sum(client.down_rate.at(now) for client in clients) if view.real_bytes else 0.0,
    )


def _is_known(view: SwarmView, now: float) -> bool:
    """Whether it is known how much all want. For who is later by a second nobody waits."""
    if view.began is None or now >= view.began + SECONDS:
        return view.began is not None
    waiting = ("starting", "hashing", "ready")
    clients = view.clients.values()
    return all(client.state not in waiting and client.wanting <= client.held.keys() for client in clients)


@dataclass
class Pace:
    """When the next progress line is due."""

    #: When the last line was written, and what it said; None before the first.
    at: float = -math.inf
    said: Progress | None = None
    #: When the view was last looked at.
    looked: float = -math.inf

    def ready(self, now: float, view: SwarmView) -> bool:
        """Whether it is time to look at the view again; then that counts as a look."""
        many = len(view.files) * len(view.clients) > MANY_FILES
        if view.header is None or now < self.looked + (SECONDS if many else LOOK):
            return False
        self.looked = now
        return True

    def due(self, now: float, what: Progress) -> bool:
        """Whether ``what`` is to be said at ``now``; then it counts as said."""
        last = self.said
        if last is not None:
            changed = what._replace(rate=0.0) != last._replace(rate=0.0)
            grown = what.phase != last.phase or what.share >= last.share + SHARE
            wait = 0.0 if grown else SECONDS if changed else HEARTBEAT
            if now < self.at + wait or not (changed or wait):
                return False
        self.at, self.said = now, what
        return True


class Sink(ABC):
    """Lines to a person or a program. ``write`` takes one line with its newline, ``flush`` follows it."""

    def __init__(self, write: Callable[[str], object], flush: Callable[[], object] = lambda: None) -> None:
        self._write = write
        self._flush = flush
        self._pace = Pace()

    def update(self, view: SwarmView, now: float) -> None:
        """Look at the view; cheap to call after every batch, or a few times a second."""
        if not self._pace.ready(now, view):
            return
        what = progress(view, now)
        if self._pace.due(now, what):
            self._say(what, view, now)

    @abstractmethod
    def _say(self, what: Progress, view: SwarmView, now: float) -> None: ...

    @abstractmethod
    def finish(self, report: Report) -> None:
        """The last lines."""

    def _line(self, text: str) -> None:
        self._write(text + "\n")
        self._flush()


class PlainLines(Sink):
    """Lines of plain text; at the end each problem, then the outcome."""

    def _say(self, what: Progress, view: SwarmView, now: float) -> None:
        self._sentence(now, _sentence(what, view))

    def finish(self, report: Report) -> None:
        for problem in problems(report):
            self._sentence(report.elapsed_s, problem)
        self._sentence(report.elapsed_s, summary(report))

    def _sentence(self, now: float, text: str) -> None:
        self._line(f"[{now:6.1f}s] {one_line(text)}")


class JsonLines(Sink):
    """One JSON object a line: ``progress`` objects, at the pace of plain lines; the report is the last."""

    def _say(self, what: Progress, view: SwarmView, now: float) -> None:
        self._object({"type": "progress", "t": round(now, 3), **what._asdict()})

    def finish(self, report: Report) -> None:
        self._object({"type": "report", **to_mapping(report)})

    def _object(self, mapping: dict[str, object]) -> None:
        self._line(msgspec.json.encode(mapping).decode())


def summary(report: Report) -> str:
    """The outcome in one line."""
    fairness = report.fairness
    parts = [
        f"{report.outcome} in {report.elapsed_s:.1f} s",
        f"{report.segments_moved} segments moved",
        tally(report.conformance),
    ]
    if fairness.jain is not None and fairness.origin_share is not None:
        shared = f"fairness {fairness.jain:.2f}, {100 * fairness.origin_share:.1f}% from the first owners"
        parts.insert(2, shared)
    return " | ".join(parts)


def human_bytes(size: float) -> str:
    """``12.3 MiB``: a size in bytes, in the unit that leaves one to four digits before the point."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def percent(share: float) -> str:
    """``63.1%``, rounded down: 100.0% is said of the whole alone."""
    return f"{math.floor(share * 1000) / 10:.1f}%"


def _sentence(what: Progress, view: SwarmView) -> str:
    if view.aborted is not None:
        return f"ending: aborted by rank {view.aborted.culprit}: {view.aborted.reason}"
    if what.phase == "starting":
        header = view.header
        how = f" | {header.scenario} | strategy {header.strategy}, seed {header.seed}" if header else ""
        return f"starting | {what.done}/{what.clients} clients ready{how}"
    if what.phase == "hashing":
        sizes = f"{human_bytes(what.hashed_bytes)} of {human_bytes(what.share_bytes)}"
        return f"hashing {percent(what.share)} | {sizes} | {what.done}/{what.clients} clients ready"
    parts = [f"swarm {percent(what.share)}", f"done {what.done}/{what.clients}"]
    if view.real_bytes:
        parts.append(f"{human_bytes(what.rate)}/s")
    parts.append(f"{what.segments}/{what.segments_wanted} segments")
    troubles = (
        ("rejects", what.rejects),
        ("corrupt", what.corrupt),
        ("unavailable", what.unavailable),
        ("lost clients", what.lost),
    )
    parts += [f"{name} {number}" for name, number in troubles if number]
    return " | ".join(parts)
