"""A wire of some length: frames go in at one tap device and come out at another a fixed time later.

netem would do it in the kernel, but not every kernel has it; a tap device does. Frames bear their virtio
header, so the large ones of segmentation offload pass whole and a few thousand reads a second carry gigabits.
Runs as a process of its own, in the namespace where its devices are to be:

    python -m tests.bench.delay_line INTO OUT_OF SECONDS

It says "ready" on stdout, and ends when its stdin does.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TAP, _NO_INFO, _HEADER = 0x0002, 0x1000, 0x4000
#: Checksums left to the receiver, TCP over IPv4 and IPv6 in large frames.
_OFFLOADS = 0x01 | 0x02 | 0x04

#: A large frame and its headers.
_MOST = 1 << 17


def open_tap(name: str) -> int:
    """Make a tap device; it lasts as long as its descriptor."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_INFO | _HEADER))
    fcntl.ioctl(fd, _TUNSETOFFLOAD, _OFFLOADS)
    return fd


def carry(into: int, out_of: int, seconds: float) -> None:
    """Carry frames until stdin ends."""
    on_the_way: deque[tuple[float, bytes]] = deque()
    while True:
        wait = on_the_way[0][0] - time.monotonic() if on_the_way else 3600.0
        ready, _, _ = select.select([into, sys.stdin], [], [], max(wait, 0.0))
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1024):
            return
        now = time.monotonic()
        if into in ready:
            try:
                # As many as there are, for a call of select costs more than a read.
                while True:
                    on_the_way.append((now + seconds, os.read(into, _MOST)))
            except BlockingIOError:
                pass
        while on_the_way and on_the_way[0][0] <= now:
            try:
                os.write(out_of, on_the_way.popleft()[1])
            except OSError:
                continue  # The device is down, or has no room: a frame is lost, as on any wire.


def main() -> None:
    with suppress(OSError):
        # It stands for hardware, and a wire does not wait until a core is free.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    into, out_of = open_tap(sys.argv[1]), open_tap(sys.argv[2])
    print("ready", flush=True)
    carry(into, out_of, float(sys.argv[3]))


if __name__ == "__main__":
    main()
