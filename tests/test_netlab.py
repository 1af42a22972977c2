"""Several hosts, each a network namespace with a limited link: files, the monitor and viewers across them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from tests.bench import netlab
from tests.bench.delay_line import TOGETHER
from tests.bench.netlab import Netlab, address
from tests.helpers.mpirun import REPOSITORY
from tests.helpers.pty_screen import Pty, eventually
from tests.helpers.trees import Tree, client_tables, grow, link_below, wrong_files

_MISSING = netlab.missing()

pytestmark = [
    pytest.mark.mpirun,
    pytest.mark.skipif(_MISSING is not None, reason=f"no lab: {_MISSING}"),
    pytest.mark.timeout(60),
]

MIB = 1 << 20

TREE: Tree = {
    "empty": (0, 0o644),
    "notes.txt": (5_000, 0o400),
    "models/big.bin": (8 * MIB + 1, 0o640),
    "models/run.sh": (300_000, 0o755),
    **{f"many/{at:02}.dat": (at * 3_001, 0o600) for at in range(10)},
}
TUI_TORRENT = (sys.executable, "-m", "tui_torrent")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grow(tmp_path_factory.mktemp("tree") / "all", TREE, Random(7))


@pytest.fixture
def three_hosts() -> Iterator[Netlab]:
    with Netlab(3) as lab:
        yield lab


def one_to_one(folder: Path, everything: Path) -> Path:
    """A scenario: client 1 has all, client 2 wants all."""
    scenario = folder / "scenario.toml"
    scenario.write_text(client_tables([(everything, ("**/*",))], [(), ("**/*",)]))
    return scenario


def namespaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()} | set(os.listdir("/etc/netns"))


def test_files_arrive_across_five_hosts(everything: Path, tmp_path: Path) -> None:
    first = {name for name in TREE if not name.startswith("many")}
    second = set(TREE) - first | {"models/big.bin"}
    roots = (link_below(tmp_path / "a", everything, first), link_below(tmp_path / "b", everything, second))
    scenario, report_file = tmp_path / "scenario.toml", tmp_path / "report.json"
    wants: list[tuple[str, ...]] = [(), (), ("**/*",), ("**/*",), ("models", "many/0*")]
    scenario.write_text(client_tables([(root, ("**/*",)) for root in roots], wants))
    with Netlab(5, slow={4: "50mbit"}, slow_paths={(2, 3): "50mbit"}, latency=0.002) as lab:
        words = [*TUI_TORRENT, scenario, "--out", tmp_path / "out", "--report", report_file]
        command = [*lab.mpirun([0, 0, 1, 2, 3, 4]), *map(str, words)]
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=40)
        sent = lab.sent()
    assert run.returncode == 0, run.stdout + run.stderr
    for rank in (3, 4):
        assert wrong_files(tmp_path / "out" / f"client{rank}", everything, set(TREE)) == []
    some = {name for name in TREE if name.startswith(("models", "many/0"))}
    assert wrong_files(tmp_path / "out" / "client5", everything, some) == []
    report = json.loads(report_file.read_bytes())
    assert all(finding["holds"] is True for finding in report["conformance"])
    # All of it crossed the wires: no host found another's memory.
    assert sum(sent) >= sum(client["bytes_down"] for client in report["clients"]) > 24 * MIB


def test_the_monitor_is_on_the_launchers_host(three_hosts: Netlab, everything: Path, tmp_path: Path) -> None:
    scenario = one_to_one(tmp_path, everything)
    words = [*TUI_TORRENT, scenario, "--out", tmp_path / "out", "--monitor", "--rate", 4 * MIB]
    terminal = Pty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    command = [*three_hosts.mpirun([0, 1, 2, 0]), *map(str, words)]
    tty = terminal.slave
    environment = os.environ | {"TERM": "xterm-256color"}
    try:
        with subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdin=tty,
            stdout=tty,
            stderr=tty,
            preexec_fn=take_terminal,
        ) as job:
            try:
                eventually(lambda: "2 ↓ downloading" in terminal.screen(), "client 2's row")
                eventually(lambda: "Everything that was wanted is there" in terminal.screen(), "the report")
                terminal.type(b"q")
                assert job.wait(15) == 0
            finally:
                job.kill()
        assert terminal.modes() == set()
    finally:
        terminal.close()
    assert wrong_files(tmp_path / "out" / "client2", everything, set(TREE)) == []


def test_a_viewer_attaches_on_the_observers_host_alone(
    three_hosts: Netlab, everything: Path, tmp_path: Path
) -> None:
    scenario = one_to_one(tmp_path, everything)
    words = [*TUI_TORRENT, scenario, "--out", tmp_path / "out", "--serve-tcp", "--rate", 2 * MIB]
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    said = tmp_path / "said"

    def attach(host: int) -> subprocess.CompletedProcess[str]:
        address = said.read_text().partition("serving viewers at ")[2].split()[0]
        watching = [*three_hosts.inside(host), *TUI_TORRENT, "attach", address]
        return subprocess.run(
            watching, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=20
        )

    command = [*three_hosts.mpirun([0, 1, 2]), *map(str, words)]
    with (
        said.open("w") as output,
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=output) as job,
    ):
        try:
            eventually(lambda: "serving viewers at " in said.read_text(), "the address")
            with ThreadPoolExecutor() as pool:
                elsewhere, watched = pool.map(attach, (1, 0))
            assert job.wait(20) == 0
        finally:
            job.kill()
    assert elsewhere.returncode == 2
    assert "attach" in elsewhere.stderr
    assert watched.returncode == 0, watched.stderr
    assert "complete" in watched.stdout


ECHO = """
import socket
with socket.create_server(("", 7000)) as server:
    print("ready", flush=True)
    with server.accept()[0] as asker:
        while asked := asker.recv(1 << 16):
            asker.sendall(asked)
