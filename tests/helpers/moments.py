"""Ten journals of runs of 4 to 1,000 clients, ten moments of each, and what is shown read as numbers.

A moment has what ``recount`` counted from the journal's lines, and the view of the same events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.manifest import Manifest
from mpi_core.runtime.journal import JournalWriter
from mpi_core.runtime.outputs import open_outputs
from tests.helpers.recount import Line, Run, read
from tests.helpers.recount_limit import finish as finish_of
from tests.helpers.runs import File, scripted
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared
from tui_torrent.config import SimulateOptions
from tui_torrent.headless import JsonLines, PlainLines
from tui_torrent.simulate import run_simulate
from tui_torrent.tui.panels.lines import Line as ScreenLine
from tui_torrent.tui.panels.lines import plain
from tui_torrent.view.swarm_view import SwarmView

DEMO = Path(__file__).parents[2] / "demo" / "journals"
MOMENTS = 10


# Ten journals ------------------------------------------------------------------------------------


def simulated(path: Path, **options: Any) -> None:
    choices = SimulateOptions(journal=path, interpreted=True, **options)
    run_simulate(choices, open_outputs({"--journal": path}, []), lambda text: None)


def virtual(
    path: Path, swarm: VirtualSwarm, change: Callable[[ev.Event], ev.Event] = lambda event: event
) -> None:
    """A run of the machines over links, its events changed by ``change``."""
    with JournalWriter(path) as writer:
        writer.append([msgspec.structs.replace(s, event=change(s.event)) for s in swarm.run().journal])


def hashes(name: str, segments: int) -> Manifest:
    """A declared file as the classic scenario has it: 32 characters a hash."""
    return Manifest.declared(name, tuple(f"{name}-{at}".ljust(32, "0") for at in range(segments)))


def classic(path: Path) -> None:
    files = [hashes("file1", 60), hashes("file2", 25), hashes("file3", 1)]
    names = [file.name for file in files]
    plans = [Plan(files[:2], ("file3",)), Plan((), names), Plan(files[1:], ("file1", "nobody has it"))]
    plans += [Plan((), names[:2]), Plan((), names)]
    virtual(path, VirtualSwarm(plans, seed=3, faults=Faults(links=[(20_000.0, 20_000.0)] * 6)))


def corrupting(path: Path) -> None:
    plans = [Plan((declared("a", 80),)), Plan((declared("b", 40),), ("a",)), *[Plan((), ("a", "b"))] * 3]
    faults = Faults(
        links=[(40_000.0, 40_000.0)] * 6, corrupt={2: 1.0, 4: 0.2}, dead_at={5: 4.0}, noticed_at={5: 6.0}
    )
    virtual(path, VirtualSwarm(plans, seed=5, faults=faults))


def bundled(path: Path) -> None:
    """Real files: one is a bundle of small ones, which its owner learns of with its INIT_ACK."""
    large, small = declared("large", 50), declared("bundle", 30)
    members = tuple(tuple(f"small/{at}-{which}" for which in range(1 + at % 3)) for at in range(30))

    def change(event: ev.Event) -> ev.Event:
        if isinstance(event, ev.FileRegistered):
            event = msgspec.structs.replace(event, algorithm="blake3")
            return msgspec.structs.replace(event, members=members if event.file == "bundle" else ())
        if isinstance(event, ev.InitSent):
            return ev.InitSent(tuple(owned for owned in event.owned if owned.file != "bundle"))
        if isinstance(event, ev.InitAckReceived) and not event.wanted:
            return ev.InitAckReceived((), (ev.OwnedFile("bundle", 30),))
        return event

    plans = [Plan((large, small)), *[Plan((), ("large", "bundle"))] * 3]
    virtual(path, VirtualSwarm(plans, seed=7, faults=Faults(links=[(30_000.0, 30_000.0)] * 5)), change)


def thousand(path: Path) -> None:
    """A script: a thousand simulated machines take too long for a test."""
    file = File("model.bin", 3, (1, 2), (3, 4, 5, 6))
    with JournalWriter(path) as writer:
        writer.append(scripted(1000, [file], corrupt_every=50, reject_every=37, lost=17))


JOURNALS: dict[str, Callable[[Path], None] | Path] = {
    "demo": DEMO / "demo.jsonl.zst",
    "slow": DEMO / "slow.jsonl.zst",
    "corrupting": DEMO / "corrupting.jsonl.zst",
    "flash-crowd": DEMO / "flash-crowd.jsonl.zst",
    "classic": classic,
    "spoiled-and-dead": corrupting,
    "bundles": bundled,
    "simulated-4": lambda path: simulated(path, clients=3, segments=40, rate=1e6),
    "simulated-slow-60": lambda path: simulated(
        path, clients=59, segments=24, rate=2e6, slow=0.1, corrupt=0.05, dead=0.05, arrivals="poisson"
    ),
    "1000-clients": thousand,
}


@dataclass(frozen=True)
class Moment:
    """A run up to a moment: what was counted, and the view of the same events."""

    name: str
    run: Run
    view: SwarmView
    lines: list[str]
    progress: list[Line]

    @property
    def now(self) -> float:
        return self.run.now


def moments_of(name: str, folder: Path) -> list[Moment]:
    """Ten moments of a run, the last one its end; a journal that is made is made in ``folder``."""
    made = JOURNALS[name]
    path = made if isinstance(made, Path) else folder / f"{name}.jsonl"
    if not isinstance(made, Path):
        made(path)
    lines = read(path)
    events = msgspec.convert(lines, list[Stamped])
    end = max(line["t"] for line in lines)
    found = []
    for at in range(1, MOMENTS + 1):
        now = end * at / MOMENTS
        view = SwarmView()
        for stamped in events:
            if stamped.t <= now:
                view.apply(stamped)
        plain: list[str] = []
        told: list[str] = []
        PlainLines(plain.append).update(view, now)
        JsonLines(told.append).update(view, now)
        found.append(Moment(name, Run(lines, now), view, plain, [json.loads(line) for line in told]))
    return found


# What is shown, as numbers -------------------------------------------------------------------------

UNITS = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "k": 1e3, "M": 1e6, "": 1.0}


def near(shown: str, exact: float) -> bool:
    """Whether a number such as ``4.2 MB``, ``12.3k`` or ``45 %`` is that one, within its last digit."""
    match = re.fullmatch(r"(<?)(\d+(?:\.(\d+))?)\s*([kMG]?B?)(?:/s| segments/s| %| s)?", shown.strip())
    assert match is not None, shown
    unit = UNITS[match[4]]
    if match[1]:
        return 0 < exact < float(match[2]) * unit
    last = unit * 10.0 ** -len(match[3] or "")
    return abs(float(match[2]) * unit - exact) <= last * (1 + 1e-6)


def seconds_of(shown: str) -> tuple[float, float]:
    """A time such as ``4.2 s``, ``1:23.4`` or ``1 h 02``, and how much its last digit stands for."""
    if match := re.fullmatch(r"(\d+)(\.\d)? s", shown):
        return float(match[1] + (match[2] or "")), 0.1 if match[2] else 1.0
    if match := re.fullmatch(r"(\d+) h (\d\d)", shown):
        return 3600.0 * int(match[1]) + 60.0 * int(match[2]), 60.0
    *hours, minutes, seconds = shown.split(":")
    return 3600.0 * int(hours[0] if hours else 0) + 60.0 * int(minutes) + float(
        seconds
    ), 0.1 if "." in seconds else 1.0


def is_time(shown: str, exact: float) -> bool:
    value, last = seconds_of(shown.strip())
    return abs(value - exact) <= last * (1 + 1e-6)


def equal(shown: float | None, exact: float | None) -> bool:
    if shown is None or exact is None:
        return shown is exact
    return abs(shown - exact) <= 2e-6 + 1e-9 * abs(exact)


def lines_of(lines: list[ScreenLine]) -> list[str]:
    return plain(lines).splitlines()


def is_pace(shown: str, exact: float) -> bool:
    return exact == 0 if shown == "–" else near(shown, exact)


def is_count(shown: str, exact: int) -> bool:
    return exact == 0 if shown == "–" else exact >= 1000 if shown == "1k+" else int(shown) == exact


def assert_amount(shown: str, part: int, whole: int) -> None:
    """``42 of 92 MB``, or ``119 of 264 segments``."""
    some, _, rest = shown.partition(" of ")
    number, unit = rest.split(" ")
    if unit.startswith("segment"):
        assert (int(some), int(number)) == (part, whole)
    else:
        assert near(f"{some} {unit}", part)
        assert near(f"{number} {unit}", whole)


def mean(run: Run) -> float:
    finish = finish_of(run)
    assert finish is not None
    amount = run.sum("received_bytes" if run.real else "received")
    return amount / (finish[0] - (run.began or 0.0))
