"""Every screen as a terminal gets it: in colour, under NO_COLOR, in 16 colours, in ASCII, from one journal.

For each screen and size tests/pictures has its text, its text in ASCII, and in ``…-looks`` a letter a cell
for how it looks: in colour, with a legend, and under NO_COLOR. After a change that is meant, make them anew
with `UPDATE_PICTURES=1 pytest tests/test_pictures.py`, and review them like code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from rich.style import Style
from textual.pilot import Pilot
from textual.theme import Theme

from tests.helpers.looks import LETTERS, Look, Row, Shot, cells_of, look_of, shots, text_of
from tests.helpers.runs import Scripted
from tests.test_app import until, use
from tests.test_panels import same_as_file
from tests.test_screens import RUN, SIZES
from tui_torrent.tui.app import MonitorApp
from tui_torrent.tui.palette import palette_for
from tui_torrent.tui.panels.lines import Span, in_ascii
from tui_torrent.tui.panels.tabs import NAMES

#: What a terminal says of itself, and the options of the app.
TERMINALS: dict[str, tuple[dict[str, str], bool]] = {
    "colour": ({"COLORTERM": "truecolor"}, False),
    "NO_COLOR": ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, False),
    "16 colours": ({"COLORTERM": "", "TERM": "xterm"}, False),
    "ASCII": ({"COLORTERM": "truecolor"}, True),
}

ATTRIBUTES = "B bold, d dim, r reverse, R reverse and bold"

each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


@cache
def taken(terminal: str, size: tuple[int, int]) -> list[Shot]:
    """The six screens on such a terminal."""
    environment, ascii_only = TERMINALS[terminal]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        return shots(Scripted(RUN, now=5.5), size, 6, ascii_only=ascii_only)


@each_size
def test_what_a_terminal_gets(size: tuple[int, int]) -> None:
    everything = zip(NAMES, *(taken(terminal, size) for terminal in TERMINALS), strict=True)
    for name, colour, plain, _, ascii_ in everything:
        stem = f"{name}-{size[0]}x{size[1]}"
        same_as_file(stem, colour.text)
        same_as_file(f"{stem}-ascii", ascii_.text)
        in_colour = ["in colour ".ljust(size[0], "="), *colour.in_colour()]
        without = [f"under NO_COLOR: {ATTRIBUTES} ".ljust(size[0], "="), *plain.in_no_colour()]
        same_as_file(f"{stem}-looks", [*in_colour, *without])


@each_size
def test_nothing_is_told_by_colour_alone(size: tuple[int, int]) -> None:
    for colour, plain, few in zip(*(taken(kind, size) for kind in list(TERMINALS)[:3]), strict=True):
        assert plain.text == few.text == colour.text
        assert not any(look.colour or look.ground for look in plain.looks)
        assert not any("#" in look.colour + look.ground for look in few.looks)


@each_size
def test_ascii_is_the_same_picture_in_ascii(size: tuple[int, int]) -> None:
    for colour, ascii_ in zip(taken("colour", size), taken("ASCII", size), strict=True):
        assert "".join(ascii_.text).isascii()
        assert ascii_.text == [in_ascii((Span(line),))[0].text for line in colour.text]
        assert [[look for _, look in row] for row in ascii_.rows] == [
            [look for _, look in row] for row in colour.rows
        ]


def test_what_stands_out_in_colour_stands_out_without() -> None:
    """And what recedes recedes. All else has a word, a glyph or a place that says what its colour says."""
    with_colour, without = (
        palette_for(Theme("x", primary="#000000", ansi=ansi), Style()) for ansi in (False, True)
    )
    for name in LETTERS:
        attributes = look_of(without[name]).attributes
        if "bold" in look_of(with_colour[name]).attributes:
            assert "bold" in attributes, name
    for name in ("rare", "alarm", "trouble", "asked", "chosen"):
        assert look_of(without[name]) != look_of(without["text"])
    for name in ("dim", "head", "rule", "missing", "missing-text", "gauge-rest", "tab"):
        assert look_of(without[name]).attributes == "dim"


# What Textual draws by itself ---------------------------------------------------------------------


def over(keys: str, ready: Callable[[list[Row]], bool], **options: Any) -> list[Row]:
    """The whole screen, cell by cell, after those keys."""
    rows: list[Row] = []

    async def scenario(app: MonitorApp, pilot: Pilot[int]) -> None:
        def is_ready() -> bool:
            rows[:] = cells_of(app)
            return ready(rows)

        await pilot.press(*keys.split())
        await until(pilot, is_ready)

    use(Scripted(RUN, now=5.5), scenario, **options)
    return rows


def palette_is_open(rows: list[Row]) -> bool:
    return any("Show screen 2" in text_of(row) for row in rows)


def test_the_palette_shows_without_colours_what_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rows = over("ctrl+p", palette_is_open)
    chosen = [text_of(row).split() for row in rows if any("underline" in look.attributes for _, look in row)]
    assert chosen == [["Client"], ["Show", "screen", "2"]]


def test_a_field_shows_without_colours_where_one_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    # It blinks.
    over(
        "4 slash r e j",
        lambda rows: (
            rows[-1][:5] == [(mark, Look("", "", "")) for mark in " rej"] + [(" ", Look("reverse", "", ""))]
        ),
    )


def test_the_palette_is_ascii_too() -> None:
    rows = [text_of(row) for row in over("ctrl+p", palette_is_open, ascii_only=True)]
    assert all(row.isascii() for row in rows)
    assert not any(row[-1].isdigit() for row in rows), "the ends of its scroll bar are no figures"
