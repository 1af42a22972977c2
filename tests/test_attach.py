"""What is said of an address or a token that leads to no swarm."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mpi_core.protocol.errors import ScenarioError
from tests.helpers.refused import refusal
from tui_torrent.attach import connect, read_token
from tui_torrent.serve import REFUSED, Server, runtime_folder

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("h:²", "h:²: expected a swarm's socket or HOST:PORT: No such file or directory"),
        ("nothing", "nothing: expected a swarm's socket or HOST:PORT: No such file or directory"),
        ("two\nlines", "two\\nlines: expected a swarm's socket or HOST:PORT: No such file or directory"),
        ("no/folder:80", "no/folder:80: expected a swarm's socket or HOST:PORT: No such file or directory"),
        ("127.0.0.1:99999999", "127.0.0.1:99999999: expected a port from 1 to 65535"),
        ("127.0.0.1:0", "127.0.0.1:0: expected a port from 1 to 65535"),
        (":" + "9" * 5000, ":" + "9" * 5000 + ": expected a port from 1 to 65535"),
        ("..:80", "..:80: expected the name of a host"),
    ],
)
def test_what_leads_to_no_swarm_is_one_line(
    address: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(capsys, "attach", address) == f"attach: {problem}"


def test_a_port_where_nobody_listens_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server("tcp")
    server.leave()
    problem = "expected a swarm that is served there: Connection refused"
    assert refusal(capsys, "attach", server.address) == f"attach: {server.address}: {problem}"


@pytest.mark.parametrize("content", [b"", b"\x7fELF\xff\0", b"0" * 31, b"0" * 33, b"z" * 32])
def test_what_is_no_token_is_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    line = refusal(capsys, "attach", "127.0.0.1:1", "--token-file", str(file))
    assert line == f"attach: {file}: expected a token of 32 hexadecimal digits, found something else"


def test_a_token_file_that_cannot_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "attach", "127.0.0.1:1", "--token-file", "/nowhere/x")
    assert line == "attach: /nowhere/x: expected a file with a token: No such file or directory"


def test_the_token_that_was_written_is_read() -> None:
    server = Server("tcp")
    try:
        assert server.token_file is not None
        connect(server.address, read_token(server.token_file)).close()
        with pytest.raises(ScenarioError, match="refused: wrong token"):
            connect(server.address, "0" * 32)
    finally:
        server.leave()


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", True), ("localhost", True), ("elsewhere", False)])
def test_a_token_is_told_to_a_swarm_of_this_host_alone(
    host: str, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "0" * 32
    (runtime_folder() / "4711.token").write_text(token)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("tui_torrent.attach._open", lambda address: ours)
    with ours, theirs:
        theirs.sendall(REFUSED)
        with pytest.raises(ScenarioError, match="refused: wrong token"):
            connect(f"{host}:4711", None)
        assert (token.encode() in theirs.recv(100)) == told
