"""What asks this process to leave: a signal, or the end of its launcher.

A signal is only noted. The run is then ended in order, by its own messages; a rank that is not done GRACE
seconds later is interrupted where it waits. Only a command notes signals: a call from another program leaves
them to that.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

#: Seconds that a run has for its end in order.
GRACE = 3.0

_PARENT = os.getppid()
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """This process was asked to leave, and its run has not ended in time."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


#: The signal that was noted first, and when.
_noted: list[tuple[signal.Signals, float]] = []


def note_signals(at_once: Callable[[signal.Signals], None]) -> None:
    """From now on SIGINT, SIGTERM and SIGHUP are noted, unless they are ignored (as under nohup).

    ``at_once`` is called with the first of them, in the handler: Open MPI kills its ranks some 0.2 s later.
    """

    def note(number: int, frame: object) -> None:
        if not _noted:
            by = signal.Signals(number)
            _noted.append((by, time.monotonic()))
            at_once(by)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note)


def ignore_signals() -> None:
    """Nothing is to interrupt Python's own end."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def noted() -> signal.Signals | None:
    """The signal that asked this process to leave, if one did."""
    return _noted[0][0] if _noted else None


def leave_if_asked(grace: float = GRACE) -> None:
    """Raise Interrupted where the launcher's process has ended (Open MPI's ranks would else live on), or
    where a signal came more than ``grace`` seconds ago."""
    if _noted and time.monotonic() > _noted[0][1] + grace:
        raise Interrupted(128 + _noted[0][0])
    if os.getppid() != _PARENT:
        raise Interrupted(128 + signal.SIGHUP)
