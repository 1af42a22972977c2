"""The monitor in a browser: on loopback, for whoever has the token, and nothing of it outlives its server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.helpers.chromium import Page, chromium, eventually, needs_chromium, rows_of
from tests.helpers.runs import scripted
from tui_torrent import cli
from tui_torrent.serve import Server

JOURNAL = Path(__file__).parents[1] / "demo" / "journals" / "flash-crowd.jsonl.zst"
#: Rows that are looked at.
CLIENTS = 8
#: Pixels at the left of the page that show the first columns; unpacking more of them takes its time.
RANKS_AND_STATES = 200
REPLAY = ("replay", "--web", "--at", "3", JOURNAL)


class Served:
    """A command with --web that runs, and all that it started."""

    def __init__(self, words: tuple[object, ...], environment: dict[str, str]) -> None:
        self._marker = f"TUI_TORRENT_TEST_WEB={uuid.uuid4().hex}"
        name, _, value = self._marker.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui_torrent", *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment, name: value},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://(127\.0\.0\.1:\d+)/\?token=([0-9a-f]{32})\b", self.line)
        assert found, self.line
        self.url, self.host, self.token = found[0], found[1], found[2]

    def processes(self) -> dict[int, str]:
        """The command lines of what is alive, by process id."""
        alive: dict[int, str] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if self._marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    alive[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
            except OSError:
                continue
        return alive

    async def is_gone(self) -> None:
        await asyncio.to_thread(self.process.wait, 10)
        await eventually(lambda: not self.processes(), "the end of all processes")


@contextmanager
def served(*words: object, **environment: str) -> Iterator[Served]:
    server = Served(words, environment)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        for pid in server.processes():
            os.kill(pid, signal.SIGKILL)
        assert server.process.stdout is not None
        server.process.stdout.close()


# Without a browser -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("replay", "--web", str(JOURNAL)), ("attach", "--web")])
def test_without_the_extra_one_line_says_which(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for module in ("tui_torrent.tui.web", "textual_serve", "textual_serve.server"):
        monkeypatch.setitem(sys.modules, module, None)
    swarm = Server("unix")
    try:
        assert cli.main(words) == 2
    finally:
        swarm.leave()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "tui_torrent: --web: expected the extra web, as in: pip install 'tui_torrent[web]'\n"


@pytest.mark.parametrize(
    "words", [["nothing.jsonl"], ["--port", "70000", str(JOURNAL)], ["--report", "r.json", str(JOURNAL)]]
)
def test_a_wrong_command_line_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "--web", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


async def drawn(socket: aiohttp.ClientWebSocketResponse, what: bytes) -> None:
    """Wait until that is among what the monitor draws."""
    seen = b""
    while what not in seen:
        message = await socket.receive(timeout=20)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        seen += message.data


def test_only_whoever_has_the_token_comes_in_and_by_no_other_name_or_page() -> None:
    async def visit(server: Served) -> None:
        port = server.host.partition(":")[2]
        async with aiohttp.ClientSession() as stranger:

            async def status(path: str, **headers: str) -> int:
                async with stranger.get(
                    f"http://{server.host}{path}", headers=headers, allow_redirects=False
                ) as answer:
                    return answer.status

            key = f"/?token={server.token}"
            assert await status("/") == await status("/ws") == await status("/static/js/textual.js") == 403
            assert await status(f"/?token={'0' * 32}") == await status("/?token=ö") == 403
            assert await status(key, Host=f"rebound.example:{port}") == 403
            assert await status(key, Origin="http://elsewhere.example") == 403
            assert await status(key) == 303

    with served(*REPLAY) as server:
        asyncio.run(visit(server))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_server(how: signal.Signals) -> None:
    async def visit(server: Served) -> None:
        # An unsafe jar takes cookies of an address without a name.
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.get(server.url) as page:
                assert page.status == 200
                assert "default-src 'self'" in page.headers["Content-Security-Policy"]
                assert "http" not in (await page.text()).replace(f"ws://{server.host}", "")
            async with session.ws_connect(f"ws://{server.host}/ws?width=80&height=24") as socket:
                await drawn(socket, b"overview")
                assert len(server.processes()) == 2
                server.process.send_signal(how)
                await server.is_gone()

    with served(*REPLAY) as server:
        asyncio.run(visit(server))
        assert server.process.returncode == (0 if how is signal.SIGINT else -how)
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""


# In a browser ----------------------------------------------------------------------------------


async def shows(page: Page, words: str) -> int:
    """Wait for these words on the page's terminal; in which line they are."""
    await eventually(lambda: any(words in line for line in page.lines()), words, 20)
    return next(y for y, line in enumerate(page.lines()) if words in line)


def ink(rows: list[bytes], page: Page, line: int) -> int:
    """How many kinds of pixels there are in a line of the terminal, as the picture has it."""
    height = len(rows) / page.size[1]
    strip = rows[int(line * height) : int((line + 1) * height)]
    size = len(strip[0]) // RANKS_AND_STATES
    return len({row[x : x + size] for row in strip for x in range(0, len(row), size)})


async def replayed(server: Served, new: Any) -> Page:
    page = await new(server.url)
    await shows(page, " state ")
    await shows(page, "downloading")
    await page.press(" ")
    await shows(page, "paused 1×")
    # Only now do the rows stand still: a sentence above them may have come or gone.
    first = await shows(page, " state ") + 1
    lines = page.lines()[first : first + CLIENTS]
    assert [line.split()[:3] for line in lines[:2]] == [["1", "↑", "seeding"], ["2", "↓", "downloading"]]
    await asyncio.sleep(0.3)
    rows = rows_of(await page.picture(RANKS_AND_STATES))
    # A line without a word, or one that was not drawn, has one or two.
    assert all(ink(rows, page, first + at) > 20 for at in range(CLIENTS))
    await page.press("3")
    await shows(page, "[3 traffic]")
    await page.press("q")
    await eventually(lambda: len(server.processes()) == 1, "the end of the viewer's process")
    return page


async def attached(server: Served, new: Any, secret: str) -> Page:
    page = await new(server.url)
    await shows(page, " state ")
    lines = server.processes().values()
    assert len(lines) == 2
    assert not [line for line in lines if secret in line or server.token in line]
    return page


@needs_chromium
def test_in_chromium_it_shows_the_clients_takes_keys_and_asks_no_other_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    swarm = Server("tcp")
    swarm.append(scripted()[:-1])
    token = next((tmp_path / "tui_torrent").glob("*.token")).read_text().strip()

    async def visit(replay: Served, attach: Served) -> None:
        async with chromium(tmp_path / "profile") as new:
            pages = [await replayed(replay, new), await attached(attach, new, token)]
        asked = [url for page in pages for url in page.asked]
        assert sum(url.startswith("ws://") for url in asked) == 2
        hosts = {re.sub(r"^\w+://([^/]*)/.*", r"\1", url) for url in asked if not url.startswith("data:")}
        assert hosts == {replay.host, attach.host}

    try:
        with served(*REPLAY) as replay, served("attach", "--web", swarm.address) as attach:
            asyncio.run(visit(replay, attach))
    finally:
        swarm.leave()
