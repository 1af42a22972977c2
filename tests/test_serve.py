"""Attaching: whoever is welcome gets the journal whole; nobody can slow it down."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import ScenarioError
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank
from tests.helpers.runs import scripted
from tui_torrent.attach import Attached, connect, find_address
from tui_torrent.serve import GREETING, MOST_VIEWERS, REFUSED, Server
from tui_torrent.view.swarm_view import SwarmView


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture(params=["unix", "tcp"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    serving = Server(request.param)
    yield serving
    serving.leave()


def wait_for(source: Attached, events: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while source.view.events < events:
        assert time.monotonic() < deadline, f"{source.view.events} of {events} events came"
        source.poll()
        time.sleep(0.01)


def fold(events: list[Stamped]) -> SwarmView:
    view = SwarmView()
    for stamped in events:
        view.apply(stamped)
    return view


def test_a_viewer_that_comes_late_sees_what_one_from_the_start_sees(server: Server) -> None:
    events = scripted()
    early = Attached(connect(server.address, None))
    server.append(events[: len(events) // 2])
    late = Attached(connect(server.address, None))
    server.append(events[len(events) // 2 :])
    for source in (early, late):
        wait_for(source, len(events))
        assert source.view == fold(events)
        assert source.over


def test_the_only_swarm_is_found_without_an_address(server: Server) -> None:
    assert find_address() == server.address


def test_no_swarm_is_said_in_one_line() -> None:
    with pytest.raises(ScenarioError, match="found none on this host"):
        find_address()


def test_a_wrong_token_gets_one_refusal_and_a_closed_socket() -> None:
    server = Server("tcp")
    host, _, port = server.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(GREETING + b"0" * 32 + b"\n")
        said = b""
        while data := sock.recv(1024):
            said += data
    server.leave()
    assert said == REFUSED


def test_the_token_has_128_bits_and_only_its_user_reads_it(tmp_path: Path) -> None:
    server = Server("tcp")
    (file,) = (tmp_path / "tui_torrent").glob("*.token")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(file.read_text())) == 16
    server.leave()
    assert not file.exists()


def test_a_viewer_that_does_not_read_slows_nobody(server: Server) -> None:
    sleeper = connect(server.address, None)
    events = scripted()
    lines = to_lines(events)
    copies = 64 * 1024 * 1024 // len(lines)
    began = time.monotonic()
    for _ in range(copies // 8):
        server.append(events)
    appended = time.monotonic() - began
    watcher = Attached(connect(server.address, None))
    wait_for(watcher, len(events))
    sleeper.close()
    assert appended < 10.0


def test_one_viewer_too_many_is_told_so(server: Server) -> None:
    viewers = [connect(server.address, None) for _ in range(MOST_VIEWERS)]
    for _ in range(50):
        with pytest.raises(ScenarioError, match="too many viewers"):
            connect(server.address, None)
    for viewer in viewers:
        viewer.close()


def test_a_dying_viewer_harms_nobody(server: Server) -> None:
    events = scripted()
    connect(server.address, None).close()
    watcher = Attached(connect(server.address, None))
    server.append(events)
    wait_for(watcher, len(events))


def test_a_viewer_outlives_a_swarm_that_vanishes(server: Server) -> None:
    watcher = Attached(connect(server.address, None))
    server.append([Stamped(0.0, Rank(0), 0, ev.InitAckSent(Rank(1)))])
    wait_for(watcher, 1)
    server.leave()
    deadline = time.monotonic() + 5
    while not watcher.over and time.monotonic() < deadline:
        watcher.poll()
        time.sleep(0.01)
    assert watcher.over
    assert watcher.hung_up


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tui_torrent").mkdir(mode=0o755)
    with pytest.raises(ScenarioError, match="only you can enter"):
        Server("unix")


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_another_machines_runtime_folder_is_not_needed(
    kind: Literal["unix", "tcp"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launchers hand XDG_RUNTIME_DIR on to hosts that have no such folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = Server(kind)
    try:
        assert str(tmp_path) in (server.address if kind == "unix" else str(server.token_file))
        assert find_address() == server.address
        connect(server.address, None).close()
    finally:
        server.leave()


def test_where_no_folder_can_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    for folder, problem in (("/proc/nowhere", "cannot make /proc/nowhere/tui_torrent"), ("", "no temporary")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with pytest.raises(ScenarioError, match=f"--serve: {problem}"):
            Server("unix")


def test_who_is_behind_when_the_run_is_over_keeps_nobody_waiting(server: Server) -> None:
    with connect(server.address, None) as viewer:
        viewer.settimeout(10)
        events = scripted()
        for _ in range(16 * 1024 * 1024 // len(to_lines(events))):
            server.append(events)
        serving = threading.active_count()
        server.close()
        assert threading.active_count() == serving, "it has waited for the viewer"
        server.leave(at_once=True)
        assert threading.active_count() == serving - 1


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    Server("unix").leave()
    assert threading.active_count() == before
