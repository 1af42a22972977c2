"""Whose fault it is.

Every error that we raise on purpose says who is to mend it: the person who wrote the scenario,
the peer that sent nonsense, or ourselves.
"""

from __future__ import annotations

from mpi_core.protocol.units import Rank


class TorrentError(Exception):
    """The base of all errors of this project."""


class ScenarioError(TorrentError):
    """The input is wrong: one line that names file, line and what was expected. Exit code 2."""


class OwnTrouble(ScenarioError):
    """One client cannot take part (its root is missing, say): its own trouble, which stops nobody else."""


class OutputError(OSError):
    """The disk refused; ``str`` of it is one line that names the file."""


class ProtocolError(TorrentError):
    """A step that the protocol does not allow."""


class MpiError(TorrentError):
    """The MPI environment cannot carry a run; one line says why. Exit code 2."""


class RankEnded(MpiError):
    """Another rank has ended before all have met."""


class LocalProtocolError(ProtocolError):
    """Our own code tried something that the protocol does not allow: a defect here."""


class UnreadableError(TorrentError):
    """A payload cannot be read where it lies, or not any more; ``str`` of it says why."""


class RemoteProtocolError(ProtocolError):
    """Another rank sent something that the protocol does not allow; the receiver is unharmed.

    ``sender`` is who, where the receiver of the error cannot know.
    """

    def __init__(self, problem: str, sender: Rank | None = None) -> None:
        super().__init__(problem)
        self.sender = sender


def reason(error: Exception) -> str:
    """Why, alone: what an OSError says without errno and path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


#: Why a payload cannot be had, where the bytes on the disk are not those that were hashed, or are gone.
CHANGED = "changed since it was hashed"
VANISHED = "vanished since it was hashed"


def why_unreadable(error: OSError) -> str:
    """Why a payload that was here can no longer be read, in words that are the same for all such files."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return VANISHED
    # The system's own errors have a number; without one, fewer bytes are there than were hashed.
    return CHANGED if error.errno is None else reason(error)


def one_line(text: str) -> str:
    """``text`` with all that is not printable (newlines, undecodable bytes) escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
