"""What ends this process when nothing else can: a call of MPI that waits for a dead rank, and holds Python's
interpreter meanwhile, so that neither its threads nor its signal handlers run.

A timer of the C library starts a thread that calls ``_exit``, far below the interpreter, with the exit code
that was chosen when the timer was set. There is one for the process.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

#: From the headers of Linux: CLOCK_MONOTONIC, SIGEV_THREAD.
_MONOTONIC = 1
_THREAD = 2

#: Seconds between the line and the end: the shell that prints it takes a moment.
_AFTER_THE_LINE = 1.0


class _Event(ctypes.Structure):
    """struct sigevent: ``function(value)`` is called in a new thread."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("padding", ctypes.c_char * 32),
    )


class _Times(ctypes.Structure):
    """struct itimerspec: once, in so many seconds and nanoseconds."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "in_s", "in_ns"))


#: The timers that are set, and the memory that they read.
_timers: list[tuple[ctypes.c_void_p, object]] = []


def end_in(seconds: float, code: int, line: str = "") -> None:
    """End this process with that exit code then, unless that is called off: after ``line`` on stderr, which
    holds no quote. Nothing is flushed. Where there are no such timers, nothing happens."""
    call_off()
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):
        if line:
            said = ctypes.create_string_buffer(f"echo 'tui_torrent: {line}' >&2".encode())
            _set(max(0.0, seconds - _AFTER_THE_LINE), "system", ctypes.addressof(said), said)
        _set(seconds, "_exit", code, None)


def call_off() -> None:
    """Let this process live on."""
    while _timers:
        timer, _ = _timers.pop()
        ctypes.CDLL(None).timer_delete(timer)


def _set(seconds: float, name: str, value: int, memory: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    function = ctypes.cast(getattr(libc, name), ctypes.c_void_p)
    event, timer = _Event(value=value, notify=_THREAD, function=function.value), ctypes.c_void_p()
    if libc.timer_create(_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
        raise OSError(ctypes.get_errno(), "timer_create")
    _timers.append((timer, memory))
    # A time of 0 would stop the timer.
    times = _Times(in_s=int(seconds), in_ns=max(1, int(seconds % 1 * 1e9)))
    libc.timer_settime(timer, 0, ctypes.byref(times), None)
