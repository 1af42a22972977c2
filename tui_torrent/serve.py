"""Let viewers attach to a running swarm: ``--serve``.

What a viewer gets is the journal, from its first line on, as it grows. It lies in a file, and each viewer
has a place in it: a slow one falls behind alone, and nothing in the swarm ever waits for it. One thread
serves all, with sockets that never block.

A Unix socket in the user's runtime folder is open to that user alone. TCP, on loopback only, asks for a
token of 128 bits which stands in a file that only the user can read.
"""

from __future__ import annotations

import hmac
import os
import secrets
import selectors
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import ScenarioError, reason
from mpi_core.protocol.events import Stamped

#: The first words of a viewer, then its token; and the answers.
GREETING = b"tui_torrent/1 "
WELCOME = b"welcome\n"
REFUSED = b"refused: wrong token\n"
FULL = b"refused: too many viewers\n"

MOST_VIEWERS = 32
#: Connections beyond them that are heard out, to be refused in words.
MOST_REFUSED = 32
#: Seconds that a viewer may take for its first line, and between two looks at what has grown.
GREETING_TIME = 5.0
TICK = 0.05
#: Bytes sent to one viewer before the next has its turn, and in the longest greeting.
CHUNK = 256 * 1024
LONGEST_GREETING = 256
#: After the run, viewers may take so long (seconds) to read the rest.
FAREWELL = 3.0


def runtime_folders() -> list[Path]:
    """Where the user's sockets and tokens may be, the best place first; some may not exist."""
    folders = []
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(base):
        folders.append(Path(base) / "tui_torrent")
    # Where no temporary folder can be written, the first place may do.
    with suppress(OSError):
        folders.append(Path(tempfile.gettempdir()) / f"tui_torrent-{os.getuid()}")
    return folders


def runtime_folder() -> Path:
    """The user's own folder for sockets and tokens, made if need be.

    XDG_RUNTIME_DIR may be another machine's, since launchers hand the environment on: then the folder is
    in the temporary one. Raises ScenarioError where neither can be made, or is not the user's alone.
    """
    problem = "no temporary folder can be written"
    for folder in runtime_folders():
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
        except OSError as error:
            problem = f"cannot make {folder}: {reason(error)}"
            continue
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise ScenarioError(f"--serve: expected {folder} to be a folder that only you can enter")
        return folder
    raise ScenarioError(f"--serve: {problem}")


@dataclass
class Viewer:
    """One connection, and its place in the journal."""

    sock: socket.socket
    since: float
    greeting: bytearray = field(default_factory=bytearray)
    welcome: bool = False
    #: What is on its way out, and the place in the journal behind it.
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    at: int = 0


