"""Declared files on the disk: lists of hashes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.disk import PART, OutputError, plainly
from mpi_core.swarm.store import MemoryBacking


class DeclaredFiles(MemoryBacking):
    """Declared files: each ends as ``out/client<R>_<name>``, one hash a line."""

    def __init__(self, out: Path, rank: int) -> None:
        super().__init__()
        self._out = out
        self._rank = rank

    def finish(self, manifest: Manifest) -> None:
        path = os.path.join(self._out, f"client{self._rank}_{manifest.name}")
        # No output begins with a dot, and only the end of a name could be too long.
        partial = os.path.join(self._out, f".client{self._rank}-{os.getpid()}{PART}")
        with plainly("write", path):
            if "/" in manifest.name:
                raise OutputError(f"cannot write {path!r}: the name of a declared file holds no separator")
            try:
                with open(partial, "wb") as file:
                    file.writelines(self.read(manifest, index) + b"\n" for index in range(manifest.segments))
                os.replace(partial, path)
            except OSError:
                with suppress(OSError):
                    os.unlink(partial)
                raise
        super().finish(manifest)

    def close(self, remove_partial: bool) -> None:
        """Nothing is open."""
