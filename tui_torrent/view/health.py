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
from tui_torrent.view.blame import LOST, REFUSAL_SHARE, REFUSALS, SLOW, WRONG, records
from tui_torrent.view.scarce import held_up
from tui_torrent.view.slowest import EACH, UNUSUAL, longest_waits, slowest, usual_gap
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.units import about_text, percent_text
from tui_torrent.view.words import counted, some, who

#: A client that got nothing for so many seconds is told of, where that is long by its own rate.
STARVING = 3.0
#: The owners' share of all uploads that is told, once so much of the demand has been served: if it is so many
#: times what an even spread would give them, and they have sent each segment so often.
ORIGIN_SHARE, ORIGIN_AFTER, ORIGIN_EVEN, ORIGIN_TWICE = 0.5, 0.2, 1.5, 2


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
    return [*slow, *(text for text in (*longest_waits(view), *later) if text not in slow)]


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
    gaps = [usual_gap(client) for client in view.clients.values() if client.received]
    #: What is usual for one that has got nothing yet.
    others = median(gaps) if gaps else 0.0
    hungry = []
    for client in _clients(view):
        last = client.detail.last_at
        if client.state != "downloading" or client.gone or last is None:
            continue
        usual = usual_gap(client) if client.received else others
        if now - last >= max(STARVING, UNUSUAL * usual):
            hungry.append((now - last, client))
    if len(hungry) > EACH:
        least = about_text(min(seconds for seconds, _ in hungry))
        names = some(client.rank for _, client in hungry)
        yield Remark(WRONG, f"{names} have received nothing for {least} or more")
        return
    for seconds, client in sorted(hungry, key=lambda pair: -pair[0]):
        nothing = f"client {client.rank} has received nothing for {about_text(seconds)}"
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
    for holder, waiting in held_up(view).items():
        if len(waiting) > 1:
            rest = max(view.clients[rank].missing for rank in waiting)
            what = f"the only one with the {counted(rest, 'segment')} they miss"
            yield Remark(SLOW, f"{some(waiting)} wait for client {holder}, {what}")


# Of the run so far ------------------------------------------------------------------------------


def events_lost(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.dropped:
        were = "was" if view.dropped == 1 else "were"
        yield Remark(WRONG, f"{counted(view.dropped, 'event')} {were} lost: numbers are too small")


def run_aborted(view: SwarmView, now: float) -> Iterator[Remark]:
    if view.aborted is not None:
        yield Remark(LOST, f"{who(view.aborted.culprit)} ended the run: {view.aborted.reason}")


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
    known = records(view)
    suspects = [rank for rank, record in known.items() if record.corrupt and not record.avoided_by]
    if len(suspects) > 1:
        corrupt = counted(sum(known[rank].corrupt for rank in suspects), "corrupt segment")
        yield Remark(WRONG, f"{some(suspects)} sent {corrupt}")
    for source, record in known.items():
        if not record.corrupt or (len(suspects) > 1 and source in suspects):
            continue
        end = f"; {_avoid(record.avoided_by)}" if record.avoided_by else ""
        yield Remark(WRONG, f"client {source} sent {counted(record.corrupt, 'corrupt segment')}{end}")


def late_sources(view: SwarmView, now: float) -> Iterator[Remark]:
    """Who kept requests waiting beyond their timeout: silent for as long, or alive and only busy."""
    known = records(view)
    for source, record in known.items():
        if record.silent_to:
            requests = counted(record.unanswered, "request")
            left = f"did not answer {requests} in time" if record.unanswered else "is silent"
            yield Remark(WRONG, f"client {source} {left}; {_avoid(record.silent_to)}")
    owed = {rank: record for rank, record in known.items() if record.unanswered and not record.silent_to}
    for silent in (True, False):
        late = [rank for rank, record in owed.items() if record.fell_silent is silent]
        for group in [late] if len(late) > EACH else [[source] for source in late]:
            requests = counted(sum(owed[source].unanswered for source in group), "request")
            text = f"{some(group)} did not answer {requests} in time"
            if not silent:
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
        owner = "the original owner" if len(owners) == 1 else "the original owners"
        yield Remark(SLOW, f"{percent_text(share)} of all segments come from {owner}, {some(owners)}")


def refusing(view: SwarmView, now: float) -> Iterator[Remark]:
    for client in _clients(view):
        refused, asked = client.rejects_sent, client.rejects_sent + client.sent
        if refused >= REFUSALS and refused >= REFUSAL_SHARE * asked:
            share = percent_text(refused / asked)
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


# Words ------------------------------------------------------------------------------------------


def _avoid(ranks: Sequence[Rank]) -> str:
    return f"{some(ranks)} {'avoids' if len(ranks) == 1 else 'avoid'} it"


def _clients(view: SwarmView) -> list[ClientView]:
    return [client for _, client in sorted(view.clients.items())]
