"""A machine, a thread and an endpoint: the wait that the machine itself never does.

The driver waits for a message until the machine's next deadline, hands it in, and carries the effects out.
A RemoteProtocolError is told to the observer and forgotten. Any other error ends the run by an ABORT to the
tracker, so that no other rank waits for this one: with exit code 2 where a disk refused, else with 3.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from mpi_core.protocol import events as ev
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.messages import Abort, Stimulus
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.runtime.awake import Awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.disk import OutputError
from mpi_core.runtime.load import Meter
from mpi_core.runtime.transport import Endpoint
from mpi_core.swarm.machine import Effects, Emit, Halt, Machine, Send
from mpi_core.swarm.overheard import Overheard

#: A machine without a deadline is looked after this often all the same, and its end (seconds).
LONGEST_WAIT = 0.1


class Driver:
    """Runs one machine to its end, in the thread that calls ``run``."""

    def __init__(
        self,
        rank: Rank,
        machine: Machine,
        endpoint: Endpoint,
        clock: Clock,
        tell: Callable[[ev.Event, float], None],
        meter: Meter | None = None,
        overheard: Overheard | None = None,
        awake: Awake | None = None,
    ) -> None:
        """``awake`` is the time of ``clock`` in which this process ran; the drivers of one store share it."""
        self._rank = rank
        self._machine = machine
        self._endpoint = endpoint
        self._clock = clock
        #: The machine's time: in which this process ran. Events are stamped with the run's.
        self._awake = awake or Awake(clock.now)
        self._tell = tell
        self._abandoned = threading.Event()
        self._meter = meter
        #: Where every message is to be told.
        self._overheard = overheard
        self.halted = False
        #: The error that ended the machine, if one did.
        self.failure: BaseException | None = None
        #: What the rank leaves with for this machine's sake.
        self.exit_code: Literal[0, 2, 3] = 0

    def run(self) -> None:
        try:
            at = self._clock.now()
            self._perform(self._machine.start(self._awake.now()), at)
            while not self.halted and not self._abandoned.is_set():
                self._step()
        except Exception as error:
            self._fail(error)
        finally:
            if self._meter is not None:
                self._meter.flush(self._awake.now())

    def abandon(self) -> None:
        """End soon, wherever the machine is; may be called in any thread."""
        self._abandoned.set()

    def _step(self) -> None:
        wake_at = self._machine.wake_at
        wait = LONGEST_WAIT if wake_at is None else min(wake_at - self._awake.now(), LONGEST_WAIT)
        sender = self._rank
        try:
            delivery = self._endpoint.receive(wait)
            at, now = self._clock.now(), self._awake.now()
            if delivery is None:
                effects = self._machine.wake(now)
            else:
                sender, message = delivery
                if self._overheard is not None and (heard := self._overheard.received(sender, message)):
                    self._tell(heard, at)
                effects = self._machine.receive(now, sender, message)
        except RemoteProtocolError as error:
            culprit = sender if error.sender is None else error.sender
            self._tell(ev.NonsenseReceived(culprit, str(error)), self._clock.now())
            return
        self._perform(effects, at)
        # A stream of messages must not keep a deadline from being noticed.
        if delivery is not None and wake_at is not None and now >= wake_at and not self.halted:
            self._perform(self._machine.wake(now), at)
        if self._meter is not None:
            ended = self._awake.now()
            if delivery is not None:
                self._meter.served(now, ended)
            self._meter.look(ended)

    def _perform(self, effects: Effects, at: float) -> None:
        """Carry out what was decided at that time of the run. What is told has its stamp before any message
        leaves: so nobody receives a message earlier than the stamp of the event that tells of its sending."""
        for effect in effects:
            if isinstance(effect, Emit):
                self._tell(effect.event, at)
            elif isinstance(effect, Send):
                self._tell_sent(effect.to, effect.message, at)
        for effect in effects:
            if isinstance(effect, Send):
                self._endpoint.send(*effect)
            elif isinstance(effect, Halt):
                self.halted = True

    def _tell_sent(self, to: Rank, message: Stimulus, at: float) -> None:
        if self._overheard is not None and (said := self._overheard.sent(to, message)):
            self._tell(said, at)

    def _fail(self, error: Exception) -> None:
        what = error if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        code: Literal[2, 3] = 2 if isinstance(error, OutputError) else 3
        self.failure, self.exit_code = error, code
        abort = Abort(code, f"rank {self._rank}: {what}")
        self._tell_sent(TRACKER, abort, self._clock.now())
        self._endpoint.send(TRACKER, abort)
