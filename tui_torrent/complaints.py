"""What goes wrong, told to the person who started it: a line each, on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from mpi_core.protocol.errors import reason


def complain(line: str) -> None:
    """Tell that line, under the program's name, where anybody hears it."""
    if sys.stderr is not None:
        with suppress(OSError):
            # At once, since the lines of several ranks meet behind the launcher.
            sys.stderr.write(f"tui_torrent: {line}\n")
            sys.stderr.flush()


def complain_of_failure(error: Exception, who: str = "") -> None:
    """Tell an error that nobody has foreseen, of a rank or of a command; exit code 3 follows."""
    complain(f"{who}internal failure: {type(error).__name__}: {error}")
    if os.environ.get("TUI_TORRENT_DEBUG"):
        traceback.print_exception(error)


def cannot_write(what: str, error: OSError) -> None:
    """Tell that an output could not be written."""
    complain(f"cannot write {what}: {reason(error)}")
