"""The app as a person uses it: keys, help, resize, the report at the end, leaving."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from tests.helpers.runs import Scripted, scripted
from tui_torrent.tui.app import MonitorApp
from tui_torrent.tui.pages import LEFT_EARLY, SEEN_TO_THE_END
from tui_torrent.tui.palette import ANSI, DARK, LIGHT
from tui_torrent.tui.panels.lines import cells, plain
from tui_torrent.tui.pauses import short_pauses
from tui_torrent.tui.screens import ReportScreen
from tui_torrent.tui.widgets import Canvas
from tui_torrent.view.ledger import Finding

RUN = scripted()
MANY = scripted(64, duration=5.0)


def shown(app: App[int]) -> str:
    """The screen as text."""
    canvases = app.screen.query(Canvas)
    return plain(canvases.first().lines) if canvases else ""


def drawn(app: App[int]) -> str:
    """The screen as text, from what the canvas gives to Textual."""
    canvas = app.screen.query_one(Canvas)
    return "\n".join(canvas.render_line(y).text.rstrip() for y in range(canvas.size.height))


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait until it is so: ticks and resizes take their time on a busy machine."""
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"in vain; the screen shows\n{shown(pilot.app)}")


async def until_shown(pilot: Pilot[int], text: str) -> None:
    await until(pilot, lambda: text in shown(pilot.app))


def use(
    source: Scripted,
    scenario: Callable[[MonitorApp, Pilot[int]], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    **options: Any,
) -> MonitorApp:
    """Run the app over ``source`` and let ``scenario`` use it."""
    app = MonitorApp(source, title="three files", fps=40, **options)

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(shown(app)) and "waiting for" not in shown(app))
            await scenario(app, pilot)

    asyncio.run(main())
    return app


