"""What a person must be told of a run: whose trouble it was, what is missing for it, and on which host.

Thousands of files may be missing for one reason. A reason is named with some of its files, and with how many
more there are; a client that fetched nothing more is one line, whatever it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from mpi_core.protocol.units import Rank
from tui_torrent.view.losses import sentence
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted, some, who

if TYPE_CHECKING:
    from tui_torrent.view.report import ClientReport, Report

#: Lines of one kind, at the most; and files that are named, of all reasons together.
MOST = 10

#: Why a file is missing → its name → the clients that lack it.
Missing = dict[str, dict[str, list[Rank]]]


def named(rank: int, host: str | None) -> str:
    """``client 3 on n2``; without the host where it was not told."""
    return f"client {rank}" if host is None else f"client {rank} on {host}"


def why_missing(view: SwarmView, client: ClientView, name: str) -> str | None:
    """Why a client cannot have that file, in words that are the same for all files with that cause."""
    told = client.unavailable.get(name)
    if told is None:
        return None if name in client.completed else client.failed
    blamed = {cause.client: cause.reason for cause in client.blamed.get(name, ())}
    if not blamed:
        file = view.files.get(name)
        if file is None:
            # Whoever took no part may have had it: what it owns was never told.
            blamed = {c.rank: c.failed for c in view.clients.values() if c.failed and not c.initialised}
        elif all(view.client_is_lost(rank) for rank in file.owners):
            blamed = {rank: f"lost: {view.clients[rank].lost_reason}" for rank in file.owners}
    if not blamed:
        return told
    return "; ".join(f"{named(rank, view.hosts.get(rank))}: {why}" for rank, why in sorted(blamed.items()))


def problems(report: Report) -> list[str]:
    """What a person must be told of this run, a sentence each; nothing where all went well."""
    clients = report.clients
    sentences = failures(clients)
    sentences += [sentence(named(c.rank, c.host), loss) for c in clients for loss in c.not_kept]
    sentences += _missing_files(clients)
    if report.aborted is not None:
        sentences.append(f"aborted by {who(report.aborted.culprit)}: {report.aborted.reason}")
    if report.events_dropped:
        events = counted(report.events_dropped, "event")
        sentences.append(f"{events} got lost on the way here: the numbers may be too small by that")
    sentences += [f"broken rule: {f.rule}. {f.detail}" for f in report.conformance if f.holds is False]
    return sentences


def why_aborted(report: Report) -> str:
    """Why the run was ended before its time, in one line: what a client's own trouble is bears its name."""
    aborted = report.aborted
    assert aborted is not None
    for client in report.clients:
        if client.rank == aborted.culprit and client.failed is not None:
            return f"{named(client.rank, client.host)}: {aborted.reason}"
    return aborted.reason


def failures(clients: Iterable[ClientReport]) -> list[str]:
    """Who failed or was lost, and why: at most MOST lines, and how many more."""
    reasons: dict[tuple[str | None, str | None], list[ClientReport]] = {}
    for client in clients:
        if client.failed is not None or client.lost is not None:
            reasons.setdefault((client.failed, client.lost), []).append(client)
    lines = [_failure(gone) for gone in reasons.values()]
    if len(lines) > MOST:
        more = sum(len(gone) for gone in list(reasons.values())[MOST:])
        lines = [*lines[:MOST], f"×{more} more clients failed"]
    return lines


def _failure(gone: list[ClientReport]) -> str:
    hosts = list(dict.fromkeys(client.host for client in gone if client.host is not None))
    on = f" on {hosts[0]}" if len(hosts) == 1 else f" on {counted(len(hosts), 'host')}" if hosts else ""
    why = gone[0].failed
    if why is None:
        on += " was lost" if len(gone) == 1 else " were lost"
        why = gone[0].lost
    files = [file for client in gone for file in client.files]
    lacking = [file.name for file in files if not file.complete]
    it_lacks = "it lacks" if len(gone) == 1 else "they lack"
    rest = f"; {it_lacks} {lacking[0]!r}" if len(lacking) == 1 else ""
    if len(lacking) > 1:
        rest = f"; {it_lacks} {len(lacking)} of {counted(len(files), 'file')}"
    return f"{some(client.rank for client in gone)}{on}: {why}{rest}"


def causes(clients: Iterable[ClientReport]) -> list[str]:
    """A sentence for each reason why files are missing, the one with most of them first."""
    found = sorted(_missing(clients).items(), key=lambda item: -len(item[1]))
    sentences = []
    for why, files in found:
        at = some({rank for ranks in files.values() for rank in ranks})
        are = "is" if len(files) == 1 else "are"
        sentences.append(f"{counted(len(files), 'file')} {are} missing at {at}: {why}")
    return sentences


def _missing(clients: Iterable[ClientReport]) -> Missing:
    """What clients lack that took part to the end."""
    found: Missing = {}
    for client in clients:
        if client.failed is None and client.lost is None:
            for file in client.files:
                if file.unavailable is not None:
                    found.setdefault(file.unavailable, {}).setdefault(file.name, []).append(Rank(client.rank))
    return found


def _missing_files(clients: Sequence[ClientReport]) -> Iterator[str]:
    hosts = {client.rank: client.host for client in clients}
    found = _missing(clients)
    if sum(len(ranks) for files in found.values() for ranks in files.values()) <= MOST:
        for why, files in found.items():
            for name, ranks in files.items():
                for rank in ranks:
                    yield f"{named(rank, hosts[rank])}: {name!r} unavailable: {why}"
    else:
        room = max(1, MOST // len(found))
        for why, files in list(found.items())[:MOST]:
            for name, ranks in list(files.items())[:room]:
                whose = named(ranks[0], hosts[ranks[0]]) if len(ranks) == 1 else some(ranks)
                yield f"{whose}: {name!r} unavailable: {why}"
            if len(files) > room:
                yield f"×{len(files) - room} more files unavailable: {why}"
        if len(found) > MOST:
            yield f"×{sum(map(len, list(found.values())[MOST:]))} more files unavailable for other reasons"
    yield from _incomplete(clients, hosts)


def _incomplete(clients: Iterable[ClientReport], hosts: Mapping[int, str | None]) -> Iterator[str]:
    """What was still on its way when the run ended, at clients that are not to blame."""
    open_ = [
        (client, file)
        for client in clients
        if client.failed is None and client.lost is None
        for file in client.files
        if not file.complete and file.unavailable is None
    ]
    for client, file in open_[:MOST]:
        whose = named(client.rank, hosts[client.rank])
        yield f"{whose}: {file.name!r} incomplete: {file.verified} of {counted(file.segments, 'segment')}"
    if len(open_) > MOST:
        yield f"×{len(open_) - MOST} more files incomplete"
