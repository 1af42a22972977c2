"""Where a command's screens are to be seen: on this terminal, nowhere, or with ``--web`` in browsers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mpi_core.protocol.errors import ScenarioError


def has_screen() -> bool:
    """Whether this process's own streams are a terminal to draw on and to take keys from, or a browser is."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return True
    # As for the monitor rank, in terminal.py: on these no text can be placed.
    places_text = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    # What is drawn goes to stderr, so that stdout may be a file.
    return places_text and all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def browse(words: Sequence[str], title: str, port: int) -> int:
    """Serve ``python -m tui_torrent WORDS`` on loopback until ctrl+c; the exit code of having done so.

    The words show in `ps`: no secret may be among them. Raises ScenarioError where nothing can be served.
    """
    try:
        from tui_torrent.tui.web import serve
    except ImportError:
        raise ScenarioError("--web: expected the extra web, as in: pip install 'tui_torrent[web]'") from None
    return serve(words, title, port)
