"""A journal as a source for the monitor: the run again, over a clock that can be stopped and set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mpi_core.runtime.clock import ReplayClock
from tui_torrent.recording import Recording, State
from tui_torrent.view.ledger import Finding
from tui_torrent.view.report import Report
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

#: The speeds that ``faster`` and ``slower`` go through.
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Replay:
    """The Source of a recording. It begins paused, at 0.

    ``view`` and ``tail`` are what the events up to ``now`` fold to; a seek may put others in their place.
    """

    def __init__(
        self, recording: Recording, *, speed: float = 1.0, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """``ticks`` tells the seconds that pass for the viewer."""
        self.recording = recording
        self._clock = ReplayClock(recording.end, speed, ticks)
        self._state = State()
        self._now = 0.0
        self.seek(0.0)

    @property
    def view(self) -> SwarmView:
        return self._state.view

    @property
    def tail(self) -> Tail:
        return self._state.tail

    @property
    def now(self) -> float:
        """The moment that is shown, in seconds of the run."""
        return self._now

    @property
    def end(self) -> float:
        """The time of the last event."""
        return self.recording.end

    @property
    def over(self) -> bool:
        return self._state.position == len(self.recording.times)

    @property
    def findings(self) -> Sequence[Finding]:
        """What the checker says of the whole journal."""
        return self.recording.findings

    @property
    def report(self) -> Report:
        """The report of the whole run, at whatever moment."""
        return self.recording.report

    @property
    def paused(self) -> bool:
        return not self._clock.running

    @property
    def speed(self) -> float:
        """Seconds of the run in one of the viewer's."""
        return self._clock.speed

    def poll(self) -> None:
        """Come to the moment that the clock shows; at the end of the run it stops."""
        self._show(self._clock.now())
        if self.over:
            self._clock.stop()

    def play(self) -> None:
        """Go on; from the end, begin again."""
        if self.over:
            self.seek(0.0)
        self._clock.run()

    def pause(self) -> None:
        self._clock.stop()
        self._show(self._clock.now())

    def seek(self, t: float) -> None:
        """Go to the time ``t``, or as near as there is, playing or not."""
        self._clock.set(t)
        self._show(self._clock.now())

    def step(self, dt: float) -> None:
        """Go by so many seconds, back where they are negative."""
        self.seek(self._clock.now() + dt)

    def faster(self) -> None:
        self._clock.speed = next((speed for speed in SPEEDS if speed > self.speed), self.speed)

    def slower(self) -> None:
        self._clock.speed = next((speed for speed in reversed(SPEEDS) if speed < self.speed), self.speed)

    def _show(self, t: float) -> None:
        self._state = self.recording.go(self._state, self.recording.count(t))
        self._now = t
