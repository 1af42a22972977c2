"""Run one contender over one case, and measure it.

The clock starts when the processes of a contender are up and have met, and stops when the last receiver has
everything verified, written and in place under its name. Reading and hashing the owners' data is inside that
time for all but libtorrent, whose torrent file is made before. What arrived is compared afterwards.

Every contender finds the machine in one state. What the one before wrote is emptied, not removed, until the
case is over: an ext4 without a journal will not use a removed file's inode for a minute or more, and passes
over all of them for each file that it makes, half the CPU of whoever came after 80,000 files. As much memory
as the files will fill is touched once the processes are up, since that of a virtual machine is slow at first
touch, and the host takes it back seconds after it was freed; ``cold`` waits for that instead. Two benches
in a row need six minutes between them, for the inodes, or folders on different parts of the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from blake3 import blake3

from mpi_core.protocol.manifest import segment_length_for
from tests.bench.cases import Case
from tests.bench.netlab import Netlab, address
from tests.helpers.mpirun import REPOSITORY, SessionFolder, find_mpirun, flavour
from tests.helpers.trees import client_tables, grow, link_below

#: Rivals send segments as long as the swarm's, within these bounds, and messages of the loop over MPI_Bcast
#: are longer: so they are fastest.
SHORTEST, LONGEST = 256 * 1024, 1024 * 1024
BCAST_SEGMENT = 8 * 1024 * 1024

TIMEOUT = 300.0

#: Bytes read at once to touch memory.
TOUCHED = 1024 * 1024

#: Seconds after which the host has taken free memory back.
COLD_AFTER = 10.0


class RaceError(Exception):
    """A contender did not do what it should; the text says what it did."""


@dataclass(frozen=True)
class Result:
    """One run. Bytes are the wire's, all headers included; None where there is no wire, or no such figure."""

    seconds: float
    cpu: float | None
    peak: int | None
    seeds_sent: int | None = None
    all_sent: int | None = None


