"""What is said without a screen: often enough, not too often, and all of it."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.errors import one_line
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.lawful import SIZE, Plan, journal, lawful, plans
from tui_torrent.headless import (
    HEARTBEAT,
    SHARE,
    JsonLines,
    PlainLines,
)
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.report import build, to_json
from tui_torrent.view.swarm_view import SwarmView

LINE = re.compile(r"\[ *(\d+\.\d) s\] (\S.*)\n")


class Scene:
    """A view that a test moves on, and what is written about it."""

    def __init__(
        self, clients: int = 2, segments: int = 100, algorithm: str = "declared", rate: float = 0.0
    ) -> None:
        self.lines: list[str] = []
        self.flushes = 0
        self.plain = PlainLines(self.lines.append, self._flush)
        self.view = SwarmView()
        self.seqs: dict[int, int] = {}
        self.segments = segments
        self.algorithm = algorithm
        self.now = 0.0
        links = (ev.Links(Rank(1), Rank(clients), up=rate),) if rate else ()
        self.tell(0, ev.RunStarted(1, clients, "demo", "swarm", 7, 10, 8, links))

    def _flush(self) -> None:
        self.flushes += 1

    def tell(self, rank: int, *events: AnyEvent) -> None:
        for event in events:
            seq = self.seqs[rank] = self.seqs.get(rank, -1) + 1
            self.view.apply(Stamped(self.now, Rank(rank), seq, event))

    def begin(self) -> None:
        """Client 1 owns a file, client 2 begins to fetch it."""
        n = self.segments
        self.tell(1, ev.InitSent((ev.OwnedFile("f", n),)), ev.InitAckReceived(()), ev.AllCompleted())
        self.tell(0, ev.FileRegistered("f", n * SIZE, n, self.algorithm, ()))  # type: ignore[arg-type]
        self.tell(2, ev.InitSent(()), ev.InitAckReceived(("f",)), ev.DownloadStarted("f", n, n * SIZE))

    def store(self, *indices: int) -> None:
        for index in indices:
            self.tell(2, ev.SegmentStored(Rank(1), "f", SegmentIndex(index), SIZE, ""))

    def at(self, now: float) -> str:
        """What is said at that time, without its newline."""
        before = len(self.lines)
        self.now = now
        self.plain.update(self.view, now)
        return "".join(self.lines[before:]).rstrip("\n")


# Lines -----------------------------------------------------------------------------------------


def test_the_lines_of_a_run() -> None:
    scene = Scene()
    assert scene.at(0.0) == "[   0.0 s] starting  0/2 clients ready  demo  strategy swarm, seed 7"
    scene.begin()
    assert scene.at(0.2) == "[   0.2 s] 0 %  0 of 100 segments  0/1 done, 1 seed  0 segments/s"
    scene.store(*range(63))
    line = "[  12.3 s] 63 %  63 of 100 segments  0/1 done, 1 seed  0 segments/s"
    assert scene.at(12.3).startswith(line)


def test_a_line_says_when_all_are_done_and_how_near_to_the_best_that_is() -> None:
    """100 segments of 100 bytes come over a link that the scenario bounds at 1000 bytes a second."""
    scene = Scene(algorithm="blake3", rate=1000.0)
    scene.begin()
    bound = "(limit: the uplink of client 1, the only seed of f)"
    assert scene.at(0.0).endswith("  0 of 10 kB  0/1 done, 1 seed  0 B/s"), "nothing has come: no forecast"
    for second in range(6):
        scene.now = second + 0.4
        scene.store(*range(8 * second, 8 * second + 8))
    line = "[   6.0 s] 48 %  4 of 10 kB  0/1 done, 1 seed  800 B/s  "
    assert scene.at(6.0) == f"{line}finish ≈ 12 s, 80 % of the best possible {bound}"
    scene.now = 12.0
    scene.store(*range(48, 100))
    scene.tell(2, ev.FileCompleted("f"), ev.AllCompleted())
    line = "[  12.0 s] 100 %  10 of 10 kB  1/1 done, 1 seed  833 B/s on average  "
    assert scene.at(12.0) == f"{line}finished at 12.0 s, 83 % of the best possible {bound}"


def test_no_share_is_told_before_it_is_known_what_all_want() -> None:
    scene = Scene(clients=3)
    scene.begin()
    scene.store(*range(100))
    assert scene.at(0.2) == "[   0.2 s] starting  2/3 clients ready  demo  strategy swarm, seed 7"
    scene.tell(3, ev.InitAckReceived(("f",)))
    assert scene.at(0.3) == ""
    scene.tell(3, ev.DownloadStarted("f", 100, 100 * SIZE))
    assert scene.at(0.4).startswith("[   0.4 s] 50 %  100 of 200 segments  0/2 done, 1 seed")


def test_who_comes_later_is_not_waited_for() -> None:
    scene = Scene(clients=3)
    scene.begin()
    scene.store(*range(50))
    assert scene.at(1.5).startswith("[   1.5 s] 50 %  50 of 100 segments  0/1 done, 1 seed")


def test_what_a_client_owns_is_no_progress() -> None:
    scene = Scene(clients=3)
    scene.begin()
    scene.tell(3, ev.InitSent((ev.OwnedFile("f", 100),)), ev.InitAckReceived(("f",)), ev.AllCompleted())
    assert scene.at(1.5).startswith("[   1.5 s] 0 %  0 of 100 segments  0/1 done, 2 seeds")


def test_hashing_is_told_in_bytes() -> None:
    scene = Scene()
    scene.tell(1, ev.ShareHashed(43 * 10**6, 10**8))
    scene.tell(2, ev.InitSent(()))
    assert scene.at(2.1) == "[   2.1 s] hashing 43 %  43 of 100 MB  1/2 clients ready"


def test_real_bytes_have_a_rate_and_declared_ones_are_segments() -> None:
    said = {}
    for algorithm in ("declared", "blake3"):
        scene = Scene(algorithm=algorithm)
        scene.begin()
        scene.now = 2.9
        scene.store(*range(90))
        said[algorithm] = scene.at(3.0).split("] ")[1].split("  ")
    assert said["declared"][1:4] == ["90 of 100 segments", "0/1 done, 1 seed", "30 segments/s"]
    assert said["blake3"][1:4] == ["9 of 10 kB", "0/1 done, 1 seed", "3.0 kB/s"]


def test_trouble_is_told_where_there_is_some() -> None:
    scene = Scene()
    scene.begin()
    scene.tell(1, ev.SegmentRefused(Rank(2), "f", SegmentIndex(0), "busy"))
    scene.tell(2, ev.SegmentDropped(Rank(1), "f", SegmentIndex(0), SIZE, "corrupt"))
    scene.tell(2, ev.SegmentDropped(Rank(1), "f", SegmentIndex(0), SIZE, "duplicate"))
    scene.tell(2, ev.SegmentDropped(Rank(1), "f", SegmentIndex(0), SIZE, "duplicate"))
    scene.tell(2, ev.FileUnavailable("g", "nobody owns it"))
    scene.tell(0, ev.ClientLost(Rank(1), "silent"))
    expected = "  1 reject  1 corrupt segment  2 duplicates  1 unavailable file  1 lost client"
    assert scene.at(1.0).endswith(expected)


def test_an_abort_is_told_at_once() -> None:
    scene = Scene()
    scene.at(0.0)
    scene.tell(0, ev.RunAborted(Rank(1), 2, "in1.txt:3: expected a hash"))
    assert scene.at(1.0) == "[   1.0 s] ending: aborted by client 1: in1.txt:3: expected a hash"


def test_nothing_is_said_before_the_header() -> None:
    said: list[str] = []
    PlainLines(said.append).update(SwarmView(), 1.0)
    JsonLines(said.append).update(SwarmView(), 1.0)
    assert said == []


# Pace ------------------------------------------------------------------------------------------


def test_a_slow_run_says_a_line_a_second() -> None:
    scene = Scene(segments=1000)
    scene.begin()
    for tick in range(100):
        scene.now = tick / 10
        scene.store(tick)
        scene.at(scene.now)
    times = [float(match[1]) for line in scene.lines if (match := LINE.fullmatch(line))]
    assert times == [float(second) for second in range(10)]


def test_a_fast_run_says_a_line_every_ten_percent() -> None:
    scene = Scene(segments=100)
    scene.begin()
    scene.at(0.0)
    for index in range(100):
        scene.store(index)
        scene.at(0.1 + index / 50)
    shares = [float(match[1]) for line in scene.lines if (match := re.search(r"\] (\d+) %", line))]
    assert all(later - earlier > 0 for earlier, later in pairwise(shares))
    assert 10 <= len(shares) <= 13


def test_a_stalled_run_says_so_now_and_then() -> None:
    scene = Scene()
    scene.begin()
    said = [second for second in range(60) if scene.at(float(second))]
    assert said == list(range(0, 60, int(HEARTBEAT)))


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 9)), max_size=80))
def test_there_are_never_more_lines_than_seconds_and_tenths(steps: list[tuple[float, int]]) -> None:
    scene, stored = Scene(), 0
    scene.begin()
    for wait, more in steps:
        scene.now += wait
        scene.store(*range(stored, min(stored + more, 100)))
        stored = min(stored + more, 100)
        scene.at(scene.now)
    assert len(scene.lines) <= 1 + scene.now + 1 / SHARE


def test_every_line_is_flushed() -> None:
    scene = Scene()
    scene.begin()
    scene.at(0.0)
    scene.plain.finish(build(scene.view, []))
    assert scene.flushes == len(scene.lines) > 1


# The end ---------------------------------------------------------------------------------------


def ended(plan: Plan, json_lines: bool = False) -> tuple[list[str], bytes]:
    said: list[str] = []
    view, checker = SwarmView(), Conformance()
    sink = JsonLines(said.append) if json_lines else PlainLines(said.append)
    for event in journal(lawful(plan)):
        view.apply(event)
        checker.see(event)
        sink.update(view, view.t)
    report = build(view, checker.result())
    sink.finish(report)
    return said, to_json(report)


GHOST = Plan(files={"f": 8}, owns=(("f",), ()), wants=((), ("f", "ghost")), every=3, trouble=False)


def test_the_last_lines_name_what_is_missing_and_sum_up() -> None:
    said, _ = ended(GHOST)
    assert said[-2].endswith(" s] client 2 on n0: 'ghost' unavailable: nobody owns it\n")
    summary = r" s\] incomplete in \d+\.\d s  8 segments moved  fairness 1.00, 100 % from the first owners"
    assert re.search(summary + r"  17/17 rules hold\n$", said[-1])


def test_a_run_that_moved_nothing_says_nothing_of_fairness() -> None:
    said, _ = ended(Plan(files={}, owns=((),), wants=((),)))
    assert said[-1].endswith("s  0 segments moved  17/17 rules hold\n")


@given(plans())
def test_plain_lines_are_plain(plan: Plan) -> None:
    said, _ = ended(plan)
    assert all(LINE.fullmatch(line) and line[:-1].isprintable() for line in said)


def test_a_name_cannot_move_the_cursor() -> None:
    assert one_line("a\x1b[2Jb\nc é") == r"a\x1b[2Jb\nc é"


# JSON ------------------------------------------------------------------------------------------


@given(plans())
def test_json_lines_are_progress_and_then_the_report(plan: Plan) -> None:
    said, report = ended(plan, json_lines=True)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in said)
    objects: list[dict[str, Any]] = [json.loads(line) for line in said]
    assert [o["type"] for o in objects] == ["progress"] * (len(objects) - 1) + ["report"]
    assert objects[-1] == {"type": "report", **json.loads(report)}
    times = [o["t"] for o in objects[:-1]]
    assert times == sorted(times)


FIELDS = ("phase", "share", "done", "fetching", "seeds", "clients", "segments", "segments_wanted", "finish_s")


@pytest.mark.parametrize("field", FIELDS)
def test_a_progress_object_has_the_counts(field: str) -> None:
    said, _ = ended(GHOST, json_lines=True)
    assert all(field in json.loads(line) for line in said[:-1])
