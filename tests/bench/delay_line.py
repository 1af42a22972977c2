"""A wire of some length: frames come in at one device and go out at another a fixed time later.

netem would do it in the kernel, but not every kernel has it; packet sockets do. Many frames are taken, and
given, by one call, and each bears its virtio header, so that the large ones of segmentation offload pass
whole: with a call for each frame the line was a core's full work, and the bottleneck of what it was to
measure. Runs as a process of its own, in the namespace where its devices are:

    python -m tests.bench.delay_line INTO OUT_OF SECONDS

It says "ready" on stdout, and ends when its stdin does.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import sys
import time
from collections import deque
from contextlib import suppress

_ALL_PROTOCOLS = 0x0003
_SOL_PACKET, _VIRTIO_HEADER, _IGNORE_OUTGOING = 263, 15, 23
_SO_RCVBUFFORCE, _QUEUE = 33, 1 << 26

#: A large frame and its headers, and frames taken by one call.
_MOST = 17 * mmap.PAGESIZE
_FRAMES = 64

#: Frames of so many seconds are taken together. A frame is late, or early, by half of it at the most.
TOGETHER = 0.0004

_libc = ctypes.CDLL(None, use_errno=True)


class _Room(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("rooms", ctypes.POINTER(_Room)),
        ("room_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


class Batch:
    """Frames that travel together, in memory that is used again."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FRAMES * _MOST)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._rooms = (_Room * _FRAMES)(*(_Room(start + at * _MOST, _MOST) for at in range(_FRAMES)))
        self._messages = (_Message * _FRAMES)()
        for message, room in zip(self._messages, self._rooms, strict=True):
            message.header.rooms, message.header.room_count = ctypes.pointer(room), 1
        self._count = 0

    def take(self, into: int) -> bool:
        """Take what has come, and make room for it first; whether anything has."""
        for room in self._rooms[: self._count]:
            room.length = _MOST
        self._count = max(0, _libc.recvmmsg(into, self._messages, _FRAMES, socket.MSG_DONTWAIT, None))
        for at in range(self._count):
            self._rooms[at].length = self._messages[at].length
        return self._count > 0

    def give(self, out_of: int) -> None:
        """Send all of it on."""
        at = 0
        while at < self._count:
            rest = ctypes.byref(self._messages, at * ctypes.sizeof(_Message))
            sent = _libc.sendmmsg(out_of, rest, self._count - at, 0)
            at += max(sent, 1)  # Where the device has no room a frame is lost, as on any wire.


def open_end(device: str) -> socket.socket:
    """One end of the wire."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(_SOL_PACKET, _VIRTIO_HEADER, 1)
    end.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUE)
    end.bind((device, _ALL_PROTOCOLS))
    return end


def carry(into: int, out_of: int, seconds: float) -> None:
    """Carry frames until stdin ends."""
    on_the_way: deque[tuple[float, Batch]] = deque()
    idle = [Batch()]
    while True:
        wait = on_the_way[0][0] - time.monotonic() if on_the_way else 3600.0
        ready, _, _ = select.select([into, sys.stdin], [], [], max(wait, 0.0))
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1024):
            return
        if into in ready:
            arrives = time.monotonic() + seconds + TOGETHER / 2
            time.sleep(TOGETHER)
            while (batch := idle.pop() if idle else Batch()).take(into):
                on_the_way.append((arrives, batch))
            idle.append(batch)
        while on_the_way and on_the_way[0][0] <= time.monotonic():
            batch = on_the_way.popleft()[1]
            batch.give(out_of)
            idle.append(batch)


def main() -> None:
    with suppress(OSError):
        # It stands for hardware, and a wire does not wait until a core is free.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with open_end(sys.argv[1]) as into, open_end(sys.argv[2]) as out_of:
        print("ready", flush=True)
        carry(into.fileno(), out_of.fileno(), float(sys.argv[3]))


if __name__ == "__main__":
    main()
