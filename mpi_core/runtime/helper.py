"""A process beside this one that hashes: the interpreter runs on one core, and small files keep it busy.

One that dies is no loss, since whoever asked it is told so. When the process that started it dies, its pipes
close, and it ends.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mpi_core.protocol.digest import Algorithm
from mpi_core.runtime.pieces import Hashed, Piece, Version, put, take

#: It finds its modules where this process has found them, without what else happens when Python starts; those
#: of this package, which a hook may have found, in ROOT.
SERVE = "import sys; sys.path[:] = sys.argv[1:]; from mpi_core.runtime.pieces import serve; serve()"
ROOT = str(Path(__file__).parents[2])


class HelperGone(Exception):
    """The process has ended, or none can be started."""


class Helper:
    """Such a process, for one thread at a time."""

    def __init__(self) -> None:
        """Raises HelperGone."""
        if not sys.executable or getattr(sys, "frozen", False):
            raise HelperGone("this program is not Python's own")
        paths = [entry for entry in sys.path if isinstance(entry, str)]
        same_names = f"utf8={sys.flags.utf8_mode:d}"
        command = [sys.executable, "-I", "-S", "-B", "-X", same_names, "-c", SERVE, *paths, ROOT]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except (OSError, ValueError) as error:
            raise HelperGone(str(error)) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def hash_pieces(self, pieces: Sequence[Piece], algorithm: Algorithm) -> list[Hashed]:
        """As the function of that name. Raises HelperGone."""
        try:
            put(self._to, (algorithm, list(map(tuple, pieces))))
            found = take(self._from)
        except (OSError, EOFError, ValueError) as error:
            raise HelperGone("the process has ended") from error
        return [one if isinstance(one, str) else (Version._make(one[0]), one[1]) for one in found]

    def stop(self) -> None:
        """End the process, whatever it is at: who waits for it hears that it is gone. Any thread may."""
        self._process.kill()

    def close(self) -> None:
        """End it, and the pipes; nobody waits for it any more."""
        self.stop()
        self._process.wait()
        for pipe in (self._to, self._from):
            with suppress(OSError):  # Of what it has not read.
                pipe.close()
