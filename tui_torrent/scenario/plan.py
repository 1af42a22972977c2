"""What a scenario is: how many clients, and what each of them brings and wants.

A client reads its own part alone, since the clients' folders may lie on different hosts. Whatever the
input is, reading it gives a plan or raises a ScenarioError of one line: file, line, what was expected
and what was found.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mpi_core.protocol.errors import ScenarioError, one_line, reason
from mpi_core.protocol.manifest import Manifest

#: Text from the input is quoted in an error up to this many characters.
QUOTED = 60


class Share(NamedTuple):
    """A real file that a client owns."""

    #: The relative POSIX path by which the swarm knows it.
    name: str
    path: str
    #: Bytes, when the plan was made.
    size: int
    #: The permission bits, 0o777 at most.
    mode: int


@dataclass(frozen=True)
class ClientPlan:
    """What one client brings and wants."""

    #: Declared files that it owns (the classic scenario).
    declared: tuple[Manifest, ...] = ()
    #: Real files that it owns (TOML, the demo), sorted by name.
    shares: tuple[Share, ...] = ()
    #: Exact names (classic, the demo), each once, in the order given.
    wants: tuple[str, ...] = ()
    #: A name, a folder or a glob pattern each (TOML), which the tracker matches.
    patterns: tuple[str, ...] = ()
    #: Bytes in a segment of the shares; None: as manifest.segment_length_for says.
    segment_length: int | None = None
    #: Bytes a second that it may upload, beside what holds for all; None: no bound of its own.
    rate: float | None = None
    #: Where its real files go, below the folder of all; None: client<R>.
    out: str | None = None


class Scenario(ABC):
    """Who owns and wants what."""

    #: The path as it was given, or "demo".
    description: str
    client_count: int
    #: Bytes a second that a client may upload where no --rate says otherwise; None: no limit.
    rate: int | None = None
    #: Whether its files exist as hashes alone, and are written as lists of them.
    declared: bool = False

    @abstractmethod
    def client(self, rank: int) -> ClientPlan:
        """The plan of client ``rank``, 1…client_count; only its part is read. Raises ScenarioError."""

    def shares(self, rank: int) -> bool:
        """Whether client ``rank`` owns real files; told without a look at them."""
        return False

    @property
    def default_out(self) -> Path:
        """Where its files go when no --out says otherwise."""
        return Path()

    def cleanup(self) -> None:  # noqa: B027  (most make nothing)
        """Remove what :meth:`client` made on the disk, if anything."""


def complaint(file: str, line: int | None, problem: str) -> ScenarioError:
    """The error of one line that names ``file`` and, where it is known, ``line``."""
    where = one_line(file) if line is None else f"{one_line(file)}:{line}"
    return ScenarioError(f"{where}: {one_line(problem)}")


def quoted(text: str) -> str:
    """``text`` in quotes, shortened where it is long."""
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 1] + "…")


def read_text(file: str, missing: str) -> str:
    """The text of a regular file in UTF-8, a byte order mark left out; raises ScenarioError.

    ``missing`` says what was expected where there is no such file. A pipe is not waited for.
    """
    try:
        status = os.stat(file)
        if stat.S_ISDIR(status.st_mode):
            raise complaint(file, None, "expected a file, found a folder")
        if not stat.S_ISREG(status.st_mode):
            raise complaint(file, None, "expected a regular file, found a device, pipe or socket")
        with open(file, "rb") as opened:
            data = opened.read()
    except FileNotFoundError:
        raise complaint(file, None, f"missing: expected {missing}") from None
    except OSError as error:
        raise complaint(file, None, f"expected a file that can be read: {reason(error)}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder counts from behind the byte order mark.
        at = error.start + len(data) - len(error.object)
        line = data.count(b"\n", 0, at) + 1
        raise complaint(file, line, f"expected text in UTF-8, found byte 0x{data[at]:02x}") from None
