"""Who holds what serves it; and what somebody alive holds is not given up. Both are judged at the end.

A request may go unanswered in a lawful run: STOP may overtake it, its asker may have got the segment
elsewhere, a process may be stopped for a while. So a client is blamed alone where it answered nobody at all
while it was at work, for far longer than any answer took. And a client may give a file up for its own
reasons: holders that it had cause to distrust do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mpi_core.protocol.units import Rank
from tui_torrent.view.client_trace import ClientTrace
from tui_torrent.view.ledger import Spot, clip
from tui_torrent.view.moves import Moves, Way
from tui_torrent.view.tracker_trace import Catalog, TrackerTrace
from tui_torrent.view.words import counted

#: So many requests have gone unanswered, or were refused as busy, where a client is blamed for it.
ENOUGH = 3
#: It is at work for at least so many seconds more, and so many times as long as the slowest answer took.
PATIENCE = (0.02, 4.0)
#: A peer's last segment of a file may not be known to others for so many seconds, and so much of the time
#: until they gave it up.
NEWS = (15.0, 0.5)


class Blame(NamedTuple):
    spot: Spot
    what: str


class Holders:
    """The clients that held something at a run's end."""

    def __init__(
        self,
        clients: Mapping[Rank, ClientTrace],
        tracker: TrackerTrace,
        moves: Moves,
        catalog: Catalog,
    ) -> None:
        self._clients = clients
        self._tracker = tracker
        self._moves = moves
        self._catalog = catalog

    def _is_alive(self, rank: Rank) -> bool:
        """Whether that client was there to the end, and its events tell all."""
        trace = self._clients.get(rank)
        return trace is not None and trace.told_all and rank not in self._tracker.gone

    # Serving -------------------------------------------------------------------------------------

    def mute(self) -> Iterator[Blame]:
        """Clients that never served what they held."""
        unanswered: dict[Rank, list[Spot]] = {}
        for way, count in self._moves.uneven.items():
            silent = count.first_asked is not None and not count.sent and not count.refused
            if silent and self._serves_nobody(way):
                assert count.first_asked is not None
                unanswered.setdefault(way.source, []).append(count.first_asked)
        patience = max(PATIENCE[0], PATIENCE[1] * self._moves.slowest)
        for source, spots in unanswered.items():
            if self._answered(source):
                continue
            asked = sorted(spots, key=lambda spot: spot.stamped.t)
            if (
                len(asked) >= ENOUGH
                and self._at_work_until(source, patience) > asked[ENOUGH - 1].stamped.t + patience
            ):
                first = min(spots, key=lambda spot: spot.line)
                what = f"client {source} is asked for what it holds, here and {len(spots) - 1} times more"
                yield Blame(first, f"{what}, and answers nobody")
        for (source, reason), number in self._moves.refused.items():
            if (
                reason == "busy"
                and number >= ENOUGH
                and self._is_alive(source)
                and not self._moves.sent[source]
            ):
                what = f"client {source} refuses {counted(number, 'request')} as busy, and sends nothing"
                yield Blame(self._moves.first_refused[source, reason], what)

    def _serves_nobody(self, way: Way) -> bool:
        """Whether that client is alive, has sent nothing, and holds what it is asked for there."""
        holding = self._moves.holdings.get(way.source)
        held = holding is not None and holding.has(way.file, way.segment)
        return held and not self._moves.sent[way.source] and self._is_alive(way.source)

    def _answered(self, source: Rank) -> bool:
        return any(rank == source for rank, _ in self._moves.refused)

    def _at_work_until(self, source: Rank, patience: float) -> float:
        """When that client last showed that it was not held up."""
        trace = self._clients[source]
        told = self._tracker.stops.get(source)
        if trace.stopped_at is not None and told is not None and trace.stopped_at <= told + patience:
            return max(trace.active_at, trace.stopped_at)
        return trace.active_at

    # Giving up -----------------------------------------------------------------------------------

    def given_up(self) -> Iterator[Blame]:
        """Files that were given up beside living clients who held all that was missing."""
        for rank, trace in self._clients.items():
            if trace.blind is None and rank not in self._tracker.gone:
                for file, spot in trace.unavailable.items():
                    holders = self._holders(trace, file, spot.stamped.t)
                    if holders:
                        named = " and ".join(f"client {holder}" for holder in holders[:3])
                        what = (
                            f"client {rank} gives {clip(file)} up, while {named} can send all that it lacks"
                        )
                        yield Blame(spot, what)

    def _holders(self, trace: ClientTrace, file: str, t: float) -> list[Rank]:
        """Living clients that could have sent all of a file that one of them lacked; [] where none could."""
        sources = [
            rank
            for rank in self._moves.listed.get(file, ())
            if rank != trace.rank
            and self._is_alive(rank)
            and not trace.distrusted & {(rank, file), (rank, "")}
        ]
        for rank in sources:
            if file in self._clients[rank].holding.owned:
                return [rank]
        segments = self._catalog.segments(file)
        known_by = t - min(NEWS[0], NEWS[1] * t)
        peers = {
            rank: got
            for rank in sources
            if (got := self._clients[rank].holding.got.get(file)) is not None
            and self._clients[rank].stored_at[file] <= known_by
        }
        if not peers or segments is None or segments > sum(got.count for got in peers.values()):
            return []
        here, needed = trace.holding.got.get(file), dict[Rank, None]()
        for index in range(segments):
            if here is None or index not in here:
                source = next((rank for rank, got in peers.items() if index in got), None)
                if source is None:
                    return []
                needed[source] = None
        return list(needed)
