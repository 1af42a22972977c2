"""A report in files: as JSON, and as a picture of all its lines (SVG)."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, TerminalTheme
from rich.text import Text
from textual.theme import Theme

from tui_torrent.tui.palette import palette_for
from tui_torrent.tui.panels.lines import Line
from tui_torrent.view.report import Report, to_json

#: The files' name without its end; a number follows where there is one already.
STEM = "tui_torrent-report"


def export(report: Report, lines: Sequence[Line], theme: Theme, colours: bool) -> tuple[Path, Path]:
    """Write both files into the current folder, over no other; their names. OSError where that fails."""
    number = 1
    while True:
        stem = STEM if number == 1 else f"{STEM}-{number}"
        data, picture = Path(f"{stem}.json"), Path(f"{stem}.svg")
        if not data.exists() and not picture.exists():
            break
        number += 1
    with data.open("xb") as file:
        file.write(to_json(report) + b"\n")
    with picture.open("x", encoding="utf-8") as drawing:
        drawing.write(svg(lines, theme, colours, report.scenario or "tui_torrent"))
    return data, picture


def svg(lines: Sequence[Line], theme: Theme, colours: bool, title: str) -> str:
    """A picture of those lines, in the colours of that theme; it asks no other host for its font."""
    palette = palette_for(theme, Style())
    width = max((sum(len(span.text) for span in line) for line in lines), default=1)
    console = Console(
        file=io.StringIO(), record=True, width=width, color_system="truecolor", no_color=not colours
    )
    for line in lines:
        console.print(Text.assemble(*((span.text, palette[span.style]) for span in line)), soft_wrap=True)
    drawn = console.export_svg(title=title, theme=_terminal(theme))
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def _terminal(theme: Theme) -> TerminalTheme:
    """The theme's ground and text; the other colours are in the spans."""
    if theme.ansi or not theme.background or not theme.foreground:
        return DEFAULT_TERMINAL_THEME
    ground, text = (Color.parse(name).get_truecolor() for name in (theme.background, theme.foreground))
    return TerminalTheme(ground, text, [(0, 0, 0)] * 8, [(0, 0, 0)] * 8)
