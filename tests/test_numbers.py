"""Every number that is shown is the journal's: recounted by code of its own, at ten moments of ten runs.

``tests.helpers.recount`` reads the journal's lines as plain JSON. What is shown is compared with it within
the rounding that is shown: ``4.2 MB/s`` stands for 4.1 to 4.3. Here is what is written; for the screens see
``test_numbers_of_screens``.
"""

from __future__ import annotations

import re
from math import inf

import pytest

from tests.helpers.moments import JOURNALS, Moment, assert_amount, equal, is_time, mean, moments_of, near
from tests.helpers.recount import Client, Line, Run
from tests.helpers.recount_limit import finish as finish_of
from tests.helpers.recount_limit import limit as limit_of
from tui_torrent.view.report import build, to_mapping


@pytest.fixture(scope="module", params=JOURNALS)
def moments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    return moments_of(request.param, tmp_path_factory.mktemp("journal"))


# Progress ------------------------------------------------------------------------------------------


def test_progress_objects(moments: list[Moment]) -> None:
    for moment in moments:
        run = moment.run
        (told,) = moment.progress
        clients = run.clients.values()
        assert told["clients"] == len(clients)
        assert told["done"] == sum(client.done for client in clients)
        assert told["fetching"] == sum(bool(client.fetches) for client in clients)
        assert told["seeds"] == sum(client.seed for client in clients)
        assert told["ready"] == sum(client.said not in ("starting", "hashing") for client in clients)
        assert (told["segments"], told["segments_wanted"]) == (run.sum("received"), run.sum("to_fetch"))
        assert (told["bytes"], told["bytes_wanted"]) == (run.sum("received_bytes"), run.sum("to_fetch_bytes"))
        assert told["hashed_bytes"] == sum(client.hashed[0] for client in clients)
        assert told["share_bytes"] == sum(client.hashed[1] for client in clients)
        assert told["rejects"] == run.sum("rejects_sent")
        assert told["corrupt"] == sum(len(client.corrupt) for client in clients)
        assert told["duplicates"] == sum(len(client.duplicates) for client in clients)
        assert told["lost"] == sum(client.lost is not None for client in clients)
        assert told["unavailable"] == sum(len(client.unavailable) for client in clients)
        real = run.real
        run.real = True
        assert equal(told["rate"], sum(run.rate(client.down) for client in clients) if real else 0.0)
        run.real = False
        assert equal(told["segments_rate"], sum(run.rate(client.down) for client in clients))
        run.real = real
        if told["phase"] == "swarm":
            assert told["share"] == pytest.approx(run.share, abs=2e-9)
        finish, limit = finish_of(run), limit_of(run)
        assert told["finish_s"] == (None if finish is None or finish[0] == inf else pytest.approx(finish[0]))
        assert told["best_possible_s"] == (
            None if limit is None else pytest.approx((run.began or 0.0) + limit)
        )


LINE = re.compile(
    r"\[ *(?P<now>.+?)\] (?P<share>\S+ %)  (?P<amount>.+?)  (?P<done>\d+)/(?P<fetching>\d+) done"
    r"(?:, (?P<seeds>\d+) seeds?)?  (?P<rate>\S+ \S+?/s)(?P<mean> on average)?"
    r"(?:  (?:(?P<end>finished|ended) at|finish ≈) (?P<finish>[\d:. sh]+?)"
    r"(?:, (?P<best>\S+ %) of the best possible)?(?: \(limit: (?P<limit>.+?)\))?)?"
    r"(?:  clients? .* stands? still)?(?P<troubles>(?:  \d+ [a-z ]+)*)\n"
)


def test_plain_lines(moments: list[Moment]) -> None:
    for moment in moments:
        run = moment.run
        (line,) = moment.lines
        if moment.progress[0]["phase"] != "swarm":
            assert line.split("] ")[1].startswith(("starting", "hashing"))
            continue
        found = LINE.fullmatch(line)
        assert found is not None, line
        clients = run.clients.values()
        assert is_time(found["now"], run.now)
        assert near(found["share"], 100 * run.share)
        amount = ("received_bytes", "to_fetch_bytes") if run.real else ("received", "to_fetch")
        assert_amount(found["amount"], *(run.sum(name) for name in amount))
        assert int(found["done"]) == sum(client.done for client in clients)
        assert int(found["fetching"]) == sum(bool(client.fetches) for client in clients)
        assert int(found["seeds"] or 0) == sum(client.seed for client in clients)
        finish, limit = finish_of(run), limit_of(run)
        ended = finish is not None and finish[1]
        assert bool(found["mean"]) == ended
        assert near(
            found["rate"], mean(run) if ended else sum(run.rate(client.down) for client in clients)
        ), line
        if finish is None or finish[0] == inf:
            assert found["finish"] is None
        else:
            assert is_time(found["finish"], finish[0])
            all_done = found["done"] == found["fetching"]
            assert found["end"] == (None if not ended else "finished" if all_done else "ended")
            if limit is not None and not (ended and found["done"] == "0"):
                assert near(found["best"], min(100.0, 100 * limit / (finish[0] - (run.began or 0.0))))
        troubles = {
            "reject": run.sum("rejects_sent"),
            "corrupt segment": sum(len(client.corrupt) for client in clients),
            "duplicate": sum(len(client.duplicates) for client in clients),
            "unavailable file": sum(len(client.unavailable) for client in clients),
            "lost client": sum(client.lost is not None for client in clients),
        }
        expected = [f"{n} {what}{'s' * (n != 1)}" for what, n in troubles.items() if n]
        assert found["troubles"].split("  ")[1:] == expected


