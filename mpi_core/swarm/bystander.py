"""A client that cannot take part (its input is bad): it tells the tracker why, and waits for STOP, or until
the tracker is lost."""

from __future__ import annotations

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.swarm.machine import Effects, Emit, Halt, Send


class Bystander:
    """Stands where a downloader would."""

    wake_at: float | None = None

    def __init__(self, rank: Rank, why: msg.Abort | msg.Failed) -> None:
        """``why``: ABORT ends the run, FAILED lets the others go on."""
        self._why = why
        self._rank = rank
        #: What the client leaves with.
        self.exit_code = why.code if isinstance(why, msg.Abort) else 1

    def start(self, now: float) -> Effects:
        return [Send(TRACKER, self._why)]

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        if isinstance(message, msg.Stop) and sender == TRACKER:
            return [Emit(ev.Stopped(message.aborted)), Halt()]
        if isinstance(message, msg.Lost) and sender == self._rank:
            return [Halt()] if message.rank == TRACKER else []
        raise RemoteProtocolError(f"{type(message).__name__} to a client that takes no part")

    def wake(self, now: float) -> Effects:
        return []
