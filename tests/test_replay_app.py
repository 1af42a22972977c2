"""The replay as a person uses it: keys, mouse, the report at the end and the way back from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.runs import Ticks, scripted
from tests.test_app import drawn, shown, until, until_shown
from tui_torrent.recording import Recording
from tui_torrent.replay import Replay
from tui_torrent.tui.pages import LEFT_EARLY, SEEN_TO_THE_END
from tui_torrent.tui.panels.lines import plain
from tui_torrent.tui.panels.tabs import NAMES
from tui_torrent.tui.panels.timeline import track
from tui_torrent.tui.replay_app import ReplayApp, Timeline
from tui_torrent.tui.screens import LogScreen, ReportScreen

RECORDING = Recording(scripted())


def bottom(app: ReplayApp) -> str:
    """The timeline as text."""
    return plain(app.screen.query_one(Timeline).lines)


def use(
    scenario: Callable[[ReplayApp, Pilot[int], Ticks], Awaitable[None]],
    *,
    at: float = 2.0,
    size: tuple[int, int] = (80, 24),
    recording: Recording = RECORDING,
    **options: Any,
) -> ReplayApp:
    """Run the app over a replay that is paused at ``at``, and let ``scenario`` use it."""
    ticks = Ticks()
    replay = Replay(recording, ticks=ticks)
    replay.seek(at)
    app = ReplayApp(replay, title="three files", fps=20, **options)

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: bool(app.screen.query(Timeline)) and "/ " in bottom(app))
            await scenario(app, pilot, ticks)

    asyncio.run(main())
    return app


def test_space_plays_and_pauses() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        assert "paused 1×" in bottom(app)
        ticks.t += 1
        await pilot.press("space")
        ticks.t += 3
        await until(pilot, lambda: " 5.0 s" in bottom(app))
        assert "playing 1×" in bottom(app)
        assert "5.0 s" in shown(app).splitlines()[0]
        await pilot.press("space")
        ticks.t += 3
        await pilot.pause(0.1)
        assert app.replay.now == 5.0

    use(scenario)


def test_the_keys_move_the_time() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        for key, now in (
            ("right", 3.0),
            ("full_stop", 3.1),
            ("comma", 3.0),
            ("left", 2.0),
            ("left", 1.0),
            ("left", 0.0),
            ("left", 0.0),
            ("end", RECORDING.end),
            ("left", RECORDING.end - 1),
            ("home", 0.0),
        ):
            await pilot.press(key)
            assert app.replay.now == pytest.approx(now)
            assert app.replay.view.t <= app.replay.now
            assert app.replay.paused

    use(scenario)


def test_plus_and_minus_change_the_speed() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("plus", "plus")
        await until(pilot, lambda: "paused 4×" in bottom(app))
        await pilot.press("minus", "minus", "minus", "equals_sign", "minus")
        await until(pilot, lambda: "paused 0.5×" in bottom(app))
        await pilot.press("space")
        ticks.t += 4
        await until(pilot, lambda: app.replay.now == 4.0)

    use(scenario)


def test_a_click_on_the_timeline_goes_there() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        line = track(80, app.replay.end)
        for share in (0.5, 0.2, 0.8):
            x = line.start + int(share * line.columns)
            assert await pilot.click(Timeline, offset=(x, 0))
            await until(pilot, lambda: app.replay.now == line.time(x))  # noqa: B023
        assert bottom(app)[x] == "●"

    use(scenario)


def test_a_drag_takes_the_head_along() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        line = track(80, app.replay.end)
        await pilot.mouse_down(Timeline, offset=(line.start + 4, 0))
        await pilot.hover(Timeline, offset=(line.start + 9, 0))
        await until(pilot, lambda: app.replay.now == line.time(line.start + 4))
        app.screen.query_one(Timeline).post_message(Timeline.Chosen(7.0))
        await until(pilot, lambda: app.replay.now == 7.0)

    use(scenario)


def test_at_the_end_stands_the_report_and_going_back_closes_it() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        for back, now in (("left", RECORDING.end - 1), ("comma", RECORDING.end - 0.1)):
            await pilot.press("end")
            await until_shown(pilot, "share of all")
            assert isinstance(app.screen, ReportScreen)
            await pilot.press(back)
            await until(pilot, lambda: not isinstance(app.screen, ReportScreen))
            assert app.replay.now == pytest.approx(now)
            await until_shown(pilot, "messages")
        await pilot.press("end")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen) and "/ " in bottom(app))
        line = track(80, app.replay.end)
        await pilot.click(Timeline, offset=(line.start + 20, 0))
        await until_shown(pilot, "messages")

    use(scenario, size=(80, 60))


def test_played_to_its_end_it_shows_the_report_and_plays_again() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("space")
        ticks.t += 99
        await until_shown(pilot, "share of all")
        assert app.replay.paused
        await pilot.press("space")
        ticks.t += 3
        await until(pilot, lambda: app.replay.now == 3.0)
        assert not isinstance(app.screen, ReportScreen)
        await pilot.press("q")

    assert use(scenario, size=(80, 60)).return_value == LEFT_EARLY


def test_the_help_scrolls_with_its_own_keys() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("question_mark")
        await until_shown(pilot, "more lines")
        await pilot.press("end", "right", "space")
        await until(pilot, lambda: "more lines" not in shown(app))
        await pilot.press("question_mark")
        await until_shown(pilot, "messages")
        assert (app.replay.now, app.replay.paused) == (2.0, True)

    use(scenario, size=(80, 20))


def test_a_filter_takes_the_keys_as_text() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LogScreen))
        await pilot.press("slash", "a", "comma", "space", "plus", "left", "home")
        assert app.screen.query_one(Input).value == "a, +"
        assert (app.replay.now, app.replay.paused, app.replay.speed) == (2.0, True, 1.0)

    use(scenario)


def test_enter_on_a_line_of_the_log_goes_to_its_moment() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LogScreen) and "SEND_SEGMENT" in shown(app))
        assert "enter go there" in shown(app)
        await pilot.press("up", "up", "up", "up", "pageup", "enter")
        await until(pilot, lambda: app.replay.now < 2.0)
        assert any(event.t == app.replay.now for event in RECORDING.events())
        assert isinstance(app.screen, LogScreen)

    use(scenario)


def test_the_log_reaches_back_to_the_first_event_wherever_one_came_from() -> None:
    replay = Replay(Recording(scripted(), spacing=64, block=16), ticks=lambda: 0.0)
    replay.seek(9.0)
    log = replay.tail.log
    assert log.total == replay.view.events
    assert log.first == 0
    assert log.read(0, log.total) == list(replay.recording.events(0, log.total))


def test_every_screen_has_the_timeline_and_its_keys() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        for number, name in enumerate(NAMES, 1):
            await pilot.press("home", str(number), "right")
            await until(pilot, lambda: app.screen is app.get_screen(name))  # noqa: B023
            await until(pilot, lambda: bool(app.screen.query(Timeline)) and " 1.0 s /" in bottom(app))
            before = shown(app)
            await pilot.press("right")
            await until(pilot, lambda: " 2.0 s /" in bottom(app) and shown(app) != before)  # noqa: B023
            await pilot.click(Timeline, offset=(3, 1))
            assert app.screen is app.get_screen(name)

    use(scenario)


def test_a_paused_replay_says_so_above_every_screen() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        for number, name in enumerate(NAMES, 1):
            await pilot.press(str(number))
            await until(pilot, lambda: app.screen is app.get_screen(name))  # noqa: B023
            await until(pilot, lambda: "paused" in shown(app).splitlines()[0])
            await pilot.press("space")
            await until(pilot, lambda: "paused" not in shown(app).splitlines()[0])
            await pilot.press("space")
            await until(pilot, lambda: "paused" in shown(app).splitlines()[0])
        await pilot.press("end")
        await until(pilot, lambda: app.replay.over and "paused" not in shown(app).splitlines()[0])

    use(scenario)


def test_escape_leaves_the_report_at_the_end_for_the_screen_before() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("3", "end")
        await until(pilot, lambda: isinstance(app.screen, ReportScreen))
        await pilot.press("s", "n", "escape")
        await until(pilot, lambda: app.number == 3)
        assert app.replay.now == RECORDING.end

    use(scenario)


def test_enter_leaves_the_report_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_torrent.tui.app.GRACE", 0.001)

    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.press("end")
        await until(pilot, lambda: app.stage.may_leave)
        await pilot.press("x", "enter")

    assert use(scenario).return_value == SEEN_TO_THE_END


@pytest.mark.parametrize(("height", "lines"), [(24, 2), (15, 1)])
def test_a_low_screen_keeps_the_track_alone(height: int, lines: int) -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        assert len(bottom(app).splitlines()) == lines
        assert app.screen.query_one(Timeline).region.bottom == height

    use(scenario, size=(80, height))


def test_a_resize_keeps_the_timeline_at_the_bottom() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        await pilot.resize_terminal(120, 34)
        await until(pilot, lambda: app.screen.query_one(Timeline).region.bottom == 34)
        await until(pilot, lambda: len(bottom(app).splitlines()[0]) == 119)

    use(scenario)


def test_ascii_shows_nothing_else() -> None:
    async def scenario(app: ReplayApp, pilot: Pilot[int], ticks: Ticks) -> None:
        line = app.screen.query_one(Timeline)
        assert line.render_line(0).text.isascii()
        assert line.render_line(1).text.isascii()

    use(scenario, ascii_only=True)


def test_nothing_of_it_is_in_the_live_app() -> None:
    from tests.helpers.runs import Scripted
    from tests.test_app import use as live

    async def scenario(app: Any, pilot: Pilot[int]) -> None:
        assert not app.screen.query(Timeline)
        assert drawn(app)

    live(Scripted(scripted(), now=2.0), scenario)
