"""One rank of a contender, and what it cost: ``mpirun … python -m tests.bench.metered FOLDER NAME …``.

What is loaded before the contender begins, Python and MPI, is not counted; its peak of memory counts all.
Once all is loaded, a rank makes the file ``FOLDER/loaded<rank>`` and waits for ``FOLDER/go``.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from mpi_core.runtime.launcher import find_launcher

#: Name → the modules to load first, and the one whose main is called.
ENTRIES = {
    "swarm": ("mpi_core.runtime.mpi", "tui_torrent.client", "tui_torrent.observer", "tui_torrent.cli"),
    "relay": ("tests.bench.contenders.relay",),
    "bcast": ("tests.bench.contenders.bcast",),
}


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """The most memory that this process held, in bytes (ru_maxrss counts what was before exec)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def write_usage(folder: Path, rank: int, before: float) -> None:
    usage = {"cpu": processor_seconds() - before, "peak": peak()}
    (folder / f"usage{rank}.json").write_text(json.dumps(usage))


def main() -> int:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    launcher = find_launcher()
    assert launcher is not None
    for module in ENTRIES[name]:
        loaded = importlib.import_module(module)
    sys.argv = sys.argv[2:]
    (folder / f"loaded{launcher.rank}").touch()
    while not (folder / "go").exists():
        time.sleep(0.005)
    before = processor_seconds()
    code: int = loaded.main() or 0
    write_usage(folder, launcher.rank, before)
    return code


if __name__ == "__main__":
    sys.exit(main())
