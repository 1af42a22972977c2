"""The report of a run: what became of it, as data.

A pure function of the events: of the view that they fold into and of the conformance findings. So a live
run, its journal and its replay give the same report (law 7), byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from mpi_core.protocol.events import Loss, Stamped
from tui_torrent.view.health import verdicts
from tui_torrent.view.hosts import split
from tui_torrent.view.job import JobReport, job, rounded
from tui_torrent.view.ledger import Finding, Rule
from tui_torrent.view.losses import MISSING
from tui_torrent.view.problems import causes, why_missing
from tui_torrent.view.swarm_view import ClientView, SwarmView
from tui_torrent.view.words import counted

SCHEMA = "tui_torrent.report/2"

Outcome = Literal["complete", "incomplete", "failed", "interrupted"]

#: The exit code of an internal failure; above the last, a signal's number is added.
FAILURE = 3
INTERRUPTED = 128

#: A loss of events is no fault of the swarm's: it breaks the journal, not the run.
NOT_OF_THE_PROTOCOL = Rule.JOURNAL.value


class FileReport(msgspec.Struct, frozen=True):
    """A file that a client wants."""

    name: str
    #: 0 where the file's manifest never came.
    segments: int
    #: Segments that are here: each was verified when it was stored, or owned from the start.
    verified: int
    complete: bool
    #: Why the file could not be had, where it could not.
    unavailable: str | None


class LossReport(msgspec.Struct, frozen=True):
    """What a client could not share, make or keep, all of one kind."""

    #: untravelled, unreadable, unmade or attributes.
    what: Loss
    #: [name, why]; the first thousand of ``count``.
    files: list[tuple[str, str]]
    count: int


class ClientReport(msgspec.Struct, frozen=True):
    rank: int
    #: Each wanted file once, in the order of the scenario.
    files: list[FileReport]
    #: Segments received, each of them verified, and segments sent, whatever became of them.
    downloaded: int
    uploaded: int
    #: REJECTs, but for those that answered a CANCEL.
    rejects_sent: int
    rejects_received: int
    #: The bytes of the segments received and sent.
    bytes_down: int
    bytes_up: int
    #: When nothing was left to fetch, in seconds since the run began.
    finished_at_s: float | None
    #: What it has to fetch, as far as the manifests have come.
    to_fetch: int
    bytes_to_fetch: int
    #: What came for nothing: payloads that failed their check, and those of segments that were there.
    corrupt_received: int
    bytes_corrupt: int
    duplicates: int
    bytes_duplicate: int
    #: Requests that went unanswered.
    expired: int
    #: Why the tracker gave the client up, where it did.
    lost: str | None
    #: Why it fetched nothing more, where its own disk or its plan failed.
    failed: str | None
    #: Where it ran; None where that was not told.
    host: str | None
    #: What of its share, or of its results, is not as it should be.
    not_kept: list[LossReport]


class TrackerReport(msgspec.Struct, frozen=True):
    #: Messages that the tracker received or sent, by tag.
    messages: dict[str, int]
    #: Seconds that half, and 99 %, of the messages took at most, each to a quarter of itself; and how many
    #: waited meanwhile. None where the journal does not tell.
    service_median_s: float | None
    service_p99_s: float | None
    queue_median: float | None
    queue_p99: float | None


class HostTraffic(msgspec.Struct, frozen=True):
    """Segments and bytes received from a client of the same host, and of another."""

    same_segments: int
    same_bytes: int
    other_segments: int
    other_bytes: int


class Fairness(msgspec.Struct, frozen=True):
    """How evenly the work was shared; None where no segment was received."""

    #: Jain's index (Σx)² / (n Σx²) of the verified segments that came from each client, over the clients that
    #: held a segment of a file that some other client had to fetch: 1 is even, 1/n is one client alone.
    jain: float | None
    #: Of all segments received, the share that came from clients that owned their file from the start.
    origin_share: float | None


class Aborted(msgspec.Struct, frozen=True):
    """Who ended the run before its time, with which exit code and why."""

    culprit: int
    code: int
    reason: str


class Report(msgspec.Struct, frozen=True):
    schema: str
    outcome: Outcome
    elapsed_s: float
    strategy: str | None
    seed: int | None
    clients: list[ClientReport]
    tracker: TrackerReport
    #: [from, to, segments, bytes] that were verified, in order of rank.
    traffic: list[tuple[int, int, int, int]]
    fairness: Fairness
    conformance: list[Finding]
    scenario: str | None
    aborted: Aborted | None
    #: Events behind this report, and events that never came: those make its numbers too small.
    events: int
    events_dropped: int
    #: The traffic by host; None where a client's host was not told.
    hosts: HostTraffic | None
    #: Who was the slowest and why, and what else the health rules say, a sentence each.
    remarks: list[str]
    job: JobReport

    @property
    def segments_moved(self) -> int:
        """Segments that clients verified and stored."""
        return sum(client.downloaded for client in self.clients)


def build(view: SwarmView, findings: Sequence[Finding], *, traffic: bool = True) -> Report:
    """The report of the run that ``view`` has seen, to its end or so far.

    Without its ``traffic``, which is much in a large swarm, it is quickly made.
    """
    clients = [_client(view, client) for _, client in sorted(view.clients.items())]
    header, aborted, hosts = view.header, view.aborted, split(view)
    return Report(
        schema=SCHEMA,
        outcome=_outcome(view, clients),
        elapsed_s=round(view.t if view.ended_at is None else view.ended_at, 6),
        strategy=header.strategy if header else None,
        seed=header.seed if header else None,
        clients=clients,
        tracker=_tracker(view),
        traffic=_traffic(view) if traffic else [],
        fairness=fairness(view),
        conformance=list(findings),
        scenario=header.scenario if header else None,
        aborted=Aborted(aborted.culprit, aborted.code, aborted.reason) if aborted else None,
        events=view.events,
        events_dropped=view.dropped,
        hosts=HostTraffic(*hosts) if hosts is not None else None,
        remarks=[*verdicts(view), *causes(clients)],
        job=job(view),
    )


def interim(header: Stamped) -> Report:
    """What stands for the report until the run has ended: whatever kills it, nothing else remains."""
    view = SwarmView()
    view.apply(header)
    return msgspec.structs.replace(build(view, []), outcome="interrupted")


def to_json(report: Report) -> bytes:
    """The report as one line of JSON, without its newline."""
    return msgspec.json.encode(report)


def to_mapping(report: Report) -> dict[str, Any]:
    """The report as what JSON can say, in the same order."""
    mapping = msgspec.to_builtins(report)
    assert isinstance(mapping, dict)
    return mapping


def exit_code(report: Report) -> int:
    """0 all is there; 1 something wanted could not be had, or a rule is broken; 2 bad input, or nobody got
    anything because clients failed; 3 an internal failure; 128 and the number of the signal that interrupted
    it."""
    aborted = report.aborted
    if report.outcome == "interrupted":
        return aborted.code if aborted is not None else INTERRUPTED
    if report.outcome == "failed":
        return 2 if aborted is not None and aborted.code == 2 else FAILURE
    if report.outcome == "complete":
        return 1 if broken(report.conformance) else 0
    failed = any(client.failed is not None for client in report.clients)
    anything = any(file.complete for client in report.clients for file in client.files)
    return 2 if failed and not anything else 1


def is_interruption(code: int) -> bool:
    """Whether a run was aborted with that code because it was to end: no fault of its own."""
    return code > INTERRUPTED


def broken(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that a rule of the protocol was broken."""
    return [f for f in findings if f.holds is False and f.rule != NOT_OF_THE_PROTOCOL]


