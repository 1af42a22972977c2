"""This process and those that led to it, as Linux's /proc tells them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """What /proc/<pid>/stat says of one process: its name, its parent, its group, its terminal's state."""

    pid: int
    #: The program's file name, cut to 15 bytes by the kernel.
    name: str
    parent: int
    group: int
    #: Device number of the controlling terminal, 0 without one.
    tty: int
    #: The terminal's foreground process group, -1 without a terminal.
    foreground: int

    @classmethod
    def read(cls, pid: int) -> Process:
        """That process now; raises OSError where there is none that we may see."""
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name may hold spaces and parentheses: it ends at the last one.
            head, _, tail = file.read().rpartition(")")
        fields = tail.split()
        name = head.partition("(")[2]
        return cls(pid, name, int(fields[1]), int(fields[2]), int(fields[4]), int(fields[5]))


def ancestry() -> Iterator[Process]:
    """This process, its parent and so on, as far as /proc lets us look; nothing where there is no /proc."""
    pid = os.getpid()
    with suppress(OSError, ValueError, IndexError):
        while pid > 0:
            process = Process.read(pid)
            yield process
            pid = process.parent
