"""Measurements, run by hand: ``python -m tests.bench`` (side by side), ``tests.bench.scenarios`` and more."""
