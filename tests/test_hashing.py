"""Shares are hashed as they are: every digest holds, however many cores; a change meanwhile is an error."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol.digest import Algorithm
from mpi_core.protocol.errors import LocalProtocolError
from mpi_core.protocol.manifest import MIN_SEGMENT_LENGTH, Manifest
from mpi_core.protocol.messages import Stop
from mpi_core.protocol.units import Rank
from mpi_core.runtime import hashing, helper, pieces
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.disk import HashingStopped
from mpi_core.runtime.hashing import HashJob, Unhashed, hash_files
from mpi_core.runtime.helper import Helper
from mpi_core.runtime.pieces import Hashed, Piece
from mpi_core.runtime.reporter import Reporter
from mpi_core.runtime.transport import LocalNetwork
from tests.helpers.disk import LENGTH, segments_of
from tui_torrent.client import _Shares
from tui_torrent.scenario import Scenario


def job_of(path: Path, content: bytes, name: str = "n/f", mode: int = 0o644) -> HashJob:
    path.write_bytes(content)
    path.chmod(mode)
    return HashJob(name, str(path), len(content))


def verified(manifest: Manifest | Unhashed, content: bytes) -> bool:
    assert isinstance(manifest, Manifest)
    payloads = segments_of(manifest, content)
    return len(payloads) == manifest.segments and all(
        manifest.verifies(index, payload) for index, payload in enumerate(payloads)
    )


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
@pytest.mark.parametrize("size", [0, 1, LENGTH, LENGTH + 1, 10 * LENGTH])
def test_a_hashed_file_verifies(tmp_path: Path, algorithm: Algorithm, size: int) -> None:
    content = bytes(range(1, size + 1))
    (manifest,) = hash_files([job_of(tmp_path / "f", content, mode=0o4750)], algorithm, LENGTH)
    assert isinstance(manifest, Manifest)
    assert (manifest.name, manifest.size, manifest.segment_length) == ("n/f", size, LENGTH)
    assert (manifest.algorithm, manifest.mode) == (algorithm, 0o4750)
    assert manifest.mtime == (tmp_path / "f").stat().st_mtime_ns
    assert verified(manifest, content)


@given(st.lists(st.integers(0, 9 * LENGTH), max_size=12), st.integers(1, 4), st.integers(1, 5))
def test_the_manifests_do_not_hang_on_how_the_work_is_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], workers: int, files: int
) -> None:
    folder = tmp_path_factory.mktemp("shares")
    contents = [os.urandom(size) for size in sizes]
    jobs = [job_of(folder / str(at), content, str(at)) for at, content in enumerate(contents)]
    patch = pytest.MonkeyPatch()
    patch.setattr(hashing, "STRETCH_BYTES", 2 * LENGTH)
    patch.setattr(hashing, "STRETCH_FILES", files)
    with patch.context():
        manifests = hash_files(jobs, "blake3", LENGTH, workers=workers)
    patch.undo()
    assert [manifest.name for manifest in manifests] == [job.name for job in jobs]
    assert all(map(verified, manifests, contents))


def test_progress_adds_up_to_all_bytes(tmp_path: Path) -> None:
    told: list[int] = []
    jobs = [job_of(tmp_path / str(at), bytes(70_000_000), str(at)) for at in range(2)]
    hash_files(jobs, "sha256", on_progress=told.append, workers=1)
    assert sum(told) == 140_000_000
    assert len(told) > 1


def test_the_segment_length_follows_from_the_size(tmp_path: Path) -> None:
    (manifest,) = hash_files([job_of(tmp_path / "f", b"x")], "sha256")
    assert isinstance(manifest, Manifest)
    assert manifest.segment_length == MIN_SEGMENT_LENGTH


def test_hashing_stops_when_asked_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    jobs = [job_of(tmp_path / "f", bytes(200_000_000))]
    with pytest.raises(HashingStopped):
        hash_files(jobs, "sha256", should_stop=lambda: True, workers=1)
    assert threading.active_count() == before


@pytest.mark.parametrize("size", [0, 50, 99, 101, 200])
def test_a_file_that_is_not_as_it_was_seen_is_told_and_the_rest_is_hashed(tmp_path: Path, size: int) -> None:
    jobs = [job_of(tmp_path / name, b"x" * 100, name) for name in "fg"]
    os.truncate(tmp_path / "f", size)
    changed, whole = hash_files(jobs, "sha256", LENGTH)
    assert changed == Unhashed("f", "changed while it was hashed")
    assert verified(whole, b"x" * 100)


def test_a_file_that_is_written_to_between_two_of_its_stretches_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "STRETCH_BYTES", LENGTH)
    job = job_of(tmp_path / "f", b"x" * 3 * LENGTH)
    real, times = pieces.segment_hasher, iter(range(9))

    def meddling(algorithm: Algorithm):  # type: ignore[no-untyped-def]
        os.utime(job.path, ns=(0, next(times)))
        return real(algorithm)

    monkeypatch.setattr(pieces, "segment_hasher", meddling)
    assert hash_files([job], "sha256", LENGTH, workers=1) == (Unhashed("n/f", "changed while it was hashed"),)


def test_what_cannot_be_hashed_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").touch()
    kinds = {
        "pipe": "not a regular file",
        "nothing": "vanished before it was hashed",
        ".": "not a regular file",
        "link": "Too many levels of symbolic links",
    }
    jobs = [HashJob(name, str(tmp_path / name), 0) for name in (*kinds, "file")]
    *wrong, right = hash_files(jobs, "sha256")
    assert wrong == [Unhashed(name, problem) for name, problem in kinds.items()]
    assert verified(right, b"")
    with pytest.raises(LocalProtocolError):
        hash_files([], "declared")


@pytest.mark.parametrize(("size", "threads"), [(LENGTH, 1), (hashing.SHARED_PIECE, 3)])
def test_small_files_are_hashed_by_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, threads: int
) -> None:
    monkeypatch.setattr(hashing, "STRETCH_FILES", 1)
    together = threading.Barrier(threads, timeout=10)
    real, seen = pieces.segment_hasher, set[int]()

    def watching(algorithm: Algorithm):  # type: ignore[no-untyped-def]
        seen.add(threading.get_ident())
        together.wait()
        return real(algorithm)

    monkeypatch.setattr(pieces, "segment_hasher", watching)
    jobs = [job_of(tmp_path / str(at), bytes(size), str(at)) for at in range(6)]
    assert [manifest.name for manifest in hash_files(jobs, "sha256", workers=3)] == list("012345")
    assert len(seen) == threads


# Helpers ----------------------------------------------------------------------------------------


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[Helper]:
    """All that are started: two where three workers have four files or more."""
    started: list[Helper] = []

    class Watched(Helper):
        def __init__(self) -> None:
            super().__init__()
            self.asked = 0
            started.append(self)

        def hash_pieces(self, pieces: Sequence[Piece], algorithm: Algorithm) -> list[Hashed]:
            self.asked += 1
            return super().hash_pieces(pieces, algorithm)

    monkeypatch.setattr(hashing, "Helper", Watched)
    monkeypatch.setattr(hashing, "HELPED", 2)
    monkeypatch.setattr(hashing, "STRETCH_FILES", 1)
    return started


def are_gone(helpers: list[Helper]) -> bool:
    return not any(Path(f"/proc/{helper.pid}").exists() for helper in helpers)


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes long for each stretch, so that its helpers have their share."""

    def slow(*given: Any) -> list[Hashed]:
        time.sleep(0.1)
        return pieces.hash_pieces(*given)

    monkeypatch.setattr(hashing, "hash_pieces", slow)


