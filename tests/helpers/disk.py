"""Files with segments of four bytes, and what is in a folder."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from mpi_core.protocol.digest import segment_hasher
from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.files import (
    RealFiles,
)

#: Bytes in a segment.
LENGTH = 4


def manifest_of(name: str, data: bytes, mode: int = 0o644, length: int = LENGTH) -> Manifest:
    digest = segment_hasher("sha256")
    digests = tuple(digest(data[at : at + length]) for at in range(0, len(data), length))
    return Manifest(name, len(data), length, "sha256", digests, mode)


def segments_of(manifest: Manifest, data: bytes) -> list[bytes]:
    length = manifest.segment_length
    return [data[index * length : (index + 1) * length] for index in range(manifest.segments)]


def download(files: RealFiles, name: str, data: bytes, mode: int = 0o644) -> Manifest:
    """``data`` comes in, the last segment first."""
    manifest = manifest_of(name, data, mode)
    files.begin(manifest)
    for index, payload in reversed(list(enumerate(segments_of(manifest, data)))):
        files.write(manifest, index, payload)
    files.finish(manifest)
    return manifest


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``; links are not followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def shared(path: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return {name: path / name for name in files}


def owning(out: Path, shares: Mapping[str, Path]) -> RealFiles:
    """The backing of a client that owns those files."""
    return RealFiles(out, {name: str(path) for name, path in shares.items()})
