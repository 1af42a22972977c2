"""The side-by-side table: ``python -m tests.bench [--case wan8] [--rounds 3] [--markdown]``.

Contenders take turns, so that what else the machine does meets them all alike; each figure is the median of
its rounds. What a case lacks here (root, libtorrent, …) is said in one line and left out.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from tests.bench import netlab, warn_of_load
from tests.bench.cases import CASES, MIB, Case
from tests.bench.race import CONTENDERS, Ground, RaceError, Result
from tests.helpers import mpirun

TITLES = {
    "swarm": "tui_torrent",
    "chain": "pipelined chain",
    "bcast": "MPI_Bcast, 8 MiB messages",
    "star": "each from the seed",
    "libtorrent": "libtorrent",
    "cp": "`cp -r` in parallel",
}

HEAD = ("", "last client", "÷ bound", "seeds sent ÷ F", "all sent ÷ N·F", "CPU", "client's peak")


def row(case: Case, contender: str, results: list[Result]) -> tuple[str, ...]:
    """The medians of a contender's rounds, as text; a dash where there is no such figure."""

    def figure(values: list[float | None], scale: float, form: str) -> str:
        known = [value for value in values if value is not None]
        return format(median(known) / scale, form) if known else "–"

    seconds: list[float | None] = [result.seconds for result in results]
    return (
        TITLES[contender],
        figure(seconds, 1, ".2f") + " s",
        figure(seconds, case.bound, ".2f") if case.bound else "–",
        figure([r.seeds_sent for r in results], case.size, ".2f"),
        figure([r.all_sent for r in results], case.demand, ".3f"),
        figure([r.cpu for r in results], 1, ".1f") + " s",
        figure([r.peak or None for r in results], MIB, ".0f") + " MiB" if results[0].peak else "–",
    )


def print_table(case: Case, results: dict[str, list[Result]], markdown: bool) -> None:
    rows = [row(case, contender, found) for contender, found in results.items() if found]
    bound = f" (bound {case.bound:.2f} s)" if case.bound else ""
    if markdown:
        print(f"**{case.name}**: {case.title}{bound}\n")
        lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows]
        print("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n", flush=True)
        return
    print(f"{case.name}: {case.title}{bound}")
    widths = [max(len(line[at]) for line in (HEAD, *rows)) for at in range(len(HEAD))]
    for line in (HEAD, *rows):
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells))
    print(flush=True)


def race(case: Case, contenders: list[str], options: argparse.Namespace) -> bool:
    """Run a case and print its table; whether all went well."""
    results: dict[str, list[Result]] = {contender: [] for contender in contenders}
    failed = False
    with (
        tempfile.TemporaryDirectory(dir=options.where) as folder,
        Ground(case, Path(folder), shlex.split(options.swarm), options.cold) as ground,
    ):
        for number in range(options.rounds):
            for contender in contenders:
                try:
                    result = ground.run(contender)
                except RaceError as error:
                    print(error, file=sys.stderr, flush=True)
                    failed = True
                    continue
                results[contender].append(result)
                said = f"{case.name} round {number + 1}: {contender} {result.seconds:.2f} s"
                print(said, file=sys.stderr, flush=True)
                if options.keep and contender == "swarm":
                    kept = options.keep / f"{case.name}-{number}.report.json"
                    options.keep.mkdir(parents=True, exist_ok=True)
                    kept.write_bytes((ground.results / "report.json").read_bytes())
    print_table(case, results, options.markdown)
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="default: all")
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="default: all of the case")
    parser.add_argument("--rounds", type=int, default=3, help="behind each median (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="as in the README")
    parser.add_argument("--swarm", default="", help="more options for tui_torrent, as one word")
    parser.add_argument("--keep", type=Path, help="a folder for the swarm's reports")
    parser.add_argument("--in", dest="where", type=Path, help="a folder for the files (default: temporary)")
    parser.add_argument("--cold", action="store_true", help="with memory that nobody has touched lately")
    options = parser.parse_args()
    if mpirun.missing():
        print(mpirun.missing(), file=sys.stderr)
        return 2
    warn_of_load()
    well = True
    for name in options.case or CASES:
        case = CASES[name]
        if case.mbit is not None and netlab.missing():
            print(f"{name} skipped: {netlab.missing()}", file=sys.stderr)
            continue
        contenders = [c for c in case.contenders if not options.only or c in options.only]
        if "libtorrent" in contenders and find_spec("libtorrent") is None:
            print("libtorrent left out: pip install -e '.[bench]'", file=sys.stderr)
            contenders.remove("libtorrent")
        well = race(case, contenders, options) and well
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