@pytest.mark.parametrize("algorithm", ["blake3", "sha256"])
def test_helpers_take_their_share_and_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: list[Any], algorithm: Algorithm
) -> None:
    slowly(monkeypatch)
    contents = [os.urandom(at) for at in range(40)]
    jobs = [job_of(tmp_path / f"ü\n{at}", content, str(at)) for at, content in enumerate(contents)]
    told: list[int] = []
    manifests = hash_files(jobs, algorithm, LENGTH, told.append, workers=3)
    assert [manifest.name for manifest in manifests] == [job.name for job in jobs]
    assert all(map(verified, manifests, contents))
    assert sum(told) == sum(map(len, contents))
    assert len(helpers) == 2
    assert all(helper.asked for helper in helpers)
    assert are_gone(helpers)


def test_what_a_helper_cannot_hash_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: list[Helper]
) -> None:
    slowly(monkeypatch)
    jobs = [job_of(tmp_path / str(at), b"x", str(at)) for at in range(40)]
    for job in jobs[1:]:
        os.unlink(job.path)
    first, *others = hash_files(jobs, "blake3", workers=3)
    assert verified(first, b"x")
    assert {other.reason for other in others if isinstance(other, Unhashed)} == {
        "vanished before it was hashed"
    }
    assert are_gone(helpers)


