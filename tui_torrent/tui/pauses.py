"""Collecting garbage must not keep a key waiting.

A large swarm's view is hundreds of thousands of objects that live as long as the monitor: to look through
all of them took 130 ms and more, at a moment of Python's choice (256 clients × 4096 segments).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def short_pauses() -> Iterator[None]:
    """Within it, what has outlived one full collection is not looked at by the next ones."""

    def collected(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)
        gc.unfreeze()
