"""``--web``: a command's screens in browsers instead of this terminal."""

from __future__ import annotations

from collections.abc import Sequence

from mpi_core.protocol.errors import ScenarioError


def browse(words: Sequence[str], title: str, port: int) -> int:
    """Serve ``python -m tui_torrent WORDS`` on loopback until ctrl+c; the exit code of having done so.

    The words show in `ps`: no secret may be among them. Raises ScenarioError where nothing can be served.
    """
    try:
        from tui_torrent.tui.web import serve
    except ImportError:
        raise ScenarioError("--web: expected the extra web, as in: pip install 'tui_torrent[web]'") from None
    return serve(words, title, port)
