"""Compose a client's rank: its plan, its store, a download and an upload thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace as replaced

from mpi_core.protocol import events as ev
from mpi_core.protocol.digest import Algorithm, segment_hasher
from mpi_core.protocol.entries import OwnTree
from mpi_core.protocol.errors import OwnTrouble, ScenarioError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Abort, Alive, Failed, Lost, Stop, Tag
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.protocol.units import Rank
from mpi_core.runtime.awake import Awake
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.declared import DeclaredFiles
from mpi_core.runtime.disk import HashingStopped, missing_folders, remove_folders
from mpi_core.runtime.driver import Driver
from mpi_core.runtime.files import RealFiles
from mpi_core.runtime.outputs import check_output, refuse_inputs, refuse_results
from mpi_core.runtime.reporter import Reporter
from mpi_core.runtime.transport import Endpoint
from mpi_core.swarm.bystander import Bystander
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Machine
from mpi_core.swarm.overheard import Overheard
from mpi_core.swarm.store import SegmentStore
from mpi_core.swarm.uploader import Uploader
from tui_torrent.config import Options
from tui_torrent.crew import Crew
from tui_torrent.scenario import ClientPlan, Scenario

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import MpiEndpoint, World

#: How often hashing is told to the observer, and to the tracker, which would else think the client lost.
HASHING_TOLD = 0.5
ALIVE_TOLD = 5.0


def run_client(
    world: World, roles: Roles, options: Options, scenario: Scenario | None, problem: str | None
) -> int:
    """A client's part of the run; its exit code."""
    clock = Clock()
    reporter = Reporter(world.rank, clock)
    downloads, uploads = world.endpoint("downloader"), world.endpoint("uploader")
    tell = world.sender(roles.observer, Tag.STATUS)
    if scenario is not None and problem is None:
        _load(scenario, world.rank, options.digest)
    # Looked at before the ranks meet: from then on, any of them may make it.
    made = missing_folders(str(options.out)) if options.out else []
    clock.start(world.meet())
    reporter.tell(ev.RankPlaced(world.host, world.clock.error))
    backing: RealFiles | DeclaredFiles | None = None
    try:
        machines: dict[str, Machine]
        try:
            if problem or scenario is None:
                raise ScenarioError(problem or "no scenario")
            shares = _Shares(downloads, clock, reporter, options.tells_every_message(scenario.declared))
            plan = shares.found(scenario, world.rank, options.out or scenario.default_out)
            outputs = {"--report": options.report, "--journal": options.journal}
            refuse_inputs(outputs, (share.path for share in plan.shares))
            if plan.out is None:
                # A folder of the user's choice may hold what they like.
                refuse_results(outputs, _results(world.rank, options, scenario))
            trouble = _trouble(world.rank, options, scenario, plan, made)
            backing = _backing(world.rank, options, scenario, plan)
            owned, unreadable = shares.hashed(plan, options)
            tree = OwnTree(plan.found.entries, plan.found.twins, unreadable)
            machines = _machines(world, roles, options, scenario, plan, owned, tree, backing, trouble)
        except (OwnTrouble, OSError) as error:
            machines = {"download": Bystander(Rank(world.rank), Failed(str(error), serves=False))}
        except ScenarioError as error:
            machines = {"download": Bystander(Rank(world.rank), Abort(2, str(error)))}
        except HashingStopped:
            machines = {}
        overheard = scenario is not None and options.tells_every_message(scenario.declared)
        endpoints = {"download": downloads, "upload": uploads}
        crew = _crew(world.rank, machines, endpoints, clock, reporter, overheard)
        with crew:
            crew.report(reporter, tell)
    finally:
        if backing is not None:
            backing.close(remove_partial=True)
        remove_folders(made)
        if scenario is not None:
            scenario.cleanup()
    machine = machines.get("download")
    own = machine.exit_code if isinstance(machine, (Downloader, Bystander)) else 1
    return max(crew.exit_code, own)


def _load(scenario: Scenario, rank: int, digest: Algorithm) -> None:
    """Load what this client will need while the others are still coming, and nothing else."""
    if not scenario.declared:
        segment_hasher(digest)
    if scenario.shares(rank):
        from mpi_core.runtime import hashing  # noqa: F401
        from tui_torrent.scenario import shares  # noqa: F401


def _crew(
    rank: Rank,
    machines: Mapping[str, Machine],
    endpoints: Mapping[str, Endpoint],
    clock: Clock,
    reporter: Reporter,
    overheard: bool,
) -> Crew:
    # The uploader tells the downloader when it was asked last.
    awake = Awake(clock.now)
    drivers = {
        name: Driver(
            rank,
            machine,
            endpoints[name],
            clock,
            reporter.tell,
            overheard=Overheard() if overheard else None,
            awake=awake,
        )
        for name, machine in machines.items()
    }

    def failed(driver: Driver) -> None:
        # The tracker's STOP ends the download thread, and that the upload thread; if it is the
        # download thread that failed, there is nobody to hear the STOP.
        if driver is drivers["download"]:
            crew.abandon()

    crew = Crew(drivers, failed)
    return crew


def _results(rank: int, options: Options, scenario: Scenario) -> str:
    """How the paths of all begin that this client writes."""
    out = os.path.realpath(options.out or scenario.default_out)
    return (
        os.path.join(out, f"client{rank}_") if scenario.declared else os.path.join(out, f"client{rank}", "")
    )


