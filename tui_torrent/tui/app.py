"""The monitor: a Textual app over a source of status events.

At each tick it lets the source fold what has come, and shows the frame of that moment. It has no clock:
the run's time is the source's. Leaving it ends the app alone; what becomes of the run is the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.events import Key
from textual.screen import Screen

from tui_torrent.tui.palette import ANSI, DARK, THEMES
from tui_torrent.tui.panels.help import help_lines
from tui_torrent.tui.panels.lines import EMPTY, Line, Span, crop
from tui_torrent.tui.panels.overview import Overview
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.tui.widgets import Canvas
from tui_torrent.view.ledger import Finding
from tui_torrent.view.report import build
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

#: What ``run()`` returns: the report was seen and left, or the monitor was left before the end.
SEEN_TO_THE_END = 0
LEFT_EARLY = 1

#: Keys are not taken as an answer to the report before it has been there for so long (seconds).
GRACE = 0.4


class Source(Protocol):
    """Where the events come from: a live run, a journal, a simulation."""

    @property
    def view(self) -> SwarmView: ...

    @property
    def tail(self) -> Tail: ...

    @property
    def now(self) -> float:
        """The run's clock, seconds since it began."""

    @property
    def over(self) -> bool:
        """RunEnded was seen, and no event comes after it."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What the conformance checker says at the end; empty where nothing was checked."""

    def poll(self) -> None:
        """Fold what has come since the last call into the view and the tail. Never blocks."""


