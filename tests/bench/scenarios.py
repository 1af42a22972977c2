"""Many random scenarios, and the figures that the project promises.

By hand: ``python -m tests.bench.scenarios --runs 100``.

Three parts: so many generated scenarios, and how many of them ran right; the time of a run with 7 ranks,
mpirun's own start-up included; and who serves how much where one seed feeds 8 downloaders.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from tests.helpers.generated import Generated, generate, one_seed, wrong_outputs
from tests.helpers.mpirun import Run, find_mpirun, flavour, missing, started

STRATEGIES = ("swarm", "classic")


def run(
    scenario: Generated, folder: Path, strategy: str, seed: int
) -> tuple[Run | None, list[str], dict[str, Any]]:
    """One run of a scenario: None where it hung, what is wrong with it, and its report."""
    out, report_file = folder / "out", folder / "report.json"
    where = scenario.write(folder / "in")
    options = ("--out", out, "--report", report_file, "--strategy", strategy, "--seed", seed)
    with started(scenario.clients + 1, where, *options) as job:
        try:
            done = job.wait(60)
        except BaseException as problem:  # pytest's failures are no Exception
            if isinstance(problem, KeyboardInterrupt):
                raise
            return None, [str(problem)], {}
    wrong = wrong_outputs(out, scenario.outputs)
    if done.code != scenario.exit_code:
        wrong.append(f"exit code {done.code}, expected {scenario.exit_code}")
    try:
        report = json.loads(report_file.read_bytes())
    except (OSError, ValueError) as error:
        return done, [*wrong, f"no report: {error}"], {}
    wrong += [f"{f['rule']}: {f['detail']}" for f in report["conformance"] if f["holds"] is not True]
    said = {
        (client["rank"], file["name"])
        for client in report["clients"]
        for file in client["files"]
        if file["unavailable"]
    }
    if said != scenario.unavailable:
        wrong.append(f"unavailable: said {sorted(said)}, expected {sorted(scenario.unavailable)}")
    if wrong:
        wrong.append(str(done))
    return done, wrong, report


def many(runs: int, first_seed: int, strategies: tuple[str, ...]) -> int:
    """So many random scenarios; how many were wrong."""
    bad = 0
    times: list[float] = []
    for number in range(first_seed, first_seed + runs):
        strategy = strategies[number % len(strategies)]
        scenario = generate(Random(number))
        with tempfile.TemporaryDirectory() as folder:
            done, wrong, _ = run(scenario, Path(folder), strategy, number)
        if wrong:
            bad += 1
            print(f"seed {number}, {strategy}, {scenario.clients} clients:", *wrong, sep="\n    ", flush=True)
        if done is not None:
            times.append(done.seconds)
    if times:
        print(
            f"{runs - bad} of {runs} right ({', '.join(strategies)}); "
            f"seconds: median {median(times):.2f}, longest {max(times):.2f}"
        )
    return bad


def seven_ranks(runs: int, strategy: str) -> None:
    """The time of a run with 7 ranks."""
    times: list[float] = []
    moved: list[int] = []
    for number in range(runs):
        scenario = generate(Random(1000 + number), clients=6)
        with tempfile.TemporaryDirectory() as folder:
            done, wrong, _ = run(scenario, Path(folder), strategy, number)
        assert done is not None, wrong
        times.append(done.seconds)
        moved.append(scenario.transfers)
    slow = times.index(max(times))
    print(
        f"7 ranks, {strategy}: median {median(times):.2f} s, longest {times[slow]:.2f} s "
        f"({moved[slow]} transfers; median {median(moved):.0f}), {runs} runs"
    )


def one_to_eight(runs: int, strategy: str) -> None:
    """Who serves how much where one seed has what 8 want."""
    scenario = one_seed(Random(1))
    rows = []
    for number in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            done, wrong, report = run(scenario, Path(folder), strategy, number)
        assert done is not None, wrong
        fairness = report["fairness"]
        rejects = sum(client["rejects_sent"] for client in report["clients"])
        messages = sum(report["tracker"]["messages"].values())
        rows.append((fairness["origin_share"], fairness["jain"], rejects, done.seconds, messages))
    share, jain, rejects, seconds, messages = (median(column) for column in zip(*rows, strict=True))
    worst_share, worst_jain = max(row[0] for row in rows), min(row[1] for row in rows)
    print(
        f"one seed, 8 downloaders, 100 segments, {strategy}: seed share {100 * share:.1f} % "
        f"(worst {100 * worst_share:.1f} %), Jain {jain:.3f} (worst {worst_jain:.3f}), rejects {rejects:g}, "
        f"{seconds:.2f} s, tracker's messages {messages:g}; medians of {runs} runs"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="generated scenarios (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--strategy", choices=STRATEGIES, help="default: in turn")
    parser.add_argument("--timed", type=int, default=15, help="runs behind each median (%(default)s)")
    options = parser.parse_args()
    if missing():
        print(missing(), file=sys.stderr)
        return 2
    print(f"{find_mpirun()} ({flavour()})")
    strategies = (options.strategy,) if options.strategy else STRATEGIES
    bad = many(options.runs, options.first_seed, strategies)
    for strategy in strategies if options.timed else ():
        seven_ranks(options.timed, strategy)
    for strategy in strategies if options.timed else ():
        one_to_eight(options.timed, strategy)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
