"""Who is in the way: what each client has done to others, and the words that its own row says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.limit import bottlenecks
from tui_torrent.view.scarce import held_up
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import percent_text
from tui_torrent.view.words import counted

#: How bad it is: something is lost for good, is wrong, or could be better.
LOST, WRONG, SLOW = 3, 2, 1

#: A client refuses much from so many refusals on that are such a share of what it was asked for.
REFUSALS, REFUSAL_SHARE = 20, 1 / 3


@dataclass
class Record:
    """What the others tell of one client."""

    #: Payloads of it that failed their check, and requests that it did not answer in time.
    corrupt: int = 0
    unanswered: int = 0
    #: Who asks it no more because of corrupt segments; who does not for a while, because it was silent.
    avoided_by: list[Rank] = field(default_factory=list)
    silent_to: list[Rank] = field(default_factory=list)
    #: Somebody found it silent at some time. Requests may wait for long at others too: those say so.
    fell_silent: bool = False


def records(view: SwarmView) -> dict[Rank, Record]:
    """By client, of those alone of whom there is something to tell; ranks ascend, in the lists too."""
    found: dict[Rank, Record] = {}

    def of(rank: Rank) -> Record:
        return found.setdefault(rank, Record())

    for teller, client in sorted(view.clients.items()):
        detail = client.detail
        for source, count in detail.corrupt_from.items():
            if count:
                of(source).corrupt += count
        for source, count in detail.expired_from.items():
            if count:
                of(source).unanswered += count
        for source in detail.fell_silent:
            of(source).fell_silent = True
        for source, reason in detail.avoided.items():
            record = of(source)
            (record.silent_to if reason == "silent" else record.avoided_by).append(teller)
    return dict(sorted(found.items()))


class Trouble(NamedTuple):
    """What is wrong with one client, for its own row."""

    weight: int
    #: Short: ``avoided by 4: 12 corrupt``.
    text: str


def troubles(view: SwarmView, now: float) -> dict[Rank, Trouble]:
    """By client, the worst that is to be said of each; most have none."""
    found: dict[Rank, Trouble] = {}

    def tell(rank: Rank, weight: int, text: str) -> None:
        known = found.get(rank)
        if known is None or weight > known.weight:
            found[rank] = Trouble(weight, text)

    for rank, client in view.clients.items():
        if client.gone:
            tell(rank, LOST, client.failed or client.lost_reason or "given up")
        if client.unavailable:
            tell(rank, WRONG, f"lacks {counted(len(client.unavailable), 'file')}")
        refused, asked = client.rejects_sent, client.rejects_sent + client.sent
        if refused >= REFUSALS and refused >= REFUSAL_SHARE * asked:
            tell(rank, SLOW, f"refuses {percent_text(refused / asked)}")
    for rank, record in records(view).items():
        if record.corrupt:
            avoided = f"avoided by {len(record.avoided_by)}: " if record.avoided_by else ""
            tell(rank, WRONG, f"{avoided}{record.corrupt} corrupt")
        elif record.avoided_by:
            tell(rank, WRONG, f"avoided by {len(record.avoided_by)}")
        elif record.silent_to:
            tell(rank, WRONG, f"silent to {len(record.silent_to)}")
    if view.outcome or view.aborted:
        return found
    for rank, waiting in held_up(view).items():
        if len(waiting) > 1:
            tell(rank, SLOW, f"{counted(len(waiting), 'client')} wait for it")
    for rank, link in bottlenecks(view, now).items():
        tell(rank, SLOW, f"its {link} sets the limit")
    return found
