"""Record the journals in demo/journals: real runs over MPI, each of them worth watching in ``replay``.

    python demo/journals.py [NAME ...]

The files to share are made on the spot. Afterwards times are rounded to the microsecond and all is packed
once more, as tightly as zstd can: that makes a journal a third as large, and changes nothing that it says.
Those that are there were recorded when segments had 256 KiB; the next ones will have twice as many.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.journal import read_journal
from mpi_core.runtime.launcher import find_launcher

JOURNALS = Path(__file__).with_name("journals")


@dataclass(frozen=True)
class Recording:
    """One run: which files there are (MiB by name), and a [[client]] table a client."""

    files: dict[str, int]
    #: Without any: the built-in demo, for eight.
    clients: tuple[str, ...]
    options: tuple[str, ...] = ()
    #: The client whose disk spoils every second segment that it reads.
    spoils: int = 0


WANTS = 'want = ["*"]'
ONE_SEED = {"model.bin": 14, "shard-0.bin": 6, "shard-1.bin": 4}

RECORDINGS = {
    # The built-in demo, of which README's pictures are.
    "demo": Recording({}, ()),
    # The same job by both strategies: one client has all, seven want it.
    "classic": Recording(
        ONE_SEED, ('share = ["*"]', *[WANTS] * 7), ("--rate", "5242880", "--strategy", "classic")
    ),
    "swarm": Recording(ONE_SEED, ('share = ["*"]', *[WANTS] * 7), ("--rate", "5242880")),
    # Client 2 alone has the labels, and a slow uplink.
    "slow": Recording(
        {"dataset.bin": 16, "labels.bin": 4},
        ('share = ["dataset.bin"]', 'share = ["labels.bin"]\nrate = "256 KiB/s"', *[WANTS] * 6),
        ("--rate", "1572864"),
    ),
    # Clients 1 and 3 have the same file, but what client 3 reads from its disk is not always what it hashed.
    # It must read it itself: over MPI.
    "corrupting": Recording(
        {"model.bin": 16},
        ('share = ["*"]', WANTS, 'share = ["*"]', *[WANTS] * 4),
        ("--rate", "1048576", "--over-mpi"),
        spoils=3,
    ),
    # Two dozen clients at once, and one seed.
    "flash-crowd": Recording({"image.bin": 16}, ('share = ["*"]', *[WANTS] * 24), ("--rate", "1048576")),
}


def record(name: str) -> None:
    """Run it, and put its journal in its place."""
    recording = RECORDINGS[name]
    with tempfile.TemporaryDirectory(prefix="tui_torrent-demo-") as folder:
        here = Path(folder)
        (here / "share").mkdir()
        for file, mib in recording.files.items():
            # The last segment is a short one.
            size = mib * (1 << 20) - 1000
            (here / "share" / file).write_bytes(Random(file).randbytes(size))
        tables = "".join(f'[[client]]\nroot = "share"\n{table}\n' for table in recording.clients)
        scenario = [f"{name}.toml"] if tables else []
        (here / f"{name}.toml").write_text(tables)
        program = ["-m", "tui_torrent"]
        if recording.spoils:
            program = [str(Path(__file__).resolve()), "--spoils", str(recording.spoils)]
        mpirun = shutil.which("mpirun", path=Path(sys.executable).parent) or "mpirun"
        ranks = (len(recording.clients) or 8) + 1
        command = [mpirun, "-np", str(ranks), sys.executable, *program, *scenario]
        command += ["--out", "out", "--journal", "run.jsonl", *recording.options]
        subprocess.run(command, cwd=here, check=True)
        packed = pack(here / "run.jsonl")
        (JOURNALS / f"{name}.jsonl.zst").write_bytes(packed)
    print(f"{name}: {len(packed)} bytes")


def pack(journal: Path) -> bytes:
    """The journal in one zstd frame, times to the microsecond."""
    import zstandard

    events = [Stamped(round(s.t, 6), s.rank, s.seq, s.event) for s in read_journal(journal)]
    return zstandard.ZstdCompressor(level=22).compress(to_lines(events))


def run_with_a_bad_disk(rank: int, arguments: list[str]) -> int:
    """A rank of the run as ``python -m tui_torrent`` is one, but that client's disk spoils segments."""
    from mpi_core.runtime.files import RealFiles
    from tui_torrent.cli import main

    launcher = find_launcher()
    if launcher is not None and launcher.rank == rank:
        read = RealFiles.read
        reads = 0

        def spoiled(files: RealFiles, manifest: Manifest, index: int) -> bytes:
            nonlocal reads
            payload, reads = read(files, manifest, index), reads + 1
            return payload if reads % 2 else bytes(len(payload))

        RealFiles.read = spoiled  # type: ignore[method-assign]
    return main(arguments)


def main() -> int:
    if sys.argv[1:2] == ["--spoils"]:
        return run_with_a_bad_disk(int(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*RECORDINGS, []], metavar="NAME", default=[])
    for name in parser.parse_args().names or RECORDINGS:
        record(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
