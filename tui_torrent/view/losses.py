"""What of a tree did not arrive as it is, in a sentence for each client and kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mpi_core.protocol.events import Loss


class Lost(Protocol):
    """A NotKept event, or what a report says of it."""

    @property
    def what(self) -> Loss: ...
    @property
    def files(self) -> Sequence[tuple[str, str]]: ...
    @property
    def count(self) -> int: ...


#: Names in one sentence.
NAMED = 10

#: What is missing at somebody: the run is not complete.
MISSING: frozenset[Loss] = frozenset(("unreadable", "unmade"))


def sentence(who: str, loss: Lost) -> str:
    """``client 1 on n0 cannot share 'a' (Permission denied), 'b' (…) and 3 more``."""
    named = [f"{name!r} ({why})" for name, why in loss.files[:NAMED]]
    rest = f" and {loss.count - len(named)} more" if loss.count > len(named) else ""
    names = ", ".join(named) + rest
    if loss.what == "untravelled":
        return f"{who} does not share what no swarm carries: {names}"
    if loss.what == "unreadable":
        return f"{who} cannot share {names}"
    if loss.what == "unmade":
        return f"{who} cannot make {names}"
    return f"{who}: its file system refuses to keep all as it is: {names}"
