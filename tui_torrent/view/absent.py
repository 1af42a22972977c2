"""What one client still misses of all its files: how much, and how much of that few or none hold."""

from __future__ import annotations

from typing import NamedTuple

from tui_torrent.view.swarm_view import ClientView, SwarmView


class Absent(NamedTuple):
    """Segments that a client wants and lacks."""

    missing: int = 0
    #: Of them, those that a single living client holds.
    rare: int = 0
    #: Of them, those that no living client holds.
    nobodys: int = 0


def absent(view: SwarmView, client: ClientView) -> Absent:
    """Of all files that the client wants."""
    missing = rare = nobodys = 0
    for name in client.fetches:
        if name in client.completed:
            continue
        file, held = view.files.get(name), client.held.get(name)
        if held is None:
            # Its manifest has not come: nothing of it is here.
            missing += file.segments if file is not None else 0
            continue
        lacks = held.count(0)
        missing += lacks
        owners = living_owners(view, name)
        if not lacks or owners > 1 or file is None or len(file.copies) != len(held):
            continue
        once = sum(1 for have, copies in zip(held, file.copies, strict=True) if not have and copies == 1)
        never = sum(1 for have, copies in zip(held, file.copies, strict=True) if not have and not copies)
        rare += never if owners else once
        nobodys += 0 if owners else never
    return Absent(missing, rare, nobodys)


def living_owners(view: SwarmView, name: str) -> int:
    """How many clients held the whole file from the start, and have not been given up."""
    file = view.files.get(name)
    return sum(not view.client_is_lost(rank) for rank in file.owners) if file is not None else 0