def tally(findings: Sequence[Finding]) -> str:
    """``11/11 rules hold``, and how many are broken or not judged."""
    broken = sum(finding.holds is False for finding in findings)
    unjudged = sum(finding.holds is None for finding in findings)
    rest = [f"{broken} broken"] * bool(broken) + [f"{unjudged} not judged"] * bool(unjudged)
    held = len(findings) - broken - unjudged
    hold = f"{held}/{counted(len(findings), 'rule')} {'holds' if len(findings) == 1 else 'hold'}"
    return ", ".join([hold, *rest])


def _traffic(view: SwarmView) -> list[tuple[int, int, int, int]]:
    cells = view.traffic
    return [(pair[0], pair[1], cells[pair][0], cells[pair][1]) for pair in sorted(cells)]


def _tracker(view: SwarmView) -> TrackerReport:
    load = view.load
    return TrackerReport(
        messages=dict(sorted(view.tracker_messages.items())),
        service_median_s=load.service_s(0.5),
        service_p99_s=load.service_s(0.99),
        queue_median=load.queue(0.5),
        queue_p99=load.queue(0.99),
    )


def _client(view: SwarmView, client: ClientView) -> ClientReport:
    return ClientReport(
        rank=client.rank,
        files=[file for name in dict.fromkeys(client.wanted) for file in _files(view, client, name)],
        downloaded=client.received,
        uploaded=client.sent,
        rejects_sent=client.rejects_sent,
        rejects_received=client.rejects_received,
        bytes_down=client.received_bytes,
        bytes_up=client.sent_bytes,
        finished_at_s=rounded(client.finished_at),
        to_fetch=client.to_fetch,
        bytes_to_fetch=client.to_fetch_bytes,
        corrupt_received=client.corrupt,
        bytes_corrupt=client.corrupt_bytes,
        duplicates=client.duplicates,
        bytes_duplicate=client.duplicate_bytes,
        expired=client.expired,
        lost=(client.lost_reason or "no reason was told") if client.lost else None,
        failed=client.failed,
        host=view.hosts.get(client.rank),
        not_kept=[LossReport(loss.what, list(loss.files), loss.count) for loss in client.not_kept],
    )


