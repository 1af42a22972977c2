"""The six screens as a person uses them: a key each, the mouse, sorting, the filter, the export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.runs import File, Scripted, scripted
from tests.test_app import drawn, shown, until, until_shown, use
from tui_torrent.tui.app import MonitorApp, draws_unicode
from tui_torrent.tui.pages import LEFT_EARLY, SEEN_TO_THE_END
from tui_torrent.tui.panels.tabs import NAMES
from tui_torrent.tui.widgets import Canvas

RUN = scripted(corrupt_every=110, reject_every=60)
MANY = scripted(64, duration=5.0)

#: What only that screen shows.
SIGNS = ("fewest copies", "peers and requests", "Jain's index", "every message", "swarms", "So far")


def tab(number: int) -> str:
    return f"[{number} {NAMES[number - 1]}]"


def test_each_screen_is_one_key_from_any_other() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        for number in (2, 3, 4, 5, 6, 3, 1, 4, 4, 1):
            await pilot.press(str(number))
            await until_shown(pilot, SIGNS[number - 1])
            assert tab(number) in shown(app)
            assert drawn(app) == shown(app)
            assert len(app.screen_stack) <= 2

    use(Scripted(RUN, now=5.5), scenario)


def test_a_number_leads_out_of_the_help_too() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("3", "question_mark")
        await until_shown(pilot, "? closes")
        await pilot.press("5")
        await until_shown(pilot, tab(5))
        await pilot.press("question_mark")
        await until_shown(pilot, "? closes")
        await pilot.press("escape")
        await until_shown(pilot, tab(5))

    use(Scripted(RUN, now=5.5), scenario)


def test_the_tabs_can_be_clicked() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        for number in (4, 6, 1):
            line = shown(app).splitlines()[-1]
            await pilot.click(Canvas, offset=(line.index(NAMES[number - 1]), 23))
            await until_shown(pilot, tab(number))

    use(Scripted(RUN, now=5.5), scenario)


def test_every_screen_follows_the_source() -> None:
    source = Scripted(RUN, now=2.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        for number in range(2, 7):
            await pilot.press(str(number))
            await until_shown(pilot, tab(number))
            source.now += 1.0
            await until_shown(pilot, f"{source.now:.1f} s")

    use(source, scenario)


def test_a_client_is_chosen_in_the_overview_and_by_n_and_p() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("down", "down", "down", "enter")
        await until_shown(pilot, " client 3 ")
        await pilot.press("n")
        await until_shown(pilot, " client 4 ")
        await pilot.press("right_square_bracket", "p", "left_square_bracket")
        await until_shown(pilot, " client 3 ")
        await pilot.press("p", "p", "p")
        await until_shown(pilot, " client 1 ")
        await pilot.press("1")
        await until(pilot, lambda: any(line.startswith("▸    1") for line in shown(app).splitlines()))

    use(Scripted(RUN, now=5.5), scenario)


def test_a_click_chooses_and_a_second_one_opens() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        row = next(y for y, line in enumerate(shown(app).splitlines()) if line.startswith("     4"))
        await pilot.click(Canvas, offset=(10, row))
        await until(pilot, lambda: shown(app).splitlines()[row].startswith("▸    4"))
        await pilot.click(Canvas, offset=(10, row))
        await until_shown(pilot, " client 4 ")

    use(Scripted(RUN, now=5.5), scenario)


def test_s_sorts_by_the_next_column_and_shift_s_turns_it_round() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        def ranks() -> list[str]:
            lines = shown(app).splitlines()
            return [line.split()[0] for line in lines if "↓ downloading" in line or "↑ seeding" in line]

        assert ranks() == list("123456")
        await pilot.press("s", "s")
        await until_shown(pilot, "by %")
        assert ranks() == list("123456")
        await pilot.press("S")
        await until_shown(pilot, "by % reversed")
        assert ranks() == list("653421")
        await pilot.press("s")
        await until_shown(pilot, "by down/s")

    use(Scripted(scripted(), now=5.5), scenario)


def test_lists_scroll() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await until_shown(pilot, "of 63")
        await pilot.press("G")
        await until_shown(pilot, "client 64")
        await pilot.press("3")
        await until_shown(pilot, "rows 1–17 of 64")
        await pilot.press("pagedown", "down")
        await until_shown(pilot, "rows 19–35 of 64")
        await pilot.press("5")
        await until_shown(pilot, "1–4 of 64")
        await pilot.press("G")
        await until_shown(pilot, "61–64 of 64")
        await pilot.press("6", "end")
        await until_shown(pilot, "Jain's index")

    use(Scripted(MANY, now=2.0), scenario)


def test_tab_chooses_the_list_that_keys_scroll_and_the_wheel_scrolls_the_one_below_it() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("2")
        await until_shown(pilot, "▸ files 1–8 of 37")
        assert "peers 1–9 of 63" in shown(app)
        assert "tab files or peers" in shown(app)
        assert "part-36" not in shown(app)
        await pilot.press("G")
        await until_shown(pilot, "▸ files 30–37 of 37")
        assert "part-36" in shown(app)
        await pilot.press("tab", "down", "down")
        await until_shown(pilot, "▸ peers 3–11 of 63")
        assert " files 30–37 of 37" in shown(app)
        await pilot.press("shift+tab", "g")
        await until_shown(pilot, "▸ files 1–8 of 37")
        canvas = app.screen.query_one(Canvas)
        canvas.post_message(Canvas.Scrolled(3, 5, 5))
        await until_shown(pilot, "▸ files 4–11 of 37")
        canvas.post_message(Canvas.Scrolled(3, 5, 18))
        await until_shown(pilot, " peers 6–14 of 63")
        await pilot.press("n")
        await until_shown(pilot, "▸ files 1–8 of 37")

    files = [File(f"part-{at:02d}.bin", 3, (1,), (2, 3)) for at in range(37)]
    use(Scripted(scripted(64, files, duration=5.0), now=2.0), scenario)


def test_escape_leads_back_from_everywhere() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        async def back_to(number: int) -> None:
            await pilot.press("escape")
            await until_shown(pilot, tab(number))

        await pilot.press("down", "enter", "3", "4", "5", "6", "3")
        await until_shown(pilot, tab(3))
        await pilot.press("question_mark")
        await until_shown(pilot, "? closes")
        for number in (3, 6, 5):
            await back_to(number)
        await pilot.press("escape", "slash", *"rej", "enter")
        await until_shown(pilot, "/rej")
        await pilot.press("escape")
        await until_shown(pilot, "every message")
        for number in (2, 1, 1):
            await back_to(number)
        assert app.return_value is None

    use(Scripted(RUN, now=5.5), scenario)


def test_the_log_is_filtered_as_one_types() -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("4", "slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"rej")
        await until_shown(pilot, "/rej")
        body = shown(app).splitlines()[2:-2]
        assert all("REJECT" in line for line in body if line)
        # Digits and q are text while one types.
        await pilot.press("space", *"to", "colon", "3", "q", "backspace")
        await until_shown(pilot, "/rej to:3")
        await pilot.press("enter")
        await until(pilot, lambda: app.focused is None)
        assert "/rej to:3" in shown(app)
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press("escape")
        await until_shown(pilot, "every message")

    use(Scripted(RUN, now=5.5), scenario)


def test_the_log_is_followed_or_not() -> None:
    source = Scripted(RUN, now=5.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("4")
        await until_shown(pilot, "following")
        await pilot.press("f")
        await until_shown(pilot, "stopped")
        before = shown(app).splitlines()[2:-2]
        source.now = 6.0
        await until_shown(pilot, "6.0 s")
        assert shown(app).splitlines()[2:-2] == before
        await pilot.press("up", "pageup", "enter", "f")
        await until_shown(pilot, "following")
        assert shown(app).splitlines()[2:-2] != before
        await pilot.press("q")

    assert use(source, scenario).return_value == LEFT_EARLY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notices(app: MonitorApp) -> list[str]:
    return [notice.message for notice in app._notifications]


def test_e_exports_the_report(here: Path) -> None:
    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("6", "e")
        await until(pilot, lambda: bool(notices(app)))
        assert "tui_torrent-report.json" in notices(app)[0]
        assert "tui_torrent-report.svg" in notices(app)[0]
        await pilot.press("e")
        await until(pilot, lambda: len(notices(app)) == 2)

    use(Scripted(RUN, now=5.5), scenario)
    assert sorted(file.name for file in here.iterdir()) == [
        "tui_torrent-report-2.json",
        "tui_torrent-report-2.svg",
        "tui_torrent-report.json",
        "tui_torrent-report.svg",
    ]
    report = json.loads((here / "tui_torrent-report.json").read_text())
    assert report["schema"] == "tui_torrent.report/2"
    assert report["remarks"][0].startswith("clients 5 and 6 lag behind")
    svg = (here / "tui_torrent-report.svg").read_text()
    assert "So&#160;far&#160;53" in svg
    assert "Jain" in svg
    assert "@font-face" not in svg


def test_a_folder_that_takes_no_file_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tui_torrent.tui.app.export", refuse)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("6", "e")
        await until(pilot, lambda: any("could not be written" in text for text in notices(app)))

    use(Scripted(RUN, now=5.5), scenario)


def test_at_the_end_one_may_look_round_and_export_before_leaving(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_torrent.tui.app.GRACE", 0.001)
    source = Scripted(RUN, now=2.0)

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        await pilot.press("3")
        source.now = 99.0
        await until_shown(pilot, "q enter leave")
        await until(pilot, lambda: app.stage.may_leave)
        await pilot.press("escape")
        await until_shown(pilot, tab(3))
        for number in (1, 4):
            await pilot.press(str(number), "down", "x", "enter")
            await until_shown(pilot, tab(2 if number == 1 else number))
        await pilot.press("6", "e", "question_mark")
        await until_shown(pilot, "? closes")
        await pilot.press("escape")
        await until_shown(pilot, "q enter leave")
        await pilot.press("enter")

    assert use(source, scenario).return_value == SEEN_TO_THE_END
    assert len(list(here.iterdir())) == 2


def test_ascii_is_drawn_where_the_locale_has_another_encoding() -> None:
    assert draws_unicode({})
    assert draws_unicode({"LC_ALL": "", "LANG": "de_DE.UTF-8"})
    assert draws_unicode({"LANG": "C.utf8"})
    assert draws_unicode({"LC_ALL": "C", "LANG": "de_DE"})
    assert not draws_unicode({"LANG": "de_DE.UTF-8", "TERM": "linux"})
    assert not draws_unicode({"LANG": "de_DE.ISO-8859-1"})
    assert not draws_unicode({"LC_CTYPE": "ja_JP.eucJP", "LANG": "C.UTF-8"})
