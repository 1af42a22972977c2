"""The event heap around the very machines that run live: a tracker, downloaders and uploaders.

A simulation is a function of its machines, its network and its seed: time is what the agenda says, and two
runs of the same are the same to the last event. Dead clients neither hear nor speak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mpi_core.protocol import messages as msg
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.events import Event, NonsenseReceived
from mpi_core.protocol.units import Rank
from mpi_core.sim.agenda import Agenda
from mpi_core.sim.network import Network
from mpi_core.swarm.machine import Effects, Emit, Machine, Send
from mpi_core.swarm.overheard import Overheard

#: A machine's address.
Key = tuple[Rank, msg.Port]

NEVER = float("inf")


class Seat:
    """A machine and its alarm."""

    __slots__ = ("halted", "machine", "overheard", "rank", "rings_at")

    def __init__(self, rank: Rank, machine: Machine, overheard: Overheard | None) -> None:
        self.rank = rank
        self.machine = machine
        #: Where every message is to be told.
        self.overheard = overheard
        self.halted = False
        #: The earliest time at which the agenda wakes it; it may look and find that it is too early.
        self.rings_at = NEVER


class Simulation:
    """Machines over a network. ``tell`` hears every event: when, by whom, what; and where ``every_message``
    of every message."""

    def __init__(
        self,
        machines: Mapping[Key, Machine],
        tell: Callable[[float, Rank, Event], None] | None = None,
        every_message: bool = False,
    ) -> None:
        self.agenda = Agenda()
        self._tell = tell
        self._seats: dict[msg.Port, dict[Rank, Seat]] = {}
        for (rank, port), machine in machines.items():
            self._seats.setdefault(port, {})[rank] = Seat(
                rank, machine, Overheard() if every_message else None
            )
        self._network: Network | None = None
        self.dead: set[Rank] = set()

    def connect(self, network: Network) -> None:
        """Give it the network; one that puts what it delivers down in our agenda."""
        self._network = network

    # Running ----------------------------------------------------------------------------------

    def start(self, rank: Rank) -> None:
        """Start that rank's machines."""
        for seats in self._seats.values():
            seat = seats.get(rank)
            if seat is not None:
                self._perform(seat, seat.machine.start(self.now))

    @property
    def now(self) -> float:
        return self.agenda.now

    def step(self) -> None:
        """The next thing that happens."""
        self.agenda.step()

    @property
    def over(self) -> bool:
        """Whether every machine has halted, or its client is dead."""
        return all(seat.halted for seats in self._seats.values() for seat in seats.values())

    def kill(self, now: float, rank: Rank) -> None:
        """That client is no more."""
        self.dead.add(rank)
        for seats in self._seats.values():
            if rank in seats:
                seats[rank].halted = True

    def deliver(self, now: float, sender: Rank, to: Rank, stimulus: msg.Stimulus) -> None:
        """Hand a message to its machine, unless there is nobody to take it."""
        seat = self._seats[stimulus.port].get(to)
        if seat is None or seat.halted:
            return
        if seat.overheard is not None and self._tell is not None:
            heard = seat.overheard.received(sender, stimulus)
            if heard is not None:
                self._tell(now, to, heard)
        try:
            effects = seat.machine.receive(now, sender, stimulus)
        except RemoteProtocolError as error:
            if self._tell is not None:
                self._tell(now, to, NonsenseReceived(sender, str(error)))
            return
        if effects:
            self._perform(seat, effects)
        else:
            self._set_alarm(seat)

    def _wake(self, now: float, seat: Seat) -> None:
        if now != seat.rings_at:
            return  # An alarm that another one has replaced.
        seat.rings_at = NEVER
        if seat.halted:
            return
        wake_at = seat.machine.wake_at
        if wake_at is not None and wake_at <= now:
            self._perform(seat, seat.machine.wake(now))
        else:
            self._set_alarm(seat)

    def _perform(self, seat: Seat, effects: Effects) -> None:
        sends: list[tuple[Rank, msg.Message]] = []
        now, rank, tell, overheard = self.agenda.now, seat.rank, self._tell, seat.overheard
        for effect in effects:
            if isinstance(effect, Send):
                to, message = effect
                if isinstance(message, msg.Local):
                    self.agenda.put(now, self.deliver, rank, to, message)
                    continue
                if overheard is not None and tell is not None:
                    said = overheard.sent(to, message)
                    if said is not None:
                        tell(now, rank, said)
                sends.append((to, message))
            elif isinstance(effect, Emit):
                if tell is not None:
                    tell(now, rank, effect.event)
            else:
                seat.halted = True
        if sends:
            assert self._network is not None
            self._network.post(now, rank, sends)
        self._set_alarm(seat)

    def _set_alarm(self, seat: Seat) -> None:
        wake_at = seat.machine.wake_at
        # A later alarm than needed is put off only once it rings: most deadlines move on before they come.
        if wake_at is not None and wake_at < seat.rings_at and not seat.halted:
            seat.rings_at = max(wake_at, self.now)
            self.agenda.put_late(seat.rings_at, self._wake, seat)
