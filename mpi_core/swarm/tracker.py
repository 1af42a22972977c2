"""Who is in which swarm, never who holds which segment: the machine on rank 0.

Steps: gather every client's INIT, check that the owners agree, answer all with INIT_ACK; gather their first
SWARM_REQUESTs too, for a moment, so that a crowd that comes at once is told of all its members and not each
of those before it; then answer SWARM_REQUESTs with what changed since the asker's last; list who sends
FILE_COMPLETE as a seed; and when every client that lives has sent ALL_COMPLETE or FAILED, tell each to STOP.
An ABORT from anyone stops everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.messages import Bundled
from mpi_core.protocol.patterns import match_names
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.swarm.bundles import group
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.forest import Forest, Part
from mpi_core.swarm.machine import Effects, Emit, Halt, Send
from mpi_core.swarm.registry import Registry


@dataclass
class Member:
    """What the tracker knows of one client."""

    rank: Rank
    init: msg.Init | None = None
    #: The names of its first SWARM_REQUEST.
    names: tuple[str, ...] = ()
    #: Where in ``names`` each of them stands that somebody owns.
    places: dict[str, int] = field(default_factory=dict)
    #: The number of the last change it was told of, and of the last loss.
    told: int = 0
    told_lost: int = 0
    heard_at: float = 0.0
    done: bool = False
    #: It takes no part, and no INIT will come.
    absent: bool = False
    lost: bool = False


class Tracker:
    """The tracker's machine."""

    def __init__(self, clients: int, config: SwarmConfig, rng: Random, problem: str | None = None) -> None:
        self._config = config
        #: Why the run cannot begin (bad input seen on the tracker's own rank), in one line.
        self._problem = problem
        self._members = {Rank(rank): Member(Rank(rank)) for rank in range(1, clients + 1)}
        self._registry = Registry(rng, config.swarm_cap)
        self._forest = Forest()
        #: Ranks in the order in which they were lost.
        self._losses: list[Rank] = []
        #: Clients that are not lost and still owe their INIT, and those that still owe ALL_COMPLETE.
        self._uninitialised = clients
        self._undone = clients
        #: Clients that have sent nothing since their INIT_ACK; whose first SWARM_REQUEST waits for theirs,
        #: and until when; None: no longer.
        self._unheard: set[Rank] = set()
        self._gathered: list[Member] = []
        self._gather_until: float | None = None
        #: When to look for silent clients next.
        self._check_at = config.client_timeout
        self._acked = False
        self._halted = False
        self._effects: Effects = []
        #: 0, or the exit code of the ABORT that ended the run; 1 where something could not be had.
        self.exit_code = 0
        self._handlers: dict[type, Callable[[float, Member, Any], None]] = {
            msg.Init: self._on_init,
            msg.SwarmRequest: self._on_swarm_request,
            msg.FileComplete: self._on_file_complete,
            msg.AllComplete: self._on_all_complete,
            msg.Failed: self._on_failed,
            msg.Alive: self._on_alive,
        }

    # The machine ------------------------------------------------------------------------------

    def start(self, now: float) -> Effects:
        for member in self._members.values():
            member.heard_at = now
        self._check_at = now + self._config.client_timeout
        if self._problem:
            self._abort(TRACKER, 2, self._problem)
        return self._go_on(now)

    @property
    def wake_at(self) -> float | None:
        if self._gather_until is not None and self._gathered:
            return min(self._check_at, self._gather_until)
        return self._check_at

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        if self._halted:
            raise RemoteProtocolError(f"{type(message).__name__} after STOP")
        if isinstance(message, msg.Abort):
            return self._on_abort(sender, message)
        if isinstance(message, msg.Lost):
            if sender != TRACKER:
                raise RemoteProtocolError(f"rank {sender} says that {message.rank} is lost")
            if message.rank not in self._members:
                return []  # The monitor's.
            self._lose(self._members[message.rank], message.reason)
            return self._go_on(now)
        member = self._members.get(sender)
        handler = self._handlers.get(type(message))
        if member is None or handler is None:
            raise RemoteProtocolError(f"{type(message).__name__} from rank {sender} to the tracker")
        handler(now, member, message)
        self._unheard.discard(member.rank)
        member.heard_at = now
        return self._go_on(now)

    def wake(self, now: float) -> Effects:
        timeout = self._config.client_timeout
        if now >= self._check_at:
            for member in self._members.values():
                if self._awaits(member) and now >= member.heard_at + timeout:
                    self._lose(member, f"silent for {timeout:g} s")
            self._check_at = timeout + min(
                (member.heard_at for member in self._members.values() if self._awaits(member)), default=now
            )
        return self._go_on(now)

    def _awaits(self, member: Member) -> bool:
        """Whether that client is to speak next; one that has sent its INIT waits for us."""
        if not self._acked:
            return not member.lost and member.init is None and not member.absent
        return not member.done and not member.lost

    def _go_on(self, now: float) -> Effects:
        if not self._acked and not self._uninitialised and not self._halted:
            self._acked = True
            for member in self._members.values():
                member.heard_at = now
            self._all_in([member for member in self._members.values() if member.init])
            self._gather_until = now + self._config.gather_for
        if self._gather_until is not None and (not self._unheard or now >= self._gather_until):
            self._answer_gathered()
        if self._acked and not self._halted and not self._undone:
            self._stop(aborted=False)
        effects, self._effects = self._effects, []
        return effects

    def _send(self, to: Rank, message: msg.Message) -> None:
        self._effects.append(Send(to, message))

    def _emit(self, event: ev.Event) -> None:
        self._effects.append(Emit(event))

    # Steps ------------------------------------------------------------------------------------

    def _on_init(self, now: float, member: Member, message: msg.Init) -> None:
        if member.init is not None or member.absent or self._acked:
            raise RemoteProtocolError(f"a second INIT from rank {member.rank}, or a late one")
        if len({manifest.name for manifest in message.owned}) != len(message.owned):
            raise RemoteProtocolError(f"rank {member.rank} owns one name twice")
        if message.unreadable:
            self.exit_code = max(self.exit_code, 1)
        member.init = message
        self._uninitialised -= not member.lost
        self._emit(ev.InitReceived(member.rank, len(message.owned)))

    def _all_in(self, living: list[Member]) -> None:
        """Every INIT is in: join what the owners brought, in the order of their ranks."""
        problem = self._joined(living)
        if problem:
            self._abort(*problem)
            return
        filled = self._registry.fill()
        matched = self._matched(living)
        bundles = self._bundle(living, matched)
        for file in self._registry.files.values():
            m = file.manifest
            digests = tuple(m.digest_text(digest) for digest in m.digests)
            members = tuple(tuple(member.name for member in segment) for segment in m.members)
            self._emit(ev.FileRegistered(m.name, m.payload_size, m.segments, m.algorithm, digests, members))
        bundle_of = {name: bundled.name for bundled in bundles for name in bundled.members}
        for member in living:
            assert member.init is not None
            for name in dict.fromkeys(bundle_of.get(m.name, m.name) for m in member.init.owned):
                self._enlist(member, name, "seed")
        #: Clients may be thousands; those that want the same are told the same.
        told: dict[tuple[tuple[str, ...], ...], tuple[tuple[tuple[str, ...], ...], Part]] = {}
        for member in living:
            assert member.init is not None
            wants = member.init.patterns, member.init.names
            if wants not in told:
                told[wants] = self._told(*wants, matched, bundle_of)
            names, part = told[wants]
            owned = tuple(b for b in bundles if member.rank in self._registry.files[b.name].roles)
            self._unheard.add(member.rank)
            whole = tuple(m.name for m in member.init.owned if m.name in filled) if filled else ()
            self._send(member.rank, msg.InitAck(names, owned, part.entries, part.twins, whole))
            self._emit(ev.InitAckSent(member.rank))

    def _joined(self, living: list[Member]) -> tuple[Rank, Literal[2, 3], str] | None:
        """Take in what the owners brought: who is to blame, an exit code and why, where it does not fit."""
        owner_of: dict[str, Rank] = {}
        for member in living:
            assert member.init is not None
            for manifest in member.init.owned:
                problem = self._registry.register(member.rank, manifest)
                if problem:
                    return member.rank, 2, problem
                owner_of.setdefault(manifest.name, member.rank)
            problem = self._forest.register(member.rank, member.init, owner_of)
            if problem:
                return member.rank, 2, problem
        problem = self._forest.clash(owner_of)
        return (TRACKER, 2, problem) if problem else None

    def _told(
        self,
        patterns: Sequence[str],
        named: Sequence[str],
        matched: Mapping[str, Sequence[str]],
        bundle_of: Mapping[str, str],
    ) -> tuple[tuple[tuple[str, ...], ...], Part]:
        """What clients that want these patterns and names are told: for each pattern the files that it means,
        a bundle instead of its members; and what belongs to all of them."""
        wanted = (name for pattern in patterns for name in matched[pattern])
        part = self._forest.part_of(patterns, wanted, named)
        links, linked = self._forest.links, part.linked
        names = tuple(
            tuple(
                dict.fromkeys(
                    bundle_of.get(name, name)
                    for name in matched[pattern]
                    if name not in links and name not in linked
                )
            )
            for pattern in patterns
        )
        return names, part

    def _matched(self, living: list[Member]) -> dict[str, tuple[str, ...]]:
        """For each pattern of a client, the names of files and links that it matches."""
        names = sorted((*self._registry.files, *self._forest.links))
        patterns = (pattern for member in living if member.init for pattern in member.init.patterns)
        return {pattern: match_names(pattern, names) for pattern in dict.fromkeys(patterns)}

    def _bundle(self, living: list[Member], matched: Mapping[str, Sequence[str]]) -> list[Bundled]:
        """Put small files together; the registry has the bundles in their place from then on."""
        manifests = [file.manifest for file in self._registry.files.values()]
        inits = {member.rank: member.init for member in living if member.init}
        twins = self._forest.second_twins
        bundles = group(manifests, inits, matched, self._config.bundle_from, twins)
        for bundled in bundles:
            self._registry.bundle(bundled)
        return bundles

    def _enlist(self, member: Member, name: str, role: msg.SwarmRole) -> None:
        if self._registry.enlist(member.rank, name, role):
            self._emit(ev.SwarmListed(member.rank, name, role))

    def _on_swarm_request(self, now: float, member: Member, message: msg.SwarmRequest) -> None:
        if not self._acked:
            raise RemoteProtocolError(f"SWARM_REQUEST from rank {member.rank} before its INIT_ACK")
        if message.names and member.names:
            raise RemoteProtocolError(f"rank {member.rank} names its files a second time")
        if message.names:
            member.names = tuple(dict.fromkeys(message.names))
            for place, name in enumerate(member.names):
                if name in self._registry.files:
                    member.places[name] = place
                    self._enlist(member, name, "peer")
            self._gathered.append(member)
            if self._gather_until is None:
                self._answer_gathered()
        else:
            unfinished = Bitfield.from_bytes(len(member.names), message.unfinished)
            lacking = Bitfield(len(member.names))
            if message.lacking:
                lacking = Bitfield.from_bytes(len(member.names), message.lacking)
            self._answer_update(member, unfinished, lacking)

    def _answer_gathered(self) -> None:
        """Answer the first SWARM_REQUESTs that wait, and from now on each at once."""
        self._gather_until = None
        gathered, self._gathered = self._gathered, []
        for member in gathered:
            unknown = tuple(name for name in member.names if name not in member.places)
            swarms = [self._registry.swarm(name, member.rank, 0) for name in member.places]
            manifests = tuple(self._registry.files[name].manifest for name in member.places)
            self._respond(member, len(member.names), manifests, swarms, unknown)

    def _answer_update(self, member: Member, unfinished: Bitfield, lacking: Bitfield) -> None:
        asked = unfinished.minus(lacking)

        def is_asked(name: str) -> bool:
            place = member.places.get(name)
            return place is not None and asked.has(place)

        every = (name for name, place in member.places.items() if asked.has(place))
        changed = self._registry.changed_files(member.told, is_asked, every)
        swarms = [self._registry.swarm(name, member.rank, member.told) for name in changed]
        again = (member.names[place] for place in lacking)
        swarms += [self._registry.anew(name, member.rank) for name in again if name in member.places]
        self._respond(member, len(unfinished), (), swarms, ())

    def _respond(
        self,
        member: Member,
        asked: int,
        manifests: tuple[Manifest, ...],
        swarms: list[msg.Swarm | None],
        unknown: tuple[str, ...],
    ) -> None:
        changed = tuple(swarm for swarm in swarms if swarm is not None)
        lost = tuple(self._losses[member.told_lost :])
        member.told, member.told_lost = self._registry.now, len(self._losses)
        self._send(member.rank, msg.SwarmResponse(manifests, changed, unknown, lost))
        named = sum(len(swarm.members) for swarm in changed)
        self._emit(ev.SwarmServed(member.rank, asked, len(manifests), named))

    def _on_file_complete(self, now: float, member: Member, message: msg.FileComplete) -> None:
        file = self._registry.files.get(message.name)
        if file is None or file.roles.get(member.rank) != "peer":
            raise RemoteProtocolError(f"FILE_COMPLETE from rank {member.rank}, no peer of {message.name!r}")
        self._emit(ev.FileCompleteReceived(member.rank, message.name))
        self._enlist(member, message.name, "seed")

    def _on_all_complete(self, now: float, member: Member, message: msg.AllComplete) -> None:
        if not self._acked or member.done:
            raise RemoteProtocolError(f"ALL_COMPLETE from rank {member.rank}, which is not downloading")
        member.done = True
        self._undone -= not member.lost
        if message.unavailable:
            self.exit_code = max(self.exit_code, 1)
        self._emit(ev.AllCompleteReceived(member.rank))

    def _on_failed(self, now: float, member: Member, message: msg.Failed) -> None:
        """A client fetches nothing more, or takes no part at all; the others go on."""
        if member.done:
            raise RemoteProtocolError(f"FAILED from rank {member.rank}, which is done")
        self._emit(ev.ClientFailed(member.rank, message.reason))
        if self._config.strict:
            self._abort(member.rank, 2, message.reason)
            return
        if not member.lost:
            self._undone -= 1
            self._uninitialised -= member.init is None and not message.serves
        member.done, member.absent = True, not message.serves
        self.exit_code = max(self.exit_code, 1)

    def _on_alive(self, now: float, member: Member, message: msg.Alive) -> None:
        """A client that hashes its shares shows that it lives; ``receive`` has noted the time."""

    def _lose(self, member: Member, reason: str) -> None:
        if member.lost:
            return
        member.lost = True
        self._unheard.discard(member.rank)
        self._uninitialised -= member.init is None and not member.absent
        if not member.done:
            self._undone -= 1
            self.exit_code = max(self.exit_code, 1)
        self._losses.append(member.rank)
        self._registry.dismiss(member.rank)
        self._emit(ev.ClientLost(member.rank, reason))

    def _on_abort(self, sender: Rank, message: msg.Abort) -> Effects:
        self._abort(sender, message.code, message.reason)
        effects, self._effects = self._effects, []
        return effects

    def _abort(self, culprit: Rank, code: int, reason: str) -> None:
        self.exit_code = code
        self._emit(ev.RunAborted(culprit, code, reason))
        self._stop(aborted=True)

    def _stop(self, aborted: bool) -> None:
        self._halted = True
        for member in self._members.values():
            self._send(member.rank, msg.Stop(aborted))
            self._emit(ev.StopSent(member.rank))
        self._effects.append(Halt())
