"""The log: every message that has a sentence, those that the reader asked for, the newest at the bottom.

Nothing is copied: ``Matches`` keeps the numbers of the events that match. A filter that has changed is
tried on the newest events first, so many in a frame, so that typing stays quick whatever the log holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

from mpi_core.protocol.events import Stamped
from tui_torrent.tui.panels.lines import EMPTY, Line, Span, cells, clean, crop, filled, fit
from tui_torrent.tui.panels.overview import KIND_STYLES
from tui_torrent.view.log import Log
from tui_torrent.view.log_filter import Filter, parse
from tui_torrent.view.story import TAG_WIDTH, sentence
from tui_torrent.view.units import stamp_text

#: Old events that are tried in one frame. Measured: some 5 ms.
FRAME_BUDGET = 3_000
#: New events that are tried in one frame; of more, the oldest are left out until the others were tried.
NEW_BUDGET = 10_000

KEYS = (("/", "filter"), ("f", "follow"), ("↑↓", "line"), ("PgUp PgDn", ""), ("esc", "no filter, back"))
#: In a replay.
GO = ("enter", "go there")


class Matches:
    """The numbers of the events that a filter takes, oldest first, as far as it has been tried."""

    def __init__(self) -> None:
        self.filter = Filter()
        self._log: Log | None = None
        #: Tried are the events from ``start`` up to ``stop``.
        self.start = self.stop = 0
        self.numbers: deque[int] = deque()

    def set(self, text: str) -> None:
        """Ask for something else."""
        wanted = parse(text)
        if wanted != self.filter:
            self.filter, self._log = wanted, None

    def update(self, log: Log) -> None:
        """Try what has come, and then some of what is older."""
        if log is not self._log or log.total < self.stop:
            self._log = log
            self.start = self.stop = log.total
            self.numbers.clear()
        start = max(self.stop, log.total - NEW_BUDGET, log.first)
        if start > self.stop:
            # Too many have come at once: what is in between counts as older.
            self.numbers.clear()
            self.start = start
        self.numbers += self._tried(log, start, log.total)
        self.stop = log.total
        older = max(log.first, self.start - FRAME_BUDGET)
        if older < self.start:
            self.numbers.extendleft(reversed(self._tried(log, older, self.start)))
            self.start = older
        while self.numbers and self.numbers[0] < log.first:
            self.numbers.popleft()
        self.start = max(self.start, log.first)

    @property
    def all_tried(self) -> bool:
        return self._log is not None and self.start <= self._log.first

    def _tried(self, log: Log, start: int, stop: int) -> list[int]:
        match = self.filter.match
        return [number for number, event in enumerate(log.read(start, stop), start) if match(event)]


class LogPanel:
    """The screen: its filter, where it is scrolled to, and which line the reader points at."""

    def __init__(self) -> None:
        self.matches = Matches()
        self.text = ""
        #: The newest line stays at the bottom, and is the one pointed at.
        self.follow = True
        #: The number of the event that is pointed at.
        self.at: int | None = None
        self.rows = 1
        self._top = 0
        self._drawn: dict[tuple[int, int], Line] = {}
        self._log: Log | None = None

    def set_filter(self, text: str) -> None:
        self.text = text
        self.matches.set(text)

    def move(self, lines: int) -> None:
        """Point at the line so many further down; that stops following, but at the end it begins again."""
        numbers = self.matches.numbers
        if not numbers:
            return
        at = len(numbers) - 1 if self.at is None else bisect_left(numbers, self.at)
        at = max(0, min(at + lines, len(numbers) - 1))
        self.at = numbers[at]
        self.follow = lines > 0 and at == len(numbers) - 1

    def time_at(self, log: Log) -> float | None:
        """When the event happened that is pointed at."""
        if self.at is None or not log.first <= self.at < log.total:
            return None
        return log.read(self.at, self.at + 1)[0].t

    def lines(self, log: Log, width: int, height: int) -> list[Line]:
        """Exactly ``height`` lines of ``width`` cells."""
        self.matches.update(log)
        if log is not self._log:
            self._log = log
            self._drawn.clear()
        numbers = self.matches.numbers
        self.rows = rows = max(1, height - 1)
        if self.follow or self.at is None:
            self.at = numbers[-1] if numbers else None
        at = bisect_left(numbers, self.at) if self.at is not None else 0
        at = min(at, max(0, len(numbers) - 1))
        top = bisect_left(numbers, self._top)
        top = max(0, min(max(min(top, at), at - rows + 1), len(numbers) - rows))
        if self.follow:
            top = max(0, len(numbers) - rows)
        shown = [numbers[number] for number in range(top, min(top + rows, len(numbers)))]
        self._top = shown[0] if shown else 0
        lines = [self._head(log, top, len(shown), width)]
        lines += self._drawn_lines(log, shown, at - top, width)
        if not shown:
            lines.append(crop((Span(" nothing matches" if self.text else " no message yet", "dim"),), width))
        return filled(lines, width, height)

    def _head(self, log: Log, top: int, count: int, width: int) -> Line:
        """The filter, and how much of the log it takes."""
        found = len(self.matches.numbers)
        kept = log.total - log.first
        state = "following" if self.follow else "stopped"
        trying = "" if self.matches.all_tried else ", looking on …"
        what: Line = (Span(" /", "key"), Span(clean(self.text), "strong"))
        if not self.text:
            what = (Span(" every message", "head"),)
        texts = [
            f"lines {top + 1}–{top + count} of {found}{trying}, {kept} of {log.total} events, {state} ",
            f"{top + 1}–{top + count} of {found}{trying}, {state} ",
            f"{found}, {state} ",
        ]
        if not count:
            texts = [f"none of {kept} events{trying}, {state} ", f"none{trying}, {state} "]
        room = width - cells(what) - 2
        note = next((text for text in texts if len(text) <= room), "")
        gap = width - cells(what) - len(note)
        return crop((*what, Span(" " * max(0, gap)), Span(note, "head")), width)

    def _drawn_lines(self, log: Log, shown: list[int], at: int, width: int) -> list[Line]:
        if len(self._drawn) > 4 * len(shown) + 100:
            self._drawn.clear()
        lines = []
        for place, number in enumerate(shown):
            known = self._drawn.get((number, width))
            if known is None:
                (stamped,) = log.read(number, number + 1)
                known = self._drawn[number, width] = _line(stamped, width)
            if place == at and not self.follow:
                known = (Span("▸", "chosen"), Span(known[0].text[1:], "chosen"), *known[1:])
            lines.append(known)
        return lines


def _line(stamped: Stamped, width: int) -> Line:
    t, told = stamped.t, sentence(stamped.rank, stamped.event)
    if told is None:
        return crop(EMPTY, width)
    style, body = KIND_STYLES[told.kind]
    mark = "!" if told.kind == "trouble" else " "
    stamp = Span(f"{t:7.3f} s  ", "dim")
    if width < 60:
        stamp = Span(f"{stamp_text(t):>7} ", "dim")
        return crop((stamp, Span(mark + clean(told.text), style)), width)
    return crop(
        (stamp, Span(fit(mark + told.tag, TAG_WIDTH + 2), style), Span(clean(told.text), body)), width
    )
