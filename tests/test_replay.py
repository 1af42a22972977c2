"""``replay``: its clock, the command, and the journal of a real run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mpi_core.protocol.codec import to_lines
from mpi_core.runtime.clock import ReplayClock
from mpi_core.runtime.journal import JournalWriter, read_journal
from tests.helpers.causality import received_before_sent, stamped_before_sent, times_fall
from tests.helpers.lawful import journal, lawful
from tests.helpers.pty_screen import Pty, eventually
from tests.helpers.runs import Ticks, scripted
from tests.test_swarm_view import report_of
from tui_torrent.browse import has_screen
from tui_torrent.cli import main
from tui_torrent.recording import Recording
from tui_torrent.replay import SPEEDS, Replay
from tui_torrent.view.report import exit_code, to_json

RUN = scripted()


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(RUN)


@pytest.fixture
def replay(recording: Recording, ticks: Ticks) -> Replay:
    return Replay(recording, ticks=ticks)


# The clock -------------------------------------------------------------------------------------


def test_the_clock_stands_until_it_runs(ticks: Ticks) -> None:
    clock = ReplayClock(10.0, ticks=ticks)
    ticks.t += 3
    assert (clock.now(), clock.running) == (0.0, False)
    clock.run()
    ticks.t += 3
    assert (clock.now(), clock.running) == (3.0, True)
    clock.stop()
    ticks.t += 3
    assert (clock.now(), clock.running) == (3.0, False)


def test_the_clock_never_leaves_the_run(ticks: Ticks) -> None:
    clock = ReplayClock(10.0, ticks=ticks)
    clock.set(-5)
    assert clock.now() == 0.0
    clock.set(99)
    assert clock.now() == 10.0
    clock.set(9)
    clock.run()
    ticks.t += 5
    assert clock.now() == 10.0


def test_another_speed_holds_from_now_on(ticks: Ticks) -> None:
    clock = ReplayClock(100.0, 2.0, ticks)
    clock.run()
    ticks.t += 3
    clock.speed = 0.5
    ticks.t += 4
    assert clock.now() == 3 * 2 + 4 * 0.5


# Replay ----------------------------------------------------------------------------------------


def test_it_begins_paused_at_the_beginning(replay: Replay, ticks: Ticks) -> None:
    ticks.t += 5
    replay.poll()
    assert (replay.now, replay.paused, replay.over) == (0.0, True, False)
    assert replay.view.header is not None


def test_it_plays_and_stops_at_the_end(replay: Replay, ticks: Ticks) -> None:
    replay.play()
    ticks.t += 4
    replay.poll()
    assert replay.now == 4.0
    assert 3.9 < replay.view.t <= 4.0
    ticks.t += 1000
    replay.poll()
    assert (replay.over, replay.paused, replay.now) == (True, True, replay.end)
    assert replay.view.outcome == "complete"


def test_to_play_from_the_end_is_to_begin_again(replay: Replay, ticks: Ticks) -> None:
    replay.seek(99)
    replay.play()
    assert (replay.now, replay.paused, replay.over) == (0.0, False, False)


def test_a_seek_while_it_plays_plays_on(replay: Replay, ticks: Ticks) -> None:
    replay.play()
    ticks.t += 4
    replay.seek(1.0)
    ticks.t += 2
    replay.poll()
    assert (replay.now, replay.paused) == (3.0, False)


def test_a_step_goes_from_where_it_is(replay: Replay) -> None:
    replay.seek(5.0)
    replay.step(1)
    replay.step(-0.1)
    assert replay.now == pytest.approx(5.9)
    replay.step(-99)
    assert replay.now == 0.0


def test_a_pause_keeps_the_moment(replay: Replay, ticks: Ticks) -> None:
    replay.play()
    ticks.t += 2.5
    replay.pause()
    ticks.t += 9
    replay.poll()
    assert replay.now == 2.5


def test_the_speed_goes_up_and_down_a_ladder(recording: Recording, ticks: Ticks) -> None:
    replay = Replay(recording, speed=3.0, ticks=ticks)
    replay.faster()
    assert replay.speed == 4.0
    for _ in SPEEDS:
        replay.faster()
    assert replay.speed == SPEEDS[-1]
    for _ in SPEEDS:
        replay.slower()
    assert replay.speed == SPEEDS[0]


# The command -----------------------------------------------------------------------------------


def written(folder: Path, name: str = "run.jsonl") -> Path:
    """The journal of a lawful run, and nothing that all its clients wanted is missing but the ghost."""
    with JournalWriter(folder / name) as writer:
        writer.append(journal(lawful()))
    return folder / name


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.zst"])
def test_without_a_terminal_it_tells_the_run_and_its_outcome_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path, report = written(tmp_path, name), tmp_path / "report.json"
    assert main(["replay", str(path), "--report", str(report), "--at", "99"]) == 1
    told, wrong = capsys.readouterr()
    assert wrong == ""
    lines = told.splitlines()
    assert any(" of 22 segments" in line for line in lines)
    assert "client 3 on n1: 'ghost' unavailable: nobody owns it" in told
    assert "incomplete in " in lines[-1]
    assert lines[-1].endswith("17/17 rules hold")
    assert report.read_bytes() == report_of(journal(lawful())) + b"\n"


def test_a_complete_run_is_0_and_an_interrupted_one_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = to_lines(RUN)
    path = tmp_path / "run.jsonl"
    path.write_bytes(lines[: len(lines) // 2])
    assert main(["replay", str(path)]) == 3
    assert "the journal ends here without its outcome" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["a", "b"], ["--speed", "0", "a"], ["--at", "-1", "a"], ["--nix", "a"]]
)
def test_a_wrong_command_line_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_no_journal_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"junk\n")
    assert main(["replay", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"tui_torrent: {path}:1: expected a journal's first line")


def test_a_report_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(written(tmp_path)), "--report", str(tmp_path / "no" / "r.json")]) == 2
    assert "expected a file that can be written" in capsys.readouterr().err


def test_a_report_never_takes_the_journals_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    assert main(["replay", str(path), "--report", str(tmp_path / ".." / tmp_path.name / path.name)]) == 2
    assert "expected a file of its own" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_an_integer_beyond_64_bits_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "run.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    for line, name in ((1, b"seed"), (3, b"seq")):
        changed = list(lines)
        changed[line - 1] = re.sub(b'"%b":[0-9]+' % name, b'"%b":%d' % (name, 2**64), changed[line - 1])
        path.write_bytes(b"".join(changed))
        assert main(["replay", str(path)]) == 2
        expected = "expected an event as JSON: an integer is beyond 64 bits"
        assert capsys.readouterr().err == f"tui_torrent: {path}:{line}: {expected}\n"


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--help"]) == 0
    assert "--speed X" in capsys.readouterr().out


# A real run ------------------------------------------------------------------------------------


@pytest.mark.mpirun
def test_the_replay_of_a_real_run_reports_what_the_run_did(tmp_path: Path) -> None:
    from tests.helpers.mpirun import mpirun

    path, report = tmp_path / "run.jsonl.zst", tmp_path / "report.json"
    done = mpirun(5, "demo/classic", "--out", tmp_path, "--journal", path, "--report", report)
    assert done.code == 0
    recording = Recording(read_journal(path))
    assert to_json(recording.report) + b"\n" == report.read_bytes()
    replay = Replay(recording)
    for share in (0.3, 0.9, 0.1, 1.0):
        replay.seek(share * replay.end)
    assert replay.over
    assert replay.view.events == recording.report.events


# On a terminal ---------------------------------------------------------------------------------


@contextmanager
def on_a_terminal(tmp_path: Path, **environment: str) -> Iterator[tuple[Pty, subprocess.Popen[bytes]]]:
    """A replay on a terminal of 80 columns."""
    path, screen = tmp_path / "run.jsonl", Pty()
    path.write_bytes(to_lines(RUN))
    words = [sys.executable, "-m", "tui_torrent", "replay", str(path), "--at", "5", "--ascii"]
    theirs = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[1])}
    job = subprocess.Popen(
        words, stdin=screen.slave, stdout=screen.slave, stderr=screen.slave, env=theirs | environment
    )
    try:
        eventually(lambda: "playing 1x" in screen.screen(), "the timeline", 30)
        yield screen, job
    finally:
        job.kill()
        job.wait()
        screen.close()


def test_on_a_terminal_it_shows_the_run_and_takes_keys(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (screen, job):
        screen.type(b" ")
        eventually(lambda: "paused 1x" in screen.screen(), "a pause")
        screen.type(b"\x1b[H\x1b[C")  # Home, →
        eventually(lambda: " 1.0 s / " in screen.screen(), "one second after the beginning")
        screen.type(b"q")
        assert job.wait(20) == exit_code(Recording(RUN).report)
        assert screen.modes() == set()


def test_bytes_that_are_no_utf_8_do_no_harm(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (screen, job):
        for nonsense in (b"\x1b[M \xf70", b"\xff\xfe\x80", b"\xe8\xaa"):
            screen.type(nonsense)
        screen.type(b"  ")
        screen.type(b" ")
        eventually(lambda: "paused 1x" in screen.screen(), "a pause")
        screen.type(b"q")
        assert job.wait(20) == exit_code(Recording(RUN).report)
        assert "Traceback" not in screen.screen()


def test_the_terminal_goes_before_columns_and_lines(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, COLUMNS="200", LINES="60") as (screen, _):
        # The foot of the screen, which lies below a terminal of 24 lines if it is drawn for 60.
        eventually(lambda: "q leave" in screen.screen(), "the foot of the screen")


@pytest.mark.parametrize("term", ["", "dumb", "unknown"])
def test_where_no_text_can_be_placed_there_is_no_screen(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    assert has_screen()
    monkeypatch.setenv("TERM", term)
    assert not has_screen()


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_screen_takes_all_three_streams(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn goes to stderr: sent elsewhere, nobody would see it."""
    monkeypatch.delenv("TEXTUAL_DRIVER", raising=False)
    for each in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, each), "isatty", lambda is_one=each != stream: is_one, raising=False)
    assert not has_screen()


