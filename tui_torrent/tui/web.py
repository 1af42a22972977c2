"""The monitor in a browser, through textual-serve: ``--web`` of ``replay`` and ``attach``.

Each connection has a process of its own, which runs the same command without ``--web``. The rules:

- It listens on loopback alone, and the page asks nothing of any other host: its policy forbids it.
- Loopback is open to every user of this host, and to every page in a browser that is open here. So whoever
  comes must have been given the URL, with its token of 128 bits; then a cookie stands for it. Any other name
  of this host, and any other page's socket, is refused.
- No process outlives its connection, nor the server, whatever ends it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from mpi_core.protocol.errors import ScenarioError, reason
from tui_torrent.tui.browser import NAME

HOST = "127.0.0.1"
#: Our page, in place of textual-serve's, which has its font from another host.
PAGE = Path(__file__).parent / "page"
#: Seconds until a viewer's process that was told to end is killed, and a handler is left alone.
PATIENCE = 3.0

_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws://{host}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Viewer(AppService):
    """The process behind one connection. It has a session of its own: ctrl+c is the server's to answer."""

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        # A browser speaks UTF-8 in all colours, whatever the locale and the terminal here are.
        theirs = super()._build_environment(width, height)
        return {**theirs, "TEXTUAL_DRIVER": NAME, "LC_ALL": "C.UTF-8", "TERM": "xterm"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        self._process = process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self._build_environment(width, height),
            start_new_session=True,
        )
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        """What the process draws, until it ends; then the page is told."""
        await super().run()
        await self.remote_close()

    async def stop(self) -> None:
        """End it; by force where it does not end by itself."""
        process = self._process
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(super().stop(), PATIENCE)
            if process is not None:
                await asyncio.wait_for(process.wait(), PATIENCE)
        if process is not None and process.returncode is None:
            process.kill()


class WebMonitor(Server):
    """Serves ``python -m tui_torrent WORDS`` at a socket."""

    def __init__(self, words: Sequence[str], title: str, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        command = shlex.join([sys.executable, "-m", "tui_torrent", *words])
        super().__init__(command, HOST, port, title, templates_path=PAGE)
        self._token = secrets.token_hex(16)
        self._cookie = f"tui_torrent_{port}"
        self._viewers: set[Viewer] = set()

    @property
    def address(self) -> str:
        """What to open in the browser."""
        return f"{self.public_url}/?token={self._token}"

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.router.add_static("/page", PAGE)
        app.middlewares.append(self._guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """The URL is one line, printed by whoever started the server."""

    async def on_shutdown(self, app: web.Application) -> None:
        await asyncio.gather(*(viewer.stop() for viewer in list(self._viewers)))

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nobody comes in under another name, from another page, or without the token."""
        host = f"{HOST}:{self.port}"
        if request.host != host or request.headers.get("Origin", self.public_url) != self.public_url:
            raise web.HTTPForbidden(text=f"expected http://{host}/ and no other page or name")
        if self._knows(request.query.get("token", "")):
            query = {name: value for name, value in request.query.items() if name != "token"}
            inside = web.HTTPSeeOther(request.rel_url.with_query(query))
            inside.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax")
            raise inside
        if not self._knows(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text="expected the whole URL that was printed, with its token")
        response = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = _POLICY.format(host=host)
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _knows(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, from its first byte to its last."""
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)

        async def close() -> None:
            await websocket.close()

        viewer = Viewer(
            self.command,
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=close,
            download_manager=self.download_manager,
        )
        self._viewers.add(viewer)
        try:
            size = [int(request.query.get(name, default)) for name, default in _SIZE.items()]
            await viewer.start(*size)
            await self._process_messages(websocket, viewer)
        finally:
            await viewer.stop()
            self._viewers.discard(viewer)
        return websocket


_SIZE = {"width": "80", "height": "24"}


def serve(words: Sequence[str], title: str, port: int) -> int:
    """Serve that command until ctrl+c; the exit code. ScenarioError where the port cannot be had."""
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ScenarioError(f"--web: expected a free port, {port} is not: {reason(error)}") from None
    monitor = WebMonitor(words, title, listener)
    print(f"the monitor is at {monitor.address} (ctrl+c ends it)", flush=True)
    web.run_app(monitor._make_app(), sock=listener, print=None, access_log=None, shutdown_timeout=PATIENCE)
    return 0
