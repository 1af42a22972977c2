"""Law 1: the same seed and the same stimuli give the same effects. Never iterate over a set of str."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given

from mpi_core.protocol.codec import to_lines
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.swarm.machine import Effects, Machine
from mpi_core.swarm.store import SegmentStore
from tests.helpers.schedules import Schedule, schedules
from tests.helpers.virtual import Recorded

ROOT = Path(__file__).parent.parent


def replayed(machine: Machine, recorded: Recorded, store: SegmentStore | None) -> Effects:
    """What a fresh machine makes of what another one was given."""
    effects = machine.start(0.0)
    for now, words, delivery in recorded.stimuli:
        if store is not None:
            store.load, store.sending = words
        try:
            effects += machine.wake(now) if delivery is None else machine.receive(now, *delivery)
        except RemoteProtocolError:
            continue
    return effects


@given(schedules())
def test_a_machine_makes_the_same_of_the_same_stimuli(schedule: Schedule) -> None:
    swarm = schedule.swarm().run()
    machines = swarm.fresh_machines()
    # An uploader reads what its downloader writes: the store is part of its stimuli, so it is left out here.
    # Of what an uploader writes, a downloader reads two words.
    for key, recorded in swarm.recorded.items():
        if key[1] != "uploader" and swarm.faults.dead_at.get(key[0]) != 0.0:
            assert replayed(machines[key], recorded, swarm.stores.get(key[0])) == recorded.effects


@given(schedules())
def test_a_swarm_with_the_same_seed_is_the_same_swarm(schedule: Schedule) -> None:
    first, second = schedule.swarm().run(), schedule.swarm().run()
    assert first.story == second.story
    assert to_lines(first.journal) == to_lines(second.journal)


TWELVE_SWARMS = """
import sys
from hypothesis import given, seed, settings
from mpi_core.protocol.codec import to_lines
from mpi_core.swarm.config import SwarmConfig
from tests.helpers.virtual import Faults, Plan, VirtualSwarm, declared

files = [declared(name, 9) for name in ("alpha", "beta", "gamma/1", "gamma/2")]
names = [file.name for file in files]
plans = [Plan(files[:2]), Plan(files[2:], names[:2]), Plan(wants=[*names, "ghost"])]
plans.append(Plan(patterns=["gamma", "a*"]))
for number in range(12):
    config = SwarmConfig(strategy=("swarm", "classic")[number % 2], swarm_cap=2 + number)
    faults = Faults(corrupt={2: 0.3}, dead_at={1: 0.01 * number} if number > 6 else {})
    sys.stdout.buffer.write(to_lines(VirtualSwarm(plans, config, number, faults).run().journal))
"""


def transcript(hash_seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", TWELVE_SWARMS], env=environment, capture_output=True, timeout=60
    )
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def test_no_hash_seed_changes_a_run() -> None:
    first = transcript("1")
    assert first.count(b"SegmentStored") > 300
    assert transcript("4242") == first
