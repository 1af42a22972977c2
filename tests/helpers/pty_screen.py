"""A terminal made of a pty, for tests: the test is the person, and sees all that was drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import threading
import time
from collections.abc import Callable

import pyte

from tui_torrent.tui.terminal import get_attributes


def eventually(true: Callable[[], object], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"in vain waited for: {what}"
        time.sleep(0.02)


class Pty:
    """A terminal whose person is the test: all that was drawn, as bytes, as modes and as a screen."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)
        self.resize(80, 24)
        self.drawn = b""
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Never within read(): a thread there would keep the device open after close().
        while not self._closing.is_set():
            if select.select([self.master], [], [], 0.02)[0]:
                self.drawn += os.read(self.master, 65536)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def modes(self) -> set[int]:
        """The private modes that are still switched on, of those a terminal starts without; and -25 for
        a hidden cursor, -7 for lines that do not wrap."""
        on: set[int] = set()
        for numbers, switch in re.findall(rb"\x1b\[\?([0-9;]+)([hl])", self.drawn):
            for number in map(int, numbers.split(b";")):
                signed = -number if number in (7, 25) else number
                (on.add if (switch == b"h") == (signed > 0) else on.discard)(signed)
        return on

    def screen(self) -> str:
        screen = pyte.Screen(self.columns, self.rows)
        # pyte takes private sequences with > and < for text.
        pyte.ByteStream(screen).feed(re.sub(rb"\x1b\[[<>][0-9]*u|\x1b\[\?[0-9]+\$p", b"", self.drawn))
        return "\n".join(screen.display)

    def settings(self) -> list[object]:
        return get_attributes(self.slave)

    def close(self) -> None:
        self._closing.set()
        self._reader.join()
        for fd in (self.slave, self.master):
            if fd >= 0:
                os.close(fd)
        self.slave = self.master = -1
