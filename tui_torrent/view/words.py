"""How numbers of things, and ranks, are told in every sentence."""

from __future__ import annotations

from collections.abc import Iterable

from mpi_core.protocol.roles import TRACKER


def counted(number: int, noun: str) -> str:
    """``1 segment``, ``5 segments``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def who(rank: int) -> str:
    return "tracker" if rank == TRACKER else f"client {rank}"


def some(ranks: Iterable[int]) -> str:
    """``client 5``, ``clients 5 and 6``, ``clients 5, 6, 7 and 12 more``."""
    known = sorted(ranks)
    if len(known) == 1:
        return f"client {known[0]}"
    if len(known) > 4:
        return f"clients {', '.join(map(str, known[:3]))} and {len(known) - 3} more"
    return f"clients {', '.join(map(str, known[:-1]))} and {known[-1]}"
