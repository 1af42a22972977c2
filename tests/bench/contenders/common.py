"""What the contenders share: the plan, the files, the waiting, the result.

The plan says, for each part of the data, who owns it and who wants it. All ranks meet, then the clock runs;
a rank has finished when its last byte is verified, written and in place under its name.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

DIGEST = 32


def room(size: int) -> memoryview:
    """Memory for messages. It begins with a page, as the swarm's does for what it hashes: some processors
    copy a file four times slower to where a bytearray begins."""
    return memoryview(mmap.mmap(-1, size))


@dataclass
class Part:
    """A range of a file, its one owner, and who wants it."""

    name: str
    path: str
    start: int
    stop: int
    owner: int
    wanters: list[int]
    segment: int

    @property
    def segments(self) -> int:
        return -(-(self.stop - self.start) // self.segment)

    def place(self, index: int) -> tuple[int, int]:
        """Offset and length of a segment in the file."""
        offset = self.start + index * self.segment
        return offset, min(self.segment, self.stop - offset)


class Plan:
    """The plan as one rank sees it, with its files open."""

    def __init__(self, rank: int) -> None:
        words: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
        self.rank = rank
        self.topology: str = words["topology"]
        self.parts = [Part(**part, segment=words["segment"]) for part in words["parts"]]
        self._out = Path(words["out"]) / f"client{rank}"
        self._result = Path(words["results"]) / f"times{rank}.json"
        self._began = self._finished = 0.0
        self._fds: dict[str, int] = {}
        self._partial: list[str] = []

    def begin(self) -> None:
        """The clock runs: open the files."""
        self._began = time.monotonic()
        for part in self.parts:
            if part.owner == self.rank:
                self._fds[part.name] = os.open(part.path, os.O_RDONLY)
            elif self.rank in part.wanters and part.name not in self._fds:
                path = self._out / f"{part.name}.part"
                path.parent.mkdir(parents=True, exist_ok=True)
                self._fds[part.name] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                self._partial.append(part.name)

    def read(self, part: Part, index: int, message: memoryview) -> None:
        """Put a segment and its digest into a message."""
        offset, length = part.place(index)
        got = os.preadv(self._fds[part.name], [message[:length]], offset)
        if got != length:
            raise ValueError(f"{part.path} is shorter than it was")
        message[length : length + DIGEST] = blake3(message[:length]).digest()

    def write(self, part: Part, index: int, message: memoryview) -> None:
        """Verify a segment and write it to its place."""
        offset, length = part.place(index)
        if blake3(message[:length]).digest() != message[length : length + DIGEST]:
            raise ValueError(f"segment {index} of {part.name} is corrupt")
        os.pwrite(self._fds[part.name], message[:length], offset)

    def finish(self) -> None:
        """All that was wanted here is written: put it in place and take the time."""
        for name in self._partial:
            os.rename(self._out / f"{name}.part", self._out / name)
        self._finished = time.monotonic()

    def end(self) -> None:
        self._result.write_text(json.dumps({"began": self._began, "finished": self._finished}))


class Pause:
    """A sleep between two tests that grows while nothing happens: ranks share their cores."""

    def __init__(self) -> None:
        self._seconds = 10e-6

    def reset(self) -> None:
        self._seconds = 10e-6

    def __call__(self) -> None:
        time.sleep(self._seconds)
        self._seconds = min(2 * self._seconds, 1e-3)