class OverviewScreen(Screen[None]):
    """The swarm at a glance."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_by(1)", "Down", show=False),
        Binding("up,k", "scroll_by(-1)", "Up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "scroll_by(-1000000)", "First client", show=False),
        Binding("end", "scroll_by(1000000)", "Last client", show=False),
    ]

    def __init__(self, source: Source, title: str, ascii_only: bool) -> None:
        super().__init__()
        self.source, self.heading = source, title
        self.overview = Overview()
        self.canvas = Canvas(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.canvas

    def frame(self) -> None:
        """Show the moment as it is."""
        width, height = self.canvas.size
        if width and height:
            source = self.source
            lines = self.overview.lines(source.view, source.tail, source.now, width, height, self.heading)
            self.canvas.show(lines)

    def action_scroll_by(self, clients: int) -> None:
        self.overview.first += clients
        self.frame()

    def action_page(self, pages: int) -> None:
        self.action_scroll_by(pages * self.overview.rows)

    def on_canvas_scrolled(self, event: Canvas.Scrolled) -> None:
        self.action_scroll_by(event.lines)

    def on_canvas_resized(self) -> None:
        self.frame()

    def on_screen_resume(self) -> None:
        self.frame()


class TextScreen(Screen[None]):
    """A text that may be longer than the screen, with a line of keys below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_by(1)", "Down", show=False),
        Binding("up,k", "scroll_by(-1)", "Up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("home", "scroll_by(-1000000)", "Top", show=False),
        Binding("end", "scroll_by(1000000)", "Bottom", show=False),
    ]

    def __init__(self, text: Callable[[int], list[Line]], keys: str, ascii_only: bool) -> None:
        super().__init__()
        self.text, self.keys = text, keys
        self.first = 0
        self.canvas = Canvas(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.canvas

    @property
    def page(self) -> int:
        """Lines of the text that fit."""
        return max(1, self.canvas.size.height - 1)

    def frame(self) -> None:
        """Show the part of the text that is scrolled to."""
        width, height = self.canvas.size
        if not width or not height:
            return
        text = self.text(width)
        self.first = max(0, min(self.first, len(text) - self.page))
        lines = text[self.first : self.first + self.page]
        lines += [crop(EMPTY, width)] * (self.page - len(lines))
        rest = len(text) - self.first - self.page
        more = f"↑↓ scroll, {rest} more lines" if rest > 0 else "↑↓ scroll" if self.first else ""
        lines.append(crop((Span(f" {self.keys}", "key"), Span(f"   {more}", "dim")), width))
        self.canvas.show(lines)

    @property
    def scrolls(self) -> bool:
        """Whether there is more text than room."""
        return len(self.text(max(1, self.canvas.size.width))) > self.page

    def action_scroll_by(self, lines: int) -> None:
        self.first += lines
        self.frame()

    def action_page(self, pages: int) -> None:
        self.action_scroll_by(pages * self.page)

    def on_canvas_scrolled(self, event: Canvas.Scrolled) -> None:
        self.action_scroll_by(event.lines)

    def on_canvas_resized(self) -> None:
        self.frame()

    def on_screen_resume(self) -> None:
        self.frame()


class HelpScreen(TextScreen):
    """Keys, columns, words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,escape,enter", "app.pop_screen", "Close", show=False),
    ]

    def __init__(self, ascii_only: bool) -> None:
        super().__init__(help_lines, "? closes", ascii_only)


class ReportScreen(TextScreen):
    """What came of the run; any key that does not scroll it leaves."""

    _SCROLLING = frozenset({"down", "j", "up", "k", "pagedown", "space", "pageup", "home", "end"})

    def __init__(self, source: Source, title: str, ascii_only: bool) -> None:
        report = build(source.view, source.findings)

        def text(width: int) -> list[Line]:
            return report_lines(report, source.view, title, width)

        super().__init__(text, "any key leaves", ascii_only)
        self._armed = False

    def on_mount(self) -> None:
        self.set_timer(GRACE, self._arm)

    def _arm(self) -> None:
        self._armed = True

    def on_key(self, event: Key) -> None:
        if not self._armed or (event.key in self._SCROLLING and self.scrolls):
            return
        event.stop()
        self.app.exit(SEEN_TO_THE_END)


class MonitorApp(App[int]):
    """The live monitor; ``run()`` returns SEEN_TO_THE_END or LEFT_EARLY, None after a crash."""

    TITLE = "tui_torrent"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help"),
        Binding("q", "leave", "Leave"),
        Binding("ctrl+c", "leave", "Leave", show=False, priority=True),
    ]

    def __init__(
        self,
        source: Source,
        *,
        title: str,
        driver_class: type[Driver] | None = None,
        fps: float = 10,
        ascii_only: bool = False,
        on_over: Callable[[], Any] | None = None,
    ) -> None:
        """``on_over`` is called once, when the source is over, before the report is shown."""
        # Textual chooses its filter for NO_COLOR before a theme can be set: without the terminal's own
        # colours asked for here, it would write shades of grey.
        super().__init__(driver_class=driver_class, ansi_color=True if "NO_COLOR" in os.environ else None)
        self.source, self.heading, self.fps = source, title, fps
        self.ascii_only, self._on_over = ascii_only, on_over
        self._reported = False
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = ANSI if self.no_color else DARK

    def get_default_screen(self) -> Screen[Any]:
        return OverviewScreen(self.source, self.heading, self.ascii_only)

    def on_mount(self) -> None:
        self.set_interval(1 / self.fps, self._tick)

    def _tick(self) -> None:
        if self._reported:
            return
        self.source.poll()
        if self.source.over:
            self._report()
        elif isinstance(self.screen, OverviewScreen):
            self.screen.frame()

    def _report(self) -> None:
        self._reported = True
        if self._on_over is not None:
            self._on_over()
        report = ReportScreen(self.source, self.heading, self.ascii_only)
        self.push_screen(report)

    def action_help(self) -> None:
        if isinstance(self.screen, OverviewScreen):
            self.push_screen(HelpScreen(self.ascii_only))

    async def action_quit(self) -> None:
        """Textual's own way out (Ctrl+Q, the palette) is the same as ours."""
        self.action_leave()

    def action_leave(self) -> None:
        self.exit(SEEN_TO_THE_END if self._reported else LEFT_EARLY)
