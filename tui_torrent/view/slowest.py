"""Who was the slowest, and every reason for it that the events give.

A client waits while it gets nothing for plainly longer than usual: usual is its own mean time from a segment
to the next. On a slow link, where each segment takes seconds, none of them is a wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from mpi_core.protocol.units import Rank
from tui_torrent.view.client_detail import Wait
from tui_torrent.view.headline import headline
from tui_torrent.view.limit import TIE
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.units import percent_text, rate_text, time_text
from tui_torrent.view.words import counted, some

#: A gap between two segments is a wait from so many times the client's usual gap on.
UNUSUAL = 3.0
#: So many gaps tell what is usual.
FEW = 2
#: Waits are told that come to so many seconds.
LONG_WAIT = 1.0
#: One that lags by less than this share of all it wants, behind the median client, is not worth a sentence.
BEHIND = 0.05
#: So many clients have a sentence each by the same rule; more of them share one.
EACH = 3


def usual_gap(client: ClientView, without: float = 0.0) -> float:
    """Seconds from one of its segments to the next, in the mean; one gap of ``without`` seconds left out.

    0 where there are too few others to judge by.
    """
    gaps = client.received - bool(without)
    last = client.detail.last_at
    if gaps < FEW or last is None or client.began is None:
        return 0.0
    return max(0.0, last - client.began - without) / gaps


def waits(client: ClientView) -> list[Wait]:
    """Its longest waits, the longest first."""
    return [wait for wait in client.detail.waits if wait.seconds >= UNUSUAL * usual_gap(client, wait.seconds)]


def slowest(view: SwarmView) -> list[str]:
    """Who was done last (or lags behind most) and why; nothing where several are alike."""
    fetching = [client for _, client in sorted(view.clients.items()) if client.to_fetch and not client.gone]
    if len(fetching) < 2:
        return []
    if any(client.finished_at is None for client in fetching):
        return _lagging(view, fetching)
    began = view.began or 0.0
    *_, next_, last = sorted(fetching, key=lambda client: client.finished_at or 0.0)
    end, before = last.finished_at or 0.0, next_.finished_at or 0.0
    if end - before < TIE * (end - began):
        return []
    usual = median(client.finished_at or 0.0 for client in fetching)
    text = f"client {last.rank} was done last, at {time_text(end)}; the median client at {time_text(usual)}"
    return [text, *(_reasons(view, last, fetching) or [_bound(view, last, fetching)])]


def _lagging(view: SwarmView, fetching: Sequence[ClientView]) -> list[str]:
    usual = median(client.share_done for client in fetching)
    behind = [client for client in fetching if usual - client.share_done >= BEHIND]
    if not behind:
        return []
    first, *others = sorted(behind, key=lambda client: client.share_done)
    median_has = f"where the median client has {percent_text(usual)}"
    if others and others[0].share_done - first.share_done < BEHIND:
        alike = [client for client in behind if client.share_done - first.share_done < BEHIND]
        has = f"have at most {percent_text(max(client.share_done for client in alike))}"
        return [f"{some(client.rank for client in alike)} lag behind: they {has}, {median_has}"]
    missing = f"{first.missing} of {counted(first.to_fetch, 'segment')}"
    text = f"client {first.rank} lags behind: it misses {missing}, {median_has}"
    return [text, *(_reasons(view, first, fetching) or [_bound(view, first, fetching)])]


def longest_waits(view: SwarmView) -> list[str]:
    """The sentences of the clients that waited longest for a single holder."""
    waited = {rank: _waited_alone(view, client) for rank, client in view.clients.items()}
    longest = sorted(waited, key=lambda rank: (-sum(waited[rank].values()), rank))[:EACH]
    return [text for rank in longest for text in _waits_for_one(view, view.clients[rank])]


def _bound(view: SwarmView, client: ClientView, others: Sequence[ClientView]) -> str:
    """What held it, where nothing went wrong: the limit of the job, or only its own rate."""
    line = headline(view, view.t)
    share = line.of_best
    if line.binds is not None and share is not None:
        return f"the limit is set by {line.binds}: {percent_text(share)} of the best possible"
    usual = median(other.down(view.t) for other in others)
    own, real = client.down(view.t), view.real_bytes
    return f"client {client.rank} receives {rate_text(own, real)}, the median client {rate_text(usual, real)}"


def _reasons(view: SwarmView, client: ClientView, others: Sequence[ClientView]) -> list[str]:
    who, detail, texts = f"client {client.rank}", client.detail, []
    texts += _waits_for_one(view, client)
    alone, all_waits = sum(_waited_alone(view, client).values()), waits(client)
    waited = sum(wait.seconds for wait in all_waits)
    if waited - alone >= LONG_WAIT:
        longest = all_waits[0]
        # Another may have fetched it from its only holder just before.
        blame = min(view.files[longest.file].owners) if 2 * _alone(view, longest) > longest.seconds else None
        texts.append(
            f"{who} got nothing for {time_text(waited)} in all; "
            f"its longest wait was {time_text(longest.seconds)}, for client {blame or longest.source}"
        )
    corrupt = sum(detail.corrupt_from.values())
    if corrupt:
        senders = some(rank for rank, count in detail.corrupt_from.items() if count)
        ones = "a corrupt one" if corrupt == 1 else "corrupt ones"
        texts.append(f"{who} had to fetch {counted(corrupt, 'segment')} again: {senders} sent {ones}")
    expired = sum(detail.expired_from.values())
    if expired:
        were = "was" if expired == 1 else "were"
        texts.append(f"{expired} of its requests {were} not answered in time, by {some(detail.expired_from)}")
    need, usual = client.to_fetch_bytes, median(other.to_fetch_bytes for other in others)
    if need > 1.1 * usual > 0:
        texts.append(f"{who} had {percent_text(need / usual - 1)} more to fetch than the median client")
    peaks = [other.down_rate.peak for other in others if other.down_rate.peak]
    if peaks and client.down_rate.peak and client.down_rate.peak < 0.7 * median(peaks):
        share = percent_text(client.down_rate.peak / median(peaks))
        texts.append(f"{who} never received faster than {share} of the median client's best rate")
    return texts


def _waits_for_one(view: SwarmView, client: ClientView) -> list[str]:
    return [
        f"client {client.rank} waited {time_text(seconds)} for segments that only client {source} held"
        for source, seconds in sorted(_waited_alone(view, client).items())
        if seconds >= LONG_WAIT
    ]


def _waited_alone(view: SwarmView, client: ClientView) -> dict[Rank, float]:
    """Seconds of waiting for segments that a single client held, by that client."""
    waited: dict[Rank, float] = {}
    for wait in waits(client):
        seconds = _alone(view, wait)
        if seconds:
            (owner,) = view.files[wait.file].owners
            waited[owner] = waited.get(owner, 0.0) + seconds
    return waited


def _alone(view: SwarmView, wait: Wait) -> float:
    """The seconds of a wait until anybody but its one owner had the segment that came at its end."""
    file = view.files.get(wait.file)
    if file is None or len(file.owners) != 1 or not 0 <= wait.segment < len(file.first_copy):
        return 0.0
    return max(0.0, min(file.first_copy[wait.segment], wait.ended) - (wait.ended - wait.seconds))