def test_a_helper_that_dies_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: list[Helper]
) -> None:
    slowly(monkeypatch)
    contents = [os.urandom(at) for at in range(40)]
    jobs = [job_of(tmp_path / str(at), content, str(at)) for at, content in enumerate(contents)]

    asked: list[int] = []

    class Mortal(Helper):
        def hash_pieces(self, pieces: Sequence[Piece], algorithm: Algorithm) -> list[Hashed]:
            asked.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
            return super().hash_pieces(pieces, algorithm)

    monkeypatch.setattr(hashing, "Helper", Mortal)
    manifests = hash_files(jobs, "blake3", LENGTH, workers=3)
    assert all(map(verified, manifests, contents))
    assert len(set(asked)) == len(asked) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in asked)


@pytest.mark.parametrize("says", ["print('this is no answer at all')", "raise SystemExit", "pass"])
def test_what_is_no_helper_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: list[Any], says: str
) -> None:
    slowly(monkeypatch)
    monkeypatch.setattr(helper, "SERVE", says)
    jobs = [job_of(tmp_path / str(at), b"x", str(at)) for at in range(5)]
    assert len(hash_files(jobs, "sha256", workers=3)) == 5
    assert [helper.asked for helper in helpers] == [1, 1]
    assert are_gone(helpers)


def test_where_no_process_can_be_started_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers: list[Helper]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    jobs = [job_of(tmp_path / str(at), b"x", str(at)) for at in range(9)]
    assert len(hash_files(jobs, "sha256", workers=3)) == 9
    assert helpers == []


def test_hashing_stops_helpers_too(tmp_path: Path, helpers: list[Helper]) -> None:
    jobs = [job_of(tmp_path / str(at), b"x", str(at)) for at in range(40)]
    with pytest.raises(HashingStopped):
        hash_files(jobs, "sha256", should_stop=lambda: True, workers=3)
    assert helpers
    assert are_gone(helpers)


def test_nothing_to_hash() -> None:
    assert hash_files([], "blake3") == ()


def test_a_client_whose_run_is_over_does_not_wait_until_its_folders_were_walked() -> None:
    network, clock, rank = LocalNetwork(), Clock(), Rank(1)
    shares = _Shares(network.endpoint(rank, "downloader"), clock, Reporter(rank, clock))
    endless, scenario = threading.Event(), create_autospec(Scenario, instance=True)
    scenario.client.side_effect = lambda rank, out: endless.wait()
    network.endpoint(Rank(0), "tracker").send(rank, Stop(aborted=True))
    try:
        with pytest.raises(HashingStopped):
            shares.found(scenario, rank, Path())
    finally:
        endless.set()
