"""What a frame of each screen costs: milliseconds of CPU, its events and the terminal's output included.

    python -m tests.bench.frames --clients 64 --segments 4096 --size 160x50

The app draws on a pseudo-terminal that another process empties. Its source tells 400 events a frame, which is
4,000 a second at ten frames a second; what it costs to make them up is not counted. Then that other process
presses keys at random times: each asks for another screen, and is answered when that screen's tab is drawn.
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from random import Random
from statistics import median

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tui_torrent.tui.app import MonitorApp
from tui_torrent.tui.driver import make_driver
from tui_torrent.tui.panels.tabs import NAMES
from tui_torrent.tui.terminal import Terminal
from tui_torrent.view.ledger import Finding
from tui_torrent.view.story import Tail
from tui_torrent.view.swarm_view import SwarmView

SIZE = 1 << 18
EVENTS_A_FRAME = 400
#: Seconds of the run between two frames.
STEP = 0.1


#: Who wants which segment of what.
Wanted = tuple[int, str, SegmentIndex]


class Swarm:
    """A source in the midst of a run: clients fetch random segments of some files from random holders."""

    def __init__(self, clients: int, segments: int, files: int, share: float) -> None:
        self.view, self.tail, self.now = SwarmView(), Tail(), 0.0
        self.over, self.findings = False, list[Finding]()
        self.folding = self.making = 0.0
        self._seq: dict[int, int] = {}
        self._random = Random(1)
        each = segments // files
        names = [f"shards/part-{number}.bin" for number in range(files)]
        self._fold(0, ev.RunStarted(1, clients, "bench", "swarm", 1, 10, 8))
        for name in names:
            self._fold(0, ev.FileRegistered(name, each * SIZE, each, "blake3", ()))
        self._fold(1, ev.InitSent(tuple(ev.OwnedFile(name, each) for name in names)))
        for rank in range(2, clients + 1):
            self._fold(rank, ev.InitSent(()))
            self._fold(rank, ev.InitAckReceived(tuple(names)))
            for name in names:
                self._fold(rank, ev.DownloadStarted(name, each, each * SIZE))
                self._fold(0, ev.SwarmListed(Rank(rank), name, "peer"))
        wanted = [
            (rank, name, SegmentIndex(at))
            for rank in range(2, clients + 1)
            for name in names
            for at in range(each)
        ]
        self._random.shuffle(wanted)
        self._events = self._told(wanted, clients)
        for _ in range(int(share * 3 * len(wanted))):
            rank, event = next(self._events)
            self.now += STEP / EVENTS_A_FRAME
            self._fold(rank, event)

    def _told(
        self, wanted: list[tuple[int, str, SegmentIndex]], clients: int
    ) -> Iterator[tuple[int, AnyEvent]]:
        for number, (rank, name, at) in enumerate(wanted):
            source = Rank(self._random.randrange(1, clients + 1))
            yield rank, ev.SegmentRequested(source, name, at)
            yield source, ev.SegmentSent(Rank(rank), name, at, SIZE)
            yield rank, ev.SegmentStored(source, name, at, SIZE, "00")
            if number % 10 == 0:
                yield rank, ev.SwarmRequested(1, (name,))
                yield 0, ev.SwarmServed(Rank(rank), 1, 0, 2)

    def _fold(self, rank: int, event: AnyEvent) -> None:
        seq = self._seq[rank] = self._seq.get(rank, -1) + 1
        stamped = Stamped(self.now, Rank(rank), seq, event)
        self.view.apply(stamped)
        self.tail.add(stamped)

    def poll(self) -> None:
        began = time.process_time()
        new = [told for _, told in zip(range(EVENTS_A_FRAME), self._events, strict=False)]
        made = time.process_time()
        self.now += STEP
        for rank, event in new:
            self._fold(rank, event)
        self.making += made - began
        self.folding += time.process_time() - made


class Timed(MonitorApp):
    """Goes through the screens, so many frames each, and takes down what a frame costs."""

    def __init__(self, swarm: Swarm, frames: int, terminal: Terminal) -> None:
        super().__init__(swarm, title="bench", fps=20, driver_class=make_driver(terminal, None))
        self.swarm, self.frames = swarm, frames
        self.costs: dict[int, list[tuple[float, float]]] = {}
        self._began: tuple[float, float, float] | None = None
        self._count = 0

    def _tick(self) -> None:
        swarm = self.swarm
        if self._began is not None:
            began, making, folding = self._began
            spent = time.process_time() - began - (swarm.making - making)
            # The first frames of a screen are drawn whole.
            if self._count % self.frames >= 5:
                self.costs.setdefault(self.number, []).append((spent, swarm.folding - folding))
        self._began = (time.process_time(), swarm.making, swarm.folding)
        screen, frame = divmod(self._count, self.frames)
        self._count += 1
        if screen == len(NAMES):
            self.exit(0)
        elif frame == 0:
            self.action_page(screen + 1)
        super()._tick()


def person(master: int, keys: int, report: Connection) -> None:
    """Look on, then press so many keys and report how many seconds each took to be answered."""
    drawn = b""

    def looks(until: float, sought: bytes = b"") -> bool:
        nonlocal drawn
        while (left := until - time.monotonic()) > 0:
            if select.select([master], [], [], left)[0]:
                drawn = drawn[-64:] + os.read(master, 1 << 16)
                if sought and sought in drawn:
                    return True
        return False

    while not report.poll():
        looks(time.monotonic() + 0.2)
    random, took = Random(2), dict[int, list[float]]()
    for number in range(keys):
        # The app draws all the while.
        looks(time.monotonic() + random.uniform(0.3, 0.5))
        page = (number + 1) % len(NAMES)
        drawn, pressed = b"", time.monotonic()
        os.write(master, b"%d" % (page + 1))
        if not looks(pressed + 5, f"[{page + 1} {NAMES[page]}]".encode()):
            print(f"nothing came of the key {page + 1}")
            break
        took.setdefault(page, []).append(time.monotonic() - pressed)
    report.send(took)
    os.write(master, b"q")
    looks(time.monotonic() + 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--segments", type=int, default=4096)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--size", default="160x50", help="columns x rows (%(default)s)")
    parser.add_argument("--frames", type=int, default=60, help="of each screen (%(default)s)")
    parser.add_argument("--keys", type=int, default=60, help="to press (%(default)s)")
    parser.add_argument("--share", type=float, default=0.4, help="how far the run is (%(default)s)")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    swarm = Swarm(options.clients, options.segments, options.files, options.share)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    here, there = multiprocessing.Pipe()
    viewer = multiprocessing.get_context("fork").Process(
        target=person, args=(master, options.keys, there), daemon=True
    )
    viewer.start()
    terminal = Terminal(os.ttyname(slave), False)
    app = Timed(swarm, options.frames, terminal)
    app.run()
    here.send("your turn")
    MonitorApp(swarm, title="bench", driver_class=make_driver(terminal, None)).run()
    answered: dict[int, list[float]] = here.recv()
    viewer.terminate()
    print(f"{options.clients} clients × {options.segments} segments, {columns}×{rows}; CPU ms a frame")
    for number, costs in sorted(app.costs.items()):
        total = sorted(1000 * cost for cost, _ in costs)
        fold = median(1000 * fold for _, fold in costs)
        print(
            f"{NAMES[number - 1]:9} median {median(total):5.1f}  95th {total[int(0.95 * len(total))]:5.1f}  "
            f"of these {fold:.1f} for {EVENTS_A_FRAME} events"
        )
    print("milliseconds from a key to the screen that it asks for")
    for page, times in sorted(answered.items()):
        print(f"{NAMES[page]:9} median {1e3 * median(times):5.1f}  worst {1e3 * max(times):5.1f}")


if __name__ == "__main__":
    main()
