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


class ProtocolError(TorrentError):
    """A step that the protocol does not allow."""


class MpiError(TorrentError):
    """The MPI environment cannot carry a run; one line says why. Exit code 2."""


class LocalProtocolError(ProtocolError):
    """Our own code tried something that the protocol does not allow: a defect here."""


class UnreadableError(TorrentError):
    """What another rank told us to read in its files cannot be read there, or not any more."""


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


def one_line(text: str) -> str:
    """``text`` with all that is not printable (newlines, undecodable bytes) escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
