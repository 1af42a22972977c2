"""``python -m tui_torrent check JOURNAL``: the trace checker alone, on any journal."""

from __future__ import annotations

from collections.abc import Callable

from mpi_core.runtime.journal import read_journal
from tui_torrent.view.conformance import Conformance
from tui_torrent.view.report import tally

MARKS = {True: "ok  ", False: "FAIL", None: "?   "}


def run_check(path: str, write: Callable[[str], object]) -> int:
    """Print the first event that breaks a rule, if any, then a line for each rule.

    Returns the exit code: 0 where no rule is broken, else 1. Raises ScenarioError (exit code 2)
    where the journal cannot be read. Rules that the journal cannot show to hold are marked ``?``.
    """
    checker = Conformance()
    journal = read_journal(path)
    for stamped in journal:
        checker.see(stamped)
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
