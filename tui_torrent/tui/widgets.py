"""The one widget: a canvas that shows a panel's lines and redraws the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui_torrent.tui.palette import Palette, palette_for
from tui_torrent.tui.panels.lines import Line, crop, in_ascii


def strip_of(line: Line, width: int, palette: Palette, ascii_only: bool = False) -> Strip:
    """A panel's line, of just that width, as Textual draws it."""
    if ascii_only:
        line = in_ascii(line)
    return Strip([Segment(span.text, palette[span.style]) for span in line if span.text], width)


class Canvas(Widget):
    """Lines of a panel, filling the screen. Whoever owns it says which, as often as it likes."""

    DEFAULT_CSS = "Canvas { width: 1fr; height: 1fr; }"

    class Scrolled(Message):
        """The mouse wheel was turned by so many lines over that cell; down is positive."""

        def __init__(self, lines: int, x: int = 0, y: int = 0) -> None:
            super().__init__()
            self.lines, self.x, self.y = lines, x, y

    class Clicked(Message):
        """The mouse was pressed and let go in that cell."""

        def __init__(self, x: int, y: int) -> None:
            super().__init__()
            self.x, self.y = x, y

    class Resized(Message):
        """There is another size to fill."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.ascii_only = ascii_only
        self._lines: list[Line] = []
        #: The strips of the lines, where they were drawn; None where a line has changed since.
        self._strips: list[Strip | None] = []
        #: The width for which the lines were made.
        self._width = 0
        self._palette: Palette | None = None

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda theme: self.repaint())

    def repaint(self) -> None:
        """Draw everything anew, in the colours of the theme as it now is."""
        self._palette = None
        self._strips = [None] * len(self._lines)
        self.refresh()

    def show(self, lines: Sequence[Line]) -> None:
        """Have these lines, as wide as the canvas, on the screen; only those that changed are drawn."""
        old, self._lines, self._width = self._lines, list(lines), self.size.width
        if len(old) != len(self._lines):
            self._strips = [None] * len(self._lines)
            self.refresh()
            return
        changed = [
            y
            for y, (was, line) in enumerate(zip(old, self._lines, strict=True))
            if was is not line and was != line
        ]
        for y in changed:
            self._strips[y] = None
        if changed:
            width = self.size.width
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    @property
    def lines(self) -> list[Line]:
        """What is shown."""
        return self._lines

    def render_line(self, y: int) -> Strip:
        """The strip of one line, kept until the line changes."""
        if self._palette is None:
            background = Style(bgcolor=self.rich_style.bgcolor)
            self._palette = palette_for(self.app.current_theme, background)
        width, blank = self.size.width, self._palette["text"]
        if y >= len(self._lines):
            return Strip.blank(width, blank)
        strip = self._strips[y]
        if strip is None or strip.cell_length != width:
            line = self._lines[y]
            if self._width != width:
                # A frame made for another size; the next one is on its way.
                line = crop(line, width)
            strip = self._strips[y] = strip_of(line, width, self._palette, self.ascii_only)
        return strip

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized())

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Clicked(event.x, event.y))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.post_message(self.Scrolled(3, event.x, event.y))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.post_message(self.Scrolled(-3, event.x, event.y))
