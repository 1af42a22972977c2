"""A tiny monitor for the tests of the terminal.

    mpirun … terminal_probe.py DIRECTORY             on the last rank, rank 0 forwards keys if it must
    terminal_probe.py DIRECTORY DEVICE own|stdin     alone: keys from the device, or forwarded stdin

It notes in DIRECTORY, one line each: `keys` as they arrive, `sizes` of the window, `pids` as
"rank pid", and `mode` (whether keys are forwarded). The key q ends it. The ranks between the first and
the last only wait for the end, so that there is one to kill.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from pathlib import Path

from tui_torrent.tui.terminal import (
    Guardian,
    Terminal,
    find_terminal,
    forward_keys,
    must_forward,
    redirect_output,
)

TERMINAL, FORWARDS, KEYS, END = range(4)


def note(name: str, line: str) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(line + "\n")


def run_app(terminal: Terminal, keys: queue.SimpleQueue[bytes] | None) -> int:
    """A Textual app that notes keys, clicks and sizes, and ends at q. Imported on its one rank only."""
    from textual import events
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    from tui_torrent.tui.driver import make_driver

    class Probe(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("starting", id="text")

        def on_resize(self, event: events.Resize) -> None:
            note("sizes", f"{event.size.width}x{event.size.height}")
            text = f"probe {event.size.width}x{event.size.height} äöü ▁▂▃"
            self.query_one("#text", Static).update(text)

        def on_key(self, event: events.Key) -> None:
            note("keys", event.key)
            if event.key == "q":
                self.exit()

        def on_click(self, event: events.Click) -> None:
            note("keys", f"click {event.x},{event.y}")

        def on_paste(self, event: events.Paste) -> None:
            note("keys", f"paste {event.text}")

    app = Probe(driver_class=make_driver(terminal, keys))
    app.run()
    return app.return_code or 0


def alone(device: str, source: str) -> int:
    """The monitor without MPI: one process plays both rank 0 and the last rank."""
    note("pids", f"0 {os.getpid()}")
    terminal = Terminal(device, launcher_reads=source == "stdin")
    keys: queue.SimpleQueue[bytes] | None = None
    if must_forward(terminal):
        keys = queue.SimpleQueue()
        threading.Thread(target=forward_keys, args=(keys.put, threading.Event()), daemon=True).start()
    with Guardian(terminal):
        return run_app(terminal, keys)


def main() -> int:
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    rank, last = world.rank, world.size - 1
    note("pids", f"{rank} {os.getpid()}")

    def receive(source: int, tag: int) -> object:
        while not world.iprobe(source, tag):
            time.sleep(0.002)
        return world.recv(source=source, tag=tag)

    status = 0
    if rank == last:
        terminal = find_terminal()
        world.send(terminal, 0, TERMINAL)
        if isinstance(terminal, str):
            print(f"no monitor: {terminal}", flush=True)
        else:
            keys: queue.SimpleQueue[bytes] | None = None
            forwards = receive(0, FORWARDS)
            note("mode", f"forwarded {forwards}")
            if forwards:
                keys = queue.SimpleQueue()
                inbox = keys

                def take_keys() -> None:
                    chunk: object = None
                    while chunk != b"":
                        chunk = receive(0, KEYS)
                        assert isinstance(chunk, bytes)
                        inbox.put(chunk)

                threading.Thread(target=take_keys, daemon=True).start()
            restore = redirect_output(FOLDER / f"output.{rank}")
            print("this must not reach the screen")
            with Guardian(terminal):
                status = run_app(terminal, keys)
            restore()
        for other in range(last):
            world.send(None, other, END)
    elif rank == 0:
        found = receive(last, TERMINAL)
        stop = threading.Event()
        forwarder = None
        if isinstance(found, Terminal):
            forwards = must_forward(found)
            world.send(forwards, last, FORWARDS)
            if forwards:
                forwarder = threading.Thread(
                    target=forward_keys, args=(lambda chunk: world.send(chunk, last, KEYS), stop)
                )
                forwarder.start()
        receive(last, END)
        stop.set()
        if forwarder:
            forwarder.join()
    else:
        receive(last, END)
    world.Barrier()
    print(f"rank {rank} ends", flush=True)
    return status


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    sys.exit(alone(*sys.argv[2:]) if len(sys.argv) > 2 else main())
