"""A screen's lists that may be longer than their room: where each begins, and which one the keys scroll."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui_torrent.tui.panels.lines import Span


@dataclass
class _Place:
    """A list's first line, its lines, those that there is room for, and its cells on the screen."""

    first: int = 0
    count: int = 0
    room: int = 0
    x: range = range(0)
    y: range = range(0)

    @property
    def scrolls(self) -> bool:
        return self.count > self.room


@dataclass
class Lists:
    """The lists of one screen, in the order in which Tab goes through them."""

    names: tuple[str, ...]
    #: The one that the keys scroll, as far as it is known.
    chosen: str = ""
    _places: dict[str, _Place] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {name: _Place() for name in self.names}

    def window(self, name: str, count: int, room: int, x: range = range(0), y: range = range(0)) -> range:
        """Which of a list's ``count`` lines are shown in ``room``; ``x`` and ``y`` are the cells it takes."""
        place = self._places[name]
        place.count, place.room, place.x, place.y = count, room, x, y
        place.first = max(0, min(place.first, count - room))
        return range(place.first, min(count, place.first + max(0, room)))

    def first(self, name: str) -> int:
        """The first line of a list that is shown."""
        return self._places[name].first

    @property
    def scrolling(self) -> list[str]:
        """The lists that are longer than their room."""
        return [name for name in self.names if self._places[name].scrolls]

    @property
    def keyed(self) -> str:
        """The list that the keys scroll."""
        scrolling = self.scrolling
        if self.chosen in scrolling:
            return self.chosen
        return scrolling[0] if scrolling else self.names[0]

    @property
    def rows(self) -> int:
        """How far a page is."""
        return max(1, self._places[self.keyed].room)

    def note(self, name: str, noun: str = "") -> str:
        """Which lines are shown, ``files 1–8 of 37``; marked where the keys could scroll another list too."""
        place = self._places[name]
        if not place.scrolls:
            return ""
        mark = "▸" if name == self.keyed and len(self.scrolling) > 1 else ""
        last = min(place.count, place.first + place.room)
        return " ".join(filter(None, (mark, noun, f"{place.first + 1}–{last} of {place.count}")))

    def move(self, lines: int) -> None:
        """Scroll the list of the keys."""
        self._places[self.keyed].first += lines

    def turn(self, lines: int, x: int, y: int) -> None:
        """Scroll the list in that cell, or that of the keys where there is none."""
        under = (name for name, place in self._places.items() if x in place.x and y in place.y)
        self._places[next(under, self.keyed)].first += lines

    def other(self) -> None:
        """Let the keys scroll the next list."""
        scrolling = self.scrolling
        if scrolling:
            self.chosen = scrolling[(scrolling.index(self.keyed) + 1) % len(scrolling)]

    def to_start(self) -> None:
        for place in self._places.values():
            place.first = 0

    def keys(self) -> tuple[tuple[str, str], ...]:
        """The keys that mean something at the moment, with what they do."""
        scrolling = self.scrolling
        names = (("tab", " or ".join(scrolling)),) if len(scrolling) > 1 else ()
        return ((("↑↓", "scroll"),) if scrolling else ()) + names


def note_span(note: str) -> Span:
    """A list's note at the end of a line."""
    return Span(note, "chosen" if note.startswith("▸") else "head")
