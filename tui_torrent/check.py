"""``python -m tui_torrent check JOURNAL``: the trace checker alone, on any journal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from mpi_core.protocol.errors import ScenarioError
from mpi_core.runtime.journal import JournalReader, read_journal
from mpi_core.swarm.config import SwarmConfig
from tui_torrent.scenario import Scenario, open_scenario
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.expected import Expected, ExpectedClient
from tui_torrent.view.report import tally

MARKS = {True: "ok  ", False: "FAIL", None: "?   "}

#: The path that stands for standard input.
STDIN = "-"


def run_check(path: str, write: Callable[[str], object], scenario: str | None = None) -> int:
    """Print the first event that breaks a rule, if any, then a line for each rule.

    Returns the exit code: 0 where no rule is broken, else 1. Raises ScenarioError (exit code 2) where the
    journal or the ``scenario`` cannot be read. Rules that the journal cannot show to hold are marked ``?``.
    """
    checker = Conformance(None if scenario is None else expected_of(open_scenario(scenario, 0)))
    journal = _opened(path)
    for stamped in journal:
        checker.see(stamped, journal.line)
    first = checker.first_violation()
    if first is not None:
        write(f"First violation: {first.detail} Rule: {first.rule}.\n")
    if journal.torn:
        write(f"Line {journal.line + 1} is torn and was left out: the run was interrupted.\n")
    findings = checker.result()
    for finding in findings:
        write(f"{MARKS[finding.holds]} {finding.rule}: {finding.detail}\n")
    write(f"{tally(findings)}\n")
    return 0 if first is None else 1


def _opened(path: str) -> JournalReader:
    if path != STDIN:
        return read_journal(path)
    stdin = getattr(sys.stdin, "buffer", None)
    if not isinstance(stdin, io.BufferedReader):
        raise ScenarioError("<stdin>: cannot read the journal: it is closed")
    return JournalReader("<stdin>", stdin)


def expected_of(scenario: Scenario) -> Expected:
    """What a scenario says of its run; raises ScenarioError. No client's disk is read."""
    ranks = range(1, scenario.client_count + 1)
    every = SwarmConfig.swarm_update
    if not scenario.declared:
        from tui_torrent.scenario.toml import TomlScenario

        assert isinstance(scenario, TomlScenario)
        words = map(scenario.words, ranks)
        clients = (ExpectedClient(None, want, share, by_pattern=True) for share, want in words)
        return Expected(tuple(clients), every)
    digests: dict[str, tuple[str, ...]] = {}
    declared = []
    for plan in map(scenario.client, ranks):
        owns = {m.name: tuple(map(m.digest_text, m.digests)) for m in plan.declared}
        for name, hashes in owns.items():
            digests.setdefault(name, hashes)
        declared.append(ExpectedClient(owns, plan.wants))
    return Expected(tuple(declared), every, digests)
