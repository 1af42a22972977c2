"""The simulator: links, an agenda, and the very machines that run live. A simulated run is a function of its
seed, keeps the protocol's rules, and does what the swarm's policy promises."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import messages as msg
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.units import Rank, Ticket
from mpi_core.runtime.outputs import open_outputs
from mpi_core.sim.agenda import Agenda
from mpi_core.sim.crowd import Crowd, Member
from mpi_core.sim.network import BUFFERED, ENVELOPE, Link, LinkedNetwork
from mpi_core.swarm.config import SwarmConfig
from tui_torrent.check import run_check
from tui_torrent.cli import main
from tui_torrent.config import SimulateOptions
from tui_torrent.simulate import members_of, run_simulate

#: The links and the file of the small swarms: 200 Mbit/s, 64 MiB in segments of 256 KiB.
RATE, SEGMENT, SEGMENTS = 25e6, 256 * 1024, 256
IDEAL = SEGMENTS * SEGMENT / RATE

FILE = Manifest.declared("file", tuple(map(str, range(SEGMENTS))))


# The network --------------------------------------------------------------------------------------


class Wire:
    """A network of links with nobody on it but the test."""

    def __init__(self, *links: Link, latency: float = 0.0, size: int = 1000) -> None:
        self.agenda = Agenda()
        self.came: list[tuple[float, Rank, Rank, msg.Stimulus]] = []
        self.network = LinkedNetwork(
            self.agenda, lambda *arrival: self.came.append(arrival), links, latency, size
        )

    def send(self, now: float, sender: int, *sends: tuple[int, msg.Message]) -> None:
        self.network.post(now, Rank(sender), [(Rank(to), message) for to, message in sends])

    def payloads(self) -> list[tuple[float, int]]:
        """When each payload arrived, and its ticket."""
        self.run()
        return [(at, m.ticket) for at, _, _, m in self.came if isinstance(m, msg.SendSegment)]

    def left(self) -> list[tuple[float, int]]:
        self.run()
        return [(at, m.ticket) for at, _, _, m in self.came if isinstance(m, msg.Sent)]

    def run(self) -> None:
        while self.agenda.next_at < float("inf"):
            self.agenda.step()


def payload(ticket: int) -> msg.SendSegment:
    return msg.SendSegment(Ticket(ticket), b"x")


def test_an_idle_path_takes_bytes_over_rate_and_the_latency() -> None:
    wire = Wire(Link(500.0, 1.0), Link(1.0, 2000.0), latency=0.25)
    wire.send(0.0, 0, (1, payload(7)))
    assert wire.payloads() == [(2.25, 7)]


def test_the_slower_end_decides() -> None:
    wire = Wire(Link(2000.0, 1.0), Link(1.0, 500.0), latency=0.25)
    wire.send(0.0, 0, (1, payload(7)))
    assert wire.payloads() == [(2.25, 7)]


def test_payloads_leave_one_after_another() -> None:
    wire = Wire(*(Link(1000.0, 1000.0) for _ in range(4)))
    wire.send(0.0, 0, (1, payload(1)), (2, payload(2)), (3, payload(3)))
    assert wire.payloads() == [(1.0, 1), (2.0, 2), (3.0, 3)]


def test_those_for_one_receiver_share_its_link() -> None:
    wire = Wire(*(Link(1000.0, 1000.0) for _ in range(4)))
    for sender in (1, 2, 3):
        wire.send(0.0, sender, (0, payload(sender)))
    assert wire.payloads() == [(1.0, 1), (2.0, 2), (3.0, 3)]


def test_a_slow_receiver_keeps_what_no_buffer_holds() -> None:
    size = BUFFERED + 1000
    wire = Wire(Link(1e9, 1.0), Link(1.0, 1000.0), size=size)
    wire.send(0.0, 0, (1, payload(1)))
    ((left, _),), ((came, _),) = wire.left(), wire.payloads()
    assert (left, came) == (pytest.approx(1.0), pytest.approx(size / 1000.0))


def test_other_messages_wait_for_no_payload_and_keep_their_order() -> None:
    wire = Wire(Link(100.0, 1.0), Link(1.0, 1000.0), latency=0.5)
    wire.send(0.0, 0, (1, payload(1)))
    wire.send(0.0, 0, (1, msg.Cancel(Ticket(1))))
    wire.send(0.0, 0, (1, msg.Cancel(Ticket(2))))
    wire.run()
    came = [(at, m.ticket) for at, _, _, m in wire.came if isinstance(m, msg.Cancel)]
    step = ENVELOPE / 100.0
    assert came == [(pytest.approx(0.5 + step), 1), (pytest.approx(0.5 + 2 * step), 2)]


def test_deadlines_come_after_what_happens_at_their_time() -> None:
    agenda, seen = Agenda(), []
    agenda.put_late(1.0, lambda now: seen.append("deadline"))
    agenda.put(1.0, lambda now: seen.append("message"))
    agenda.step(), agenda.step()
    assert seen == ["message", "deadline"]


@given(st.lists(st.tuples(st.floats(0.0, 1e-3), st.booleans(), st.floats(0.0, 1e-3)), max_size=60))
def test_the_earliest_is_called_first_whatever_calls_put_down_meanwhile(
    plan: list[tuple[float, bool, float]],
) -> None:
    agenda, called, ahead = Agenda(), [], []

    def put(at: float, late: bool, then: float | None) -> None:
        place = (at, late, len(called) + len(ahead))
        ahead.append(place)
        (agenda.put_late if late else agenda.put)(at, act, place, then)

    def act(now: float, place: tuple[float, bool, int], then: float | None) -> None:
        assert (now, place) == (place[0], min(ahead))
        ahead.remove(place)
        called.append(place)
        if then is not None:
            put(now + then, False, None)

    for at, late, then in plan:
        put(at, late, then)
    while agenda.next_at < float("inf"):
        agenda.step()
    assert len(called) == 2 * len(plan)


# What the policy promises, where F/B is the bound -------------------------------------------------


def simulated(members: list[Member], latency: float = 0.0, seed: int = 0) -> Crowd:
    crowd = Crowd(members, SwarmConfig(), seed, SEGMENT, latency)
    crowd.start()
    crowd.run(until=60.0)
    assert not crowd.waiting
    return crowd


def receivers(count: int) -> list[Member]:
    return [Member(wants=("file",)) for _ in range(count)]


def test_one_seed_and_eight_receivers() -> None:
    crowd = simulated([Member((FILE,)), *receivers(8)])
    assert crowd.makespan <= 1.08 * IDEAL
    # When everything has a first copy, the seed helps to spread what is left.
    assert crowd.network.sent_by[Rank(1)] <= 1.05 * FILE.segments * SEGMENT
    assert sum(crowd.network.sent_by.values()) <= 1.02 * 8 * FILE.segments * SEGMENT


def test_a_slow_receiver_slows_no_other() -> None:
    crowd = simulated([Member((FILE,)), Member(wants=("file",), up=RATE / 10, down=RATE / 10), *receivers(7)])
    assert sorted(crowd.done_at.values())[-2] <= 1.25 * IDEAL


def test_two_seeds() -> None:
    assert simulated([Member((FILE,)), Member((FILE,)), *receivers(8)]).makespan <= 1.10 * IDEAL


def test_four_owners_of_a_quarter_each() -> None:
    quarters = [Manifest.declared(f"q{q}", tuple(f"{q}-{n}" for n in range(SEGMENTS // 4))) for q in range(4)]
    names = tuple(quarter.name for quarter in quarters)
    owners = [Member((quarter,), tuple(n for n in names if n != quarter.name)) for quarter in quarters]
    crowd = simulated([*owners, *(Member(wants=names) for _ in range(4))])
    assert crowd.makespan <= 1.20 * IDEAL


def test_the_window_grows_with_the_latency() -> None:
    assert simulated([Member((FILE,)), *receivers(8)], latency=0.02).makespan <= 1.25 * IDEAL


# A crowd ------------------------------------------------------------------------------------------


def report(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, object]:
    assert main(["simulate", "--json", *map(str, words)]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_the_same_seed_is_the_same_run(tmp_path: Path) -> None:
    journals = []
    for number in (1, 2):
        path = tmp_path / f"{number}.jsonl"
        options = SimulateOptions(clients=12, segments=20, corrupt=0.2)
        run_simulate(options, open_outputs({"--journal": path}), lambda text: None)
        journals.append(path.read_bytes())
    assert journals[0] == journals[1]


def test_a_simulated_run_keeps_every_rule(tmp_path: Path) -> None:
    path, lines = tmp_path / "run.jsonl", []
    options = SimulateOptions(clients=20, segments=30, dead=0.1, corrupt=0.1)
    assert run_simulate(options, open_outputs({"--journal": path}), lambda text: None) == 0
    assert run_check(str(path), lines.append) == 0
    assert "FAIL" not in "".join(lines)


def test_everyone_alive_finishes_though_some_die_and_some_spoil(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--clients", 40, "--segments", 48, "--dead", 0.1, "--corrupt", 0.05)
    assert (found["living"], found["complete"]) == (36, 36)
    assert found["dropped"]["corrupt"] > 0  # type: ignore[index]


def test_what_a_client_costs_the_tracker_does_not_grow_with_the_crowd(
    capsys: pytest.CaptureFixture[str],
) -> None:
    few, many = (report(capsys, "--clients", n, "--segments", 12) for n in (60, 180))
    for what in ("SWARM_RESPONSE", "ANNOUNCE", "BITFIELD"):
        assert many["largest_bytes"][what] <= 1.1 * few["largest_bytes"][what]  # type: ignore[index]
    per_client = [run["tracker"]["messages_per_client"] for run in (few, many)]  # type: ignore[index]
    assert per_client[1] <= 1.05 * per_client[0]


@pytest.mark.parametrize("clients", [12, 20, 50, 100])
def test_who_has_the_only_segment_passes_it_on(clients: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--clients", clients, "--segments", 1)
    assert found["ratio"] <= 2.0  # type: ignore[operator]


def test_a_run_tells_how_far_it_is_and_is_the_same() -> None:
    lines: list[str] = []
    written: list[str] = []
    options = SimulateOptions(clients=9, segments=50)
    for tell in ([lines.append], []):
        assert run_simulate(options, {}, written.append, *tell) == 0
    assert lines[-1] == ""
    shares = [int(line.partition(" % of 450 transfers, ")[0]) for line in lines[:-1]]
    assert len(shares) > 50
    assert shares == sorted(shares)
    told, untold = (text.partition("simulated")[0] for text in written)
    assert told == untold


def test_who_comes_later_is_served_too(capsys: pytest.CaptureFixture[str]) -> None:
    members = members_of(SimulateOptions(clients=10, segments=30, arrivals="poisson"))
    assert sorted(m.comes_at for m in members[1:]) == [m.comes_at for m in members[1:]] != [0.0] * 10
    found = report(capsys, "--clients", 10, "--segments", 30, "--arrivals", "poisson")
    assert found["complete"] == 10


def test_they_may_come_over_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--clients 10 --segments 64 --rate 100000 --arrivals poisson"
    found = report(capsys, *words.split())
    assert (found["complete"], found["lost"]) == (10, 0)
    assert found["bound_s"] > SwarmConfig.client_timeout  # type: ignore[operator]
    assert found["ratio"] >= 1.0  # type: ignore[operator]


def test_the_bound_that_is_drawn_is_the_one_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[float] = []
    monkeypatch.setattr("tui_torrent.simulate.draw", lambda curves: f"{drawn.append(curves.bound)}")
    words = "--clients 10 --segments 20 --arrivals poisson --plot"
    found = report(capsys, *words.split(), tmp_path / "curves.svg")
    assert drawn == [found["bound_s"]]


def test_slow_links_are_no_reason_to_send_anything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, *["--clients", "30", "--segments", "16", "--rate", "20000"])
    assert found["complete"] == 30
    assert found["all_sent"] <= 1.1  # type: ignore[operator]


def test_who_gave_up_is_not_complete() -> None:
    seed, *rest = members_of(SimulateOptions(clients=3, segments=30))
    seed.dies_at = 0.05
    crowd = Crowd([seed, *rest], SwarmConfig(), 0, SEGMENT)
    crowd.start()
    assert not crowd.run()
    assert (crowd.waiting, crowd.done_at) == ([2, 3, 4], {1: crowd.done_at[Rank(1)]})


def test_where_the_tracker_loses_everybody_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--clients", "20", "--tracker-rate", "1"]
    found = report(capsys, *words, code=1)
    assert (found["complete"], found["lost"], found["makespan_s"], found["ratio"]) == (0, 21, None, None)
    assert main(["simulate", *words]) == 1
    assert "21 living clients, silent for too long" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["--clients 20 --dead 1", "--clients 5 --segments 3"])
def test_a_journal_changes_nothing(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, told = (report(capsys, *words.split(), *more) for more in ([], ["--journal", tmp_path / "j"]))
    assert plain["transfers"] == told["transfers"] != 0
    assert (plain["events"], plain["messages"]) == (told["events"], told["messages"])


def test_a_share_of_a_hundred_is_what_people_think(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys, *["--clients", "100", "--segments", "2", "--dead", "0.29"])["living"] == 71


def test_the_curves_are_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "curves.svg"
    assert main(["simulate", "--clients", "5", "--segments", "9", "--plot", str(path)]) == 0
    assert "last client" in capsys.readouterr().out
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    "words",
    [
        ["--clients", "0"],
        ["--clients", "3", "--segments", "100000000000"],
        ["--clients", "1000000", "--segments", "1000000"],
        ["--clients", "20000000", "--segments", "1"],
        ["--segment-size", "99999999999999999999999"],
        ["--rate", "1e-300"],
        ["--rate", "1e300"],
        ["--rate", "10000", "--slow", "0.5"],
        ["--tracker-rate", "0.01"],
        ["--latency", "100"],
        ["--segments", "many"],
        ["--dead", "1.5"],
        ["--rate", "0"],
        ["--arrivals", "never"],
        # So long that the machines would be compiled first.
        ["--clients", "1000", "--segments", "256", "--plot", "/nowhere/at/all.svg"],
        ["--clients", "1000", "--segments", "256", "--journal", "/nowhere/at/all.jsonl"],
        ["surplus"],
    ],
)
def test_a_bad_flag_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_journal_and_a_plot_are_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    kept.write_text("of an earlier run")
    assert main(["simulate", "--clients", "3", "--journal", str(kept), "--plot", str(kept)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert kept.read_text() == "of an earlier run"


@pytest.mark.parametrize("option", ["--journal", "--plot"])
def test_a_full_disk_is_one_line_behind_the_report(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--clients", "3", option, "/dev/full"]) == 2
    told = capsys.readouterr()
    assert "3 of 3 that live are complete" in told.out
    assert told.err == "tui_torrent: cannot write '/dev/full': No space left on device\n"


def test_a_file_of_no_segments_is_there_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--clients", 30, "--segments", 0)
    assert (found["complete"], found["bound_s"], found["ratio"]) == (30, 0.0, 1.0)
