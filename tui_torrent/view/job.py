"""The job in the report: what all clients together had to fetch and received, when they were done."""

from __future__ import annotations

import msgspec

from tui_torrent.view.headline import headline
from tui_torrent.view.swarm_view import SwarmView


class JobReport(msgspec.Struct, frozen=True):
    """All clients together."""

    #: 0…1: received ÷ to be fetched, in bytes where files are real; 1 means all.
    share: float
    to_fetch: int
    bytes_to_fetch: int
    downloaded: int
    bytes_down: int
    corrupt_received: int
    bytes_corrupt: int
    duplicates: int
    bytes_duplicate: int
    #: Clients that have all they had to fetch; all that had something to fetch; those that only seed.
    done: int
    fetching: int
    seeds: int
    #: Seconds since the run began: when the first client began to download, when the last one was done, when
    #: the best possible schedule would have been done; and what sets that limit.
    began_s: float | None
    finished_s: float | None
    best_possible_s: float | None
    limited_by: str | None
    #: Who was done last, or will be: more than one where they are done together.
    last: list[int]


def job(view: SwarmView) -> JobReport:
    """All clients together, at the moment of the last event."""
    clients = view.clients.values()
    line = headline(view, view.t)
    return JobReport(
        share=line.share,
        to_fetch=line.to_fetch,
        bytes_to_fetch=line.to_fetch_bytes,
        downloaded=line.received,
        bytes_down=line.received_bytes,
        corrupt_received=sum(client.corrupt for client in clients),
        bytes_corrupt=sum(client.corrupt_bytes for client in clients),
        duplicates=sum(client.duplicates for client in clients),
        bytes_duplicate=sum(client.duplicate_bytes for client in clients),
        done=line.done,
        fetching=line.fetching,
        seeds=line.seeds,
        began_s=rounded(line.began),
        finished_s=rounded(line.finish) if line.ended else None,
        best_possible_s=rounded(line.best),
        limited_by=line.binds,
        last=list(line.last),
    )


def rounded(seconds: float | None) -> float | None:
    """A time in the report: to a microsecond."""
    return None if seconds is None else round(seconds, 6)
