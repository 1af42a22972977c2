"""A big folder of real files: ``python -m tests.bench.files``.

As the project promises it: 300 files of 0 B to 64 MiB, two owners that share some of them both, six more
clients that want all; every byte equal, modes kept. It makes some 8 GB in a temporary folder, unless told
to make less.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.helpers.mpirun import find_mpirun, flavour, missing, started
from tests.helpers.trees import Tree, client_tables, grow, link_below, wrong_files

MODES = (0o644, 0o644, 0o755, 0o600, 0o400)


def draw_tree(random: Random, files: int, largest: int) -> Tree:
    """Sizes evenly spread over their magnitudes, an empty file and one of the largest size among them."""
    sizes = [0, largest]
    sizes += [int(2 ** random.uniform(0, largest.bit_length() - 1)) for _ in range(files - len(sizes))]
    folders = ["", "a/", "a/b/", "with blanks/", "ünï/", "deep/er/and/deeper/"]
    return {
        f"{random.choice(folders)}file {at:03}.bin": (size, random.choice(MODES))
        for at, size in enumerate(sizes)
    }


def resident(pids: list[int]) -> int:
    """The most memory that one of these processes ever held, in bytes."""
    peaks = []
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        peaks += [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks, default=0)


def run(options: argparse.Namespace, folder: Path) -> int:
    random = Random(options.seed)
    tree = draw_tree(random, options.files, int(options.largest * 1024 * 1024))
    total = sum(size for size, _ in tree.values())
    need = total * (1 + options.clients)
    free = shutil.disk_usage(folder).free
    if need > 0.9 * free:
        print(f"needs {need / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free", file=sys.stderr)
        return 2
    everything = grow(folder / "all", tree, random)
    names = sorted(tree)
    both = set(random.sample(names, len(names) // 5))
    first = set(random.sample(names, len(names) // 2))
    roots = (
        link_below(folder / "a", everything, first | both),
        link_below(folder / "b", everything, set(names) - first | both),
    )
    scenario = folder / "scenario.toml"
    wants: list[tuple[str, ...]] = [(), (), *[("**/*",)] * options.clients]
    scenario.write_text(client_tables([(root, ("**/*",)) for root in roots], wants))
    out, report_file = folder / "out", folder / "report.json"
    words = (
        "--out",
        out,
        "--report",
        report_file,
        "--digest",
        options.digest,
        "--strategy",
        options.strategy,
    )
    os.sync()
    peak = 0
    with started(3 + options.clients, scenario, *words) as job:
        while job.process.poll() is None:
            peak = max(peak, resident(list(job.ranks().values())))
            time.sleep(0.2)
        done = job.wait(1)
    wrong = [
        f"client {rank}: {line}"
        for rank in range(3, 3 + options.clients)
        for line in wrong_files(out / f"client{rank}", everything, set(names))
    ]
    report = json.loads(report_file.read_bytes()) if report_file.exists() else None
    if report is not None:
        wrong += [f"{f['rule']}: {f['detail']}" for f in report["conformance"] if f["holds"] is not True]
    for line in wrong[:20]:
        print(line)
    moved = total * options.clients
    print(
        f"{find_mpirun()} ({flavour()}), {options.strategy}, {options.digest}: {len(tree)} files, "
        f"{total / 2**20:.0f} MiB, 2 owners, {options.clients} clients: "
        f"{'all bytes and modes right' if not wrong else f'{len(wrong)} wrong'}, exit code {done.code}, "
        f"{done.seconds:.1f} s, {moved / 2**20 / done.seconds:.0f} MiB/s in all, "
        f"at most {peak / 2**20:.0f} MiB resident in a rank"
    )
    if report is not None:
        rejects = sum(client["rejects_sent"] for client in report["clients"])
        print(f"fairness {report['fairness']}, rejects {rejects}, {len(report['conformance'])} rules")
    if wrong or done.code:
        print(done)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--largest", type=float, default=64, help="MiB")
    parser.add_argument("--clients", type=int, default=6, help="that want all, beside the two owners")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digest", choices=("blake3", "sha256"), default="blake3")
    parser.add_argument("--strategy", choices=("swarm", "classic"), default="swarm")
    parser.add_argument(
        "--in", dest="where", type=Path, help="a folder for all this (default: a temporary one)"
    )
    options = parser.parse_args()
    if missing():
        print(missing(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(dir=options.where) as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