def _files(view: SwarmView, client: ClientView, name: str) -> list[FileReport]:
    """What became of a wanted file, or of each member of a bundle, which is here when its segment is."""
    whole = _file(view, client, name)
    if name not in view.bundles:
        return [whole]
    held = client.held.get(name, b"")
    return [
        FileReport(
            name=member,
            segments=1,
            verified=int(here),
            complete=here,
            unavailable=None if here else whole.unavailable,
        )
        for index, members in enumerate(view.bundles[name])
        for here in [index < len(held) and held[index] == 1]
        for member in members
    ]


def _file(view: SwarmView, client: ClientView, name: str) -> FileReport:
    held = client.held.get(name)
    known = view.files.get(name)
    segments = len(held) if held is not None else known.segments if known else 0
    return FileReport(
        name=name,
        segments=segments,
        # Counted as bits, which is a hundred times quicker than counting the bytes.
        verified=int.from_bytes(held, "little").bit_count() if held is not None else 0,
        complete=name in client.completed,
        unavailable=why_missing(view, client, name),
    )


def _outcome(view: SwarmView, clients: list[ClientReport]) -> Outcome:
    if view.aborted is not None and is_interruption(view.aborted.code):
        return "interrupted"
    ended = view.outcome in ("complete", "incomplete")
    if view.aborted is not None or not ended:
        return "failed"
    # Where events were dropped, a file may be whole though we never heard so: then RunEnded knows better.
    missing = any(
        file.unavailable is not None or not (file.complete or view.dropped)
        for client in clients
        for file in client.files
    )
    missing |= any(loss.what in MISSING for client in clients for loss in client.not_kept)
    lost = any(client.lost is not None and client.finished_at_s is None for client in clients)
    failed = any(client.failed is not None for client in clients)
    return "incomplete" if view.outcome == "incomplete" or missing or lost or failed else "complete"


def fairness(view: SwarmView) -> Fairness:
    """Of what was received so far."""
    if not view.received:
        return Fairness(None, None)
    given = [
        view.delivered[rank]
        for rank, client in sorted(view.clients.items())
        if view.delivered[rank] or _could_upload(client, view.fetchers)
    ]
    jain = sum(given) ** 2 / (len(given) * sum(x * x for x in given))
    origin = sum(file.given[owner] for file in view.files.values() for owner in file.owners)
    return Fairness(round(jain, 4), round(origin / view.received, 4))


def _could_upload(client: ClientView, fetchers: Counter[str]) -> bool:
    """Whether it held a segment of a file that some other client had to fetch."""
    own = set(client.fetches)
    return any(1 in held and fetchers[name] > (name in own) for name, held in client.held.items())
