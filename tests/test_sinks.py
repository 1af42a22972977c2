"""What a run is asked to write: a full disk ends the recording alone, and a refused run changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from mpi_core.runtime.journal import read_journal
from mpi_core.runtime.outputs import OutputFile
from tests.helpers.lawful import journal, lawful
from tui_torrent.attach import connect
from tui_torrent.serve import Server
from tui_torrent.sinks import Guarded, JournalFile

EVENTS = journal(lawful())
#: How many of them come before the swarm begins.
BEFORE = next(at for at, stamped in enumerate(EVENTS) if isinstance(stamped.event, ev.InitAckSent))

NO_SPACE = "No space left on device"

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


def stamped(event: ev.Event) -> Stamped:
    return Stamped(0.0, Rank(0), 1, event)  # type: ignore[arg-type]


# The journal begins with the swarm ------------------------------------------------------------


def test_a_journal_is_begun_when_the_swarm_begins_and_lacks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"old")
    sink = JournalFile(OutputFile("--journal", path))
    for event in EVENTS[:BEFORE]:
        sink.append([event])
    assert path.read_bytes() == b"old"
    sink.append(EVENTS[BEFORE : BEFORE + 1])
    assert list(read_journal(path)) == EVENTS[: BEFORE + 1]
    sink.append(EVENTS[BEFORE + 1 :])
    sink.close()
    assert list(read_journal(path)) == EVENTS


def test_a_run_that_is_refused_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"old")
    sink = JournalFile(OutputFile("--journal", path))
    sink.append([EVENTS[0], stamped(ev.RunAborted(Rank(1), 2, "bad input")), EVENTS[-1]])
    sink.close()
    assert path.read_bytes() == b"old"


def test_a_run_that_fails_before_the_swarm_begins_is_journalled(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = JournalFile(OutputFile("--journal", path))
    sink.append([EVENTS[0], stamped(ev.RunAborted(Rank(0), 3, "a defect"))])
    sink.append([EVENTS[-1]])
    sink.close()
    assert len(list(read_journal(path))) == 3


# A full disk ----------------------------------------------------------------------------------


class Full:
    """A recorder on a full disk."""

    def __init__(self) -> None:
        self.asked = self.closed = 0

    def append(self, batch: Sequence[Stamped]) -> None:
        self.asked += 1
        raise OSError(28, NO_SPACE)

    def close(self) -> None:
        self.closed += 1
        raise OSError(28, NO_SPACE)


def test_a_recorder_that_fails_is_told_of_once_and_closed(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Full()
    guarded = Guarded(recorder, "'x'")
    assert not guarded.failed
    for event in EVENTS[:3]:
        guarded.append([event])
    guarded.close()
    assert (guarded.failed, recorder.asked, recorder.closed) == (True, 1, 1)
    assert capsys.readouterr().err == f"tui_torrent: cannot write 'x': {NO_SPACE}\n"


def full_spool(prefix: str) -> BinaryIO:
    return open("/dev/full", "r+b", buffering=0)


@needs_full
def test_viewers_are_hung_up_on_where_their_spool_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", full_spool)
    server = Server("unix")
    guarded = Guarded(server, "'spool'")
    with connect(server.address, None) as viewer:
        viewer.settimeout(5)
        guarded.append(EVENTS)
        assert viewer.recv(1) == b""
    guarded.append(EVENTS)
    guarded.close()
    server.leave()
    assert capsys.readouterr().err == f"tui_torrent: cannot write 'spool': {NO_SPACE}\n"
    assert list((tmp_path / "tui_torrent").iterdir()) == []
