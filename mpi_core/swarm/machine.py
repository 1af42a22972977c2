"""The one interface: a machine takes a message and the time, and returns effects.

A machine reads no clock, opens no file, knows no MPI and starts no thread. The same seed and the same
stimuli give the same effects (law 1). Any message in any state gives effects or a RemoteProtocolError,
and after such an error the machine is as it was before (law 2).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from mpi_core.protocol.events import Event
from mpi_core.protocol.messages import Stimulus
from mpi_core.protocol.units import Rank


class Send(NamedTuple):
    """Send a message to the port of that rank on which it is expected."""

    to: Rank
    message: Stimulus


class Emit(NamedTuple):
    """Tell the observer a fact."""

    event: Event


class Halt(NamedTuple):
    """The machine is done; it is not to be called again."""


Effect = Send | Emit | Halt
Effects = list[Effect]


class Machine(Protocol):
    """A tracker, a downloader or an uploader. ``now`` never decreases from call to call."""

    @property
    def wake_at(self) -> float | None:
        """The next deadline in seconds; None: only a message can change anything."""

    def start(self, now: float) -> Effects: ...

    def receive(self, now: float, sender: Rank, message: Stimulus) -> Effects:
        """React to a message; raises RemoteProtocolError where the protocol does not allow it."""

    def wake(self, now: float) -> Effects:
        """React to the time; harmless before the deadline."""
