"""Draw one screen of the monitor as an SVG, at a moment of a journal.

    python demo/picture.py run.jsonl out.svg --at 9

The README's picture is of the built-in demo with eight clients, made on a quiet machine by

    mpirun -np 9 python -m tui_torrent --journal /tmp/demo.jsonl
    python demo/picture.py /tmp/demo.jsonl demo/monitor.svg --at 9

The picture is of the app itself, run without a terminal. Set NO_COLOR to see it without colours.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import deque
from pathlib import Path

from mpi_core.runtime.journal import read_journal
from tui_torrent.tui.app import MonitorApp
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView


class Moment:
    """A source that stands still: a journal up to ``now``, or all of it."""

    def __init__(self, journal: Path, now: float | None) -> None:
        events = sorted(read_journal(journal), key=lambda stamped: stamped.t)
        self.now = events[-1].t if now is None else now
        self.over = now is None
        self.view, self.tail, checker = SwarmView(), Tail(), Conformance()
        deque(map(checker.see, events), maxlen=0)
        self.findings = checker.result()
        for stamped in events:
            if stamped.t <= self.now:
                self.view.apply(stamped)
                self.tail.add(stamped)

    def poll(self) -> None:
        """Nothing comes: the moment is all there is."""


async def picture(source: Moment, size: tuple[int, int], key: str, theme: str, ascii_only: bool) -> str:
    """The SVG of the screen that ``key`` opens ('' for the first one)."""
    header = source.view.header
    app = MonitorApp(source, title=header.scenario if header else "", fps=20, ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        app.theme = theme or app.theme
        await pilot.pause(0.2)
        if key:
            await pilot.press(key)
        await pilot.pause(0.2)
        svg = app.export_screenshot(title="tui_torrent", simplify=True)
    # The picture must not ask another host for its font: the viewer's own monospace one will do.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--at", type=float, help="seconds into the run (default: its report)")
    parser.add_argument("--size", default="120x34", help="columns x rows (%(default)s)")
    parser.add_argument("--key", default="", help="a key to press first, such as question_mark")
    parser.add_argument("--theme", default="")
    parser.add_argument("--ascii", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    source = Moment(options.journal, options.at)
    svg = asyncio.run(picture(source, (width, height), options.key, options.theme, options.ascii))
    options.out.write_text(svg)


if __name__ == "__main__":
    main()
