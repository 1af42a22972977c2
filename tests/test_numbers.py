"""Every number that is shown is the journal's: recounted by code of its own, at ten moments of ten runs.

``tests.helpers.recount`` reads the journal's lines as plain JSON. What is shown is compared with it within
the rounding that is shown: ``4.2 MB/s`` stands for 4.1 to 4.3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.journal import JournalWriter
from mpi_core.runtime.outputs import open_outputs
from tests.helpers.recount import Client, Line, Run, read
from tests.helpers.recount_limit import finish as finish_of
from tests.helpers.recount_limit import limit as limit_of
from tests.helpers.runs import File, scripted
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared
from tui_torrent.config import SimulateOptions
from tui_torrent.headless import JsonLines, PlainLines
from tui_torrent.simulate import run_simulate
from tui_torrent.view.report import build, to_mapping
from tui_torrent.view.swarm_view import SwarmView

DEMO = Path(__file__).parents[1] / "demo" / "journals"
MOMENTS = 10


# Ten journals ------------------------------------------------------------------------------------


def simulated(path: Path, **options: Any) -> None:
    choices = SimulateOptions(journal=path, interpreted=True, **options)
    run_simulate(choices, open_outputs({"--journal": path}, []), lambda text: None)


def virtual(
    path: Path, swarm: VirtualSwarm, change: Callable[[ev.Event], ev.Event] = lambda event: event
) -> None:
    """A run of the machines over links, its events changed by ``change``."""
    with JournalWriter(path) as writer:
        writer.append([msgspec.structs.replace(s, event=change(s.event)) for s in swarm.run().journal])


def hashes(name: str, segments: int) -> Manifest:
    """A declared file as the classic scenario has it: 32 characters a hash."""
    return Manifest.declared(name, tuple(f"{name}-{at}".ljust(32, "0") for at in range(segments)))


def classic(path: Path) -> None:
    files = [hashes("file1", 60), hashes("file2", 25), hashes("file3", 1)]
    names = [file.name for file in files]
    plans = [Plan(files[:2], ("file3",)), Plan((), names), Plan(files[1:], ("file1", "nobody has it"))]
    plans += [Plan((), names[:2]), Plan((), names)]
    virtual(path, VirtualSwarm(plans, seed=3, faults=Faults(links=[(20_000.0, 20_000.0)] * 6)))


def corrupting(path: Path) -> None:
    plans = [Plan((declared("a", 80),)), Plan((declared("b", 40),), ("a",)), *[Plan((), ("a", "b"))] * 3]
    faults = Faults(
        links=[(40_000.0, 40_000.0)] * 6, corrupt={2: 1.0, 4: 0.2}, dead_at={5: 4.0}, noticed_at={5: 6.0}
    )
    virtual(path, VirtualSwarm(plans, seed=5, faults=faults))


def bundled(path: Path) -> None:
    """Real files: one is a bundle of small ones, which its owner learns of with its INIT_ACK."""
    large, small = declared("large", 50), declared("bundle", 30)
    members = tuple(tuple(f"small/{at}-{which}" for which in range(1 + at % 3)) for at in range(30))

    def change(event: ev.Event) -> ev.Event:
        if isinstance(event, ev.FileRegistered):
            event = msgspec.structs.replace(event, algorithm="blake3")
            return msgspec.structs.replace(event, members=members if event.file == "bundle" else ())
        if isinstance(event, ev.InitSent):
            return ev.InitSent(tuple(owned for owned in event.owned if owned.file != "bundle"))
        if isinstance(event, ev.InitAckReceived) and not event.wanted:
            return ev.InitAckReceived((), (ev.OwnedFile("bundle", 30),))
        return event

    plans = [Plan((large, small)), *[Plan((), ("large", "bundle"))] * 3]
    virtual(path, VirtualSwarm(plans, seed=7, faults=Faults(links=[(30_000.0, 30_000.0)] * 5)), change)


def thousand(path: Path) -> None:
    """A script: a thousand simulated machines take too long for a test."""
    file = File("model.bin", 3, (1, 2), (3, 4, 5, 6))
    with JournalWriter(path) as writer:
        writer.append(scripted(1000, [file], corrupt_every=50, reject_every=37, lost=17))


JOURNALS: dict[str, Callable[[Path], None] | Path] = {
    "demo": DEMO / "demo.jsonl.zst",
    "slow": DEMO / "slow.jsonl.zst",
    "corrupting": DEMO / "corrupting.jsonl.zst",
    "flash-crowd": DEMO / "flash-crowd.jsonl.zst",
    "classic": classic,
    "spoiled-and-dead": corrupting,
    "bundles": bundled,
    "simulated-4": lambda path: simulated(path, clients=3, segments=40, rate=1e6),
    "simulated-slow-60": lambda path: simulated(
        path, clients=59, segments=24, rate=2e6, slow=0.1, corrupt=0.05, dead=0.05, arrivals="poisson"
    ),
    "1000-clients": thousand,
}


@dataclass(frozen=True)
class Moment:
    """A run up to a moment: what was counted, and the view of the same events."""

    name: str
    run: Run
    view: SwarmView
    lines: list[str]
    progress: list[Line]

    @property
    def now(self) -> float:
        return self.run.now


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("journals")

    @cache
    def path_of(name: str) -> Path:
        made = JOURNALS[name]
        if isinstance(made, Path):
            return made
        made(folder / f"{name}.jsonl")
        return folder / f"{name}.jsonl"

    return path_of


@pytest.fixture(scope="module", params=JOURNALS)
def moments(request: pytest.FixtureRequest, journals: Callable[[str], Path]) -> list[Moment]:
    """Ten moments of a run, the last one its end."""
    name = request.param
    lines = read(journals(name))
    events = msgspec.convert([{**line} for line in lines], list[Stamped])
    end = max(line["t"] for line in lines)
    found = []
    for at in range(1, MOMENTS + 1):
        now = end * at / MOMENTS
        view = SwarmView()
        for stamped in events:
            if stamped.t <= now:
                view.apply(stamped)
        plain: list[str] = []
        told: list[str] = []
        PlainLines(plain.append).update(view, now)
        JsonLines(told.append).update(view, now)
        found.append(Moment(name, Run(lines, now), view, plain, [json.loads(line) for line in told]))
    return found


# What is shown, as numbers -------------------------------------------------------------------------

UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "k": 1e3, "M": 1e6, "": 1.0}


def near(shown: str, exact: float) -> bool:
    """Whether a number such as ``4.2 MB``, ``12.3k`` or ``45 %`` is that one, within its last digit."""
    match = re.fullmatch(r"(<?)(\d+(?:\.(\d+))?)\s*([kMG]?B?)(?:/s| segments/s| %| s)?", shown.strip())
    assert match is not None, shown
    unit = UNITS[match[4]]
    if match[1]:
        return 0 < exact < float(match[2]) * unit
    last = unit * 10.0 ** -len(match[3] or "")
    return abs(float(match[2]) * unit - exact) <= last * (1 + 1e-6)


def seconds_of(shown: str) -> tuple[float, float]:
    """A time such as ``4.2 s``, ``1:23.4`` or ``1 h 02``, and how much its last digit stands for."""
    if match := re.fullmatch(r"(\d+)(\.\d)? s", shown):
        return float(match[1] + (match[2] or "")), 0.1 if match[2] else 1.0
    if match := re.fullmatch(r"(\d+) h (\d\d)", shown):
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]), 60.0
    *hours, minutes, seconds = shown.split(":")
    return 3600.0 * int(hours[0] if hours else 0) + 60.0 * int(minutes) + float(
        seconds
    ), 0.1 if "." in seconds else 1.0


def is_time(shown: str, exact: float) -> bool:
    value, last = seconds_of(shown.strip())
    return abs(value - exact) <= last * (1 + 1e-6)


def equal(shown: float | None, exact: float | None) -> bool:
    if shown is None or exact is None:
        return shown is exact
    return abs(shown - exact) <= 2e-6 + 1e-9 * abs(exact)


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
    r"(?:  finish(?:ed at| ≈) (?P<finish>[\d:. sh]+?)"
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
            if limit is not None:
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


def assert_amount(shown: str, part: int, whole: int) -> None:
    """``42 of 92 MB``, or ``119 of 264 segments``."""
    some, _, rest = shown.partition(" of ")
    number, unit = rest.split(" ")
    if unit.startswith("segment"):
        assert (int(some), int(number)) == (part, whole)
    else:
        assert near(f"{some} {unit}", part)
        assert near(f"{number} {unit}", whole)


def mean(run: Run) -> float:
    finish = finish_of(run)
    assert finish is not None
    amount = run.sum("received_bytes" if run.real else "received")
    return amount / (finish[0] - (run.began or 0.0))


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
