"""A journal gives back what was put in; where it cannot, one line names file, line and what was expected."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import LocalProtocolError, ScenarioError
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from mpi_core.runtime.journal import JournalWriter, read_journal
from tests.helpers.lawful import Plan, alter, journal, lawful, place, plans
from tui_torrent.check import run_check
from tui_torrent.view.conformance import Rule

EVENTS = journal(lawful())

FIRST = "run.jsonl:1: expected a journal's first line, RunStarted of version 1 to 3, found "


def written(folder: Path, content: bytes) -> Path:
    path = folder / "run.jsonl"
    path.write_bytes(content)
    return path


def problem(path: Path) -> str:
    """The one line with which reading the journal fails, without its folder."""
    with pytest.raises(ScenarioError) as caught:
        list(read_journal(path))
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(f"{path.parent}{os.sep}", "")


# Round trip ------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans(), st.integers(0, 2**32), st.integers(1, 20))
def test_what_is_written_is_read(tmp_path: Path, plan: Plan, seed: int, batch: int) -> None:
    events = journal(lawful(plan, seed), seed)
    with JournalWriter(tmp_path / "run.jsonl") as writer:
        for at in range(0, len(events), batch):
            writer.append(events[at : at + batch])
    reader = read_journal(tmp_path / "run.jsonl")
    assert list(reader) == events
    assert not reader.torn


def test_a_batch_can_be_read_before_the_next_one_comes(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.jsonl")
    writer.append(EVENTS[:5])
    assert list(read_journal(tmp_path / "run.jsonl")) == EVENTS[:5]
    writer.append(EVENTS[5:9])
    assert list(read_journal(tmp_path / "run.jsonl")) == EVENTS[:9]
    writer.close()


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, to_lines(EVENTS).replace(b"\n", b"\r\n"))
    assert list(read_journal(path)) == EVENTS


def test_an_ended_reader_stays_ended(tmp_path: Path) -> None:
    reader = read_journal(written(tmp_path, to_lines(EVENTS)))
    assert len(list(reader)) == len(EVENTS)
    assert list(reader) == []


# In zstd ---------------------------------------------------------------------------------------


def compressed(folder: Path, batch: int = 7) -> bytes:
    """What a writer makes of the events, a batch at a time."""
    with JournalWriter(folder / "made.jsonl.zst") as writer:
        for at in range(0, len(EVENTS), batch):
            writer.append(EVENTS[at : at + batch])
    return (folder / "made.jsonl.zst").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans(), st.integers(0, 2**32), st.integers(1, 20))
def test_what_is_written_in_zstd_is_read(tmp_path: Path, plan: Plan, seed: int, batch: int) -> None:
    events = journal(lawful(plan, seed), seed)
    path = tmp_path / "run.jsonl.zst"
    with JournalWriter(path) as writer:
        for at in range(0, len(events), batch):
            writer.append(events[at : at + batch])
    assert zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()) == to_lines(events)
    reader = read_journal(path)
    assert list(reader) == events
    assert not reader.torn


def test_a_batch_in_zstd_can_be_read_before_the_next_one_comes(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "run.jsonl.zst")
    writer.append(EVENTS[:5])
    assert list(read_journal(tmp_path / "run.jsonl.zst")) == EVENTS[:5]
    writer.append(EVENTS[5:9])
    assert list(read_journal(tmp_path / "run.jsonl.zst")) == EVENTS[:9]
    writer.close()
    writer.close()


def test_the_content_tells_whether_it_is_zstd_not_the_name(tmp_path: Path) -> None:
    assert list(read_journal(written(tmp_path, compressed(tmp_path)))) == EVENTS
    plain = tmp_path / "plain.jsonl.zst"
    plain.write_bytes(to_lines(EVENTS))
    assert list(read_journal(plain)) == EVENTS


def test_a_journal_of_several_frames_is_read(tmp_path: Path) -> None:
    frames = [zstandard.compress(to_lines(EVENTS[at : at + 9])) for at in range(0, len(EVENTS), 9)]
    assert list(read_journal(written(tmp_path, b"".join(frames)))) == EVENTS


def test_a_journal_in_zstd_cut_anywhere_gives_all_its_whole_batches(tmp_path: Path) -> None:
    content, ends = b"", []
    writer = JournalWriter(tmp_path / "run.jsonl.zst")
    for at in range(0, len(EVENTS), 7):
        writer.append(EVENTS[at : at + 7])
        content = (tmp_path / "run.jsonl.zst").read_bytes()
        ends.append(len(content))
    writer.close()
    for cut in sorted({*ends, *range(ends[0], len(content) + 1, 15)}):
        events = list(read_journal(written(tmp_path, content[:cut])))
        whole = 7 * sum(end <= cut for end in ends)
        assert events == EVENTS[: len(events)]
        assert len(events) >= min(whole, len(EVENTS))


def test_a_torn_line_in_zstd_is_left_out(tmp_path: Path) -> None:
    reader = read_journal(written(tmp_path, zstandard.compress(to_lines(EVENTS)[:-9])))
    assert list(reader) == EVENTS[:-1]
    assert reader.torn


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "an empty file"), (b"\x7fELF\n", "something else"), (bytes(3 << 20), "something else")],
)
def test_zstd_of_something_else_is_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    assert problem(written(tmp_path, zstandard.compress(content))) == FIRST + found


DAMAGED = "run.jsonl:1: cannot read the journal: damaged zstd ("


def test_damaged_zstd_is_one_line(tmp_path: Path) -> None:
    frame = zstandard.compress(to_lines(EVENTS[:5]))
    assert problem(written(tmp_path, frame + b"junk")).startswith(DAMAGED)
    assert problem(written(tmp_path, frame[:4] + b"\xff" * 99)).startswith(DAMAGED)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_of_zstd_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(zstandard.compress(to_lines(EVENTS[:5])))
    at = data.draw(st.integers(4, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ScenarioError):
        list(read_journal(written(tmp_path, bytes(content))))


# The writer keeps the order --------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch",
    [EVENTS[1:3], [EVENTS[0], EVENTS[0]], [EVENTS[0], EVENTS[-1], EVENTS[1]]],
    ids=["no header", "two headers", "on after the outcome"],
)
def test_the_header_is_first_and_the_outcome_last(tmp_path: Path, batch: list[Stamped]) -> None:
    with JournalWriter(tmp_path / "run.jsonl") as writer, pytest.raises(LocalProtocolError):
        writer.append(batch)


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nowhere/run.jsonl: cannot write the journal: No such file"):
        JournalWriter(tmp_path / "nowhere" / "run.jsonl")


# Interrupted -----------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_journal_cut_anywhere_gives_all_its_whole_lines(tmp_path: Path, data: st.DataObject) -> None:
    lines = to_lines(EVENTS)
    cut = data.draw(st.integers(len(to_lines(EVENTS[:1])), len(lines)))
    reader = read_journal(written(tmp_path, lines[:cut]))
    events = list(reader)
    assert events == EVENTS[: len(events)]
    whole = lines[:cut].count(b"\n")
    # An event may be all there and lack its newline alone.
    assert len(events) in (whole, whole + 1)
    assert reader.torn == (len(to_lines(events)) < cut)


def test_only_the_last_line_may_be_torn(tmp_path: Path) -> None:
    lines = to_lines(EVENTS).splitlines(keepends=True)
    lines[16] = lines[16][:20] + b"\n"
    assert problem(written(tmp_path, b"".join(lines))).startswith("run.jsonl:17: expected an event as JSON: ")


def test_a_broken_last_line_that_is_ended_is_not_torn(tmp_path: Path) -> None:
    assert problem(written(tmp_path, to_lines(EVENTS[:3]) + b"{}\n")).startswith("run.jsonl:4: expected ")


# What is no journal ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n", "an empty file"),
        (b"\x7fELF\x02\x00\xff\n", "something else"),
        (bytes(3 << 20), "something else"),
        (b"[" * 100_000, "something else"),
        (b"2\nfile1 3\n", "something else"),
        (to_lines(EVENTS)[:40], "something else"),
        (to_lines(EVENTS[1:]), type(EVENTS[1].event).__name__),
        (to_lines([Stamped(0.0, Rank(0), 0, ev.RunStarted(7, 3, "", "", 0, 10, 8))]), "version 7"),
    ],
)
def test_what_is_no_journal_is_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    assert problem(written(tmp_path, content)) == FIRST + found


@pytest.mark.parametrize("line", [b"junk\n", b"\xff\n", b"{}\n", b'{"x":' + b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_event_is_named(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path, to_lines(EVENTS[:4]) + line + to_lines(EVENTS[4:]))
    assert problem(path).startswith("run.jsonl:5: expected an event as JSON")


def test_a_journal_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    expected = "run.jsonl: cannot read the journal: No such file or directory"
    assert problem(tmp_path / "run.jsonl") == expected


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").mkdir()
    assert problem(tmp_path / "run.jsonl") == "run.jsonl: cannot read the journal: Is a directory"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, junk: bytes, headed: bool) -> None:
    path = written(tmp_path, to_lines(EVENTS[:1]) + junk if headed else junk)
    with contextlib.suppress(ScenarioError):
        list(read_journal(path))


# python -m tui_torrent check -------------------------------------------------------------------


def checked(path: Path) -> tuple[int, list[str]]:
    lines: list[str] = []
    code = run_check(str(path), lines.append)
    return code, "".join(lines).splitlines()


def test_check_says_ok_of_each_rule_of_a_lawful_run(tmp_path: Path) -> None:
    code, lines = checked(written(tmp_path, to_lines(EVENTS)))
    assert code == 0
    assert [line.partition(": ")[0] for line in lines[:-1]] == [f"ok   {rule.value}" for rule in Rule][:-1]
    assert lines[-1] == "17/17 rules hold"


def test_check_names_the_first_violation_first(tmp_path: Path) -> None:
    told = lawful()
    alter(told, place(told, ev.SegmentStored), source=Rank(0))
    code, lines = checked(written(tmp_path, to_lines(journal(told))))
    assert code == 1
    assert lines[0].startswith("First violation: Line ")
    assert lines[0].endswith(f"was never asked of client 0. Rule: {Rule.MOVED.value}.")
    assert [line[:4] for line in lines[1:-1]].count("FAIL") == 2
    assert lines[-1] == "15/17 rules hold, 2 broken"


def test_check_says_what_an_interrupted_journal_leaves_open(tmp_path: Path) -> None:
    code, lines = checked(written(tmp_path, to_lines(EVENTS[:-9])[:-9]))
    assert code == 1
    assert f"Line {len(EVENTS) - 9} is torn and was left out: the run was interrupted." in lines
    assert any(line.startswith("?    ") and "not judged: the journal ends early" in line for line in lines)


def test_check_of_what_is_no_journal_is_left_to_the_caller(tmp_path: Path) -> None:
    quiet: Callable[[str], object] = pytest.fail
    with pytest.raises(ScenarioError):
        run_check(str(tmp_path / "nothing"), quiet)
