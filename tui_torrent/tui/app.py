"""The monitor: a Textual app over a source of status events.

At each tick it lets the source fold what has come, and has the screen show the frame of that moment. It has
no clock: the run's time is the source's. Leaving it ends the app alone; what becomes of the run is the
caller's. The six screens are one keypress from each other, and Escape leads back; at the end of the run the
report comes by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import LineFilter
from textual.screen import Screen
from textual.widget import Widget

from tui_torrent.tui.ascii import InAscii
from tui_torrent.tui.export import export
from tui_torrent.tui.pages import LEFT_EARLY, SEEN_TO_THE_END, Page, Source, Stage
from tui_torrent.tui.palette import ANSI, DARK, THEMES
from tui_torrent.tui.panels.lines import in_ascii
from tui_torrent.tui.panels.tabs import NAMES
from tui_torrent.tui.pauses import short_pauses
from tui_torrent.tui.screens import (
    ClientScreen,
    HelpScreen,
    LogScreen,
    OverviewScreen,
    ReportScreen,
    TrackerScreen,
    TrafficScreen,
)

#: Enter leaves a report only after this many seconds: it may have been meant for the screen before.
GRACE = 0.4


def draws_unicode(environment: Mapping[str, str]) -> bool:
    """Whether bars and arrows come out.

    The locale's encoding must be UTF-8; where nobody chose one it is, as for Python itself. And the Linux
    console has a font of 256 or 512 glyphs, without most of ours.
    """
    names = (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    name = next(filter(None, names), "C")
    return environment.get("TERM") != "linux" and (name in ("C", "POSIX") or "utf" in name.lower())


class MonitorApp(App[int]):
    """The live monitor; ``run()`` returns SEEN_TO_THE_END or LEFT_EARLY, None after a crash."""

    TITLE = "tui_torrent"
    ENABLE_COMMAND_PALETTE = True
    #: What is chosen, and where one writes, must be seen without colours too (the list turns a reverse into
    #: two colours, which NO_COLOR takes away). And what would be a row of figures in ASCII is left out.
    CSS = """
    Toast { border: none; }
    CommandPalette SearchIcon { display: none; }
    CommandPalette #--input, CommandPalette CommandList { border: none; }
    CommandPalette:nocolor CommandList > .option-list--option-highlighted { text-style: underline; }
    Input:nocolor > .input--cursor { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(at), f"page({at})", name.capitalize(), show=False) for at, name in enumerate(NAMES, 1)),
        Binding("question_mark", "help", "Help"),
        Binding("q", "leave", "Leave"),
        Binding("m", "mouse", "Mouse off, mouse on", show=False),
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
        # By its own standard an empty NO_COLOR says nothing; for Textual any does.
        if not os.environ.get("NO_COLOR"):
            os.environ.pop("NO_COLOR", None)
        # Textual chooses its filter for NO_COLOR before a theme can be set: without the terminal's own
        # colours asked for here, it would write shades of grey.
        super().__init__(driver_class=driver_class, ansi_color=True if "NO_COLOR" in os.environ else None)
        # Of 16 colours, the nearest to our greens and blues is the same cyan for both.
        few = self.no_color or self.console.color_system == "standard"
        self.source, self.heading, self.fps = source, title, fps
        self.ascii_only, self._on_over = ascii_only or not draws_unicode(os.environ), on_over
        self.stage = Stage(source, title, self.ascii_only, below=self.foot)
        self._reported = False
        #: The report took another screen's place at the end.
        self._came_by_itself = False
        #: The screens that Escape leads back to, each once; the last one is the next.
        self._trail: list[int] = []
        self._mouse = True
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = ANSI if few else DARK

    def run(self, *words: Any, **options: Any) -> int | None:
        with short_pauses():
            return super().run(*words, **options)

    def get_default_screen(self) -> Screen[Any]:
        pages = (OverviewScreen, ClientScreen, TrafficScreen, LogScreen, TrackerScreen, ReportScreen)
        for page in pages:
            self.install_screen(page(self.stage), NAMES[page.number - 1])
        return self.get_screen(NAMES[OverviewScreen.number - 1])

    def foot(self) -> Iterable[Widget]:
        """Widgets to stand below a screen; each screen asks once."""
        return ()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for number, name in enumerate(NAMES, 1):
            yield SystemCommand(name.capitalize(), f"Show screen {number}", self._opener(number))
        yield SystemCommand("Help", "Keys, columns, words", self.action_help)
        yield SystemCommand("Mouse", "Leave the mouse to the terminal, or take it again", self.action_mouse)
        yield SystemCommand("Theme", "Other colours", self.action_change_theme)
        yield SystemCommand("Leave", "The swarm goes on without the monitor", self.action_leave)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *([InAscii()] if self.ascii_only else [])]

    def _opener(self, number: int) -> Callable[[], None]:
        return lambda: self.action_page(number)

    def on_mount(self) -> None:
        self.set_interval(1 / self.fps, self._tick)

    # The clock's ticks --------------------------------------------------------------------------

    def _tick(self) -> None:
        if not self.is_running:
            return  # a last tick while the app shuts down: the screens are gone
        if not self._reported:
            self.source.poll()
        self._show()

    def _show(self) -> None:
        """Show the moment, or where it has just come the end."""
        if self.source.over and not self._reported:
            self._report()
        elif isinstance(self.screen, Page):
            self.screen.frame()

    def _report(self) -> None:
        """The run is over: show what came of it."""
        self._reported = True
        if self._on_over is not None:
            self._on_over()
        self._came_by_itself = self.number != ReportScreen.number
        self.action_page(ReportScreen.number)
        self.set_timer(GRACE, self._may_leave)

    def _reopen(self) -> None:
        """The run is not over after all: someone went back in it."""
        self._reported = self.stage.may_leave = False
        if isinstance(self.screen, ReportScreen) and self._came_by_itself:
            self._go_back()

    def _may_leave(self) -> None:
        self.stage.may_leave = self._reported

    @property
    def number(self) -> int:
        """The one of the six screens that is shown, or that lies below the help and the palette."""
        numbers = [screen.number for screen in self.screen_stack if isinstance(screen, Page)]
        return next(number for number in reversed(numbers) if number)

    # What keys and the mouse ask for --------------------------------------------------------------

    def action_page(self, number: int) -> None:
        """Show one of the six screens, and close what lies over them."""
        if number != self.number:
            self._trail = [at for at in self._trail if at not in (number, self.number)] + [self.number]
        self._show_page(number)

    async def action_back(self) -> None:
        self._go_back()

    def _go_back(self) -> None:
        """Close the help, or show the screen that one came from."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        elif self._trail:
            self._show_page(self._trail.pop())

    def _show_page(self, number: int) -> None:
        page = self.get_screen(NAMES[number - 1])
        while len(self.screen_stack) > 1 and self.screen is not page:
            self.pop_screen()
        if self.screen is not page:
            self.push_screen(page)

    def on_page_wanted(self, event: Page.Wanted) -> None:
        self.action_page(event.number)

    def action_help(self) -> None:
        if isinstance(self.screen, Page) and not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.stage))

    def action_mouse(self) -> None:
        """Leave the mouse to the terminal, which can then select text; or take it again."""
        method = "_disable_mouse_support" if self._mouse else "_enable_mouse_support"
        switch = getattr(self._driver, method, None)
        if switch is not None:
            switch()
            self._mouse = not self._mouse
            self.notify("mouse on" if self._mouse else "mouse off, so that text can be selected (m: on)")

    def on_report_screen_exported(self, event: ReportScreen.Exported) -> None:
        """Write the report, as it is shown, into the current folder."""
        page = self.get_screen(NAMES[ReportScreen.number - 1])
        assert isinstance(page, ReportScreen)
        lines = page.text(max(60, page.canvas.size.width))
        if self.ascii_only:
            lines = [in_ascii(line) for line in lines]
        try:
            data, picture = export(event.report, lines, self.current_theme, not self.no_color)
        except OSError as error:
            self.notify(f"The report could not be written: {error}", severity="error", markup=False)
        else:
            self.notify(f"The report is in {data} and {picture}", markup=False)

    async def action_quit(self) -> None:
        """Textual's own way out (Ctrl+Q, the palette) is the same as ours."""
        self.action_leave()

    def action_leave(self) -> None:
        self.exit(SEEN_TO_THE_END if self._reported else LEFT_EARLY)
