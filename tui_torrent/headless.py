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
from tui_torrent.view.headline import headline, parts
from tui_torrent.view.problems import problems
from tui_torrent.view.report import Report, tally, to_mapping
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import bytes_of_text, percent_text, stamp_text, time_text
from tui_torrent.view.words import counted, who

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

#: Between the parts of a line.
BETWEEN = "  "


class Progress(NamedTuple):
    """Counts of the whole swarm: when they change, a line is worth saying."""

    phase: Phase
    #: 0…1 of this phase, 1 only where it is over: hashed ÷ to be hashed, then received ÷ to be fetched.
    share: float
    #: Clients that have all they had to fetch; all that had something to fetch; those that only seed.
    done: int
    fetching: int
    seeds: int
    #: Clients that have sent their INIT, and all of them.
    ready: int
    clients: int
    #: Verified segments, and all that all clients have to fetch.
    segments: int
    segments_wanted: int
    hashed_bytes: int
    share_bytes: int
    rejects: int
    #: Payloads that came for nothing: those that failed their check, and those of segments that were there.
    corrupt: int
    duplicates: int
    lost: int
    #: Files that some client wants and cannot have.
    unavailable: int


def progress(view: SwarmView, now: float) -> Progress:
    """The whole swarm at ``now``, seconds since the run began."""
    clients = list(view.clients.values())
    hashed = sum(client.hashed_bytes for client in clients)
    to_hash = sum(client.share_bytes for client in clients)
    phase: Phase = "swarm"
    share = view.share_done
    if not _is_known(view, now):
        phase = "hashing" if to_hash else "starting"
        share = hashed / to_hash if to_hash else 0.0
    if view.aborted is not None:
        phase = "ending"
    return Progress(
        phase=phase,
        share=share,
        done=view.done,
        fetching=view.fetching,
        seeds=view.seeds,
        ready=sum(client.state not in ("starting", "hashing") for client in clients),
        clients=len(clients),
        segments=view.received,
        segments_wanted=view.to_fetch,
        hashed_bytes=hashed,
        share_bytes=to_hash,
        rejects=sum(client.rejects_sent for client in clients),
        corrupt=sum(client.corrupt for client in clients),
        duplicates=sum(client.duplicates for client in clients),
        lost=sum(client.gone for client in clients),
        unavailable=sum(len(client.unavailable) for client in clients),
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
            changed = what != last
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
        self._sentence(now, _sentence(what, view, now))

    def finish(self, report: Report) -> None:
        for problem in problems(report):
            self._sentence(report.elapsed_s, problem)
        self._sentence(report.elapsed_s, summary(report))

    def _sentence(self, now: float, text: str) -> None:
        self._line(f"[{stamp_text(now):>8}] {one_line(text)}")


class JsonLines(Sink):
    """One JSON object a line: ``progress`` objects, at the pace of plain lines; the report is the last."""

    def _say(self, what: Progress, view: SwarmView, now: float) -> None:
        line = headline(view, now)
        rates = [client.down_rate for client in view.clients.values()]
        self._object(
            {
                "type": "progress",
                "t": round(now, 3),
                **what._asdict(),
                "bytes": line.received_bytes,
                "bytes_wanted": line.to_fetch_bytes,
                "rate": sum(rate.at(now) for rate in rates) if line.real else 0.0,
                "segments_rate": sum(rate.at(now, of_bytes=False) for rate in rates),
                "finish_s": None if line.finish == math.inf else line.finish,
                "best_possible_s": line.best,
                "limited_by": line.binds,
            }
        )

    def finish(self, report: Report) -> None:
        self._object({"type": "report", **to_mapping(report)})

    def _object(self, mapping: dict[str, object]) -> None:
        self._line(msgspec.json.encode(mapping).decode())


def summary(report: Report) -> str:
    """The outcome in one line."""
    fairness = report.fairness
    told = [
        f"{report.outcome} in {time_text(report.elapsed_s)}",
        f"{counted(report.segments_moved, 'segment')} moved",
        tally(report.conformance),
    ]
    if fairness.jain is not None and fairness.origin_share is not None:
        share = percent_text(fairness.origin_share)
        told.insert(2, f"fairness {fairness.jain:.2f}, {share} from the first owners")
    return BETWEEN.join(told)


def _sentence(what: Progress, view: SwarmView, now: float) -> str:
    if view.aborted is not None:
        return f"ending: aborted by {who(view.aborted.culprit)}: {view.aborted.reason}"
    if what.phase == "starting":
        header = view.header
        told = ["starting", f"{what.ready}/{what.clients} clients ready"]
        if header is not None:
            told += [header.scenario, f"strategy {header.strategy}, seed {header.seed}"]
        return BETWEEN.join(told)
    if what.phase == "hashing":
        sizes = bytes_of_text(what.hashed_bytes, what.share_bytes)
        ready = f"{what.ready}/{what.clients} clients ready"
        return BETWEEN.join([f"hashing {percent_text(what.share)}", sizes, ready])
    troubles = (
        (what.rejects, "reject"),
        (what.corrupt, "corrupt segment"),
        (what.duplicates, "duplicate"),
        (what.unavailable, "unavailable file"),
        (what.lost, "lost client"),
    )
    told = [counted(number, noun) for number, noun in troubles if number]
    return BETWEEN.join([*parts(headline(view, now)), *told])
