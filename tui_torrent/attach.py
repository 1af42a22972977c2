"""``python -m tui_torrent attach``: watch a swarm that runs with ``--serve``, from another terminal.

The journal comes over the socket, from its first line on; a thread reads it, and the screen folds it as it
folds a live run. Losing the connection ends the view, never the swarm.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import sys
import threading
import time
from pathlib import Path

from mpi_core.protocol.codec import from_line
from mpi_core.protocol.errors import ScenarioError, one_line, reason
from mpi_core.protocol.events import RunEnded, RunStarted, Stamped, header_problem
from mpi_core.runtime.disk import READ
from tui_torrent.browse import browse, has_screen
from tui_torrent.complaints import complain
from tui_torrent.serve import GREETING, LONGEST_GREETING, WELCOME, runtime_folders
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.ledger import Finding
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

#: Seconds to connect and be welcomed.
PATIENCE = 5.0
#: Events folded at one tick of the screen, so that a long history does not freeze it.
AT_ONCE = 20_000

#: This host, by the names that people type.
LOOPBACK = ("127.0.0.1", "localhost")

#: An address of TCP: all else is the path of a socket.
_TCP = re.compile(r"([^/]*):([0-9]+)", re.DOTALL)
_TOKEN = re.compile(r"[0-9a-f]{32}")

LOST = "the connection is lost; the swarm may go on"


def find_address() -> str:
    """The one swarm of this user that can be attached to; raises ScenarioError unless there is just one."""
    folders = runtime_folders()
    found = [str(path) for folder in folders for path in sorted(folder.glob("*.sock"))]
    found += [f"127.0.0.1:{path.stem}" for folder in folders for path in sorted(folder.glob("*.token"))]
    alive = [address for address in found if _answers(address)]
    if len(alive) == 1:
        return alive[0]
    if not alive:
        raise ScenarioError("attach: expected a swarm that runs with --serve, found none on this host")
    raise ScenarioError(f"attach: expected one of {', '.join(alive)}, since {len(alive)} swarms run")


def _answers(address: str) -> bool:
    try:
        _open(address).close()
    except OSError:
        return False
    return True


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Where TCP leads to, or None where the address is a socket's path; raises ScenarioError."""
    found = _TCP.fullmatch(address)
    if found is None:
        return None
    digits = found[2].lstrip("0")
    if len(digits) > 5 or not 0 < int(digits or 0) < 1 << 16:
        raise _wrong(address, f"expected a port from 1 to {(1 << 16) - 1}")
    return found[1] or "127.0.0.1", int(digits)


def _open(address: str) -> socket.socket:
    tcp = _host_and_port(address)
    if tcp is not None:
        return socket.create_connection(tcp, timeout=PATIENCE)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(address)
    return sock


def read_token(file: Path) -> str:
    """The token that ``--serve-tcp`` wrote to a file; raises ScenarioError."""
    try:
        with open(os.open(file, READ), "rb") as opened:
            content = opened.read(LONGEST_GREETING)
    except OSError as error:
        raise _wrong(str(file), f"expected a file with a token: {reason(error)}") from None
    token = content.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise _wrong(str(file), "expected a token of 32 hexadecimal digits, found something else")
    return token


def connect(address: str, token: str | None) -> socket.socket:
    """A welcomed connection; raises ScenarioError. Where no token is given, that of a swarm on this host is
    read from its file."""
    tcp = _host_and_port(address)
    if token is None and tcp is not None and tcp[0] in LOOPBACK:
        files = (folder / f"{tcp[1]}.token" for folder in runtime_folders())
        token = next((read_token(file) for file in files if file.exists()), "")
    try:
        sock = _open(address)
        sock.sendall(GREETING + (token or "").encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n") and (data := sock.recv(1)):
            answer += data
    except UnicodeError:
        # The system is asked for the host's name in IDNA, which not every text has.
        raise _wrong(address, "expected the name of a host") from None
    except OSError as error:
        expected = "a swarm's socket or HOST:PORT" if tcp is None else "a swarm that is served there"
        raise _wrong(address, f"expected {expected}: {reason(error)}") from None
    if answer != WELCOME:
        raise _wrong(address, answer.decode(errors="replace").strip() or "hung up")
    sock.settimeout(None)
    return sock


def _wrong(what: str, problem: str) -> ScenarioError:
    return ScenarioError(f"attach: {one_line(what)}: {one_line(problem)}")


class Attached:
    """The source of a screen: the events that come over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._inbox: queue.SimpleQueue[Stamped] = queue.SimpleQueue()
        self._checker = Conformance()
        #: This host's clock less the run's: the least that was seen, since news travel forward in time.
        self._offset = float("inf")
        self._hung_up = threading.Event()
        self.view = SwarmView()
        self.tail = Tail()
        self.findings: list[Finding] = []
        self.over = False
        threading.Thread(target=self._read, name="attach", daemon=True).start()

    @property
    def now(self) -> float:
        return self.view.t if self.over else max(self.view.t, time.monotonic() - self._offset)

    @property
    def hung_up(self) -> bool:
        """The connection ended before the run's last event."""
        return self._hung_up.is_set() and self._inbox.empty() and self.view.outcome is None

    def poll(self) -> None:
        for _ in range(AT_ONCE):
            if self._inbox.empty():
                break
            stamped = self._inbox.get_nowait()
            self._checker.see(stamped)
            self.view.apply(stamped)
            self.tail.add(stamped)
            self.over = isinstance(stamped.event, RunEnded)
        else:
            return
        if self.view.events:
            self._offset = min(self._offset, time.monotonic() - self.view.t)
        if (self.over or self.hung_up) and not self.findings:
            self.findings = self._checker.result()
            self.over = True

    def _read(self) -> None:
        try:
            with self._sock.makefile("rb") as lines:
                for line in lines:
                    if line.endswith(b"\n"):
                        stamped = from_line(line)
                        header = stamped.event
                        if isinstance(header, RunStarted) and (problem := header_problem(header)):
                            raise ScenarioError(problem)
                        self._inbox.put(stamped)
        except (OSError, ScenarioError):
            pass
        self._hung_up.set()


def run_attach(address: str | None, token_file: str | None, ascii: bool, web: bool, port: int) -> int:
    """Show the swarm at ``address`` (None: the only one of this user) until its end or until left."""
    address = address or find_address()
    token = None
    if token_file is not None:
        token = read_token(Path(token_file))
    sock = connect(address, token)
    if web:
        # Each browser connects anew, from a process that finds the token in the same file.
        sock.close()
        words = ["attach", *["--ascii"] * ascii, *([f"--token-file={token_file}"] if token_file else [])]
        return browse([*words, "--", address], f"attached to {address}", port)
    source = Attached(sock)
    if not has_screen():
        return _plain(source)
    from tui_torrent.tui.app import MonitorApp
    from tui_torrent.tui.driver import own_driver

    def over() -> None:
        if source.hung_up:
            app.stage.title = f"{address}: connection lost"

    app = MonitorApp(source, title=address, driver_class=own_driver(), ascii_only=ascii, on_over=over)
    app.run()
    return app.return_code or 0


def _plain(source: Attached) -> int:
    from tui_torrent.headless import PlainLines
    from tui_torrent.view.report import build

    sink = PlainLines(sys.stdout.write, sys.stdout.flush)
    while not source.over:
        source.poll()
        sink.update(source.view, source.now)
        time.sleep(0.05)
    if source.hung_up:
        complain(f"attach: {LOST}")
        return 3
    sink.finish(build(source.view, source.findings))
    return 0