"""
#: Prints the quickest of some round trips of a byte, in seconds, and whether a MiB comes back as it was.
ASK = """
import os, socket, sys, time
with socket.create_connection((sys.argv[1], 7000)) as server:
    trips = []
    for _ in range(5):
        began = time.monotonic()
        server.sendall(b"?")
        assert server.recv(1) == b"?"
        trips.append(time.monotonic() - began)
    sent, back = os.urandom(1 << 20), b""
    for at in range(0, len(sent), 1 << 15):
        server.sendall(sent[at : at + (1 << 15)])
        while len(back) < at + (1 << 15):
            back += server.recv(1 << 15)
print(min(trips), back == sent)
"""


def test_what_goes_over_a_long_wire_comes_later_and_whole() -> None:
    latency = 0.01
    with Netlab(2, latency=latency) as lab:
        echo = [*lab.inside(0), sys.executable, "-c", ECHO]
        with subprocess.Popen(echo, stdout=subprocess.PIPE, text=True) as job:
            try:
                assert job.stdout is not None
                assert job.stdout.readline() == "ready\n"
                ask = [*lab.inside(1), sys.executable, "-c", ASK, address(0)]
                quickest, whole = subprocess.run(
                    ask, capture_output=True, text=True, timeout=20, check=True
                ).stdout.split()
            finally:
                job.kill()
    # The line may let a frame out early by half of what it takes together.
    assert float(quickest) >= 2 * latency - TOGETHER
    assert whole == "True"


def test_nothing_is_left_of_a_lab_that_was_killed() -> None:
    words = [sys.executable, "-m", "tests.bench.netlab", "--hosts", "2", "--", "sleep", "60"]
    job = subprocess.Popen(words, cwd=REPOSITORY, start_new_session=True)
    made = f"tt-lab-{job.pid}-"
    try:
        eventually(lambda: sum(name.startswith(made) for name in namespaces()) >= 3, "the hosts")
    finally:
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
    with Netlab(1):
        left = [*namespaces(), *os.listdir(tempfile.gettempdir())]
        assert not any(name.startswith(made) for name in left)


def test_a_lab_that_cannot_be_says_why_in_one_line() -> None:
    words = [sys.executable, "-m", "tests.bench.netlab", "--hosts", "2", "--", "true"]
    environment = os.environ | {"PATH": str(Path(sys.executable).parent)}
    run = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=20)
    assert run.returncode == 2
    assert run.stderr == "no lab: needs ip, and it is not on PATH\n"
