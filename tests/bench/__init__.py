"""Measurements, run by hand: ``python -m tests.bench.scenarios``, ``python -m tests.bench.files``."""
