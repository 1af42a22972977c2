"""A network on which each message takes as long as a test says.

The simulator's own network knows links and rates, so it never lets a channel fall far behind another. Here
any order may come that MPI allows (law 5): all arrives, first in first out per (sender, receiver, tag). The
tracker takes whatever comes with one receive for all tags, so what one client sends it comes in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpi_core.protocol import messages as msg
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.sim.agenda import Agenda
from mpi_core.sim.network import Deliver


class DrawnNetwork:
    """Delays come from the test, and so does when a payload has left: after so many times its delay."""

    def __init__(
        self,
        agenda: Agenda,
        deliver: Deliver,
        delay: Callable[[Rank, Rank, msg.Message], float],
        sent_after: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._agenda = agenda
        self._deliver = deliver
        self._delay = delay
        self._sent_after = sent_after
        #: Channel → when the last message on it arrives.
        self._last: dict[tuple[Rank, Rank, msg.Tag | None], float] = {}

    def post(self, now: float, sender: Rank, sends: Sequence[tuple[Rank, msg.Message]]) -> None:
        for to, message in sends:
            channel = (sender, to, None if to == TRACKER else message.tag)
            at = max(now + self._delay(sender, to, message), self._last.get(channel, 0.0))
            self._last[channel] = at
            self._agenda.put(at, self._deliver, sender, to, message)
            if isinstance(message, msg.SendSegment):
                left_at = now + (at - now) * self._sent_after()
                self._agenda.put(left_at, self._deliver, sender, sender, msg.Sent(to, message.ticket))
