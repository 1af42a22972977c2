"""The job in one line: how far it is, how fast, when it will be done, and what sets the limit.

The overview's header, plain lines, JSON and the report all tell these numbers; none computes its own.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.limit import forecast, limit
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import about_text, bytes_of_text, percent_text, rate_text, time_text
from tui_torrent.view.words import counted, some


class Headline(NamedTuple):
    """The whole swarm at a moment."""

    #: 0…1: received ÷ to be fetched, in bytes where there are any; 1 means all.
    share: float
    #: Segments and bytes of all that all clients have to fetch, and those of them that were verified.
    received: int
    to_fetch: int
    received_bytes: int
    to_fetch_bytes: int
    #: Whether the bytes are real. Declared and simulated segments have none worth telling.
    real: bool
    #: Clients that have all they had to fetch; all that had something to fetch; those that only seed.
    done: int
    fetching: int
    seeds: int
    #: Bytes a second or, without bytes, segments a second; once all are done, the mean.
    rate: float
    #: When the last client is done, or was, seconds since the start; infinite where it stands still.
    finish: float | None
    #: It is so already.
    ended: bool
    #: The clients that are done last: more than one tie.
    last: tuple[Rank, ...]
    #: When the best possible schedule would be done, seconds since the start, and what sets that limit.
    best: float | None
    binds: str | None
    #: When the first client began to download.
    began: float | None

    @property
    def of_best(self) -> float | None:
        """0…1: the best possible time ÷ the time that the job takes."""
        if self.best is None or self.began is None or self.finish is None or self.finish == inf:
            return None
        took = self.finish - self.began
        return min(1.0, (self.best - self.began) / took) if took > 0 else 1.0


def headline(view: SwarmView, now: float) -> Headline:
    """The swarm at ``now``, seconds since the run began."""
    end, bound = forecast(view, now), limit(view, now)
    ended = end is not None and end.certain
    rate = view.rate(now)
    if end is not None and ended and view.began is not None and end.at > view.began:
        amount = view.received_bytes if view.real_bytes else view.received
        rate = amount / (end.at - view.began)
    return Headline(
        share=view.share_done,
        received=view.received,
        to_fetch=view.to_fetch,
        received_bytes=view.received_bytes,
        to_fetch_bytes=view.to_fetch_bytes,
        real=view.real_bytes,
        done=view.done,
        fetching=view.fetching,
        seeds=view.seeds,
        rate=rate,
        finish=None if end is None else end.at,
        ended=ended,
        last=() if end is None else end.clients,
        best=None if bound is None or view.began is None else view.began + bound.seconds,
        binds=None if bound is None else bound.binds,
        began=view.began,
    )


def amount_text(line: Headline) -> str:
    """``42 of 92 MB``; without bytes ``119 of 264 segments``."""
    if line.real:
        return bytes_of_text(line.received_bytes, line.to_fetch_bytes)
    return f"{line.received} of {counted(line.to_fetch, 'segment')}"


def done_text(line: Headline) -> str:
    """``0/8 done``, and how many only seed."""
    seeds = f", {counted(line.seeds, 'seed')}" if line.seeds else ""
    return f"{line.done}/{line.fetching} done{seeds}"


def pace_text(line: Headline) -> str:
    """``4.2 MB/s``; once all are done ``4.2 MB/s on average``."""
    return rate_text(line.rate, line.real) + " on average" * line.ended


def finish_text(line: Headline) -> str:
    """``finish ≈ 22 s, 98 % of the best possible``; an empty text where too little is known. A job in which
    somebody did not get all has ended, and not finished."""
    if line.finish is None:
        return ""
    if line.finish == inf:
        stand = "stands" if len(line.last) == 1 else "stand"
        return f"{some(line.last)} {stand} still"
    if line.ended:
        text = f"{'finished' if line.done == line.fetching else 'ended'} at {time_text(line.finish)}"
    else:
        text = f"finish ≈ {about_text(line.finish)}"
    share = line.of_best
    if share is None or (line.ended and not line.done):
        return text
    return f"{text}, {percent_text(share)} of the best possible"


def limit_text(line: Headline) -> str:
    """``best possible ≈ 21 s, set by all uplinks together``; an empty text where too little is known."""
    if line.best is None or line.binds is None:
        return ""
    return f"best possible ≈ {about_text(line.best)}, set by {line.binds}"


def last_text(line: Headline) -> str:
    """``client 3 is last``, or how many tie; an empty text where nothing is known, or one client fetches."""
    if not line.last or line.fetching < 2 or line.finish == inf:
        return ""
    if len(line.last) > 1:
        who = "all clients" if len(line.last) == line.fetching else counted(len(line.last), "client")
        return f"{who} {'ended' if line.ended else 'end'} together"
    return f"client {line.last[0]} {'was' if line.ended else 'is'} last"


def parts(line: Headline) -> list[str]:
    """The line in parts, the most important first: ``45 %``, ``42 of 92 MB``, ``0/8 done``, …"""
    told = [percent_text(line.share), amount_text(line), done_text(line), pace_text(line), finish_text(line)]
    if line.binds is not None and line.finish not in (None, inf):
        told[-1] += f" (limit: {line.binds})"
    return [part for part in told if part]