# The report ----------------------------------------------------------------------------------------


def test_the_report(moments: list[Moment]) -> None:
    for moment in moments:
        run, report = moment.run, to_mapping(build(moment.view, []))
        assert report["events"] == run.events
        assert equal(report["elapsed_s"], run.last if run.ended is None else run.ended)
        assert [client["rank"] for client in report["clients"]] == sorted(run.clients)
        for told in report["clients"]:
            assert_client(told, run, run.clients[told["rank"]])
        cells = run.traffic()
        assert [tuple(cell) for cell in report["traffic"]] == [
            (*pair, *cells[pair]) for pair in sorted(cells)
        ]
        jain, origin = run.fairness()
        for shown, exact in (
            (report["fairness"]["jain"], jain),
            (report["fairness"]["origin_share"], origin),
        ):
            assert shown == (None if exact is None else pytest.approx(exact, abs=6e-5))
        assert report["tracker"]["messages"] == dict(run.tracker)
        assert_job(report["job"], run, report)
        if report["hosts"] is not None:
            same = [cells[pair] for pair in cells if run.hosts[pair[0]] == run.hosts[pair[1]]]
            assert report["hosts"]["same_segments"] == sum(segments for segments, _ in same)
            assert report["hosts"]["same_bytes"] == sum(size for _, size in same)
            both = report["hosts"]["same_segments"] + report["hosts"]["other_segments"]
            assert both == run.sum("received")
        else:
            assert not cells or any(rank not in run.hosts for pair in cells for rank in pair) or not run.hosts


def assert_client(told: Line, run: Run, client: Client) -> None:
    assert (told["to_fetch"], told["bytes_to_fetch"]) == (client.to_fetch, client.to_fetch_bytes)
    assert (told["downloaded"], told["bytes_down"]) == (client.received, client.received_bytes)
    assert (told["uploaded"], told["bytes_up"]) == (len(client.sent), sum(size for _, size in client.up))
    for name, payloads in (("corrupt", client.corrupt), ("duplicate", client.duplicates)):
        segments = told["corrupt_received" if name == "corrupt" else "duplicates"]
        assert (segments, told[f"bytes_{name}"]) == (len(payloads), sum(size for _, size in payloads))
    assert (told["rejects_sent"], told["rejects_received"]) == (client.rejects_sent, client.rejects_received)
    assert (told["expired"], told["lost"]) == (client.expired, client.lost)
    assert equal(told["finished_at_s"], client.finished)
    expected: list[tuple[str, int, int, bool, str | None]] = []
    for name in dict.fromkeys(client.wanted):
        held = client.holds(name)
        segments = client.started.get(name, run.files.get(name, (client.owned.get(name, 0), 0)))[0]
        complete, why = name in client.completed, client.unavailable.get(name)
        if name in run.members:
            for at, members in enumerate(run.members[name]):
                expected += [(member, 1, int(at in held), at in held, None) for member in members]
        else:
            expected.append((name, segments, len(held), complete, why))
    assert [tuple(file.values()) for file in told["files"]] == expected


def assert_job(told: Line, run: Run, report: Line) -> None:
    for name in (
        "to_fetch",
        "bytes_to_fetch",
        "downloaded",
        "bytes_down",
        "corrupt_received",
        "bytes_corrupt",
    ):
        assert told[name] == sum(client[name] for client in report["clients"])
    for name in ("duplicates", "bytes_duplicate"):
        assert told[name] == sum(client[name] for client in report["clients"])
    assert told["share"] == pytest.approx(run.share, abs=2e-9)
    assert told["done"] == sum(client.done for client in run.clients.values())
    assert told["fetching"] == sum(bool(client.fetches) for client in run.clients.values())
    assert told["seeds"] == sum(client.seed for client in run.clients.values())
    assert equal(told["began_s"], run.began)
    # The report speaks of the moment of its last event.
    now, run.now = run.now, run.last
    finish, limit = finish_of(run), limit_of(run)
    run.now = now
    assert equal(told["finished_s"], finish[0] if finish is not None and finish[1] else None)
    assert equal(told["best_possible_s"], None if limit is None else (run.began or 0.0) + limit)
