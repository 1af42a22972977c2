"""The report: its schema, what became of the run, how fair it was, and the exit code that follows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import SIZE, Plan, Telling, alter, journal, lawful, place, plans
from tests.helpers.runs import judged
from tui_torrent.view.ledger import Finding
from tui_torrent.view.problems import problems
from tui_torrent.view.report import Report, build, exit_code, tally, to_json
from tui_torrent.view.swarm_view import SwarmView

Told = dict[int, list[Telling]]

#: Two clients: the first seeds, the second fetches all of it.
PAIR = Plan(files={"f": 4}, owns=(("f",), ()), wants=((), ("f",)), every=10, trouble=False)
#: The second also wants what nobody has.
GHOST = Plan(files={"f": 4}, owns=(("f",), ()), wants=((), ("f", "ghost")), every=10, trouble=False)


def report_of(told: Told, seed: int = 0) -> Report:
    return judged(journal(told, seed))


def uploads(*numbers: int, owner: int = 1, outsiders: int = 0) -> Report:
    """So many segments come from client *i*, of a file that ``owner`` has and all others want."""
    clients = len(numbers) + outsiders
    view, seqs = SwarmView(), dict.fromkeys(range(clients + 1), -1)

    def tell(rank: int, event: AnyEvent) -> None:
        seqs[rank] += 1
        view.apply(Stamped(1.0, Rank(rank), seqs[rank], event))

    tell(0, ev.RunStarted(1, clients, "", "swarm", 0, 10, 8))
    ranks = range(1, len(numbers) + 1)
    for rank in ranks:
        owned = rank == owner
        tell(rank, ev.InitSent((ev.OwnedFile("f", 9),) if owned else ()))
        tell(rank, ev.InitAckReceived(() if owned else ("f",)))
        if not owned:
            tell(rank, ev.DownloadStarted("f", 9, 9 * SIZE))
    for source, number in zip(ranks, numbers, strict=True):
        others = [rank for rank in ranks if rank != source]
        for at in range(number):
            stored = ev.SegmentStored(Rank(source), "f", SegmentIndex(at), SIZE, "")
            tell(others[at % len(others)], stored)
    for rank in range(len(numbers) + 1, clients + 1):
        tell(rank, ev.InitSent((ev.OwnedFile("of no use", 5),)))
        tell(rank, ev.InitAckReceived(()))
    return build(view, [])


# Schema ----------------------------------------------------------------------------------------


def test_the_report_has_the_documented_schema() -> None:
    report: dict[str, Any] = json.loads(to_json(report_of(lawful(PAIR))))
    assert list(report)[:10] == [
        "schema",
        "outcome",
        "elapsed_s",
        "strategy",
        "seed",
        "clients",
        "tracker",
        "traffic",
        "fairness",
        "conformance",
    ]
    assert list(report["clients"][1])[:9] == [
        "rank",
        "files",
        "downloaded",
        "uploaded",
        "rejects_sent",
        "rejects_received",
        "bytes_down",
        "bytes_up",
        "finished_at_s",
    ]
    assert report["schema"] == "tui_torrent.report/2"
    assert (report["outcome"], report["strategy"], report["seed"]) == ("complete", "swarm", 7)
    file = {"name": "f", "segments": 4, "verified": 4, "complete": True, "unavailable": None}
    assert report["clients"][1]["files"] == [file]
    assert report["traffic"] == [[1, 2, 4, 4 * SIZE]]
    assert report["fairness"] == {"jain": 1.0, "origin_share": 1.0}
    assert {tuple(finding) for finding in report["conformance"]} == {("rule", "holds", "detail")}
    messages = {"INIT": 2, "INIT_ACK": 2, "SWARM_REQUEST": 1, "SWARM_RESPONSE": 1}
    assert report["tracker"]["messages"] == messages | {"FILE_COMPLETE": 1, "ALL_COMPLETE": 2, "STOP": 2}


def test_the_run_lasts_until_its_outcome() -> None:
    events = journal(lawful(PAIR))
    assert judged(events).elapsed_s == events[-1].t
    assert judged(events[:-1]).elapsed_s == max(event.t for event in events[:-1])


@given(plans(), st.integers(0, 2**32), st.integers(0, 1))
def test_the_numbers_agree_with_each_other(plan: Plan, seed: int, dies: int) -> None:
    report = report_of(lawful(plan, seed, dies), seed)
    assert [client.rank for client in report.clients] == list(range(1, plan.clients + 1))
    assert sum(cell[2] for cell in report.traffic) == report.segments_moved
    assert sum(cell[3] for cell in report.traffic) == sum(c.bytes_down for c in report.clients)
    came = [client.downloaded + client.corrupt_received + client.duplicates for client in report.clients]
    assert sum(came) == sum(client.uploaded for client in report.clients)
    assert report.traffic == sorted(report.traffic)
    for client in report.clients:
        owned = plan.owns[client.rank - 1]
        fetched = sum(file.verified for file in client.files if file.name not in owned)
        assert fetched == client.downloaded == sum(c[2] for c in report.traffic if c[1] == client.rank)
        assert all(file.verified == file.segments for file in client.files if file.complete)
    for share in (report.fairness.jain, report.fairness.origin_share):
        assert (share is None) == (not report.traffic)
        assert share is None or 0 <= share <= 1
    assert report.outcome != "failed"
    assert (report.outcome == "complete") == (problems(report) == [])


def test_a_file_wanted_twice_is_listed_once() -> None:
    told = lawful(PAIR)
    alter(told, place(told, ev.InitAckReceived, rank=2), wanted=("f", "f"))
    assert [file.name for file in report_of(told).clients[1].files] == ["f"]


# Outcome and exit code -------------------------------------------------------------------------


def test_all_there() -> None:
    report = report_of(lawful(PAIR))
    assert (report.outcome, exit_code(report), problems(report)) == ("complete", 0, [])


def test_a_file_that_nobody_has_is_named() -> None:
    report = report_of(lawful(GHOST))
    assert (report.outcome, exit_code(report)) == ("incomplete", 1)
    assert problems(report) == ["client 2 on n0: 'ghost' unavailable: nobody owns it"]
    assert [file.complete for file in report.clients[1].files] == [True, False]


def test_a_lost_client_leaves_the_run_incomplete() -> None:
    told = lawful(PAIR)
    at = place(told, ev.SegmentStored, rank=2, nth=1)[1]
    del told[2][at:]
    told[0] = [t for t in told[0] if getattr(t.event, "client", 0) != 2 or not isinstance(t.event, LATE)]
    told[0].insert(
        place(told, ev.StopSent)[1], Telling(told[0][-1].t, ev.ClientLost(Rank(2), "silent for 60 s"))
    )
    report = report_of(told)
    assert (report.outcome, exit_code(report)) == ("incomplete", 1)
    assert problems(report)[0] == "client 2 on n0 was lost: silent for 60 s; it lacks 'f'"


LATE = (ev.FileCompleteReceived, ev.AllCompleteReceived)


@pytest.mark.parametrize(("code", "exits"), [(2, 2), (3, 3)])
def test_an_aborted_run_leaves_with_its_code(code: int, exits: int) -> None:
    told = lawful(PAIR)
    told[0].insert(1, Telling(told[0][0].t, ev.RunAborted(Rank(2), code, "in2.txt:1: expected a number")))
    alter(told, place(told, ev.RunEnded), outcome="failed")
    report = report_of(told)
    assert (report.outcome, exit_code(report)) == ("failed", exits)
    assert "aborted by client 2: in2.txt:1: expected a number" in problems(report)


def test_an_interrupted_run_failed() -> None:
    report = judged(journal(lawful(PAIR))[:-1])
    assert (report.outcome, exit_code(report)) == ("failed", 3)


def test_a_run_that_has_everything_and_breaks_a_rule_leaves_with_1_and_says_so() -> None:
    told = lawful(PAIR)
    alter(told, place(told, ev.SegmentStored), digest="something else")
    report = report_of(told)
    assert (report.outcome, exit_code(report)) == ("complete", 1)
    assert problems(report)[0].startswith("broken rule: each stored segment matches its hash. Line ")


def test_lost_events_do_not_fail_the_run() -> None:
    told = lawful(PAIR)
    rank, at = place(told, ev.FileCompleted, rank=2)
    told[rank][at] = Telling(told[rank][at].t, ev.EventsDropped(1))
    report = report_of(told)
    assert (report.outcome, exit_code(report), report.events_dropped) == ("complete", 0, 1)
    assert "1 event got lost on the way here: the numbers may be too small by that" in problems(report)


def test_the_outcome_may_know_more_than_the_events() -> None:
    told = lawful(PAIR)
    alter(told, place(told, ev.RunEnded), outcome="incomplete")
    assert exit_code(report_of(told)) == 1
    alter(told, place(told, ev.RunEnded), outcome="failed")
    assert exit_code(report_of(told)) == 3


# Fairness --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "jain", "origin"),
    [
        ((5, 5, 5, 5), 1.0, 0.25),
        ((8, 0, 0, 0), 0.25, 1.0),
        ((2, 1, 1), 0.8889, 0.5),
        ((0, 3), 0.5, 0.0),
    ],
)
def test_fairness_is_jains_index_of_the_uploads(sent: tuple[int, ...], jain: float, origin: float) -> None:
    fairness = uploads(*sent).fairness
    assert (fairness.jain, fairness.origin_share) == (jain, origin)


def test_nothing_moved_nothing_fair() -> None:
    fairness = uploads(0, 0).fairness
    assert (fairness.jain, fairness.origin_share) == (None, None)


def test_who_had_nothing_that_others_want_does_not_count() -> None:
    assert uploads(4, 4, outsiders=3).fairness.jain == 1.0


def test_the_tally_counts_what_holds_and_what_is_open() -> None:
    findings = [Finding("a", True, ""), Finding("b", False, ""), Finding("c", None, "")]
    assert tally(findings[:1]) == "1/1 rule holds"
    assert tally(findings) == "1/3 rules hold, 1 broken, 1 not judged"
