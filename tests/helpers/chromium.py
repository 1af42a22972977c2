"""A headless Chromium, driven over its debugging protocol: the page as pixels, and all that it asked for.

Every name but loopback is unknown to it, so a request to another host fails, and is in the log.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import signal
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pyte
import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="needs chromium, and there is none on PATH")

#: Pixels of a page.
WIDTH = 1000

_FLAGS = (
    *("--headless=new", "--no-first-run", "--disable-extensions", "--disable-sync", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps"),
    *("--disable-dev-shm-usage", "--remote-debugging-port=0", f"--window-size={WIDTH},600"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


async def eventually(true: Callable[[], object], what: str, seconds: float = 10) -> None:
    for _ in range(int(seconds / 0.05)):
        if true():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"in vain waited for: {what}")


class Page:
    """One tab. The characters on its terminal are told from what came over its socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        #: The URL of every request, and of every socket.
        self.asked: list[str] = []
        #: What came over the page's sockets.
        self.drawn = b""
        #: Columns and rows, as the page told its last socket.
        self.size = (80, 24)

    async def listen(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said.get("result", said))
            elif said["method"] == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
            elif said["method"] == "Network.webSocketCreated":
                url = said["params"]["url"]
                self.asked.append(url)
                query = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))
                self.size, self.drawn = (int(query["width"]), int(query["height"])), b""
            elif said["method"] == "Network.webSocketFrameReceived":
                frame = said["params"]["response"]
                if frame["opcode"] == 2:
                    self.drawn += base64.b64decode(frame["payloadData"])

    async def do(self, method: str, **params: object) -> dict[str, Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(answer, 20)

    async def press(self, key: str) -> None:
        """A key that writes one character."""
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def body_has(self, name: str) -> bool:
        asked = f"document.body.classList.contains({name!r})"
        return bool((await self.do("Runtime.evaluate", expression=asked))["result"]["value"])

    def lines(self) -> list[str]:
        """The characters on the terminal."""
        screen = pyte.Screen(*self.size)
        pyte.ByteStream(screen).feed(self.drawn.replace(b"\x1b[?2026$p", b""))
        return list(screen.display)

    async def picture(self, width: int = WIDTH) -> bytes:
        """A PNG of the page, or of so many pixels at its left."""
        height = (await self.do("Runtime.evaluate", expression="innerHeight"))["result"]["value"]
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        return base64.b64decode((await self.do("Page.captureScreenshot", format="png", clip=clip))["data"])


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Callable[[str], Any]]:
    """A browser with that profile: a function that opens a page. All its processes end with the block."""
    assert PROGRAM is not None
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        *[PROGRAM, *_FLAGS, *sandbox, f"--user-data-dir={folder}", "about:blank"],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    listeners: list[asyncio.Task[None]] = []
    try:
        where = folder / "DevToolsActivePort"
        await eventually(lambda: where.exists() and "\n" in where.read_text(), "chromium", 20)
        port = where.read_text().split()[0]
        async with aiohttp.ClientSession() as session:

            async def new(url: str) -> Page:
                async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    target = await answer.json()
                page = Page(await session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
                listeners.append(asyncio.create_task(page.listen()))
                for domain in ("Network", "Page", "Runtime"):
                    await page.do(f"{domain}.enable")
                await page.do("Page.navigate", url=url)
                return page

            yield new
            for listener in listeners:
                listener.cancel()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def rows_of(png: bytes) -> list[bytes]:
    """The pixels of a picture without interlace, row by row."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    size = {2: 3, 6: 4}[kind]
    at, packed = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += 12 + length
    data, rows, above = zlib.decompress(packed), list[bytes](), bytes(width * size)
    for y in range(height):
        start = y * (width * size + 1)
        above = _unfiltered(data[start], bytearray(data[start + 1 : start + 1 + width * size]), above, size)
        rows.append(above)
    return rows


def _unfiltered(how: int, row: bytearray, above: bytes, size: int) -> bytes:
    for x in range(len(row)):
        left, up = (row[x - size], above[x - size]) if x >= size else (0, 0)
        if how == 1:
            guess = left
        elif how == 2:
            guess = above[x]
        elif how == 3:
            guess = (left + above[x]) // 2
        elif how == 4:
            guess = min((left, above[x], up), key=lambda value: abs(left + above[x] - up - value))
        else:
            break
        row[x] = row[x] + guess & 255
    return bytes(row)