def _trouble(
    rank: int, options: Options, scenario: Scenario, plan: ClientPlan, made: list[str]
) -> str | None:
    """Why this client cannot write where its files go, or None; the folders that were not there are added to
    ``made``."""
    out = options.out or scenario.default_out
    place = out / plan.out if plan.out is not None else out
    if plan.out is not None:
        made += missing_folders(str(place))
    try:
        check_output(place)
    except ScenarioError as error:
        return str(error)
    for name in plan.wants:
        # What patterns want is known when the tracker has matched them, and the run has begun.
        path = os.path.join(out, f"client{rank}{'_' if scenario.declared else '/'}{name}")
        if os.path.isdir(path) and not os.path.islink(path):
            return f"--out {str(out)!r}: expected {path!r} to be a file or missing, found a folder"
    return None


def _backing(rank: int, options: Options, scenario: Scenario, plan: ClientPlan) -> RealFiles | DeclaredFiles:
    """Where this client's files go."""
    out = options.out or scenario.default_out
    if scenario.declared:
        return DeclaredFiles(out, rank)
    return RealFiles(out / (plan.out or f"client{rank}"), {share.name: share.path for share in plan.shares})


def _machines(
    world: World,
    roles: Roles,
    options: Options,
    scenario: Scenario,
    plan: ClientPlan,
    owned: tuple[Manifest, ...],
    tree: OwnTree,
    backing: RealFiles | DeclaredFiles,
    trouble: str | None,
) -> dict[str, Machine]:
    config = options.swarm_config(scenario.rate)
    if plan.rate is not None:
        config = replace(config, rate=min(plan.rate, config.rate or plan.rate))
    store = SegmentStore(backing)
    for manifest in owned:
        store.add_owned(manifest)
    rng = Random(f"{options.seed}/{world.rank}")
    beside = frozenset[Rank]() if options.over_mpi else world.beside
    me, clients = roles.clients[world.rank - 1], roles.client_count
    return {
        "download": Downloader(me, clients, store, plan.wants, config, rng, plan.patterns, tree, trouble),
        "upload": Uploader(me, clients, store, config, beside),
    }


class _Shares:
    """Finds and hashes a client's shares, and tells that it lives and how far it is. Raises HashingStopped
    where the run was aborted meanwhile."""

    def __init__(
        self, endpoint: MpiEndpoint, clock: Clock, reporter: Reporter, every_message: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._every_message = every_message
        self._clock = clock
        self._reporter = reporter
        self._total = self._done = 0
        self._told_at = self._alive_at = 0.0

    def found(self, scenario: Scenario, rank: int, out: Path) -> ClientPlan:
        """The plan of that client; folders of millions of files take their time."""
        if not scenario.shares(rank):
            return scenario.client(rank, out)
        from concurrent.futures import Future, wait

        plan = Future[ClientPlan]()

        def walk() -> None:
            try:
                plan.set_result(scenario.client(rank, out))
            except BaseException as error:
                plan.set_exception(error)

        # A daemon, which nobody waits for where the run is over.
        threading.Thread(target=walk, name="walk", daemon=True).start()
        while not wait([plan], timeout=HASHING_TOLD).done:
            if self._stopped():
                raise HashingStopped
        return plan.result()

    def hashed(self, plan: ClientPlan, options: Options) -> tuple[tuple[Manifest, ...], int]:
        """What the client owns; and how much it could not read, which is told."""
        if not plan.shares and not plan.found.unreadable and not plan.found.untravelled:
            return plan.declared, 0
        from mpi_core.runtime.hashing import HashJob, Unhashed, hash_files

        # The bytes of one file are read once, however many names it has.
        first_of = {name: names[0] for names in plan.found.twins for name in names}
        shares = [share for share in plan.shares if first_of.get(share.name, share.name) == share.name]
        self._total = sum(share.size for share in shares)
        jobs = [HashJob(share.name, share.path, share.size) for share in shares]
        results = hash_files(jobs, options.digest, plan.segment_length, self._progress, self._stopped)
        of = {result.name: result for result in results}
        owned: list[Manifest] = []
        unread = list(plan.found.unreadable)
        for share in plan.shares:
            result = of[first_of.get(share.name, share.name)]
            if isinstance(result, Unhashed):
                unread.append((share.name, result.reason))
            else:
                owned.append(result if result.name == share.name else replaced(result, name=share.name))
        self._tell("untravelled", plan.found.untravelled)
        self._tell("unreadable", sorted(unread))
        return tuple(owned), len(unread)

    def _tell(self, what: ev.Loss, files: Sequence[tuple[str, str]]) -> None:
        if files:
            self._reporter.tell(ev.NotKept(what, tuple(files[: ev.LOSSES_LISTED]), len(files)))

    def _progress(self, size: int) -> None:
        self._done += size
        now = self._clock.now()
        if now >= self._told_at + HASHING_TOLD:
            self._told_at = now
            self._reporter.tell(ev.ShareHashed(self._done, self._total))

    def _stopped(self) -> bool:
        self._tell_alive()
        delivery = self._endpoint.receive(0.0)
        word = delivery[1] if delivery is not None else None
        return isinstance(word, Stop) or (isinstance(word, Lost) and word.rank == TRACKER)

    def _tell_alive(self) -> None:
        now = self._clock.now()
        if now >= self._alive_at + ALIVE_TOLD:
            self._alive_at = now
            if self._every_message:
                self._reporter.tell(ev.MessageSent("ALIVE", TRACKER), now)
            self._endpoint.send(TRACKER, Alive())
