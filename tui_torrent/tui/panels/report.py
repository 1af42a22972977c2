"""The report at the end of a run: what came of it, who did what, how even it was, which rule broke.

It shows the numbers of ``view.report`` and computes none of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    clean,
    crop,
    dashed,
    part_bar,
    right,
    rule,
    share_text,
)
from tui_torrent.tui.panels.tabs import bar
from tui_torrent.tui.panels.text import definition, wrapped
from tui_torrent.view.headline import amount_text, done_text, finish_text, headline, pace_text
from tui_torrent.view.ledger import Finding
from tui_torrent.view.losses import MISSING, sentence
from tui_torrent.view.problems import causes, failures, named
from tui_torrent.view.report import ClientReport, Report, broken, exit_code, tally
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import bytes_text, moment_text, percent_text, time_text
from tui_torrent.view.words import counted, some, who

#: Which column goes first when the width shrinks; the bar at the end goes before all of them.
DROPPED = ("duplicates", "corrupt", "rejects", "got bytes", "sent bytes", "sent")

_WIDTHS = {
    "client": 7,
    "finish": 10,
    "got": 8,
    "got bytes": 8,
    "sent": 8,
    "sent bytes": 8,
    "rejects": 8,
    "corrupt": 8,
    "duplicates": 11,
}
#: Bytes stand beside their segments, below one title.
_TITLES = {"got bytes": "", "sent bytes": ""}

#: The bar is drawn where it has this many cells, and gets no more than that many.
_BAR, _LONGEST_BAR = 10, 50

#: The width of the figures of the balance.
_TERM = 6

#: So many lost clients and missing files are listed.
_NAMES = 12


def report_lines(
    report: Report,
    view: SwarmView,
    title: str,
    width: int,
    so_far: bool = False,
    cut_off: bool = False,
    paused: bool = False,
) -> list[Line]:
    """The whole report, as long as it comes; the screen scrolls it.

    ``so_far``: the run is not over. ``cut_off``: nor will its end be known, for no more events come.
    ``paused``: the run's time stands still.
    """
    so_far |= cut_off
    outcome = "cut off" if cut_off else "so far" if so_far else report.outcome
    lines = [bar(title, outcome, report.elapsed_s, width, paused), EMPTY]
    mark, style = ("✓", "done") if exit_code(report) == 0 else ("✗", "trouble")
    text = _verdict(report)
    if so_far and report.aborted is None:
        mark, style, text = "…", "busy", _so_far(view)
    if cut_off:
        mark, style, text = "✗", "trouble", f"No more events come, and the run had not ended. {_so_far(view)}"
    lines += wrapped(f"{mark} {text}", width, 1, style)
    lines += wrapped(_job(view, report.elapsed_s), width, 3)
    losses = [
        (named(client.rank, client.host), loss) for client in report.clients for loss in client.not_kept
    ]
    not_there = [sentence(who, loss) for who, loss in losses if loss.what in MISSING]
    wrong = [*_lost(report), *not_there, *_missing(report, so_far)]
    if wrong:
        lines += [EMPTY, rule("what went wrong", "", width)]
        for text in wrong:
            lines += definition("✗", "trouble", text, 1, width)
    told_above = causes(report.clients)
    remarks = [remark for remark in report.remarks if remark not in told_above]
    remarks += [sentence(who, loss) for who, loss in losses if loss.what not in MISSING]
    if remarks:
        lines += [EMPTY, rule("the slowest, and what else stands out", "", width)]
        for text in remarks:
            lines += definition("!", "rare", f"{clean(text[:1].upper() + text[1:])}.", 1, width)
    lines += [EMPTY, rule("clients", _totals(report, view), width), *_table(report, view, width, so_far)]
    lines += [EMPTY, rule("balance", "", width), *_balance(report, view, width)]
    if report.conformance:
        lines += [EMPTY, rule("protocol", tally(report.conformance), width)]
        lines += _rules(report.conformance, width)
    return [crop(line, width) for line in lines]


def _so_far(view: SwarmView) -> str:
    done = f"{view.done} of {counted(view.fetching, 'client')}"
    have = "has" if view.done == 1 else "have"
    share = percent_text(view.share_done)
    return f"So far {share} of all that is to be fetched is there, and {done} {have} all."


def _job(view: SwarmView, now: float) -> str:
    """How much, how fast, until when, and what set the limit."""
    line = headline(view, now)
    told = [amount_text(line), done_text(line), pace_text(line) if line.rate else "", finish_text(line)]
    limit = f"; limit: {clean(line.binds)}" if line.binds else ""
    return ", ".join(filter(None, told)) + limit if line.to_fetch else ""


def _verdict(report: Report) -> str:
    if report.aborted is not None:
        return f"Aborted by {who(report.aborted.culprit)}: {clean(report.aborted.reason)}"
    if report.outcome == "complete" and broken(report.conformance):
        return "Everything that was wanted is there, but the protocol was broken; the rules below say where."
    if report.outcome == "complete":
        return "Everything that was wanted is there, and every segment is verified."
    if report.outcome == "incomplete":
        return "Not everything that was wanted could be had; what is there is verified."
    if any(finding.holds is False for finding in report.conformance):
        return "The protocol was broken; the rules below say where."
    return "The run failed before everything was there."


def _totals(report: Report, view: SwarmView) -> str:
    text = f"{counted(report.segments_moved, 'segment')} received"
    if view.real_bytes:
        text += f", {bytes_text(sum(client.bytes_down for client in report.clients))}"
    return text


def _table(report: Report, view: SwarmView, width: int, so_far: bool) -> list[Line]:
    widths = dict(_WIDTHS)
    if not view.real_bytes:
        del widths["got bytes"], widths["sent bytes"]
    if not any(client.corrupt_received for client in report.clients):
        del widths["corrupt"]
    if not any(client.duplicates for client in report.clients):
        del widths["duplicates"]
    for column in DROPPED:
        if sum(widths.values()) > width:
            widths.pop(column, None)
    room = width - sum(widths.values()) - len("  <0.1 %  ")
    bar = min(room, _LONGEST_BAR) if room >= _BAR else 0
    head = "".join(right(_TITLES.get(name, name), size) for name, size in widths.items())
    lines: list[Line] = [(Span(f"{head}   share of all" if bar else head, "head"),)]
    total = max(1, view.received)
    owners = {client.rank for client in view.clients.values() if client.owned}
    for client in report.clients:
        owner = client.rank in owners
        shown = _cells(client, so_far, owner)
        spans = [Span(right(shown[name][0], size), shown[name][1]) for name, size in widths.items()]
        if bar:
            share = view.delivered[Rank(client.rank)] / total
            spans.append(Span(f"  {right(share_text(share), 6)} ", "dim"))
            spans.append(Span(part_bar(share, bar), "own" if owner else "gauge"))
        lines.append(tuple(spans))
    return lines


def _cells(client: ClientReport, so_far: bool, owner: bool) -> dict[str, tuple[str, str]]:
    """Text and style of each column."""
    whole = all(file.complete for file in client.files)
    if client.lost is not None or client.failed is not None:
        finished = ("lost", "trouble")
    elif client.finished_at_s is not None and whole:
        finished = (f"at {time_text(client.finished_at_s)}" if client.files else "–", "done")
    elif so_far:
        finished = ("not yet", "dim")
    else:
        finished = ("not all", "trouble")
    rejects = client.rejects_sent + client.rejects_received
    return {
        "client": (f"{client.rank}{'*' if owner else ' '}", "strong"),
        "finish": finished,
        "got": _or_dash(client.downloaded, "text"),
        "sent": _or_dash(client.uploaded, "text"),
        "got bytes": (bytes_text(client.bytes_down) if client.downloaded else "", "dim"),
        "sent bytes": (bytes_text(client.bytes_up) if client.uploaded else "", "dim"),
        "rejects": _or_dash(rejects, "text"),
        "corrupt": _or_dash(client.corrupt_received, "trouble"),
        "duplicates": _or_dash(client.duplicates, "rare"),
    }


def _or_dash(number: int, style: str) -> tuple[str, str]:
    return dashed(number), style if number else "dim"


def _balance(report: Report, view: SwarmView, width: int) -> list[Line]:
    lines: list[Line] = []
    fairness = report.fairness
    if fairness.jain is None or fairness.origin_share is None:
        lines += wrapped("No segment was received.", width, 2)
    else:
        number = sum(bool(client.owned) for client in view.clients.values())
        owners = "the original owner (*) of its files"
        if number != 1:
            owners = f"the {number} original owners (*) of their files"
        share = percent_text(fairness.origin_share)
        lines += definition(share, "strong", f"of all segments came from {owners}", _TERM, width)
        meaning = "Jain's index of fairness: 1 if all gave alike, near 0 if one gave all"
        lines += definition(f"{fairness.jain:.2f}", "strong", meaning, _TERM, width)
    hosts = report.hosts
    if hosts is not None and hosts.other_segments:
        part = hosts.other_segments / (hosts.same_segments + hosts.other_segments)
        crossed = "of all segments went from host to host, the others stayed within one"
        lines += definition(percent_text(part), "strong", crossed, _TERM, width)
    service, slow = report.tracker.service_median_s, report.tracker.service_p99_s
    if service is not None and slow is not None and report.tracker.queue_p99 is not None:
        took = f"is what 99 % of the tracker's messages took at most (median {moment_text(service)})"
        waited = (
            f"; at most {report.tracker.queue_p99:.0f} waited"
            if report.tracker.queue_p99
            else "; none waited"
        )
        lines += definition(moment_text(slow), "strong", took + waited, _TERM, width)
    if report.events_dropped:
        lost = "status events were lost on their way here: the figures may be too small by them"
        lines += definition(str(report.events_dropped), "trouble", lost, _TERM, width)
    return lines


def _lost(report: Report) -> list[str]:
    return [clean(line) for line in failures(report.clients)]


def _missing(report: Report, so_far: bool) -> list[str]:
    found: dict[tuple[str, str], list[int]] = {}
    for client in report.clients:
        for file in client.files if client.failed is None else ():
            if file.unavailable is not None:
                found.setdefault((file.name, file.unavailable), []).append(client.rank)
            elif not file.complete and not so_far:
                why = f"{file.verified} of {file.segments} segments are there"
                found.setdefault((file.name, why), []).append(client.rank)
    texts = []
    for (name, reason), ranks in sorted(found.items())[:_NAMES]:
        texts.append(f"{clean(name)} could not be had by {some(ranks)}: {clean(reason)}")
    if len(found) > _NAMES:
        texts.append(f"and {len(found) - _NAMES} more files")
    return texts


def _rules(findings: Sequence[Finding], width: int) -> list[Line]:
    marks = {True: ("✓", "done"), False: ("✗", "trouble"), None: ("?", "rare")}
    lines: list[Line] = []
    for finding in sorted(findings, key=lambda finding: finding.holds is not False):
        mark, style = marks[finding.holds]
        text = finding.rule if finding.holds else f"{finding.rule}. {finding.detail}"
        lines += definition(mark, style, clean(text), 1, width)
    return lines
