"""Every number of the tracker's screen is the journal's, as ``test_numbers`` has it of what is written."""

from __future__ import annotations

import re

import pytest

from tests.helpers.moments import JOURNALS, Moment, is_count, is_pace, lines_of, moments_of, near
from tests.helpers.recount import Run, middle, quantile, rate
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.tracker import tracker_lines

RATE = r"(?:[\d.]+ [kMG]?B|[\d.]+[kMG]?|–)"


@pytest.fixture(scope="module", params=JOURNALS)
def moments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    return moments_of(request.param, tmp_path_factory.mktemp("journal"))


MESSAGES = re.compile(rf" ([A-Z_]+) +[→←] (?:in|out)? *([\d–]+) +({RATE})(?: |$)")
SWARM = re.compile(r".*?(?:^|\s)(\S.*?) +(\d+|–) +(\d+|–) +(\d+|–)\s*$")
LOAD = re.compile(
    r" service median (?P<usual>[\d.]+ \S+), 99th (?P<slow>[\d.]+ \S+)"
    r"   queue median (?P<half>\d+), 99th (?P<most>\d+), lately (?P<lately>\d+)"
)


def test_the_tracker(moments: list[Moment]) -> None:
    for moment in moments:
        run = moment.run
        lists = Lists(("swarms", "answers"))
        height = len(run.files) + len(run.clients) + 40
        # In one column: the lists stand below each other.
        shown = lines_of(tracker_lines(moment.view, run.now, 95, height, lists))
        rates = {tag: rate(times, run.now) for tag, times in run.tracker_at.items()}
        total = re.match(rf" (\d+) messages?, ({RATE}) a second  (?:\((\d+) a client\))?", shown[0])
        assert total is not None, shown[0]
        assert int(total[1]) == sum(run.tracker.values())
        assert near(total[2], sum(rates.values()))
        if total[3]:
            assert near(total[3], sum(run.tracker.values()) / len(run.clients))
        tags = [found for line in shown if (found := MESSAGES.match(line))]
        assert {found[1]: int(found[2]) for found in tags if found[2] != "–"} == dict(run.tracker)
        for found in tags:
            assert is_pace(found[3], rates.get(found[1], 0.0)), found[0]
        assert_load(shown[1], run)
        assert_swarms(shown, run)
        start = next((at for at, line in enumerate(shown) if "swarm requests answered" in line), len(shown))
        answers = [tuple(map(int, line.split())) for line in shown[start + 2 :] if line.strip()]
        expected = [(rank, *counts) for rank, counts in run.served.items()]
        assert answers == sorted(expected, key=lambda row: (-row[1], row[0]))


def assert_load(shown: str, run: Run) -> None:
    """What a message took, and how many waited."""
    found = LOAD.match(shown)
    assert (found is not None) == bool(run.service), shown
    if found is not None:
        for name, share in (("usual", 0.5), ("slow", 0.99)):
            number, unit = found[name].split()
            exact = quantile(run.service, share) / {"µs": 1, "ms": 1e3, "s": 1e6}[unit]
            assert near(number, exact), shown
        assert near(found["half"], quantile(run.waiting, 0.5))
        assert near(found["most"], quantile(run.waiting, 0.99))
        assert near(found["lately"], middle(run.fullest))


def assert_swarms(shown: list[str], run: Run) -> None:
    """Each file's segments, seeds and peers."""
    start = next(at for at, line in enumerate(shown) if line.startswith("─ swarms"))
    names = sorted({*run.registered, *run.listed})
    rows = [SWARM.match(line) for line in shown[start + 2 : start + 2 + len(names)]]
    for name, row in zip(names, rows, strict=True):
        assert row is not None
        assert row[1] == name
        roles = list(run.listed.get(name, {}).values())
        assert is_count(row[3], roles.count("seed")), row[0]
        assert is_count(row[4], roles.count("peer")), row[0]
        if row[2] != "–":
            assert int(row[2]) == run.files[name][0]
