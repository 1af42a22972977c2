"""What watching costs the watched: the makespan of a run with the monitor, against the same run without it.

    python -m tests.bench.monitored --pairs 9

One client has a file of random bytes, and all others want it. The monitor draws on a pseudo-terminal that
this process empties. Pairs alternate in their order. With ``--rate`` the links set the pace; without, the
cores do, and on few of them the monitor takes its share of what the clients compute with.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from statistics import median

from tests.helpers.mpirun import find_mpirun, flavour

#: The report's way out is on the screen: the run is over.
OVER = b"any other key"
PATIENCE = 120.0


def scenario(folder: Path, clients: int, size: int) -> Path:
    """The first client shares so many random bytes."""
    (folder / "share").mkdir()
    (folder / "share" / "model.bin").write_bytes(os.urandom(size))
    first = f'[[client]]\nroot = "{folder / "share"}"\nshare = ["model.bin"]\n'
    path = folder / "run.toml"
    path.write_text(first + '[[client]]\nwant = ["model.bin"]\n' * (clients - 1))
    return path


def run(folder: Path, clients: int, options: list[str], monitor: bool) -> tuple[float, int]:
    """Seconds until the last client was done, as the report tells, and the bytes that were drawn."""
    launcher = find_mpirun()
    assert launcher is not None
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    words = [launcher, *["--oversubscribe"] * (flavour() == "openmpi"), "-np", str(clients + 1 + monitor)]
    words += [sys.executable, "-m", "tui_torrent", str(folder / "run.toml"), "--out", str(folder / "out")]
    words += ["--report", str(report), *options, *["--monitor"] * monitor]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(launcher, words)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 50, 160, 0, 0))
    drawn, recent, left = 0, b"", False
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            data = os.read(terminal, 1 << 16)
        except OSError:
            break  # the last of its processes has closed it
        drawn, recent = drawn + len(data), recent[-64:] + data
        if monitor and not left and OVER in recent and report.exists():
            time.sleep(0.6)  # the report takes no key before
            os.write(terminal, b"q")
            left = True
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)}: left with {os.waitstatus_to_exitcode(status)}\n{recent!r}")
    told = json.loads(report.read_bytes())
    if told["outcome"] != "complete" or told["events_dropped"]:
        raise SystemExit(f"{told['outcome']}, {told['events_dropped']} events lost")
    return max(client["finished_at_s"] or 0.0 for client in told["clients"]), drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--size", type=int, default=64, help="of the file, in MiB (%(default)s)")
    parser.add_argument("--rate", type=float, help="MiB a second that a client may upload")
    options = parser.parse_args()
    rate = ["--rate", str(options.rate * 2**20)] if options.rate else []
    times: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario(folder, options.clients, options.size << 20)
        run(folder, options.clients, rate, False)
        for pair in range(options.pairs):
            for monitor in (False, True) if pair % 2 else (True, False):
                seconds, drawn = run(folder, options.clients, rate, monitor)
                if monitor and drawn < 20_000:
                    raise SystemExit(f"the monitor has drawn {drawn} bytes only")
                times[monitor].append(seconds)
    plain, watched = median(times[False]), median(times[True])
    ratios = sorted(w / p for w, p in zip(times[True], times[False], strict=True))
    pace = f"{options.rate:g} MiB/s a client" if options.rate else "as fast as the cores"
    print(f"{options.clients} clients, {options.size} MiB, {pace}: medians of {options.pairs} pairs")
    print(f"without {plain:.3f} s, with the monitor {watched:.3f} s: {watched / plain:.3f} ×")
    print(f"pair by pair {ratios[0]:.3f} to {ratios[-1]:.3f}, median {median(ratios):.3f} ×")


if __name__ == "__main__":
    main()
