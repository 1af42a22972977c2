"""The monitor over a recording: the same app, with a timeline below every screen and keys that move it.

At the end of the recording stands the report, as at the end of a run. Going back closes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from tui_torrent.replay import Replay
from tui_torrent.tui.app import MonitorApp
from tui_torrent.tui.panels.timeline import ROOM_FOR_KEYS, Mark, timeline, track
from tui_torrent.tui.screens import HelpScreen, LogScreen
from tui_torrent.tui.widgets import Canvas


class Timeline(Canvas):
    """The line below a screen; a click on it, or a drag along it, is a time."""

    DEFAULT_CSS = "Timeline { height: auto; }"

    class Chosen(Message):
        """Somebody points at a time of the run, in seconds."""

        def __init__(self, t: float) -> None:
            super().__init__()
            self.t = t

    def __init__(self, replay: Replay, *, ascii_only: bool) -> None:
        super().__init__(ascii_only=ascii_only)
        self._replay = replay
        self._marks = [Mark(mark.t, mark.what) for mark in replay.recording.marks]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2 if viewport.height >= ROOM_FOR_KEYS else 1

    def frame(self) -> None:
        """Show the moment as it is."""
        replay, (width, height) = self._replay, self.size
        if width and height:
            lines = timeline(replay.now, replay.end, replay.paused, replay.speed, self._marks, width, height)
            self.show(lines)

    def on_resize(self, event: events.Resize) -> None:
        self.frame()

    def on_click(self, event: events.Click) -> None:
        # A canvas would tell the screen, which would take it for a click on itself.
        event.prevent_default()
        event.stop()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._point(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if event.button:
            self._point(event)

    def _point(self, event: events.MouseEvent) -> None:
        event.stop()
        if event.y == 0:
            self.post_message(self.Chosen(track(self.size.width, self._replay.end).time(event.x)))


class ReplayApp(MonitorApp):
    """The app over a replay; ``run()`` returns as MonitorApp's does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play_or_pause", "Play or pause", priority=True),
        Binding("left", "step(-1)", "1 s back", show=False, priority=True),
        Binding("right", "step(1)", "1 s on", show=False, priority=True),
        Binding("comma", "step(-0.1)", "0.1 s back", show=False, priority=True),
        Binding("full_stop", "step(0.1)", "0.1 s on", show=False, priority=True),
        Binding("plus,equals_sign", "faster", "Faster", show=False, priority=True),
        Binding("minus", "slower", "Slower", show=False, priority=True),
        Binding("home", "to_start", "To the beginning", show=False, priority=True),
        Binding("end", "to_end", "To the end", show=False, priority=True),
    ]

    def __init__(self, replay: Replay, **options: Any) -> None:
        """The options are MonitorApp's."""
        super().__init__(replay, **options)
        self.replay = replay
        self.stage.seeks = True

    def foot(self) -> Iterable[Widget]:
        yield Timeline(self.replay, ascii_only=self.ascii_only)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key moves the replay: not where it writes or scrolls a text instead."""
        if action in _ACTIONS and (isinstance(self.focused, Input) or isinstance(self.screen, HelpScreen)):
            return False
        return super().check_action(action, parameters)

    def _show(self) -> None:
        if not self.is_running:
            return
        if self._reported and not self.replay.over:
            self._reopen()
        self.stage.paused = self.replay.paused and not self.replay.over
        super()._show()
        for line in self.screen.query(Timeline):
            line.frame()

    def action_play_or_pause(self) -> None:
        if self.replay.paused:
            self.replay.play()
        else:
            self.replay.pause()
        self._show()

    def action_step(self, seconds: float) -> None:
        self.replay.step(seconds)
        self._show()

    def action_faster(self) -> None:
        self.replay.faster()
        self._show()

    def action_slower(self) -> None:
        self.replay.slower()
        self._show()

    def action_to_start(self) -> None:
        self.replay.seek(0.0)
        self._show()

    def action_to_end(self) -> None:
        self.replay.seek(self.replay.end)
        self._show()

    def on_log_screen_sought(self, event: LogScreen.Sought) -> None:
        self.replay.seek(event.t)
        self._show()

    def on_timeline_chosen(self, event: Timeline.Chosen) -> None:
        self.replay.seek(event.t)
        self._show()


_ACTIONS = frozenset({"play_or_pause", "step", "faster", "slower", "to_start", "to_end"})
