"""What panels are made of: lines of spans, each a text and the name of a style.

No widget and no colour here. A panel compared as text (``plain``) says all that it says: colour only
repeats it. Every character of the panels has an ASCII stand-in of the same width, so ``in_ascii``
works on finished lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size


class Span(NamedTuple):
    text: str
    style: str = "text"


Line = tuple[Span, ...]

EMPTY: Line = ()

#: The stand-ins where only ASCII can be shown: eighths become digits.
_ASCII = str.maketrans(
    {
        **dict(zip("▁▂▃▄▅▆▇█", "1234567#", strict=True)),
        **dict(zip("━╸─│·…→←↑↓–×●○■✓✗▸▴▾≈µ", "==-|.~><^v-x*o=+x>^v~u", strict=True)),
        **dict(zip("░▒▓", ":+%", strict=True)),
        **dict(zip("▔▎▊▌▋▏", "-|||||", strict=True)),
    }
)


def cells(line: Line) -> int:
    """The width of a line."""
    return sum(cell_len(span.text) for span in line)


def clean(text: str) -> str:
    """Names come from files and peers: what a terminal would obey becomes a visible mark."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def fit(text: str, width: int) -> str:
    """Cut or padded on the right to exactly ``width`` cells; a cut is shown."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def fit_end(text: str, width: int) -> str:
    """As ``fit``, but a cut keeps the end: of a path, the file's name."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return fit("…" + text, width) if width > 0 else ""


def right(text: str, width: int) -> str:
    """As ``fit``, padded on the left."""
    return " " * (width - cell_len(text)) + text if cell_len(text) <= width else fit(text, width)


def crop(line: Line, width: int, fill: str = "text") -> Line:
    """A line cut or padded to exactly ``width`` cells."""
    spans: list[Span] = []
    for span in line:
        size = cell_len(span.text)
        if size > width:
            spans.append(Span(fit(span.text, width), span.style))
            return tuple(spans)
        spans.append(span)
        width -= size
    if width > 0:
        spans.append(Span(" " * width, fill))
    return tuple(spans)


def filled(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    """Exactly ``height`` lines: cut at the end, or blank ones below."""
    return [*lines[:height], *[crop(EMPTY, width)] * (height - len(lines))]


def spread(left: Line, other: Line, width: int, fill: str = "text") -> Line:
    """``left`` at the left edge and ``other`` at the right one, which gives way."""
    room = width - cells(left) - cells(other)
    if room < 1:
        return crop(left, width, fill)
    return (*left, Span(" " * room, fill), *other)


def rule(title: str, note: str, width: int) -> Line:
    """A section's heading: a line across, with a title, and maybe a note at the right."""
    left = f"─ {title} "
    end = f" {note} ─" if note and len(left) + len(note) + 6 <= width else ""
    return (
        Span("─ ", "rule"),
        Span(f"{title} ", "head"),
        Span("─" * max(0, width - cell_len(left) - cell_len(end)), "rule"),
        Span(end[:-1], "head"),
        Span(end[-1:], "rule"),
    )


def runs(texts: Sequence[str], styles: Sequence[str]) -> Line:
    """Equal neighbours in style become one span."""
    spans: list[Span] = []
    start = 0
    for at in range(1, len(styles) + 1):
        if at == len(styles) or styles[at] != styles[start]:
            spans.append(Span("".join(texts[start:at]), styles[start]))
            start = at
    return tuple(spans)


def plain(lines: Iterable[Line]) -> str:
    """The text alone, lines without trailing blanks: what tests compare and a script prints."""
    return "\n".join("".join(span.text for span in line).rstrip() for line in lines)


def in_ascii(line: Line) -> Line:
    """The same line in ASCII, character by character; what has no stand-in becomes a mark as wide."""
    if all(span.text.isascii() for span in line):
        return line
    return tuple(Span(ascii_text(span.text), span.style) for span in line)


def ascii_text(text: str) -> str:
    """As ``in_ascii``, of a text."""
    text = text.translate(_ASCII)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


def share_text(share: float) -> str:
    """A client's share of all: ``15 %``, ``0.7 %``."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{100 * share:.1f} %" if 0 < share < 0.0995 else f"{100 * share:.0f} %"


def part_bar(share: float, width: int) -> str:
    """A bar of ``share`` (0…1) of ``width`` cells, to half a cell."""
    full, half = divmod(int(2 * width * min(1.0, share) + 1e-9), 2)
    return "━" * full + "╸" * half


def dashed(number: int) -> str:
    """The number; a dash for none."""
    return str(number) if number else "–"
