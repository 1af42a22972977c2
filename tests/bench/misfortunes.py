"""Runs that meet with one misfortune, at a random moment: each is to end in time, with an exit code that the
README documents, with no wrong file and nothing left running.

    python -m tests.bench.misfortunes --runs 200 --under mpich --seed 0

What happens in a run follows from the seed and the run's number alone; the moment is counted from the start
of the launcher. ``--only 17`` does one of them again. Under mpich, openmpi or ulfm (by this environment's
mpirun), or slurm, which starts a cluster of its own. Disks need root.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

from tests.helpers.mpirun import Job, find_mpirun, rank_of
from tests.helpers.slurm import Cluster, cluster

Under = Literal["mpich", "openmpi", "ulfm", "slurm"]
Kind = Literal["kill", "term", "stop", "suspend", "full", "readonly", "gone"]

#: Seconds that a run may go on after its misfortune, beside what was left to do.
LIMIT = 40.0
#: Ranks, and seconds in which a run does its work where nothing happens; it moves so many bytes to each.
RANKS, WORK = 6, 5.0
SIZES = {"big.bin": 3_000_000, "middle.bin": 700_000, "few.bin": 5_000, "empty.bin": 0}
RATE = 2_000_000
#: Seconds that one rank, or all, are stopped.
STOPPED, SUSPENDED = 10.0, (20.0, 35.0)

#: The exit codes of the README, and those that a launcher makes of a rank's death.
ENDED = {0, 1}
ALLOWED: dict[Kind, set[int]] = {
    "kill": ENDED | {3, 9, 137},
    "term": ENDED | {3, 15, 143},
    "stop": {0},
    "suspend": {0},
    "full": ENDED | {2},
    "readonly": ENDED | {2},
    "gone": ENDED | {2},
}


@dataclass(frozen=True)
class Misfortune:
    """What happens to which rank, and when: seconds after the start of the launcher."""

    kind: Kind
    rank: int
    at: float
    #: Seconds for which something is stopped.
    held: float
    monitored: bool

    def __str__(self) -> str:
        whom = "all ranks" if self.kind == "suspend" else f"rank {self.rank}"
        return f"{self.kind:8s} {whom:9s} at {self.at:4.1f} s{' (monitored)' if self.monitored else ''}"


def draw(seed: int, number: int, kinds: Sequence[Kind], start: float) -> Misfortune:
    """The misfortune of that run; ``start`` is how long a run takes to begin."""
    random = Random(f"{seed}/{number}")
    kind = random.choice(kinds)
    monitored = random.random() < 0.25
    disk = kind in ("full", "readonly", "gone")
    # A disk is a client's; clients 1 and 2 own the files.
    rank = random.choice((1, 2) if kind == "gone" else range(1, 5)) if disk else random.randrange(RANKS)
    at = random.uniform(0.0, start + WORK + 0.5)
    held = {"stop": STOPPED, "suspend": random.uniform(*SUSPENDED)}.get(kind, 0.0)
    return Misfortune(kind, rank, at, held, monitored)


class Judged:
    """One run, and what was wrong with it."""

    def __init__(
        self, under: Under, misfortune: Misfortune | None, folder: Path, slurm: Cluster | None
    ) -> None:
        self._under, self._misfortune, self._folder = under, misfortune, folder
        self._slurm = slurm
        self.wrong: list[str] = []
        self.code: int | None = None
        #: Seconds from the start to the end, and after the misfortune.
        self.seconds = self.after = 0.0
        self.said = ""

    def run(self, limit: float) -> None:
        misfortune = self._misfortune
        monitored = misfortune is not None and misfortune.monitored
        with ExitStack() as stack:
            scenario = self._scenario(stack, clients=RANKS - 1 - monitored)
            options = ["--out", self._folder / "out", "--report", self._folder / "report.json"]
            options += ["--journal", self._folder / "journal.jsonl", *(["--monitor"] if monitored else [])]
            began = time.monotonic()
            job = Job(
                RANKS,
                [scenario, *options],
                cwd=self._folder,
                environment=self._slurm.environment if self._slurm else {},
                flags=("--with-ft", "ulfm") if self._under == "ulfm" else (),
                launcher=self._slurm.launcher(RANKS) if self._slurm else None,
            )
            stack.callback(job.close)
            held = 0.0
            if misfortune is not None:
                time.sleep(max(0.0, began + misfortune.at - time.monotonic()))
                happened = time.monotonic()
                self._happens(job, misfortune)
                held = time.monotonic() - happened
            try:
                self.code = job.process.wait(max(0.1, began + limit + held - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.wrong.append(f"has not ended after {limit + held:.0f} s")
            self.seconds = time.monotonic() - began
            self.after = self.seconds - held - (misfortune.at if misfortune else 0.0)
            if self.code is not None and (left := job.left()):
                self.wrong.append(f"left running: {left}")
            self.said = job.said() + job.complained()
        self._judge()

    def _scenario(self, stack: ExitStack, clients: int) -> Path:
        """Two owners and the others, who want everything, each with a place of its own for what it gets."""
        misfortune, folder = self._misfortune, self._folder
        random = Random(str(folder))
        for owner in (1, 2):
            (folder / f"src{owner}").mkdir(parents=True)
        for name, size in SIZES.items():
            content = random.randbytes(size)
            for owner in (1, 2):
                (folder / f"src{owner}" / name).write_bytes(content)
        (folder / "src1" / "alone.bin").write_bytes(random.randbytes(400_000))
        tables = []
        for rank in range(1, clients + 1):
            share = f'root = "src{rank}"\nshare = ["*.bin"]\n' if rank <= 2 else ""
            place = folder / f"disk{rank}"
            place.mkdir()
            if misfortune is not None and rank == misfortune.rank and misfortune.kind in ("full", "readonly"):
                stack.enter_context(mounted(place, "2m" if misfortune.kind == "full" else "64m"))
            tables.append(f'[[client]]\nrate = {RATE}\n{share}want = ["*.bin"]\nout = "{place}/out"\n')
        scenario = folder / "swarm.toml"
        scenario.write_text("\n".join(tables))
        return scenario

    def _happens(self, job: Job, misfortune: Misfortune) -> None:
        place = self._folder / f"disk{misfortune.rank}"
        ranks = ranks_of(job)
        pid = ranks.get(misfortune.rank)
        if misfortune.kind == "readonly":
            subprocess.run(["mount", "-o", "remount,ro", place], check=False, stderr=subprocess.DEVNULL)
        elif misfortune.kind == "gone":
            shutil.rmtree(self._folder / f"src{misfortune.rank}", ignore_errors=True)
        elif misfortune.kind == "suspend":
            stopped = list(ranks.values())
            self._hold(stopped, misfortune.held)
        elif pid is not None and misfortune.kind == "stop":
            self._hold([pid], misfortune.held)
        elif pid is not None and misfortune.kind in ("kill", "term"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if misfortune.kind == "kill" else signal.SIGTERM)

    def _hold(self, pids: list[int], seconds: float) -> None:
        for how, pause in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
            time.sleep(pause)

    def _judge(self) -> None:
        misfortune, folder = self._misfortune, self._folder
        allowed = ALLOWED[misfortune.kind] if misfortune else {0}
        if self.code is not None and self.code not in allowed:
            self.wrong.append(f"left with {self.code}, which is none of {sorted(allowed)}")
        if "Traceback" in self.said:
            self.wrong.append("a traceback was shown")
        # What the share's end has taken is compared with the other owner's.
        sources = {path.name: path for owner in (2, 1) for path in (folder / f"src{owner}").glob("*")}
        lacking = 0
        for place in sorted(folder.glob("disk*")):
            for name, source in sources.items():
                copy = place / "out" / name
                if not copy.exists():
                    lacking += 1
                elif copy.read_bytes() != source.read_bytes():
                    self.wrong.append(f"{copy} is not what {source} is")
        if self.code == 0 and lacking and (misfortune is None or misfortune.kind in ("stop", "suspend")):
            self.wrong.append(f"left with 0, and {lacking} files are missing")


def ranks_of(job: Job) -> dict[int, int]:
    """The process of each rank, and not those that it has started."""
    found: dict[int, int] = {}
    for pid, environment in job.processes().items():
        rank = rank_of(environment)
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if rank is not None and b"tui_torrent" in words:
                found[rank] = pid
    return found


@contextmanager
def mounted(place: Path, size: str) -> Iterator[None]:
    """A disk of its own there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def judged(under: Under, misfortune: Misfortune | None, slurm: Cluster | None, limit: float) -> Judged:
    """That run, in a folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tt-misfortune-"))
    try:
        run = Judged(under, misfortune, folder, slurm)
        run.run(limit)
        return run
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def possible(under: Under) -> list[Kind]:
    """What can happen here: disks need root, and a share of its own."""
    kinds: list[Kind] = list(get_args(Kind))
    return kinds if os.geteuid() == 0 and under else [k for k in kinds if k not in ("full", "readonly")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--under", choices=get_args(Under), default="mpich")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this run alone")
    parser.add_argument("--kinds", help="of these alone, by commas")
    words = parser.parse_args()
    kinds = words.kinds.split(",") if words.kinds else possible(words.under)
    assert find_mpirun() is not None
    # Whoever ends this leaves no cluster and no disk behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    failures = 0
    with ExitStack() as stack:
        slurm = stack.enter_context(cluster()) if words.under == "slurm" else None
        healthy = judged(words.under, None, slurm, 120.0)
        print(
            f"without misfortune: code {healthy.code} after {healthy.seconds:.1f} s {healthy.wrong}",
            flush=True,
        )
        start = max(0.5, healthy.seconds - WORK)
        for number in range(words.runs) if words.only is None else [words.only]:
            misfortune = draw(words.seed, number, kinds, start)
            limit = max(misfortune.at, healthy.seconds) + LIMIT
            run = judged(words.under, misfortune, slurm, limit)
            failures += bool(run.wrong)
            verdict = "; ".join(run.wrong) if run.wrong else "right"
            print(
                f"{number:3d} {misfortune}: code {run.code}, {run.after:5.1f} s after: {verdict}", flush=True
            )
            if run.wrong:
                print("\n".join(f"      | {line}" for line in run.said.splitlines()[-12:]), flush=True)
    print(f"{failures} of {words.runs if words.only is None else 1} were wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
