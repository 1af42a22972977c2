"""ASCII alone, of all that Textual draws by itself too: borders, scroll bars, notices, the palette."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui_torrent.tui.panels.lines import ascii_text

#: Eighths, at either end of a scroll bar: their stand-ins in the maps are figures.
_EIGHTHS = str.maketrans(dict.fromkeys("▁▂▃▄▅▆▇", " "))


class InAscii(LineFilter):
    """The last filter of all lines; panels come in ASCII. What has no stand-in becomes a mark as wide."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(ascii_text(segment.text.translate(_EIGHTHS)), segment.style)
            for segment in segments
        ]
