"""Whose fault it is.

Every error that we raise on purpose says who is to mend it: the person who wrote the scenario,
the peer that sent nonsense, or ourselves.
"""


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
    """Another rank sent something that the protocol does not allow; the receiver is unharmed."""
