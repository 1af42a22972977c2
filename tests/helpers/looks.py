"""What reaches a terminal of some kind: the characters of each screen, and how each of them looks.

The app runs as ever; what is taken down is what Textual's compositor has for the terminal, after its filters.
A look is drawn as one letter a cell, below a legend, so that a picture of it can be compared as text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.style import Style
from textual.strip import Strip

from mpi_core.protocol.units import Rank
from tests.helpers.runs import Scripted
from tui_torrent.tui.app import MonitorApp
from tui_torrent.tui.palette import palette_for
from tui_torrent.tui.panels.tabs import NAMES

#: The letter of each name in the palette; of names that look alike the first one's.
LETTERS = {
    "text": " ",
    "none": " ",
    "strong": "S",
    "dim": "d",
    "head": "h",
    "rule": "-",
    "bar": "b",
    "bar-strong": "B",
    "key": "k",
    "own": "o",
    "got": "g",
    "got-even": "e",
    "missing": "m",
    "rare": "r",
    "copies": "c",
    "busy": "y",
    "done": "n",
    "step": "s",
    "trouble": "T",
    "alarm": "A",
    "gauge": "u",
    "gauge-rest": "v",
    "tab": "t",
    "tab-now": "N",
    "chosen": "K",
    "limit": "l",
    "asked": "*",
    "partly": "p",
    "missing-text": "x",
    **{f"source-{at}": str(at) for at in range(8)},
}

#: The letters of looks without colours: bold, dim, reverse.
PLAIN = {"": " ", "bold": "B", "dim": "d", "reverse": "r", "bold reverse": "R"}


class Look(NamedTuple):
    """How a cell looks: its attributes, its colour and that of its ground, as rich calls them."""

    attributes: str
    colour: str
    ground: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.attributes, self.colour, self.ground and f"on {self.ground}")))


#: A line of a screen, cell by cell.
Row = list[tuple[str, Look]]


def look_of(style: Style | None) -> Look:
    style = style or Style()
    named = ("bold", "dim", "italic", "underline", "reverse", "strike")
    attributes = " ".join(name for name in named if getattr(style, name))
    colours = (c.name if c is not None and not c.is_default else "" for c in (style.color, style.bgcolor))
    return Look(attributes, *colours)


class Shot(NamedTuple):
    """One screen, cell by cell, and the names of the looks that the app's theme has."""

    rows: list[Row]
    names: Mapping[Look, list[str]]

    @property
    def text(self) -> list[str]:
        return [text_of(row).rstrip() for row in self.rows]

    @property
    def looks(self) -> set[Look]:
        return {look for row in self.rows for _, look in row}

    def in_colour(self) -> list[str]:
        """A letter a cell that shows something, and the legend."""
        ground = self.rows[-3][0][1].ground
        letters, used = [], dict[str, str]()
        for row in self.rows:
            line = ""
            for character, look in row:
                names = self.names[look]
                letter = LETTERS[names[0]] if character != " " or look.ground != ground else " "
                line += letter
                if letter != " ":
                    used[letter] = f"{letter}  {', '.join(names)}: {look}"
            letters.append(line.rstrip())
        return [*letters, *(used[letter] for letter in LETTERS.values() if letter in used and letter != " ")]

    def in_no_colour(self) -> list[str]:
        rows = []
        for row in self.rows:
            shown = (
                PLAIN[look.attributes] if character != " " or "reverse" in look.attributes else " "
                for character, look in row
            )
            rows.append("".join(shown).rstrip())
        return rows


def _cells(strip: Strip) -> Row:
    """Every character with its look; no picture here has one of two cells."""
    return [(character, look) for text, style, _ in strip for look in [look_of(style)] for character in text]


def text_of(row: Row) -> str:
    return "".join(character for character, _ in row)


def cells_of(app: MonitorApp) -> list[Row]:
    """The whole screen, as the compositor has it for the terminal."""
    return [_cells(strip) for strip in app.screen._compositor.render_strips()]


def shots(source: Scripted, size: tuple[int, int], rank: int, **options: Any) -> list[Shot]:
    """The six screens of the app over that source, as the environment of the moment has them."""
    app = MonitorApp(source, title="three files", fps=40, **options)
    app.stage.chosen = Rank(rank)
    taken: list[Shot] = []

    async def main() -> None:
        async with app.run_test(size=size) as pilot:
            for number, name in enumerate(NAMES, 1):
                await pilot.press(str(number))
                for _ in range(500):
                    rows = cells_of(app)
                    if app.number == number and f"[{number} {name}]" in text_of(rows[-1]):
                        break
                    await pilot.pause(0.01)
                taken.append(Shot(rows, names_of(app)))

    asyncio.run(main())
    return taken


def names_of(app: MonitorApp) -> Mapping[Look, list[str]]:
    """What the theme calls its looks, on the ground of the app's screens."""
    ground = Style(bgcolor=app.screen.rich_style.bgcolor)
    names: dict[Look, list[str]] = {}
    for name, style in palette_for(app.current_theme, ground).items():
        names.setdefault(look_of(style), []).append(name)
    return names