class Ground:
    """The files of a case and its lab, for as long as the block lasts."""

    def __init__(
        self, case: Case, folder: Path, swarm_options: Sequence[str] = (), cold: bool = False
    ) -> None:
        self.case = case
        self.folder = folder
        self.cold = cold
        self.out, self.results = folder / "out", folder / "results"
        self.swarm_options = tuple(swarm_options)
        self.lab: Netlab | None = None
        self._stack = ExitStack()
        self._digests: dict[str, bytes] = {}

    def __enter__(self) -> Ground:
        case = self.case
        tree = {name: (size, 0o644) for name, size in case.files.items()}
        everything = grow(self.folder / "all" / "data", tree, Random(1))
        self._digests = {name: _digest(everything / name) for name in case.files}
        for number, names in enumerate(case.owns):
            if names:
                link_below(self.root(number), everything, names)
        if case.mbit is not None:
            slow = {number: f"{mbit:g}mbit" for number, mbit in case.slow.items()}
            lab = Netlab(case.clients, f"{case.mbit:g}mbit", slow, latency=case.latency)
            self.lab = self._stack.enter_context(lab)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        for name in ("all", "owners", "out", "aside", "results"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def root(self, number: int) -> Path:
        """Where a client's own files are."""
        return self.folder / "owners" / str(number) / "data"

    def run(self, contender: str) -> Result:
        """Run it once; raises RaceError where it fails or where a byte is wrong."""
        self._set_aside()
        shutil.rmtree(self.results, ignore_errors=True)
        for folder in (self.out, self.results):
            folder.mkdir()
        os.sync()
        before = self.lab.sent() if self.lab else []
        seconds = CONTENDERS[contender](self)
        after = self.lab.sent() if self.lab else []
        self._compare()
        sent = [now - then for now, then in zip(after, before, strict=True)]
        usage = {int(file.stem[5:]): json.loads(file.read_bytes()) for file in self.results.glob("usage*")}
        first = 1 if contender == "swarm" else 0  # The tracker's rank comes before the clients'.
        peaks = [usage[number + first]["peak"] for number in self.case.receivers if number + first in usage]
        return Result(
            seconds,
            sum(used["cpu"] for used in usage.values()) if usage else None,
            max(peaks, default=None),
            sum(sent[number] for number, names in enumerate(self.case.owns) if names) if sent else None,
            sum(sent) if sent else None,
        )

    def _set_aside(self) -> None:
        """Empty the files that the last run wrote, and put them out of the way."""
        if not self.out.exists():
            return
        aside = self.folder / "aside"
        aside.mkdir(exist_ok=True)
        place = aside / str(len(os.listdir(aside)))
        self.out.rename(place)
        for folder, _, names in os.walk(place):
            for path in (os.path.join(folder, name) for name in names):
                if os.stat(path).st_nlink == 1:  # Else an owner has it too.
                    os.truncate(path, 0)

    def prepare_memory(self) -> None:
        """Just before a contender begins: free memory is at hand, or at the host of a virtual machine."""
        if self.cold:
            time.sleep(COLD_AFTER)
        else:
            _touch_memory(self.folder / "touched", self.case.demand + self.case.size)

    def _compare(self) -> None:
        for number in self.case.receivers:
            for name in self.case.files.keys() - set(self.case.owns[number]):
                path = self.place(number) / name
                if not path.exists() or _digest(path) != self._digests[name]:
                    raise RaceError(f"client {number} has not got {name} as it is")

    def place(self, number: int) -> Path:
        """Where the contender that runs puts a client's files."""
        places = [self.out / f"client{number}" / "data", self.out / f"client{number}"]
        return next((place for place in places if place.exists()), places[0])

    # Starting processes -----------------------------------------------------------------------

    def mpirun(self, hosts: Sequence[int], *words: object) -> None:
        """Run a contender's ranks, each on its host, to the end."""
        if self.lab:
            start = self.lab.mpirun(hosts)
        else:
            oversubscribe = ["--oversubscribe"] if flavour() == "openmpi" else []
            start = [str(find_mpirun()), *oversubscribe, "-np", str(len(hosts))]
        command = [*start, sys.executable, "-m", "tests.bench.metered", str(self.results)]
        with (self.folder / "said").open("w+b") as said, ExitStack() as stack:
            session = SessionFolder()
            stack.enter_context(session)
            job = subprocess.Popen(
                [*command, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env=_environment() | session.environment,
            )
            stack.callback(_end, job)
            try:
                if self._are_loaded(len(hosts), job):
                    self.prepare_memory()
                    (self.results / "go").touch()
                code = job.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                code = -1
            if code:
                said.seek(0)
                what = "hung" if code < 0 else f"exit code {code}"
                raise RaceError(f"{words[0]}: {what}\n{said.read().decode(errors='replace')}")

    def _are_loaded(self, ranks: int, job: subprocess.Popen[bytes]) -> bool:
        """Wait until all ranks are; False where their job ended before."""
        deadline = time.monotonic() + TIMEOUT
        while job.poll() is None and len(list(self.results.glob("loaded*"))) < ranks:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(job.args, TIMEOUT)
            time.sleep(0.01)
        return job.poll() is None

    def times(self) -> float:
        """Seconds from the last rank's start to the last timed receiver's end."""
        stamps = {int(f.stem[5:]): json.loads(f.read_bytes()) for f in self.results.glob("times*")}
        began = min(stamp["began"] for stamp in stamps.values())
        return float(max(stamps[number]["finished"] for number in self.case.timed) - began)


def _environment() -> dict[str, str]:
    more = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return os.environ | more


def _end(job: subprocess.Popen[bytes]) -> None:
    if job.poll() is None:
        job.terminate()
        with suppress(subprocess.TimeoutExpired):
            job.wait(5)
    job.kill()
    job.wait()


def _touch_memory(file: Path, size: int) -> None:
    """Have so much memory at hand for the page cache: pages of a file without data, which nobody writes."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = min(size, free * 3 // 4)
    buffer = bytearray(TOUCHED)
    with open(file, "w+b", buffering=0) as sparse:
        sparse.truncate(size)
        while sparse.readinto(buffer):
            pass
        sparse.truncate(0)


def _digest(path: Path) -> bytes:
    # Memory-mapped and on all cores: there may be gigabytes to compare.
    return blake3(max_threads=blake3.AUTO).update_mmap(path).digest()


# The contenders -------------------------------------------------------------------------------


def swarm(ground: Ground) -> float:
    """This project."""
    case = ground.case
    scenario, report_file = ground.folder / "scenario.toml", ground.results / "report.json"
    owners = [(ground.root(number), ("**/*",)) for number, names in enumerate(case.owns) if names]
    wants: list[tuple[str, ...]] = [("**/*",) if case.lacks(number) else () for number in range(case.clients)]
    scenario.write_text(client_tables(owners, wants))
    options = (scenario, "--out", ground.out, "--report", report_file, *ground.swarm_options)
    ground.mpirun([0, *range(case.clients)], "swarm", *options)
    for number in range(case.clients):
        # The others number clients from 0.
        with suppress(FileNotFoundError):
            (ground.out / f"client{number + 1}").rename(ground.out / f"client{number}")
    report: dict[str, Any] = json.loads(report_file.read_bytes())
    broken = [rule["rule"] for rule in report["conformance"] if rule["holds"] is False]
    if broken:
        raise RaceError(f"swarm: breaks {broken}")
    return float(max(report["clients"][number]["finished_at_s"] for number in case.timed))


def _plan(ground: Ground, topology: str, segment: int) -> Path:
    """Every file in as many ranges as it has owners."""
    case, parts = ground.case, []
    for name, size in case.files.items():
        owners = [number for number, names in enumerate(case.owns) if name in names]
        wanters = [number for number in range(case.clients) if number not in owners]
        for place, owner in enumerate(owners):
            start, stop = (size * at // len(owners) // segment * segment for at in (place, place + 1))
            stop = size if place + 1 == len(owners) else stop
            path = str(ground.root(owner) / name)
            part = {"name": name, "path": path, "start": start, "stop": stop, "owner": owner}
            parts.append({**part, "wanters": wanters})
    plan = {"topology": topology, "segment": segment, "parts": parts}
    places = {"out": str(ground.out), "results": str(ground.results)}
    file = ground.folder / "plan.json"
    file.write_text(json.dumps({**plan, **places}))
    return file


def _segment(case: Case) -> int:
    return min(max(SHORTEST, segment_length_for(max(case.files.values()))), LONGEST)


def _relay(topology: str) -> Callable[[Ground], float]:
    def run(ground: Ground) -> float:
        plan = _plan(ground, topology, _segment(ground.case))
        ground.mpirun(range(ground.case.clients), "relay", plan)
        return ground.times()

    return run


def bcast(ground: Ground) -> float:
    """A loop over MPI_Bcast."""
    ground.mpirun(range(ground.case.clients), "bcast", _plan(ground, "", BCAST_SEGMENT))
    return ground.times()


def libtorrent(ground: Ground) -> float:
    """A swarm of libtorrent clients."""
    from tests.bench.contenders.torrent import make_torrent

    case = ground.case
    torrent, plan_file = ground.folder / "data.torrent", ground.folder / "plan.json"
    if not torrent.exists():
        make_torrent(ground.folder / "all" / "data", torrent, _segment(case))
    seeds = [number for number in range(case.clients) if not case.lacks(number)]
    folders = [
        ground.root(n).parent if n in seeds else ground.out / f"client{n}" for n in range(case.clients)
    ]
    for number, names in enumerate(case.owns):
        if names and number not in seeds:
            link_below(folders[number] / "data", ground.folder / "all" / "data", names)
    peers = [(address(n), 6881) if ground.lab else ("127.0.0.1", _free_port()) for n in range(case.clients)]
    words = {"torrent": str(torrent), "peers": peers, "folders": [str(f) for f in folders], "seeds": seeds}
    plan_file.write_text(json.dumps({**words, "results": str(ground.results)}))
    with ExitStack() as stack:
        jobs = []
        for number in range(case.clients):
            inside = ground.lab.inside(number) if ground.lab else []
            command = [sys.executable, "-m", "tests.bench.contenders.torrent", str(plan_file), str(number)]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            jobs.append(subprocess.Popen([*inside, *command], **pipes, cwd=REPOSITORY))
            stack.callback(_end, jobs[-1])
        _hear(jobs, b"ready\n")
        ground.prepare_memory()
        for job in jobs:
            assert job.stdin is not None
            job.stdin.write(b"go\n")
            job.stdin.flush()
        _hear(jobs, b"finished\n")
        for job in jobs:
            assert job.stdin is not None
            job.stdin.close()
        for job in jobs:
            job.wait(30)
    return ground.times()


def _hear(jobs: Sequence[subprocess.Popen[bytes]], word: bytes) -> None:
    for job in jobs:
        assert job.stdout is not None
        said = job.stdout.readline()
        if said != word:
            raise RaceError(f"libtorrent: said {said!r} instead of {word!r}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def cp(ground: Ground) -> float:
    """As many copies at once as there are receivers, of one owner's folder, on one machine."""
    places = [ground.out / f"client{number}" for number in ground.case.receivers]
    ground.prepare_memory()
    began, before = time.monotonic(), os.times()
    jobs = [subprocess.Popen(["cp", "-r", str(ground.root(0)), str(place)]) for place in places]
    codes = [job.wait(TIMEOUT) for job in jobs]
    seconds, after = time.monotonic() - began, os.times()
    if any(codes):
        raise RaceError(f"cp: exit codes {codes}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    (ground.results / "usage-1.json").write_text(json.dumps({"cpu": used, "peak": 0}))
    return seconds


CONTENDERS: dict[str, Callable[[Ground], float]] = {
    "swarm": swarm,
    "chain": _relay("chain"),
    "bcast": bcast,
    "star": _relay("star"),
    "libtorrent": libtorrent,
    "cp": cp,
}