def test_the_overview_follows_the_source() -> None:
    source = Scripted(RUN, now=2.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        before = shown(app)
        assert "↓ downloading" in before
        assert "messages" in before
        source.now = 8.0
        await until_shown(pilot, "running  8.0 s")
        assert shown(app) != before
        assert drawn(app) == shown(app)

    use(source, scenario)


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_leaving_early_says_so(key: str) -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press(key)

    app = use(Scripted(RUN, now=2.0), scenario)
    assert app.return_value == LEFT_EARLY
    assert app.return_code == 0


def test_help_opens_scrolls_and_closes() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        for closing in ("question_mark", "escape"):
            await pilot.press("question_mark")
            await until_shown(pilot, "? closes")
            assert "keys" in shown(app)
            assert "leave the monitor" in shown(app)
            await pilot.press("end")
            assert "fewest copies" in shown(app)
            assert drawn(app) == shown(app)
            await pilot.press("home", closing)
            await until_shown(pilot, "messages")

    use(Scripted(RUN, now=2.0), scenario)


def test_q_leaves_from_the_help_too() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("question_mark", "q")

    assert use(Scripted(RUN, now=2.0), scenario).return_value == LEFT_EARLY


def test_keys_choose_a_client_and_scroll_to_it() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        async def after(*keys: str) -> tuple[str, str]:
            """Where the mark is, and which clients are shown."""
            await pilot.press(*keys)
            lines = shown(app).splitlines()
            marked = next(line for line in lines if line.startswith("▸")).split()[1]
            return marked, next(line for line in lines if " of 64" in line).split(" of 64")[0].split()[-1]

        assert "1–10" in shown(app)
        assert "▸" not in shown(app)
        assert await after("down") == ("1", "1–10")
        assert await after("down", "j") == ("3", "1–10")
        assert await after("k", "up", "up") == ("1", "1–10")
        assert await after("pagedown") == ("11", "2–11")
        assert await after("end") == ("64", "55–64")
        assert await after("pageup") == ("54", "54–63")
        assert await after("g") == ("1", "1–10")
        assert await after("G") == ("64", "55–64")

    use(Scripted(MANY, now=2.0), scenario)


def test_the_mouse_wheel_scrolls() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        app.screen.query_one(Canvas).post_message(Canvas.Scrolled(3))
        await until_shown(pilot, "4–13 of 64")
        assert "▸" not in shown(app)

    use(Scripted(MANY, now=2.0), scenario)


def test_a_resize_lays_everything_out_again() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        for width, height in ((160, 50), (40, 12), (20, 5), (100, 30)):
            await pilot.resize_terminal(width, height)
            canvas = app.screen.query_one(Canvas)
            size = (width, height)
            await until(pilot, lambda: (cells(canvas.lines[0]), len(canvas.lines)) == size)  # noqa: B023
            assert {cells(line) for line in canvas.lines} == {width}
            assert drawn(app) == shown(app)

    use(Scripted(RUN, now=2.0), scenario)


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report takes Enter from its first moment on."""
    monkeypatch.setattr("tui_torrent.tui.app.GRACE", 0.001)


@pytest.mark.usefixtures("no_grace")
def test_the_report_stays_until_enter_is_pressed() -> None:
    calls: list[str] = []
    source = Scripted(RUN, now=2.0, findings=[Finding("INIT first", True, "")] * 9)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        source.now = 99.0
        await until_shown(pilot, "Everything that was wanted is there")
        await pilot.press("end")
        assert "✓ INIT first" in shown(app)
        polls = source.polls
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: len(app.screen.query_one(Canvas).lines) == 20)
        assert isinstance(app.screen, ReportScreen)
        assert source.polls == polls, "nothing comes after the end"
        # Whatever one is used to press on another screen.
        await pilot.press(*"xsSnpf/", "tab", "up", "down", "space", "left", "backspace")
        assert isinstance(app.screen, ReportScreen)
        assert app.return_value is None
        await pilot.press("enter")

    app = use(source, scenario, on_over=lambda: calls.append("over"))
    assert app.return_value == SEEN_TO_THE_END
    assert calls == ["over"]


def test_a_key_that_was_meant_for_the_overview_does_not_close_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui_torrent.tui.app.GRACE", 3600.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("enter", "j")
        assert isinstance(app.screen, ReportScreen)
        await pilot.press("q")

    assert use(Scripted(RUN, now=99.0), scenario).return_value == SEEN_TO_THE_END


@pytest.mark.usefixtures("no_grace")
def test_a_long_report_scrolls_before_it_goes() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await until_shown(pilot, "more line")
        await pilot.press("end")
        assert isinstance(app.screen, ReportScreen)
        assert "Jain" in shown(app)
        await pilot.press("space", "q")

    assert use(Scripted(MANY, now=99.0), scenario).return_value == SEEN_TO_THE_END


@pytest.mark.usefixtures("no_grace")
def test_the_end_comes_through_the_help() -> None:
    source = Scripted(RUN, now=2.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("question_mark")
        source.now = 99.0
        await until_shown(pilot, "q enter leave")
        await until(pilot, lambda: app.stage.may_leave)
        await pilot.press("enter")

    assert use(source, scenario).return_value == SEEN_TO_THE_END


def test_ascii_shows_nothing_else() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        assert drawn(app).isascii()
        await pilot.press("question_mark")
        await until_shown(pilot, "? closes")
        assert drawn(app).isascii()

    use(Scripted(RUN, now=2.0), scenario, ascii_only=True)


def test_no_color_writes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        assert app.theme == ANSI
        await pilot.press("question_mark")
        await until_shown(pilot, "? closes")
        await pilot.press("escape")
        await until_shown(pilot, "messages")
        strips = app.screen.query_one(Canvas).render_lines(app.screen.region)
        styles = [segment.style for strip in strips for segment in strip]
        assert all(style is not None for style in styles)
        colours = {c for s in styles if s is not None for c in (s.color, s.bgcolor) if c is not None}
        assert all(colour.is_default for colour in colours)
        assert any(style.reverse for style in styles if style is not None)

    use(Scripted(RUN, now=2.0), scenario)


def test_a_terminal_of_16_colours_gets_its_own_and_the_linux_console_ascii(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        assert app.theme == ANSI
        strips = app.screen.query_one(Canvas).render_lines(app.screen.region)
        styles = [segment.style for strip in strips for segment in strip if segment.style is not None]
        numbers = {style.color.number for style in styles if style.color and not style.color.is_default}
        assert {2, 3, 12} <= numbers
        assert app.ascii_only == drawn(app).isascii() == (term == "linux")

    for term in ("linux", "screen-16color"):
        monkeypatch.setenv("TERM", term)
        monkeypatch.delenv("COLORTERM", raising=False)
        use(Scripted(RUN, now=2.0), scenario)


def test_a_change_of_theme_draws_all_anew() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        def background() -> object:
            (segment, *_) = app.screen.query_one(Canvas).render_line(4)
            assert segment.style is not None
            return segment.style.bgcolor

        assert app.theme == DARK
        dark = background()
        app.theme = LIGHT
        await until(pilot, lambda: background() != dark)
        light = background()
        app.theme = "nord"
        await until(pilot, lambda: background() != light)
        assert "messages" in drawn(app)

    use(Scripted(RUN, now=2.0), scenario)


def test_only_changed_lines_are_drawn_again() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        canvas = app.screen.query_one(Canvas)
        before = [canvas.render_line(y) for y in range(24)]
        app.source.poll()
        app.screen.query_one(Canvas).show(list(canvas.lines))
        assert [canvas.render_line(y) is strip for y, strip in enumerate(before)] == [True] * 24
        lines = list(canvas.lines)
        lines[5] = lines[6]
        canvas.show(lines)
        assert [y for y, strip in enumerate(before) if canvas.render_line(y) is not strip] == [5]

    use(Scripted(RUN, now=2.0), scenario)


def test_what_has_outlived_a_collection_keeps_no_key_waiting_again() -> None:
    with short_pauses():
        old = [[number] for number in range(1000)]
        gc.collect()
        assert gc.get_freeze_count() > len(old)
        looked_at = {id(thing) for thing in gc.get_objects()}
        assert not any(id(thing) in looked_at for thing in old)
    assert gc.get_freeze_count() == 0
