"""A swarm in one process whose clients have real folders: walked, hashed, and written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from mpi_core.protocol import events as ev
from mpi_core.protocol.entries import OwnTree
from mpi_core.protocol.roles import TRACKER
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.files import RealFiles
from mpi_core.runtime.reporter import Reporter
from mpi_core.runtime.transport import LocalNetwork
from mpi_core.sim.simulation import Key
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Machine
from mpi_core.swarm.store import SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.virtual import Plan, VirtualSwarm
from tui_torrent.client import _Shares
from tui_torrent.config import Options
from tui_torrent.scenario.plan import ClientPlan
from tui_torrent.scenario.shares import all_shares


class Grove(VirtualSwarm):
    """A swarm whose clients have real folders: each shares what it says of its root, and has an ``out``."""

    def __init__(
        self,
        folder: Path,
        shares: Sequence[tuple[Path, Sequence[str]] | None],
        wants: Sequence[Sequence[str]],
    ) -> None:
        self._folder = folder
        self._shares = shares
        self.files: list[RealFiles] = []
        #: What clients told before their INIT.
        self.told: list[ev.Event] = []
        super().__init__([Plan(patterns=patterns) for patterns in wants], SwarmConfig(bundle_from=8))

    def out(self, rank: int) -> Path:
        return self._folder / f"client{rank}"

    def fresh_machines(self) -> dict[Key, Machine]:
        clients = len(self.plans)
        self.tracker = Tracker(clients, self.config, Random(0))
        machines: dict[Key, Machine] = {(TRACKER, "tracker"): self.tracker}
        for rank, plan in self.plans.items():
            shared = self._shares[rank - 1] if rank <= len(self._shares) else None
            found = ClientPlan(found=all_shares(str(shared[0]), shared[1])) if shared else ClientPlan()
            reporter = Reporter(rank, Clock())
            shares = _Shares(LocalNetwork().endpoint(rank, "downloader"), Clock(), reporter)  # type: ignore[arg-type]
            owned, unreadable = shares.hashed(found, Options())
            reporter.drain(lambda batch: self.told.extend(stamped.event for stamped in batch))
            files = RealFiles(self.out(rank), {share.name: share.path for share in found.shares})
            self.files.append(files)
            store = self.stores[rank] = SegmentStore(files)
            for manifest in owned:
                store.add_owned(manifest)
            tree = OwnTree(found.found.entries, found.found.twins, unreadable)
            machines[rank, "downloader"] = Downloader(
                rank, clients, store, plan.wants, self.config, Random(rank), plan.patterns, tree
            )
            machines[rank, "uploader"] = Uploader(rank, clients, store, self.config)
        return machines

    def end(self) -> VirtualSwarm:
        for files in self.files:
            files.close(remove_partial=True)
        return super().end()

    def losses(self, rank: int) -> list[ev.NotKept]:
        return [event for event in self.events(ev.NotKept, rank) if isinstance(event, ev.NotKept)]


def moved(folder: Path, tree: Path, want: Sequence[str] = ("**/*",)) -> Grove:
    """Client 1 has shared ``tree``; client 2 has what it wants of it."""
    grove = Grove(folder, [(tree, ["**/*"])], [(), want])
    grove.run()
    return grove
