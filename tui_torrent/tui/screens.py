"""The screens over their panels: which keys they take, and what they ask of the app."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from tui_torrent.tui.pages import Page, Stage, TextScreen
from tui_torrent.tui.panels import client, log, tracker, traffic
from tui_torrent.tui.panels.help import help_lines
from tui_torrent.tui.panels.lines import Line
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.log import LogPanel
from tui_torrent.tui.panels.overview import Overview
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.tui.panels.tabs import hints, title_bar
from tui_torrent.view.rates import BUCKET
from tui_torrent.view.report import Report, build
from tui_torrent.view.swarm_view import SwarmView

#: A swarm of more clients has its traffic counted twice a second.
LARGE = 48


class OverviewScreen(Page):
    """The swarm at a glance."""

    number = 1
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Show the client", show=False),
        Binding("s", "sort", "Sort by the next column", show=False),
        Binding("S", "reverse", "Turn the order round", show=False),
    ]

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.overview = Overview()

    def picture(self, width: int, height: int) -> list[Line]:
        source, self.overview.chosen = self.stage.source, self.stage.chosen
        return self.overview.lines(
            source.view, source.tail, source.now, width, height, self.stage.title, self.stage.paused
        )

    @property
    def rows(self) -> int:
        return self.overview.rows

    def action_move(self, lines: int) -> None:
        overview = self.overview
        if self.stage.chosen not in overview.order:
            # The first key only shows where one is, unless it goes far.
            self.stage.chosen = next(iter(overview.order[overview.first :]), None)
            lines = 0 if abs(lines) == 1 else lines
        overview.bring_in(self.stage.choose(lines, overview.order))
        self.frame()

    def wheeled(self, lines: int, x: int, y: int) -> None:
        self.overview.first += lines
        self.frame()

    def clicked(self, x: int, y: int) -> None:
        rank = self.overview.rank_at(y)
        if rank is not None and rank == self.stage.chosen:
            self.post_message(self.Wanted(ClientScreen.number))
        elif rank is not None:
            self.stage.chosen = rank
            self.frame()

    def action_open(self) -> None:
        if self.stage.chosen not in self.overview.order:
            self.stage.chosen = next(iter(self.overview.order[self.overview.first :]), None)
        self.post_message(self.Wanted(ClientScreen.number))

    def action_sort(self) -> None:
        self.overview.sort_by_next()
        self.frame()

    def action_reverse(self) -> None:
        self.overview.reverse = not self.overview.reverse
        self.frame()


class BarScreen(Page):
    """A panel between the bar above and the keys below; a list in it may scroll."""

    @abstractmethod
    def panel(self, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines of ``width`` cells."""

    def meaning(self) -> tuple[Line, ...]:
        """What the glyphs mean."""
        return ()

    def picture(self, width: int, height: int) -> list[Line]:
        source = self.stage.source
        if height < 4:
            return self.panel(width, height)
        bar = title_bar(source.view, self.stage.title, source.now, width, self.stage.paused)
        return [bar, *self.panel(width, height - 2), hints(self.hints(), width, self.meaning())]

    def hints(self) -> Sequence[tuple[str, str]]:
        """The keys that the last line names."""
        return self.keys


class ListsScreen(BarScreen):
    """A panel with several lists. Tab chooses the one that keys scroll, the wheel scrolls that below it."""

    lists: Lists
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "other_list", "Scroll the other list", show=False, priority=True),
    ]

    def hints(self) -> Sequence[tuple[str, str]]:
        return (*self.keys, *self.lists.keys())

    @property
    def rows(self) -> int:
        return self.lists.rows

    def action_move(self, lines: int) -> None:
        self.lists.move(lines)
        self.frame()

    def wheeled(self, lines: int, x: int, y: int) -> None:
        self.lists.turn(lines, x, y - 1)
        self.frame()

    def action_other_list(self) -> None:
        self.lists.other()
        self.frame()


class ClientScreen(ListsScreen):
    """One client: its segments, the others, its requests."""

    number = 2
    keys = client.KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,right_square_bracket", "other(1)", "Next client", show=False),
        Binding("p,left_square_bracket", "other(-1)", "Previous client", show=False),
    ]

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.client_panel = client.ClientPanel()
        self.lists = self.client_panel.lists

    def meaning(self) -> tuple[Line, ...]:
        return client.MEANING

    def panel(self, width: int, height: int) -> list[Line]:
        view, stage = self.stage.source.view, self.stage
        if stage.chosen not in view.clients:
            # Somebody who fetches tells more than a seed.
            fetching = [rank for rank, client in view.clients.items() if client.wanted]
            stage.chosen = min(fetching or view.clients, default=None)
        return self.client_panel.lines(view, stage.chosen, stage.source.now, width, height)

    def action_other(self, step: int) -> None:
        self.stage.choose(step, sorted(self.stage.source.view.clients))
        self.lists.to_start()
        self.frame()


