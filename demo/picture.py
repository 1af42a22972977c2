"""Draw one screen of the monitor as an SVG, from a scripted run: `python demo/picture.py out.svg`.

The picture is of the app itself, run without a terminal. Set NO_COLOR to see it without colours.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.helpers.runs import Scripted, scripted
from tui_torrent.tui.app import MonitorApp, Source
from tui_torrent.view.ledger import Finding, Rule


async def picture(source: Source, size: tuple[int, int], screen: str, theme: str, ascii_only: bool) -> str:
    """The SVG of that screen, at the moment up to which the source plays."""
    app = MonitorApp(source, title="six clients, three files", fps=20, ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        if theme:
            app.theme = theme
        await pilot.pause(0.15)
        if screen == "help":
            await pilot.press("question_mark")
        await pilot.pause(0.15)
        return app.export_screenshot(title="tui_torrent", simplify=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="100x30")
    parser.add_argument("--screen", choices=("overview", "help", "report"), default="overview")
    parser.add_argument("--at", type=float, default=5.5, help="seconds into the run")
    parser.add_argument("--clients", type=int, default=6, help="above 6: more of them want everything")
    parser.add_argument("--theme", default="")
    parser.add_argument("--ascii", action="store_true")
    options = parser.parse_args()
    events = scripted(options.clients, corrupt_every=110, reject_every=60)
    now = events[-1].t + 0.1 if options.screen == "report" else options.at
    source = Scripted(events, now=now, findings=[Finding(rule.value, True, "") for rule in Rule])
    width, height = map(int, options.size.split("x"))
    svg = asyncio.run(picture(source, (width, height), options.screen, options.theme, options.ascii))
    options.out.write_text(svg)


if __name__ == "__main__":
    main()
