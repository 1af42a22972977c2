"""Distribute files from within an MPI program: one call, which all ranks of a communicator make.

Rank 0 of the communicator is the tracker; the others share, want, or both. It is the same run as that of the
command line, without its lines, and MPI is as it was afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from mpi_core.protocol.errors import MpiError, OwnTrouble, TorrentError
from mpi_core.protocol.patterns import pattern_problem
from mpi_core.protocol.roles import TRACKER, Roles
from mpi_core.swarm.config import Strategy, SwarmConfig
from tui_torrent.client import run_client
from tui_torrent.config import JournalLevel, Options
from tui_torrent.launch import AGREEMENT
from tui_torrent.scenario.plan import ClientPlan, Scenario, expanded
from tui_torrent.tracker import run_tracker
from tui_torrent.view.problems import problems, why_aborted
from tui_torrent.view.report import Report

if TYPE_CHECKING:
    from mpi_core.runtime.mpi import Intracomm

#: A path or a text, such as a call gives it.
Name = str | os.PathLike[str]


class DistributionError(TorrentError):
    """Not all that was wanted could be had, or the run could not go on; the same on every rank.

    ``str`` of it is a line for each problem. ``exit_code`` is the command line's: 1 where something could
    not be had, 2 for bad input or an output that cannot be written, 3 for an internal failure.
    """

    def __init__(self, exit_code: int, problem: str) -> None:
        super().__init__(problem)
        self.exit_code = exit_code


class _Call(Scenario):
    """What one rank's call says; of the others' it knows nothing."""

    description = "a call of distribute"

    def __init__(self, clients: int, root: str, share: tuple[str, ...], plan: ClientPlan) -> None:
        self.client_count = clients
        self._root = root
        self._share = share
        self._plan = plan

    def shares(self, rank: int) -> bool:
        return bool(self._share)

    def client(self, rank: int, out: Path | None = None) -> ClientPlan:
        from tui_torrent.scenario.shares import ShareError, all_shares

        if not self._share:
            return self._plan
        if not os.path.isdir(self._root):
            raise OwnTrouble(f"expected root to be a folder, found none at {self._root!r}")
        apart = {os.path.realpath(self._plan.out or ".")} if self._plan.patterns else ()
        try:
            return replace(self._plan, found=all_shares(self._root, self._share, apart))
        except ShareError as error:
            raise OwnTrouble(str(error)) from None


def distribute(
    comm: Intracomm | None = None,
    *,
    share: Name | Sequence[Name] = (),
    want: Name | Sequence[Name] = (),
    root: Name = ".",
    out: Name = ".",
    rate: float | None = None,
    strategy: Strategy = SwarmConfig.strategy,
    window: int | None = None,
    request_timeout: float = SwarmConfig.request_timeout,
    digest: Literal["blake3", "sha256"] = "blake3",
    over_mpi: bool = False,
    strict: bool = False,
    seed: int = 0,
    report: Name | None = None,
    journal: Name | None = None,
    journal_level: JournalLevel = "basic",
    serve: Literal["unix", "tcp"] | None = None,
) -> Report | None:
    """Let every rank of ``comm`` have what it wants of what any of them shares, below its folder ``out``.

    All ranks of ``comm`` (None: of the program) call it, and it returns when all have everything: the report
    on rank 0, None on the others. Rank 0 is the tracker: it shares and wants nothing. ``share`` names files,
    folders or patterns below ``root``; ``want`` names, folders or patterns of what anybody shares; a name in
    the swarm is the path below ``root``. Each rank has a folder ``out`` of its own on its host. ``rate``
    bounds what this rank uploads, in bytes a second. All other options are those of the command line; they
    are to be the same on all ranks, and ``report``, ``journal`` and ``serve`` count on rank 0.

    Raises DistributionError, on every rank, where not all that was wanted is there: what is there was
    verified, and stays. Raises MpiError where MPI has no MPI_THREAD_MULTIPLE, or ranks do not come to the
    end. No rank's signals, streams or threads are touched for longer than the call.
    """
    from mpi_core.runtime.mpi import World

    world = World.within(comm)
    roles = Roles(world.size, False)
    if roles.client_count < 1:
        world.close()
        raise DistributionError(2, f"expected at least 2 ranks, found {world.size}")
    options = Options(
        strategy=strategy,
        window=window,
        request_timeout=request_timeout,
        digest=digest,
        over_mpi=over_mpi,
        strict=strict,
        seed=seed,
        report=None if report is None else Path(report),
        journal=None if journal is None else Path(journal),
        journal_level=journal_level,
        serve=serve,
        out=Path(),
    )
    shares, wants = _names(share), _names(want)
    problem = _problem(world.rank, shares, wants, rate, options)
    paths = {"root": os.fspath(root), "out": os.fspath(out)}
    for key, path in paths.items():
        try:
            paths[key] = expanded(path)
        except ValueError as error:
            problem = problem or f"rank {world.rank}: expected {key} to be a path, found {path!r}: {error}"
    plan = ClientPlan(patterns=wants, rate=rate, out=paths["out"])
    scenario = _Call(roles.client_count, paths["root"], shares, plan)
    told: list[Report] = []
    try:
        if world.rank == TRACKER:
            code = run_tracker(world, roles, options, scenario, problem, told.append)
        else:
            code = run_client(world, roles, options, scenario, problem)
        agreed = world.agree(code, AGREEMENT)
    except BaseException:
        world.forsake()
        raise
    if agreed is None:
        world.forsake()
        raise MpiError(f"rank {world.rank}: the other ranks did not come to the end in {AGREEMENT:g} s")
    lines = world.tell_all("\n".join(_lines(told[0])) if told else "")
    world.close()
    if agreed:
        raise DistributionError(agreed, lines or ("a rank was lost" if world.lost else "an internal failure"))
    return told[0] if told else None


def _names(given: Name | Sequence[Name]) -> tuple[str, ...]:
    if isinstance(given, (str, os.PathLike)):
        given = (given,)
    return tuple(dict.fromkeys([os.fspath(name) for name in given]))


def _problem(
    rank: int, shares: Sequence[str], wants: Sequence[str], rate: float | None, options: Options
) -> str | None:
    """Why the run cannot begin with what this rank says, or None."""
    if rank == TRACKER and (shares or wants):
        return "rank 0 is the tracker: expected it to share and to want nothing"
    for name, value, holds, expected in (
        ("rate", rate, rate is None or rate >= 1, "bytes a second, from 1 on"),
        ("window", options.window, options.window is None or options.window >= 1, "from 1 on"),
        ("request_timeout", options.request_timeout, options.request_timeout > 0, "above 0"),
        ("strategy", options.strategy, options.strategy in get_args(Strategy), "swarm or classic"),
        ("digest", options.digest, options.digest in ("blake3", "sha256"), "blake3 or sha256"),
        (
            "journal_level",
            options.journal_level,
            options.journal_level in get_args(JournalLevel),
            "basic or all",
        ),
        ("serve", options.serve, options.serve in (None, "unix", "tcp"), "unix or tcp"),
    ):
        if not holds:
            return f"rank {rank}: expected {name} to be {expected}, found {value!r}"
    for key, entries in (("share", shares), ("want", wants)):
        for entry in entries:
            if fault := pattern_problem(entry):
                return f"rank {rank}: expected {key} to name files below root, found {fault}"
    return None


def _lines(report: Report) -> list[str]:
    return [why_aborted(report)] if report.aborted else problems(report)
