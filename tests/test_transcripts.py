"""Golden transcripts: the whole dialogue of small swarms, under ``tests/transcripts``. A change in one is to
be reviewed like code. To write them anew after a change that was meant:

    TRANSCRIPTS=write pytest tests/test_transcripts.py && git diff tests/transcripts
"""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path
from random import Random

import pytest

from mpi_core.protocol import messages as msg
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.dialogue import dialogue
from tests.helpers.schedules import broken_rules
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared

FOLDER = Path(__file__).parent / "transcripts"


def steady(rng: Random, sender: Rank, to: Rank, message: msg.Message) -> float:
    """A payload takes 2 ms, everything else one."""
    return 0.002 if isinstance(message, msg.SendSegment) else 0.001


def faults(**choices: object) -> Faults:
    return Faults(delay=steady, sent_after=lambda rng: 1.0, **choices)  # type: ignore[arg-type]


def classic() -> VirtualSwarm:
    """One seed and two leechers, one of which wants a second file as well."""
    files = [declared("file1", 12), declared("file2", 3)]
    plans = [Plan(files), Plan(wants=["file1"]), Plan(wants=["file2", "file1"])]
    return VirtualSwarm(plans, SwarmConfig(strategy="classic"), faults=faults())


def swarm() -> VirtualSwarm:
    """One seed, three leechers: first copies are shared out, rarest first."""
    plans = [Plan([declared("file1", 9)]), *(Plan(wants=["file1"]) for _ in range(3))]
    return VirtualSwarm(plans, SwarmConfig(window=2), faults=faults())


def corrupt() -> VirtualSwarm:
    """Two seeds, the second of which spoils all that it sends; a leecher by name and one by pattern."""
    file = declared("file1", 8)
    plans = [Plan([file]), Plan([file]), Plan(wants=["file1"]), Plan(patterns=["file*"])]
    return VirtualSwarm(plans, SwarmConfig(window=3), faults=faults(corrupt={2: 1.0}))


def unavailable() -> VirtualSwarm:
    """A file that nobody owns, one whose owner dies halfway, and one that is to be had."""
    plans = [
        Plan([declared("file1", 2)]),
        Plan([declared("dying", 4)]),
        Plan(wants=["ghost", "dying", "file1"]),
        Plan(wants=["dying"], patterns=["none/*"]),
    ]
    config = SwarmConfig(strategy="classic", give_up_after=4.0, refresh_interval=4.0)
    return VirtualSwarm(plans, config, faults=faults(dead_at={2: 0.012}, noticed_at={2: 8.0}))


def busy() -> VirtualSwarm:
    """A seed with one slot and room for one in its queue, at 5 bytes a second: rejects and pendings."""
    file = declared("file1", 4)
    plans = [Plan([file]), Plan(wants=["file1"]), Plan(wants=["file1"]), Plan(wants=["file1"])]
    config = SwarmConfig(window=1, slots=1, max_queue=1, rate=5.0, request_timeout=2.0, refresh_interval=5.0)
    return VirtualSwarm(plans, config, faults=faults())


@pytest.mark.parametrize(
    "scene", [classic, swarm, corrupt, unavailable, busy], ids=lambda scene: scene.__name__
)
def test_the_dialogue_is_the_one_that_was_reviewed(scene: object) -> None:
    run = scene().run()  # type: ignore[operator]
    assert not broken_rules(run.journal)
    title = f"# {scene.__doc__}\n\n"
    path = FOLDER / f"{scene.__name__}.txt"  # type: ignore[attr-defined]
    found = title + dialogue(run)
    if os.environ.get("TRANSCRIPTS") == "write":
        path.write_text(found, encoding="utf-8")
    reviewed = path.read_text(encoding="utf-8") if path.exists() else ""
    changes = unified_diff(reviewed.splitlines(), found.splitlines(), "reviewed", "found", lineterm="")
    assert found == reviewed, "\n".join(["the dialogue has changed:", *changes])
