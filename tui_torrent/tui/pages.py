"""What the six screens have in common: a canvas, a picture for each size, a line of tabs below it."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.message_pump import _MessagePumpMeta
from textual.screen import Screen
from textual.widget import Widget

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.lines import EMPTY, Line, crop
from tui_torrent.tui.panels.tabs import hints, tab_at, tab_line
from tui_torrent.tui.widgets import Canvas
from tui_torrent.view.ledger import Finding
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.words import counted

#: What ``run()`` returns: the report was seen and left, or the monitor was left before the end.
SEEN_TO_THE_END = 0
LEFT_EARLY = 1

#: Lines of a screen that are too few for a line of tabs.
TOO_LOW = 4


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


def _nothing_below() -> Iterable[Widget]:
    return ()


@dataclass
class Stage:
    """What the screens of one app share."""

    source: Source
    title: str
    ascii_only: bool
    #: The client that the overview points at and the client's screen shows; None: the first one.
    chosen: Rank | None = None
    #: Makes what stands below the canvas of each screen, such as a timeline.
    below: Callable[[], Iterable[Widget]] = _nothing_below
    #: The report of a run that is over has been there for a while: Enter may leave it.
    may_leave: bool = False
    #: Somebody may go to another time of the run.
    seeks: bool = False
    #: The run's time stands still until somebody plays it on.
    paused: bool = False

    def choose(self, step: int, ranks: Sequence[Rank]) -> Rank | None:
        """Choose the client so many places on in ``ranks``; it stops at either end."""
        if ranks:
            at = ranks.index(self.chosen) if self.chosen in ranks else 0
            self.chosen = ranks[max(0, min(at + step, len(ranks) - 1))]
        return self.chosen


class _AbstractScreen(_MessagePumpMeta, ABCMeta):
    """Textual's classes have a metaclass of their own; this one knows abstract methods as well."""


class Page(Screen[None], metaclass=_AbstractScreen):
    """One of the six screens. It draws a picture of the moment whenever it is told to (``frame``)."""

    class Wanted(Message):
        """Somebody wants that screen."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    #: Nothing takes the keys before it is asked to.
    AUTO_FOCUS = ""

    #: Its key, and its place among the tabs; 0 is none of them.
    number: ClassVar[int]
    #: The keys that its last line names, with what they do.
    keys: ClassVar[Sequence[tuple[str, str]]] = ()

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("pagedown,ctrl+f", "turn(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "turn(-1)", "Page up", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
        Binding("escape", "app.back", "Back", show=False),
    ]

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.canvas = Canvas(ascii_only=stage.ascii_only)

    def compose(self) -> ComposeResult:
        yield self.canvas
        yield from self.stage.below()

    @abstractmethod
    def picture(self, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines of ``width`` cells."""

    def frame(self) -> None:
        """Show the moment as it is."""
        width, height = self.canvas.size
        if not width or not height:
            return
        if height < TOO_LOW:
            self.canvas.show(self.picture(width, height))
        else:
            self.canvas.show([*self.picture(width, height - 1), tab_line(self.number, width)])

    @property
    def rows(self) -> int:
        """How far a page is."""
        return max(1, self.canvas.size.height - 4)

    @abstractmethod
    def action_move(self, lines: int) -> None:
        """Go down by so many lines, or up where they are negative."""

    def action_turn(self, pages: int) -> None:
        self.action_move(pages * self.rows)

    def on_canvas_scrolled(self, event: Canvas.Scrolled) -> None:
        self.wheeled(event.lines, event.x, event.y)

    def wheeled(self, lines: int, x: int, y: int) -> None:
        """The mouse wheel was turned over that cell."""
        self.action_move(lines)

    def on_canvas_resized(self) -> None:
        self.frame()

    def on_screen_resume(self) -> None:
        self.frame()

    def on_canvas_clicked(self, event: Canvas.Clicked) -> None:
        width, height = self.canvas.size
        tab = tab_at(event.x, self.number, width) if event.y == height - 1 >= TOO_LOW - 1 else None
        if tab is not None:
            self.post_message(self.Wanted(tab))
        else:
            self.clicked(event.x, event.y)

    def clicked(self, x: int, y: int) -> None:
        """The mouse was pressed above the tabs."""


class TextScreen(Page):
    """A text that may be longer than the screen, with a line of keys below it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.first = 0
        self._room = 1

    @abstractmethod
    def text(self, width: int) -> list[Line]:
        """The whole text."""

    def hints(self) -> Sequence[tuple[str, str]]:
        return self.keys

    def picture(self, width: int, height: int) -> list[Line]:
        text = self.text(width)
        self._room = max(1, height - 1)
        self.first = max(0, min(self.first, len(text) - self._room))
        lines = text[self.first : self.first + self._room]
        lines += [crop(EMPTY, width)] * (self._room - len(lines))
        rest = len(text) - self.first - self._room
        more = f"scroll, {counted(rest, 'more line')}" if rest > 0 else "scroll"
        scrolling = [("↑↓", more)] if rest > 0 or self.first else []
        return [*lines, hints([*self.hints(), *scrolling], width)][:height]

    @property
    def rows(self) -> int:
        return self._room

    def action_move(self, lines: int) -> None:
        self.first = max(0, self.first + lines)
        self.frame()