class TrafficScreen(ListsScreen):
    """Who got how much from whom."""

    number = 3

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.lists = Lists(("rows",))
        #: What the lines were made from, and the lines.
        self._view: SwarmView | None = None
        self._key: tuple[object, ...] = ()
        self._lines: list[Line] = []
        self._meaning: tuple[Line, ...] = ()

    def meaning(self) -> tuple[Line, ...]:
        return self._meaning

    def panel(self, width: int, height: int) -> list[Line]:
        source = self.stage.source
        view = source.view
        # A large matrix is made twice a second, not in every frame.
        moment = int(source.now / BUCKET) if len(view.clients) > LARGE else view.events
        key = (width, height, moment, view.outcome)
        if view is not self._view or (*key, self.lists.first("rows")) != self._key:
            self._lines = traffic.traffic_lines(view, width, height, self.lists)
            self._meaning = traffic.meaning(view, width, self._lines)
            self._view, self._key = view, (*key, self.lists.first("rows"))
        return self._lines


class TrackerScreen(ListsScreen):
    """What the tracker has to do."""

    number = 5

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.lists = Lists(("swarms", "answers"))

    def panel(self, width: int, height: int) -> list[Line]:
        source = self.stage.source
        return tracker.tracker_lines(source.view, source.now, width, height, self.lists)


class LogScreen(BarScreen):
    """Every message, filtered as one types."""

    number = 4
    keys = log.KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", show=False),
        Binding("f", "follow", "Follow", show=False),
        Binding("enter", "go", "Go to that moment", show=False),
        Binding("escape", "clear", "No filter, or back", show=False),
    ]

    class Sought(Message):
        """Somebody wants to see the run at that time, in its seconds."""

        def __init__(self, t: float) -> None:
            super().__init__()
            self.t = t

    DEFAULT_CSS = """
    LogScreen Input, LogScreen Input:focus {
        display: none; height: 1; border: none; padding: 0 1; background: $surface; dock: bottom;
    }
    LogScreen Input.open { display: block; }
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.log_panel = LogPanel()
        self.input = Input(placeholder="REQUEST from:3 to:5 seg:17 file:b*", select_on_focus=False)

    def compose(self) -> ComposeResult:
        yield self.canvas
        yield self.input
        yield from self.stage.below()

    def hints(self) -> Sequence[tuple[str, str]]:
        return (*self.keys, log.GO) if self.stage.seeks else self.keys

    def panel(self, width: int, height: int) -> list[Line]:
        return self.log_panel.lines(self.stage.source.tail.log, width, height)

    @property
    def rows(self) -> int:
        return self.log_panel.rows

    def action_move(self, lines: int) -> None:
        self.log_panel.move(lines)
        self.frame()

    def action_follow(self) -> None:
        self.log_panel.follow = not self.log_panel.follow
        self.frame()

    def action_go(self) -> None:
        t = self.log_panel.time_at(self.stage.source.tail.log)
        if t is not None:
            self.post_message(self.Sought(t))

    def action_filter(self) -> None:
        self.input.add_class("open")
        self.input.focus()

    async def action_clear(self) -> None:
        """Drop the filter; where there is none, go back."""
        if not self.input.value and not self.input.has_class("open"):
            await self.run_action("app.back")
            return
        self.input.value = ""
        self._close()

    def _close(self) -> None:
        self.input.remove_class("open")
        self.set_focus(None)
        self.frame()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.log_panel.set_filter(event.value)
        self.frame()

    def on_input_submitted(self) -> None:
        self._close()


class HelpScreen(TextScreen):
    """Keys, columns, words."""

    number = 0
    keys = (("?", "closes"),)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,enter", "app.back", "Close", show=False),
        Binding("space", "turn(1)", "Page down", show=False),
    ]

    def text(self, width: int) -> list[Line]:
        return help_lines(width)


class ReportScreen(TextScreen):
    """What came of the run, or of what there is of it so far; at the end Enter leaves as ``q`` does."""

    number = 6
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "finish", "Leave, at the end", show=False),
        Binding("e", "export", "Export", show=False),
        Binding("space", "turn(1)", "Page down", show=False),
    ]

    class Exported(Message):
        """Somebody wants that report in files."""

        def __init__(self, report: Report) -> None:
            super().__init__()
            self.report = report

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        #: What the text was made from, and the text.
        self._made: tuple[tuple[object, ...], list[Line]] | None = None

    def report(self, traffic: bool = True) -> Report:
        source = self.stage.source
        return build(source.view, source.findings if source.over else (), traffic=traffic)

    def hints(self) -> tuple[tuple[str, str], ...]:
        leave = (("q enter", "leave"), ("esc", "back"))
        return (*(leave if self.stage.source.over else ()), ("e", "export"))

    def text(self, width: int) -> list[Line]:
        source = self.stage.source
        # A journal may end early, and a connection be lost.
        cut_off = source.over and source.view.outcome is None and source.view.aborted is None
        key = (width, source.over, int(source.now / BUCKET), self.stage.paused)
        if self._made is None or self._made[0] != key:
            report = self.report(traffic=False)
            title, so_far, paused = self.stage.title, not source.over, self.stage.paused
            lines = report_lines(report, source.view, title, width, so_far, cut_off, paused)
            self._made = (key, lines)
        return self._made[1]

    def action_export(self) -> None:
        self.post_message(self.Exported(self.report()))

    async def action_finish(self) -> None:
        if self.stage.may_leave and self.stage.source.over:
            await self.run_action("app.leave")