# The journals of demo/ -------------------------------------------------------------------------

JOURNALS = sorted((Path(__file__).parents[1] / "demo" / "journals").iterdir())


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.name)
def test_the_demo_s_journals_are_small_whole_and_lawful(path: Path) -> None:
    report = Recording(read_journal(path)).report
    assert path.stat().st_size < 150_000
    assert report.outcome == "complete"
    assert all(finding.holds for finding in report.conformance)
    assert report.strategy == ("classic" if path.name.startswith("classic") else "swarm")
    assert report.tracker.service_p99_s is not None
    assert report.hosts is not None


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.name)
def test_nothing_in_the_demo_s_journals_is_received_before_it_was_sent(path: Path) -> None:
    told = list(read_journal(path))
    assert received_before_sent(told) == []
    assert received_before_sent(Recording(told).events()) == []
    assert stamped_before_sent(told) == []
    assert times_fall(told) == []


def test_the_demo_s_slow_and_corrupting_clients_are_named() -> None:
    slow, corrupting = (
        Recording(read_journal(JOURNALS[0].with_name(f"{name}.jsonl.zst"))).report.remarks
        for name in ("slow", "corrupting")
    )
    assert any(text.endswith(" s for segments that only client 2 held") for text in slow)
    assert any(
        re.match(r"client 3 sent \d+ corrupt segments; clients .* avoid it", text) for text in corrupting
    )