class Server:
    """Serves the journal of the run that is going on in this process."""

    def __init__(self, kind: Literal["unix", "tcp"]) -> None:
        """Raises ScenarioError where nothing can be served."""
        folder = runtime_folder()
        self._paths: list[Path] = []
        self._token = b""
        #: Where the token of TCP stands.
        self.token_file: Path | None = None
        try:
            self._spool = tempfile.TemporaryFile(prefix="tui_torrent-")  # noqa: SIM115
            if kind == "tcp":
                self._listener = socket.create_server(("127.0.0.1", 0))
                port = self._listener.getsockname()[1]
                self._token = secrets.token_hex(16).encode()
                self.token_file = token_file = folder / f"{port}.token"
                self._write_private(token_file, self._token)
                self.address = f"127.0.0.1:{port}"
                self._paths.append(token_file)
            else:
                path = folder / f"{os.getpid()}.sock"
                path.unlink(missing_ok=True)
                self._listener = socket.socket(socket.AF_UNIX)
                self._listener.bind(str(path))
                path.chmod(0o600)
                self._listener.listen()
                self.address = str(path)
                self._paths.append(path)
        except OSError as error:
            problem = f"expected a socket that can be made in {folder}: {reason(error)}"
            raise ScenarioError(f"--serve: {problem}") from None
        self._listener.setblocking(False)
        self._written = 0
        self._over = threading.Event()
        #: How long those who are behind may read when it is over, on the monotonic clock.
        self._until = 0.0
        self._viewers: dict[int, Viewer] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)
        self._thread.start()

    @staticmethod
    def _write_private(path: Path, text: bytes) -> None:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(text + b"\n")

    def append(self, batch: Sequence[Stamped]) -> None:
        """Let the journal grow; called by the feed, never waits. Raises OSError where the disk refuses:
        then the viewers read what they have, and no more comes."""
        lines = to_lines(batch)
        try:
            self._spool.write(lines)
            self._spool.flush()
        except OSError:
            self.close()
            raise
        self._written += len(lines)

    def close(self) -> None:
        """The journal grows no more; the viewers may read the rest. Never waits."""
        if not self._over.is_set():
            self._until = time.monotonic() + FAREWELL
            self._over.set()

    def leave(self, at_once: bool = False) -> None:
        """Hang up, when the viewers have read the rest unless ``at_once``, and remove what was made."""
        self.close()
        if at_once:
            self._until = 0.0
        self._thread.join(FAREWELL + 1)
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._spool.close()

    # The thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._over.is_set() or (time.monotonic() < self._until and self._behind()):
            for key, events in self._selector.select(TICK):
                if key.fileobj is self._listener:
                    self._accept()
                elif events & selectors.EVENT_READ:
                    self._read(self._viewers[key.fd])
            for viewer in list(self._viewers.values()):
                self._serve(viewer)
        for viewer in list(self._viewers.values()):
            self._drop(viewer)
        self._selector.close()
        self._listener.close()

    def _behind(self) -> bool:
        return any(v.welcome and (v.pending or v.at < self._written) for v in self._viewers.values())

    def _accept(self) -> None:
        with suppress(OSError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            # One too many is told so only after its greeting: hung up on before, it may never read why.
            if len(self._viewers) >= MOST_VIEWERS + MOST_REFUSED:
                sock.close()
                return
            self._viewers[sock.fileno()] = Viewer(sock, time.monotonic())
            self._selector.register(sock, selectors.EVENT_READ)

    def _drop(self, viewer: Viewer) -> None:
        self._selector.unregister(viewer.sock)
        del self._viewers[viewer.sock.fileno()]
        viewer.sock.close()

    def _read(self, viewer: Viewer) -> None:
        try:
            data = viewer.sock.recv(LONGEST_GREETING)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(viewer)
        elif not viewer.welcome:
            viewer.greeting += data
            if b"\n" in viewer.greeting or len(viewer.greeting) > LONGEST_GREETING:
                self._judge(viewer)

    def _judge(self, viewer: Viewer) -> None:
        words = bytes(viewer.greeting.split(b"\n")[0])
        token = words[len(GREETING) :].strip()
        known = words.startswith(GREETING) and hmac.compare_digest(token, self._token)
        if known and sum(other.welcome for other in self._viewers.values()) < MOST_VIEWERS:
            viewer.welcome = True
            viewer.pending = memoryview(WELCOME)
            return
        with suppress(OSError):
            viewer.sock.send(FULL if known else REFUSED)
        self._drop(viewer)

    def _serve(self, viewer: Viewer) -> None:
        """Send a viewer what it can take now."""
        if not viewer.welcome:
            if time.monotonic() > viewer.since + GREETING_TIME:
                self._drop(viewer)
            return
        if not viewer.pending and viewer.at < self._written:
            size = min(CHUNK, self._written - viewer.at)
            chunk = os.pread(self._spool.fileno(), size, viewer.at)
            viewer.pending = memoryview(chunk)
            viewer.at += len(chunk)
        if viewer.pending:
            try:
                viewer.pending = viewer.pending[viewer.sock.send(viewer.pending) :]
            except BlockingIOError:
                pass
            except OSError:
                self._drop(viewer)
