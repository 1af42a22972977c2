"""The overview: header, clients, copies, messages, legend, in whatever room there is.

``Overview.lines`` composes the screen; it keeps the rows that did not change, and draws only so much
anew in one frame. Everything but that cache is a pure function of the view and of ``now``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from mpi_core.protocol.units import Rank
from tui_torrent.tui.panels.axis import NO_AXIS, Axis, copies_map, make_axis
from tui_torrent.tui.panels.headline import NO_HEADLINE, headline_lines, refreshed
from tui_torrent.tui.panels.lines import EMPTY, Line, Span, cells, clean, crop, fit, right, rule
from tui_torrent.tui.panels.spark import pulse_line
from tui_torrent.tui.panels.table import SORTS, Layout, heading, in_order, make_layout, row, sort_title
from tui_torrent.tui.panels.tabs import hints, title_bar
from tui_torrent.view.blame import Trouble, troubles
from tui_torrent.view.headline import headline
from tui_torrent.view.health import health
from tui_torrent.view.rates import BUCKET
from tui_torrent.view.scarce import held_up
from tui_torrent.view.story import TAG_WIDTH, Kind, Tail, Told
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import stamp_text
from tui_torrent.view.words import counted

#: Pieces of segment maps that are drawn anew in one frame; what is left over has its turn in the next.
#: Measured: some 40 rows of 90 pieces, 5 ms.
FRAME_BUDGET = 5_000
#: What a row costs besides its map, in pieces.
ROW_COST = 40

#: A swarm with more segments has its copies counted twice a second, not in every frame.
SMALL_SWARM = 50_000

#: The styles of a sentence's tag and of its text, by its kind.
KIND_STYLES: dict[Kind, tuple[str, str]] = {
    "run": ("head", "text"),
    "step": ("step", "text"),
    "segment": ("dim", "dim"),
    "done": ("done", "text"),
    "trouble": ("trouble", "text"),
}


@dataclass(frozen=True)
class Plan:
    """How many lines each part of the overview gets; together they are the height."""

    #: The bar, how far the job is, and what limits it.
    header: int
    #: What changes over time.
    pulse: int
    heading: int
    rows: int
    copies: int
    messages: int
    legend: int
    #: The rule above the table, which says what of it is shown.
    rule: int
    #: Blank lines before the copies.
    air: int

    @property
    def before_rows(self) -> int:
        return self.header + self.pulse + self.rule + self.heading


def arrange(height: int, clients: int) -> Plan:
    """Room for the parts: rows come first, but a few messages always stay where there is room."""
    header = 1 + (height >= 8) + (height >= 14)
    pulse = 1 if height >= 18 else 0
    heading_ = 1 if height >= 5 else 0
    legend = 1 if height >= 10 else 0
    copies = 1 if height >= 9 else 0
    rule_ = 1 if height >= 16 else 0
    rest = height - header - pulse - rule_ - heading_ - legend - copies
    # A blank line only where every client has its row all the same.
    air = 1 if height >= 20 and rest - 1 - max(5, (rest - 1) // 4) >= clients else 0
    room = max(1, rest - air)
    messages = min(room - 1, max(5, room // 4)) if room >= 10 else 0
    rows = max(1, min(clients, room - messages))
    messages = room - rows if messages else 0
    return Plan(header, pulse, heading_, room - messages, copies, messages, legend, rule_, air)


def copies_line(view: SwarmView, axis: Axis, layout: Layout, width: int, held_up: bool) -> Line:
    """The copies of each part below the maps, and what they mean in words before it.

    A segment that one client alone holds is a warning where others wait for it (``held_up``).
    """
    copies = {name: view.copies(name) for name, file in view.files.items() if file.segments}
    if not copies:
        return crop((Span("no files yet", "dim"),), width)
    fewest = min(map(min, copies.values()))
    rare = sum(segments.count(fewest) for segments in copies.values())
    if fewest <= 1 < len(view.clients):
        holder = "one client only" if fewest else "nobody"
        are = "segment is" if rare == 1 else "segments are"
        texts = [
            f"fewest copies {fewest}: {rare} {are} held by {holder}",
            f"fewest copies {fewest}: {rare} held by {holder}",
            f"{rare} held by {holder}",
            f"{rare} have {fewest} " + ("copy" if fewest else "copies"),
        ]
        style = "trouble" if not fewest else "rare" if held_up else "text"
    else:
        texts = [f"fewest copies {fewest} of {len(view.clients)}", f"fewest copies {fewest}"]
        style = "text"
    room = layout.left - layout.gap
    text = next((text for text in texts if len(text) <= room), texts[-1])
    left = Span(right(text, room) + " " * layout.gap, style)
    return crop((left, *copies_map(axis, copies, len(view.clients), held_up)), width)


def message(told: Told, width: int) -> Line:
    """One line of the tail."""
    tag, text, kind = told.sentence
    style, body_style = KIND_STYLES[kind]
    more = f"  ×{told.more + 1}" if told.more else ""
    stamp = Span(f"{stamp_text(told.t):>7}  ", "dim")
    if width < 60:
        return crop((stamp, Span(clean(text), style)), width)
    body = fit(clean(text), max(0, min(len(text), width - cells((stamp,)) - TAG_WIDTH - 2 - len(more))))
    mark = "!" if kind == "trouble" else " "
    return crop(
        (stamp, Span(fit(mark + tag, TAG_WIDTH + 2), style), Span(body, body_style), Span(more, "dim")), width
    )


#: The keys of the overview, and what its glyphs mean.
KEYS = (("↑↓", "choose"), ("enter", "client"), ("s S", "sort"))
MEANING: tuple[Line, ...] = (
    (Span("━", "own"), Span(" owned", "dim")),
    (Span("▁▄█", "got"), Span(" downloaded", "dim")),
    (Span("·", "missing"), Span(" missing", "dim")),
    (Span("blank", "dim"), Span(" not wanted", "dim")),
    (Span("1", "copies"), Span(" one copy", "dim")),
    (Span("▂▅█", "copies"), Span(" copies", "dim")),
)


def remark_lines(remarks: Sequence[str], count: int, width: int) -> list[Line]:
    """What holds now, the worst first; how many more there are stands at the end."""
    lines: list[Line] = []
    for at, text in enumerate(remarks[:count]):
        rest = len(remarks) - count if at == count - 1 else 0
        more = f"  {rest} more on 6 " if rest > 0 else ""
        body = fit(clean(text), max(0, min(len(text), width - 3 - len(more))))
        lines.append(crop((Span(" ! ", "trouble"), Span(body, "rare"), Span(more, "dim")), width))
    return lines


def _marked(row: Line) -> Line:
    """The row with a mark before its rank."""
    first = row[0]
    return (Span("▸", "chosen"), Span(first.text[1:], first.style), *row[1:])


class Overview:
    """The whole screen, with the rows of the last frames kept."""

    def __init__(self) -> None:
        #: The first client shown, and how many fit: the keys that scroll change the one by the other.
        self.first = 0
        self.rows = 1
        #: The line of the first row.
        self.top = 0
        #: The client with a mark at its row.
        self.chosen: Rank | None = None
        #: The column that the rows are sorted by, and whether against its usual order.
        self.sort = "client"
        self.reverse = False
        #: All clients in that order, and what is to be said of the swarm.
        self.order: list[Rank] = []
        self.remarks: list[str] = []
        self._looked: tuple[object, ...] = ()
        self._pulse: list[Line] = []
        #: How far the job is, and whether a single holder of some segment keeps others waiting.
        self._headline = NO_HEADLINE
        self._held_up = False
        #: What is wrong with single clients.
        self._troubles: dict[Rank, Trouble] = {}
        self._view: SwarmView | None = None
        self._shape: tuple[int, ...] = ()
        self._layout = Layout((), 1, 0)
        self._axis = NO_AXIS
        #: For each client: what its row was drawn from, and the row.
        self._drawn: dict[Rank, tuple[tuple[object, ...], Line]] = {}
        self._copies: tuple[tuple[object, ...], Line] = ((), EMPTY)
        self._turn = 0

    def lines(
        self,
        view: SwarmView,
        tail: Tail,
        now: float,
        width: int,
        height: int,
        title: str,
        paused: bool = False,
    ) -> list[Line]:
        """Exactly ``height`` lines of ``width`` cells; ``paused`` where the run's time stands still."""
        plan = arrange(height, len(view.clients))
        self.rows, self.top = plan.rows, plan.before_rows
        self.first = max(0, min(self.first, len(view.clients) - plan.rows))
        self._lay_out(view, width)
        self._look(view, now, width)
        blank = crop(EMPTY, width)
        bar = title_bar(view, title, now, width, paused)
        told = headline_lines(refreshed(self._headline, view), view.dropped, width)
        lines = [bar, *told][: plan.header]
        lines += self._pulse[: plan.pulse]
        note = self._note(len(view.clients))
        if plan.rule:
            lines.append(crop(rule(self._title(view), note, width), width))
        if plan.heading:
            lines.append(crop(heading(self._layout, self._axis, self.sort, self.reverse), width))
        rows = self._rows(view, now, width)
        if not rows and plan.rows:
            rows = [crop((Span(" waiting for the clients to report …", "dim"),), width)]
        lines += rows
        if plan.copies:
            lines += [*[blank] * plan.air, self._copies_line(view, now, width)]
        # Where few clients leave rows free, the copies stand below the last one.
        lines += [blank] * (plan.rows - len(rows))
        if plan.messages:
            remarks = remark_lines(self.remarks, min(2, plan.messages - 2), width)
            room = plan.messages - 1 - len(remarks)
            messages = [message(told, width) for told in tail.last(room)]
            lines += [*remarks, crop(rule("messages", "", width), width), *messages]
            lines += [blank] * (room - len(messages))
        if plan.legend:
            where = [("", note)] if note and not plan.rule else []
            lines.append(hints([*KEYS, *where], width, MEANING))
        return lines[:height]

    def sort_by_next(self) -> None:
        """Sort by the next column, in its usual order."""
        self.sort, self.reverse = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)], False

    def bring_in(self, rank: Rank | None) -> None:
        """Scroll as far as it takes to see that client."""
        if rank in self.order:
            at = self.order.index(rank)
            self.first = max(at - self.rows + 1, min(self.first, at))

    def rank_at(self, y: int) -> Rank | None:
        """The client whose row that line is."""
        at = y - self.top
        shown = self.order[self.first : self.first + self.rows]
        return shown[at] if 0 <= at < len(shown) else None

    def _note(self, clients: int) -> str:
        """Which rows are shown, and what they are sorted by, where that is not as at first."""
        notes = []
        if clients > self.rows:
            notes.append(f"{self.first + 1}–{self.first + self.rows} of {clients}")
        if (self.sort, self.reverse) != ("client", False):
            notes.append(f"by {sort_title(self.sort)}{' reversed' if self.reverse else ''}")
        return ", ".join(notes)

    def _title(self, view: SwarmView) -> str:
        """What the table is of."""
        things = ((len(view.clients), "client"), (view.file_count, "file"), (self._axis.segments, "segment"))
        return ", ".join(counted(number, thing) for number, thing in things)

    def _look(self, view: SwarmView, now: float, width: int) -> None:
        """Once a bucket of time: who comes in which order, what holds, how near the limit is."""
        key = (int(now / BUCKET), len(view.clients), width, self.sort, self.reverse, view.outcome)
        if key != self._looked:
            self._looked = key
            self.order = in_order(view, self.sort, self.reverse, now)
            self.remarks = health(view, now)
            self._headline = headline(view, now)
            self._held_up, self._troubles = bool(held_up(view)), troubles(view, now)
            self._pulse = [pulse_line(view, now, width)]

    def _lay_out(self, view: SwarmView, width: int) -> None:
        shape = (len(view.files), len(view.clients), width)
        if view is self._view and shape == self._shape:
            return
        self._view, self._shape = view, shape
        self._layout = make_layout(view, width)
        self._axis = make_axis(view.files, self._layout.map_width)
        self._drawn.clear()
        self._looked = ()

    def _rows(self, view: SwarmView, now: float, width: int) -> list[Line]:
        shown = self.order[self.first : self.first + self.rows]
        budget, bucket = FRAME_BUDGET, int(now / BUCKET)
        last = inf if self._headline.finish is None else self._headline.finish
        cost = self._axis.cost + ROW_COST
        start, self._turn = self._turn % max(1, len(shown)), -1
        # Whoever had no turn in the last frame comes first in this one.
        for at in [*range(start, len(shown)), *range(start)]:
            client = view.clients[shown[at]]
            trouble = self._troubles.get(client.rank)
            key = (client.version, bucket, trouble)
            known = self._drawn.get(client.rank)
            if known is not None and known[0] == key:
                continue
            if budget <= 0 and known is not None:
                self._turn = at if self._turn < 0 else self._turn
                continue
            budget -= cost
            wrong = trouble.text if trouble is not None else ""
            drawn = row(client, self._layout, self._axis, now, width, last, wrong)
            # An equal row stays the same object, so that comparing frames is cheap.
            self._drawn[client.rank] = (key, known[1] if known is not None and known[1] == drawn else drawn)
        self._turn = max(0, self._turn)
        return [
            _marked(self._drawn[rank][1]) if rank == self.chosen else self._drawn[rank][1] for rank in shown
        ]

    def _copies_line(self, view: SwarmView, now: float, width: int) -> Line:
        small = self._axis.segments <= SMALL_SWARM
        events = view.events if small else 0
        key = (self._view, self._shape, int(now / BUCKET), view.outcome, events, self._held_up)
        if self._copies[0] != key:
            self._copies = (key, copies_line(view, self._axis, self._layout, width, self._held_up))
        return self._copies[1]
