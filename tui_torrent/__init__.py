"""BitTorrent-style file distribution over MPI, with a live monitor.

A command, ``mpirun -np N python -m tui_torrent``; and one function, for MPI programs: :func:`distribute`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_torrent.library import DistributionError, distribute

__all__ = ["DistributionError", "distribute"]


def __getattr__(name: str) -> object:
    # Only when asked for: the command needs neither, and each of its ranks pays for what is imported.
    if name in __all__:
        from tui_torrent import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
