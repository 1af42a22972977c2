"""A wire of some length: frames come in at one device and go out at another a fixed time later.

netem would do it in the kernel, but not every kernel has it; packet sockets do. What is on the way waits in
the kernel's own queue, and goes through memory that the core's cache holds: the line should not take from
what it measures the cores that it runs on. Many frames are taken, and given, by one call, and each bears its
virtio header, so that the large ones of segmentation offload pass whole. Runs as a process of its own, in
the namespace where its devices are:

    python -m tests.bench.delay_line INTO OUT_OF SECONDS

It says "ready" on stdout, and ends when its stdin does.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress

_ALL_PROTOCOLS = 0x0003
_SOL_PACKET, _STATISTICS, _VIRTIO_HEADER, _IGNORE_OUTGOING = 263, 6, 15, 23
_SO_RCVBUFFORCE, _QUEUE = 33, 1 << 26

#: A large frame and its headers, and frames taken by one call.
_MOST = 17 * mmap.PAGESIZE
_FRAMES = 16

#: Frames of so many seconds go together. Each is early by half of it at the most, and late by three halves.
TOGETHER = 0.0008

_libc = ctypes.CDLL(None, use_errno=True)


class _Frame(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("frames", ctypes.POINTER(_Frame)),
        ("frame_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


class Room:
    """Memory for a few frames at once, used again and again."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FRAMES * _MOST)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._frames = (_Frame * _FRAMES)(*(_Frame(start + at * _MOST, _MOST) for at in range(_FRAMES)))
        self._messages = (_Message * _FRAMES)()
        for message, frame in zip(self._messages, self._frames, strict=True):
            message.header.frames, message.header.frame_count = ctypes.pointer(frame), 1

    def carry(self, into: int, out_of: int, frames: int) -> None:
        """Take so many frames that wait, and send them on."""
        while frames > 0:
            count = _libc.recvmmsg(into, self._messages, min(frames, _FRAMES), socket.MSG_DONTWAIT, None)
            if count <= 0:
                return
            self._give(out_of, count)
            frames -= count

    def _give(self, out_of: int, count: int) -> None:
        for at in range(count):
            self._frames[at].length = self._messages[at].length
        at = 0
        while at < count:
            rest = ctypes.byref(self._messages, at * ctypes.sizeof(_Message))
            sent = _libc.sendmmsg(out_of, rest, count - at, 0)
            at += max(sent, 1)  # Where the device has no room a frame is lost, as on any wire.
        for at in range(count):
            self._frames[at].length = _MOST


def open_end(device: str) -> socket.socket:
    """One end of the wire."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(_SOL_PACKET, _VIRTIO_HEADER, 1)
    end.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _QUEUE)
    end.bind((device, _ALL_PROTOCOLS))
    return end


def count_come(into: socket.socket) -> int:
    """Frames that have joined the queue since the last call."""
    come, lost = struct.unpack("II", into.getsockopt(_SOL_PACKET, _STATISTICS, 8))
    return int(come - lost)


def carry(into: socket.socket, out_of: socket.socket, seconds: float) -> None:
    """Carry frames until stdin ends."""
    on_the_way: deque[tuple[float, int]] = deque()
    room = Room()
    while True:
        # A frame on the way keeps its end readable: while there is one, only time is waited for.
        wake, wait = ([sys.stdin], TOGETHER) if on_the_way else ([sys.stdin, into], None)
        if sys.stdin in select.select(wake, [], [], wait)[0] and not os.read(sys.stdin.fileno(), 1024):
            return
        now = time.monotonic()
        if frames := count_come(into):
            on_the_way.append((now + seconds - TOGETHER / 2, frames))
        while on_the_way and on_the_way[0][0] <= now:
            room.carry(into.fileno(), out_of.fileno(), on_the_way.popleft()[1])


def main() -> None:
    with suppress(OSError):
        # It stands for hardware, and a wire does not wait until a core is free.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with open_end(sys.argv[1]) as into, open_end(sys.argv[2]) as out_of:
        print("ready", flush=True)
        carry(into, out_of, float(sys.argv[3]))


if __name__ == "__main__":
    main()
