"""Draw screens of the monitor as SVGs, at a moment of a journal.

    python demo/picture.py                                   README's pictures, from demo/journals
    python demo/picture.py run.jsonl out.svg --at 9 --key 2  one picture of any journal

A picture is of the app itself, run without a terminal. Set NO_COLOR to see it without colours.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

from mpi_core.runtime.journal import read_journal
from tui_torrent.recording import Recording
from tui_torrent.replay import Replay
from tui_torrent.tui.app import MonitorApp


def moment(journal: Path, at: float | None) -> Replay:
    """The run as it was then, or at its end: a source that stands still."""
    replay = Replay(Recording(read_journal(journal)))
    replay.seek(replay.end if at is None else at)
    return replay


async def picture(source: Replay, size: tuple[int, int], key: str, theme: str, ascii_only: bool) -> str:
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


#: README's pictures: the screen, its key, and the moment of the demo's journal.
README = (("overview", "1", 13.0), ("client", "2", 9.0), ("traffic", "3", 16.0), ("report", "6", None))
DEMO = Path(__file__).parent


def draw(journal: Path, out: Path, at: float | None, size: tuple[int, int], key: str, **look: Any) -> None:
    svg = asyncio.run(picture(moment(journal, at), size, key, **look))
    out.write_text(svg)
    print(f"{out}: {len(svg)} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("journal", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--at", type=float, help="seconds into the run (default: its report)")
    parser.add_argument("--size", default="110x30", help="columns x rows (%(default)s)")
    parser.add_argument("--key", default="", help="a key to press first, such as 2 or question_mark")
    parser.add_argument("--theme", default="")
    parser.add_argument("--ascii", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    look = {"theme": options.theme, "ascii_only": options.ascii}
    if options.journal is None:
        for name, key, at in README:
            journal = DEMO / "journals" / "demo.jsonl.zst"
            draw(journal, DEMO / f"{name}.svg", at, (width, height), key, **look)
    elif options.out is None:
        parser.error("expected where to write the picture, as in: picture.py run.jsonl out.svg")
    else:
        draw(options.journal, options.out, options.at, (width, height), options.key, **look)


if __name__ == "__main__":
    main()
