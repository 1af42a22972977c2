"""What a person should know of a swarm: each rule a small check, and a full sentence where it holds.

Pure functions of the view and of ``now``. ``health`` says what holds at the moment, the worst first;
``verdicts`` what is to be said of the whole run, so far or at its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.client_detail import Wait
from tui_torrent.view.scarce import misses_only, scarce
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted, some

#: A client that got nothing for so many seconds is told of, and one that waited so long for one holder.
STARVING = 3.0
LONG_WAIT = 1.0
#: The owners' share of all uploads that is told, once so much of the demand has been served: if it is so many
#: times what an even spread would give them, and they have sent each segment so often.
ORIGIN_SHARE, ORIGIN_AFTER, ORIGIN_EVEN, ORIGIN_TWICE = 0.5, 0.2, 1.5, 2
#: A client refuses much from so many refusals on that are such a share of what it was asked for.
REFUSALS, REFUSAL_SHARE = 20, 1 / 3
#: One that lags by less than this share of all it wants, behind the median client, is not worth a sentence.
BEHIND = 0.05
#: So many clients have a sentence each by the same rule; more of them share one.
EACH = 3

#: How bad it is: something is lost for good, is wrong, or could be better.
LOST, WRONG, SLOW = 3, 2, 1


class Remark(NamedTuple):
    weight: int
    #: A clause without its full stop.
    text: str


Rule = Callable[[SwarmView, float], Iterable[Remark]]


def health(view: SwarmView, now: float) -> list[str]:
    """What holds now, a sentence each, the worst first."""
    remarks = [remark for rule in (*_MOMENTARY, *_LASTING) for remark in rule(view, now)]
    return [remark.text for remark in sorted(remarks, key=lambda remark: -remark.weight)]


def verdicts(view: SwarmView) -> list[str]:
    """What is to be said of the run as a whole: who was the slowest and why, and what else is amiss."""
    remarks = [remark for rule in _LASTING for remark in rule(view, view.t)]
    later = [remark.text for remark in sorted(remarks, key=lambda remark: -remark.weight)]
    slow = slowest(view)
    return [*slow, *(text for text in (*_waits(view), *later) if text not in slow)]


# Of the moment ----------------------------------------------------------------------------------


def nobody_may_begin(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.began is not None or now < STARVING or view.outcome or view.aborted:
        return
    behind = [client for client in _clients(view) if client.state in ("starting", "hashing")]
    if not behind:
        return
    if len(behind) == 1 and behind[0].share_bytes:
        done = 100 * behind[0].hashed_bytes // behind[0].share_bytes
        what = f"client {behind[0].rank} is still hashing its files ({done} %)"
    else:
        have, they_own = ("has", "it owns") if len(behind) == 1 else ("have", "they own")
        what = f"{some(client.rank for client in behind)} {have} not told the tracker what {they_own}"
    yield Remark(SLOW, f"nobody may download yet: {what}")


def starving(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.outcome or view.aborted:
        return
    hungry = []
    for client in _clients(view):
        last = client.detail.last_at
        if client.state == "downloading" and not client.lost and last is not None and now - last >= STARVING:
            hungry.append((now - last, client))
    if len(hungry) > EACH:
        least = min(seconds for seconds, _ in hungry)
        who = some(client.rank for _, client in hungry)
        yield Remark(WRONG, f"{who} have received nothing for {least:.0f} s or more")
        return
    for seconds, client in sorted(hungry, key=lambda pair: -pair[0]):
        nothing = f"client {client.rank} has received nothing for {seconds:.0f} s"
        yield Remark(WRONG, f"{nothing}{_why_hungry(view, client)}")


def _why_hungry(view: SwarmView, client: ClientView) -> str:
    nobodys, alone = 0, Counter[Rank]()
    for name in client.wanted:
        held, file = client.held.get(name), view.files.get(name)
        if held is None or file is None or name in client.unavailable:
            continue
        owners = [rank for rank in file.owners if not view.client_is_lost(rank)]
        for segment, copies in enumerate(file.copies[: len(held)]):
            if not held[segment] and not copies and len(owners) < 2:
                if owners:
                    alone[owners[0]] += 1
                else:
                    nobodys += 1
    if nobodys:
        return f": nobody holds {counted(nobodys, 'segment')} that it misses"
    if alone:
        holder, count = alone.most_common(1)[0]
        return f": only client {holder} holds {counted(count, 'segment')} that it misses"
    asked = {source for sources in client.detail.open.values() for source in sources}
    if asked:
        return f": it waits for {some(asked)}"
    return " and has no request in flight"


def one_holds_the_rest(view: SwarmView, now: float) -> Iterator[Remark]:
    """Several clients have all else, and wait for what one client alone holds."""
    if view.outcome or view.aborted:
        return
    for holder, held in sorted(scarce(view).items()):
        waiting = [
            client
            for client in _clients(view)
            if client.rank != holder and client.share_done >= 0.5 and misses_only(view, client, held)
        ]
        if len(waiting) > 1:
            rest = max(misses_only(view, client, held) for client in waiting)
            who = some(client.rank for client in waiting)
            what = f"the only one with the {counted(rest, 'segment')} they miss"
            yield Remark(SLOW, f"{who} wait for client {holder}, {what}")


# Of the run so far ------------------------------------------------------------------------------


def events_lost(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.dropped:
        were = "event was" if view.dropped == 1 else "events were"
        yield Remark(WRONG, f"{view.dropped} {were} lost: numbers are too small")


def run_aborted(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.aborted is not None:
        yield Remark(LOST, f"rank {view.aborted.culprit} ended the run: {view.aborted.reason}")


def clients_lost(view: SwarmView, now: float) -> Iterator[Remark]:
    for client in _clients(view):
        if not client.lost:
            continue
        gone = Counter[str]()
        for name, segments in client.owned.items():
            file = view.files[name]
            if all(view.client_is_lost(rank) for rank in file.owners):
                gone[name] = sum(not copies for copies in file.copies[:segments])
        last = "".join(
            f", and with it the only copy of {counted(n, 'segment')} of {name}"
            for name, n in gone.items()
            if n
        )
        why = f" ({client.lost_reason})" if client.lost_reason else ""
        yield Remark(LOST, f"client {client.rank} was given up{why}{last}")


def corrupt_sources(view: SwarmView, now: float) -> Iterator[Remark]:
    sent, avoided_by = Counter[Rank](), dict[Rank, list[Rank]]()
    for client in _clients(view):
        sent.update(client.detail.corrupt_from)
        for source, reason in client.detail.avoided.items():
            if reason != "silent":
                avoided_by.setdefault(source, []).append(client.rank)
    suspects = sorted(source for source, count in sent.items() if count and source not in avoided_by)
    if len(suspects) > 1:
        yield Remark(WRONG, f"{some(suspects)} sent {sum(sent[rank] for rank in suspects)} corrupt segments")
    for source, count in sorted(sent.items()):
        if not count or (len(suspects) > 1 and source in suspects):
            continue
        avoiding = avoided_by.get(source)
        end = f"; {_avoid(avoiding)}" if avoiding else ""
        yield Remark(WRONG, f"client {source} sent {counted(count, 'corrupt segment')}{end}")


def late_sources(view: SwarmView, now: float) -> Iterator[Remark]:
    """Who kept requests waiting beyond their timeout: silent for as long, or alive and only busy."""
    owed, silent, avoided_by = Counter[Rank](), set[Rank](), dict[Rank, list[Rank]]()
    for client in _clients(view):
        owed.update(client.detail.expired_from)
        silent |= client.detail.fell_silent
        for source, reason in client.detail.avoided.items():
            if reason == "silent":
                avoided_by.setdefault(source, []).append(client.rank)
    for source, avoiding in sorted(avoided_by.items()):
        count = owed.pop(source, 0)
        left = f"did not answer {counted(count, 'request')} in time" if count else "is silent"
        yield Remark(WRONG, f"client {source} {left}; {_avoid(avoiding)}")
    for late in (sorted(owed.keys() & silent), sorted(owed.keys() - silent)):
        for group in [late] if len(late) > EACH else [[source] for source in late]:
            requests = counted(sum(owed[source] for source in group), "request")
            text = f"{some(group)} did not answer {requests} in time"
            if silent.isdisjoint(group):
                were = "was" if len(group) == 1 else "were"
                text = (
                    f"{some(group)} {were} busy, not silent: {requests} waited there longer than the timeout"
                )
            yield Remark(SLOW, text)


def origin_serves_most(view: SwarmView, now: float) -> Iterator[Remark]:
    """Few owners send most of it, though most of what they sent had left them before."""
    clients = [client for client in view.clients.values() if client.owned or client.wanted]
    from_owner = {client.rank: view.delivered_as_owner(client.rank) for client in clients if client.owned}
    owners = [rank for rank, segments in from_owner.items() if segments]
    if not owners or view.received < ORIGIN_AFTER * view.to_fetch:
        return
    from_owners = sum(from_owner.values())
    first = sum(len(file.copies) - file.copies.count(0) for file in view.files.values())
    if from_owners < ORIGIN_TWICE * first or 2 * len(owners) > len(clients):
        return
    share = from_owners / view.received
    if share >= max(ORIGIN_SHARE, ORIGIN_EVEN * len(owners) / len(clients)):
        who = some(owners)
        owner = "the original owner" if len(owners) == 1 else "the original owners"
        yield Remark(SLOW, f"{100 * share:.0f} % of all segments come from {owner}, {who}")


def refusing(view: SwarmView, now: float) -> Iterator[Remark]:
    for client in _clients(view):
        refused, asked = client.rejects_sent, client.rejects_sent + client.sent
        if refused >= REFUSALS and refused >= REFUSAL_SHARE * asked:
            share = f"{100 * refused / asked:.0f} %"
            yield Remark(SLOW, f"client {client.rank} refuses {share} of the segments that it is asked for")


def nonsense(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.nonsense:
        what = "message was no sense and was" if view.nonsense == 1 else "messages were no sense and were"
        yield Remark(WRONG, f"{view.nonsense} {what} dropped")


_MOMENTARY: Sequence[Rule] = (starving, nobody_may_begin, one_holds_the_rest)
_LASTING: Sequence[Rule] = (
    run_aborted,
    clients_lost,
    events_lost,
    corrupt_sources,
    late_sources,
    nonsense,
    refusing,
    origin_serves_most,
)


# The slowest ------------------------------------------------------------------------------------


def slowest(view: SwarmView) -> list[str]:
    """Who was done last (or lags behind most), and every reason that the events give."""
    fetching = [client for client in _clients(view) if client.to_fetch and not client.lost]
    if len(fetching) < 2:
        return []
    open_ = [client for client in fetching if client.finished_at is None]
    if open_:
        last = min(open_, key=lambda client: client.share_done)
        usual = median(client.share_done for client in fetching)
        if usual - last.share_done < BEHIND:
            return []
        missing = last.missing
        share = f"{missing} of {counted(last.to_fetch, 'segment')}"
        text = f"client {last.rank} lags behind: it misses {share}"
        text += f", where the median client has {100 * usual:.0f} %"
    else:
        times = [client.finished_at or 0.0 for client in fetching]
        last = max(fetching, key=lambda client: client.finished_at or 0.0)
        text = f"client {last.rank} was done last, at {max(times):.1f} s"
        text += f"; the median client at {median(times):.1f} s"
    return [
        text,
        *(_reasons(view, last, fetching) or [f"the events do not show why client {last.rank} is the last"]),
    ]


def _reasons(view: SwarmView, client: ClientView, others: Sequence[ClientView]) -> list[str]:
    who, detail, texts = f"client {client.rank}", client.detail, []
    texts += _waits_for_one(view, client)
    alone = sum(_waited_alone(view, client).values())
    if detail.waited - alone >= LONG_WAIT:
        longest = detail.waits[0]
        # Another may have fetched it from its only holder just before.
        blame = min(view.files[longest.file].owners) if 2 * _alone(view, longest) > longest.seconds else None
        texts.append(
            f"{who} got nothing for {detail.waited:.1f} s in all; "
            f"its longest wait was {longest.seconds:.1f} s, for client {blame or longest.source}"
        )
    corrupt = sum(detail.corrupt_from.values())
    if corrupt:
        senders = some(rank for rank, count in detail.corrupt_from.items() if count)
        texts.append(f"{who} had to fetch {counted(corrupt, 'segment')} again: {senders} sent corrupt ones")
    expired = sum(detail.expired_from.values())
    if expired:
        were = "was" if expired == 1 else "were"
        texts.append(f"{expired} of its requests {were} not answered in time, by {some(detail.expired_from)}")
    need, usual = client.to_fetch_bytes, median(other.to_fetch_bytes for other in others)
    if need > 1.1 * usual > 0:
        texts.append(f"{who} had {100 * (need / usual - 1):.0f} % more to fetch than the median client")
    peaks = [other.down_rate.peak for other in others if other.down_rate.peak]
    if peaks and client.down_rate.peak and client.down_rate.peak < 0.7 * median(peaks):
        share = 100 * client.down_rate.peak / median(peaks)
        texts.append(f"{who} never received faster than {share:.0f} % of the median client's best rate")
    return texts


def _waits(view: SwarmView) -> list[str]:
    """The sentences of the clients that waited longest for a single holder."""
    waits = {client.rank: _waited_alone(view, client) for client in _clients(view)}
    longest = sorted(waits, key=lambda rank: (-sum(waits[rank].values()), rank))[:EACH]
    return [text for rank in longest for text in _waits_for_one(view, view.clients[rank])]


def _waits_for_one(view: SwarmView, client: ClientView) -> list[str]:
    return [
        f"client {client.rank} waited {seconds:.1f} s for segments that only client {source} held"
        for source, seconds in sorted(_waited_alone(view, client).items())
        if seconds >= LONG_WAIT
    ]


def _waited_alone(view: SwarmView, client: ClientView) -> dict[Rank, float]:
    """Seconds of waiting for segments that a single client held, by that client."""
    waited: dict[Rank, float] = {}
    for wait in client.detail.waits:
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


# Words ------------------------------------------------------------------------------------------


def _avoid(ranks: Sequence[Rank]) -> str:
    return f"{some(ranks)} {'avoids' if len(ranks) == 1 else 'avoid'} it"


def _clients(view: SwarmView) -> list[ClientView]:
    return [client for _, client in sorted(view.clients.items())]
