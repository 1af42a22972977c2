"""Measurements, run by hand: ``python -m tests.bench`` (side by side), ``tests.bench.scenarios`` and more."""

from __future__ import annotations

import os
import sys


def warn_of_load() -> None:
    """Say on stderr that the machine is at work already, if it is."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        print(f"{cores} cores have a load of {load:.1f} already: expect longer times", file=sys.stderr)
