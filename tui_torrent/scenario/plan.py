"""What a scenario is: how many clients, and what each of them brings and wants.

A client reads its own part alone, since the clients' folders may lie on different hosts. Whatever the
input is, reading it gives a plan or raises a ScenarioError of one line: file, line, what was expected
and what was found.
"""

from __future__ import annotations

import os
import re
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mpi_core.protocol.entries import Entry, Twins
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


@dataclass(frozen=True)
class Found:
    """What a client has to share below its root."""

    #: Sorted by name.
    shares: tuple[Share, ...] = ()
    #: Folders and links.
    entries: tuple[Entry, ...] = ()
    #: Names of one file, or of one link, each sorted.
    twins: tuple[Twins, ...] = ()
    #: Names of what no swarm can carry, and what each is.
    untravelled: tuple[tuple[str, str], ...] = ()
    #: Names of what cannot be read, and why.
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ClientPlan:
    """What one client brings and wants."""

    #: Declared files that it owns (the classic scenario).
    declared: tuple[Manifest, ...] = ()
    #: Real files that it owns, and what belongs to them (TOML, the demo).
    found: Found = Found()
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

    @property
    def shares(self) -> tuple[Share, ...]:
        """The real files that it owns, sorted by name."""
        return self.found.shares


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
    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
        """The plan of client ``rank``, 1…client_count; only its part is read. Raises ScenarioError.

        ``out`` is the folder below which results go: they are not shared.
        """

    def rate_of(self, rank: int) -> float | None:
        """What bounds the uploads of client ``rank`` beside ``rate``; None where nothing is known here."""
        return None

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


#: A variable in a path, as shells write it.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)


def expanded(path: str) -> str:
    """``path`` with ``~`` and ``$VARIABLES`` replaced. Raises ValueError where one of them means nothing: a
    folder of that very name would be no help."""
    for found in _VARIABLE.finditer(path):
        if (found[1] or found[2]) not in os.environ:
            raise ValueError(f"{found[0]} is not set")
    home = os.path.expanduser(path)
    if path.startswith("~") and home == path:
        raise ValueError(f"there is no home of {path.split('/')[0]}")
    return os.path.expandvars(home)


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
