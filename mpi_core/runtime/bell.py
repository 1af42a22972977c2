"""Bells between the ranks of one host: a sender rings, and the receiver's sleep ends.

A bell is a datagram socket in Linux's abstract namespace, which the kernel removes with its process. A ring
says only that something may have come: MPI carries the message. Where nobody listens or the bell rings
already, a ring is dropped. Any process of the host can ring, so a ring may be in vain (see Backoff). Where
there are no such sockets, nothing rings and every sleep lasts as long as it was meant to.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from mpi_core.protocol.messages import Port
from mpi_core.protocol.units import Rank

#: Bytes of what names a rank's bells, and the name of a rank that can neither ring nor be rung.
NAME = 16
MUTE = bytes(NAME)
#: select() takes file descriptors below this.
SELECTABLE = 1024


class Bell:
    """The sleep of one port, for the thread that listens there."""

    def __init__(self, address: bytes | None, all_ring: bool) -> None:
        """``address``: where others ring (None: nobody does). ``all_ring``: whether all who send here do."""
        self._socket = None if address is None else _open_socket(address)
        #: Whether nothing can come without a ring.
        self.all_ring = all_ring and self._socket is not None

    def sleep(self, seconds: float) -> bool:
        """Sleep until it rings, ``seconds`` at most; whether it rang, now or since the last sleep."""
        if self._socket is None:
            time.sleep(seconds)
            return False
        rung, _, _ = select.select([self._socket], (), (), seconds)
        if not rung:
            return False
        # One answer for all rings until now: what they tell of is there.
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket, self.all_ring = None, False


class Bells:
    """A rank's bells, and its way to those of the others."""

    def __init__(self, rank: Rank) -> None:
        self._rank = rank
        self._ringer = _open_socket()
        #: What the others must know to ring here; random, so that no two runs ring each other.
        self.name = MUTE if self._ringer is None else os.urandom(NAME)
        self._names: dict[Rank, bytes] = {}
        self._all_ring = False
        self._bells: list[Bell] = []

    def know(self, names: Sequence[bytes], beside: Collection[Rank]) -> None:
        """The names of all ranks, in their order, and the others of this host."""
        # Alone on its host, a rank sleeps without a bell: to listen at one took wan8 a seventh more time, and
        # what its own threads tell one another may wait for the next test.
        near = [*beside, self._rank] if beside else []
        self._names = {rank: names[rank] for rank in near if names[rank] != MUTE}
        self._all_ring = len(self._names) == len(names)

    def bell(self, port: Port) -> Bell:
        """That of one of this rank's ports, from now on."""
        bell = Bell(self._address(self._rank, port), self._all_ring)
        self._bells.append(bell)
        return bell

    def ring(self, to: Rank, port: Port) -> None:
        """End the sleep of whoever listens at that port, if it is on this host. For any thread."""
        address = self._address(to, port)
        if address is not None and self._ringer is not None:
            # Nobody listens there any more, or the bell rings already.
            with suppress(OSError):
                self._ringer.sendto(b"", address)

    def _address(self, rank: Rank, port: Port) -> bytes | None:
        name = self._names.get(rank)
        return None if name is None else b"\0tui_torrent-%s-%s" % (name.hex().encode(), port.encode())

    def close(self) -> None:
        for bell in self._bells:
            bell.close()
        if self._ringer is not None:
            self._ringer.close()
            self._ringer = None


def _open_socket(address: bytes | None = None) -> socket.socket | None:
    """A datagram socket that never waits, bound there; None where there is none to be had."""
    try:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    except (OSError, AttributeError):
        return None
    try:
        opened.setblocking(False)
        if address is not None:
            opened.bind(address)
    except OSError:
        opened.close()
        return None
    if opened.fileno() >= SELECTABLE:
        opened.close()
        return None
    return opened
