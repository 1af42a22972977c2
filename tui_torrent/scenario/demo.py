"""The built-in demo: real bytes, made on the spot, in a swarm that is worth watching.

One big file has a single seed, one has two, a few small ones have other owners, some clients own
nothing, and everybody wants everything. Sizes follow from the number of clients and from the rate at
which each may upload, such that no schedule ends before DEMO_SECONDS; a real swarm needs somewhat more.
The bytes are drawn from a generator seeded with the file's name: two seeds of one file agree.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mpi_core.protocol.errors import reason
from tui_torrent.scenario.plan import ClientPlan, Found, Scenario, Share, complaint

#: Bytes a second that each client may upload.
DEMO_RATE = 512 * 1024
#: What the fastest possible run takes.
DEMO_SECONDS = 22.0
#: Bytes in a segment: small, so that 10 MiB are 320 of them.
DEMO_SEGMENT_LENGTH = 32 * 1024
#: Bytes in all files where nobody is there to fetch them.
DEMO_ALONE = 4 * 1024 * 1024

_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class DemoFile:
    name: str
    size: int
    mode: int
    #: Ranks.
    owners: tuple[int, ...]


def demo_files(clients: int) -> tuple[DemoFile, ...]:
    """The files of a demo with so many clients, and who owns them."""
    #: name, part of the whole, mode, owners (counted round the clients from 0)
    plan = (
        ("dataset.bin", 0.40, 0o644, (0,)),
        ("model.ckpt", 0.27, 0o640, (1, clients - 1)),
        ("shards/part-1.bin", 0.12, 0o644, (2,)),
        ("shards/part-2.bin", 0.09, 0o600, (3,)),
        ("shards/part-3.bin", 0.07, 0o644, (4,)),
        ("bin/run", 0.03, 0o755, (1,)),
        ("notes.txt", 0.02, 0o444, (5,)),
    )
    owned = [(part, {1 + at % clients for at in owners}) for _, part, _, owners in plan]
    seconds = fastest(owned, clients) / DEMO_RATE
    total = DEMO_SECONDS / seconds if seconds else DEMO_ALONE
    return tuple(
        DemoFile(name, int(part * total), mode, tuple(sorted(owners)))
        for (name, part, mode, _), (_, owners) in zip(plan, owned, strict=True)
    )


def fastest(files: list[tuple[float, set[int]]], clients: int) -> float:
    """Seconds that any schedule needs, where each of ``clients`` wants all and uploads 1 byte/s.

    ``files`` are (bytes, owners). All uploads together move what is lacking; and a single owner has to
    send each of its bytes once.
    """
    lacking = sum(size * (clients - len(owners)) for size, owners in files)
    alone = [0.0] * (clients + 1)
    for size, owners in files:
        if len(owners) == 1 < clients:
            alone[next(iter(owners))] += size
    return max(lacking / clients, *alone)


class Demo(Scenario):
    """A scenario that adapts to the number of clients."""

    description = "demo"
    rate = DEMO_RATE

    def __init__(self, clients: int) -> None:
        self.client_count = max(clients, 1)
        self._files = demo_files(self.client_count)
        self._folder: Path | None = None
        self._made: dict[str, Share] = {}

    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
        owned = [file for file in self._files if rank in file.owners]
        try:
            shares = tuple(self._make(file) for file in sorted(owned, key=lambda file: file.name))
        except OSError as error:
            size = sum(file.size for file in owned)
            problem = f"expected room for {size} bytes in a temporary folder: {reason(error)}"
            raise complaint(self.description, None, problem) from None
        wants = tuple(file.name for file in self._files)
        return ClientPlan(found=Found(shares), wants=wants, segment_length=DEMO_SEGMENT_LENGTH)

    def shares(self, rank: int) -> bool:
        return any(rank in file.owners for file in self._files)

    @property
    def default_out(self) -> Path:
        """A run of the demo leaves nothing behind."""
        return self._temporary() / "out"

    def cleanup(self) -> None:
        if self._folder is not None:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            self._made.clear()

    def _make(self, file: DemoFile) -> Share:
        if file.name in self._made:
            return self._made[file.name]
        import random

        path = self._temporary() / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = random.Random(f"tui_torrent {file.name}")
        with open(path, "wb") as opened:
            for start in range(0, file.size, _CHUNK):
                opened.write(draw.randbytes(min(_CHUNK, file.size - start)))
        os.chmod(path, file.mode)
        share = self._made[file.name] = Share(file.name, str(path), file.size)
        return share

    def _temporary(self) -> Path:
        if self._folder is None:
            import tempfile

            self._folder = Path(tempfile.mkdtemp(prefix="tui_torrent-"))
        return self._folder
