"""What the panels' style names look like, on dark, on light, and in the terminal's own colours.

The colours are Okabe and Ito's, made for all kinds of colour vision, a little lighter on dark and
darker on light. Attributes (bold, dim, reverse) carry the difference where there is no colour.
"""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

DARK = "swarm-dark"
LIGHT = "swarm-light"
#: Textual's theme of the terminal's own colours; NO_COLOR takes them away as well.
ANSI = "ansi-dark"

THEMES = (
    Theme(
        DARK,
        primary="#56b4e9",
        secondary="#0072b2",
        accent="#e69f00",
        warning="#e69f00",
        error="#ee7733",
        success="#2fb58c",
        foreground="#d3d9e0",
        background="#11151a",
        surface="#171c23",
        panel="#1f2630",
        dark=True,
    ),
    Theme(
        LIGHT,
        primary="#0072b2",
        secondary="#56b4e9",
        accent="#a86c00",
        warning="#a86c00",
        error="#b54a00",
        success="#007a58",
        foreground="#22272e",
        background="#fbfaf7",
        surface="#f2f0eb",
        panel="#e6e3dc",
        dark=False,
    ),
)


def _sources(colours: str, ground: str) -> dict[str, str]:
    """The colours that tell clients apart; a letter does so too, underlined or reversed where many do."""
    looks = {"": "", "under-": "underline ", "reverse-": "reverse "}
    return {
        f"source-{name}{at}": look + colour + ground
        for name, look in looks.items()
        for at, colour in enumerate(colours.split())
    }


_DARK = {
    "text": "#c6cdd6",
    "strong": "bold #e8edf3",
    "dim": "#7d8896",
    "head": "#93a1b2",
    "rule": "#36404d",
    "bar": "#b9c4d1 on #222b36",
    "bar-strong": "bold #f2f6fa on #222b36",
    "key": "bold #e69f00",
    "own": "#56b4e9",
    "got": "#2fb58c on #1a2129",
    "got-even": "#279a78 on #1a2129",
    "missing": "#56616f on #1a2129",
    "none": "",
    "rare": "#e69f00",
    "copies": "#8f9dad",
    "busy": "#d9c84a",
    "done": "#2fb58c",
    "step": "#56b4e9",
    "trouble": "bold #ee7733",
    "alarm": "bold #11151a on #e69f00",
    "gauge": "#2fb58c",
    "gauge-rest": "#3d4855",
    "tab": "#8a96a5 on #171c23",
    "tab-now": "bold #f2f6fa on #2c3947",
    "chosen": "bold #e69f00",
    "limit": "#c9b3dc",
    "asked": "bold #d9c84a on #1a2129",
    "partly": "#56616f on #1a2129",
    "missing-text": "#56616f",
    **_sources("#56b4e9 #e69f00 #2fb58c #f0e442 #ee7733 #cc79a7 #7f9bff #c6cdd6", " on #1a2129"),
}

_LIGHT = {
    "text": "#2b3138",
    "strong": "bold #11161c",
    "dim": "#6b727a",
    "head": "#525b65",
    "rule": "#cfcac0",
    "bar": "#333b44 on #dfdbd2",
    "bar-strong": "bold #11161c on #dfdbd2",
    "key": "bold #8a5700",
    "own": "#0072b2",
    "got": "#007a58 on #eeebe4",
    "got-even": "#18906d on #eeebe4",
    "missing": "#a09a8f on #eeebe4",
    "none": "",
    "rare": "#9a6200",
    "copies": "#6a737d",
    "busy": "#7a6c00",
    "done": "#007a58",
    "step": "#0072b2",
    "trouble": "bold #b54a00",
    "alarm": "bold #fbfaf7 on #a85a00",
    "gauge": "#007a58",
    "gauge-rest": "#c9c4b9",
    "tab": "#5d656e on #f2f0eb",
    "tab-now": "bold #11161c on #d3cdc0",
    "chosen": "bold #8a5700",
    "limit": "#6c4a8c",
    "asked": "bold #7a6c00 on #eeebe4",
    "partly": "#a09a8f on #eeebe4",
    "missing-text": "#a09a8f",
    **_sources("#0072b2 #9a6200 #007a58 #7a6c00 #b54a00 #a0457a #3b4fc0 #2b3138", " on #eeebe4"),
}

_ANSI = {
    "text": "default",
    "strong": "bold",
    "dim": "dim",
    "head": "dim",
    "rule": "dim",
    "bar": "reverse",
    "bar-strong": "bold reverse",
    "key": "bold yellow",
    "own": "bright_blue",
    "got": "green",
    "got-even": "dim green",
    "missing": "dim",
    "none": "",
    "rare": "bold yellow",
    "copies": "cyan",
    "busy": "yellow",
    "done": "green",
    "step": "cyan",
    "trouble": "bold red",
    "alarm": "bold reverse yellow",
    "gauge": "green",
    "gauge-rest": "dim",
    "tab": "dim",
    "tab-now": "bold reverse",
    "chosen": "bold yellow",
    "limit": "magenta",
    "asked": "bold yellow",
    "partly": "dim",
    "missing-text": "dim",
    **_sources("bright_blue yellow green cyan red magenta bright_magenta default", ""),
}


#: Style names to styles. Every name has one: a segment without a style crashes under NO_COLOR.
Palette = dict[str, Style]


def palette_for(theme: Theme, background: Style) -> Palette:
    """The palette that can be read on that theme's background, which ``background`` sets."""
    styles = _ANSI if theme.ansi else _DARK if theme.dark else _LIGHT
    return {name: background + Style.parse(text) for name, text in styles.items()}
