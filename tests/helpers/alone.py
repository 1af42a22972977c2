"""One machine, and a test that plays everybody else."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from random import Random
from typing import TypeVar

from mpi_core.protocol import messages as msg
from mpi_core.protocol.bitfield import Bitfield
from mpi_core.protocol.events import Event
from mpi_core.protocol.manifest import Manifest
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank, SegmentIndex, Ticket
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effects, Emit, Halt, Machine, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker
from mpi_core.swarm.uploader import Uploader
from tests.helpers.virtual import declared

Some = TypeVar("Some")

#: What comes back for a message: from whom, what.
Answer = Callable[[int, msg.Stimulus], Iterable[tuple[int, msg.Stimulus]]]


class Alone:
    """A machine with a clock that the test moves; what it sent and told is kept."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now = 0.0
        self.halted = False
        self.sent: list[tuple[int, msg.Stimulus]] = []
        self.told: list[Event] = []
        self._answered = 0
        self._take(machine.start(0.0))

    def _take(self, effects: Effects) -> list[tuple[int, msg.Stimulus]]:
        news = [(int(effect.to), effect.message) for effect in effects if isinstance(effect, Send)]
        self.sent += news
        self.told += [effect.event for effect in effects if isinstance(effect, Emit)]
        self.halted = self.halted or any(isinstance(effect, Halt) for effect in effects)
        return news

    def hear(self, sender: int, message: msg.Stimulus) -> list[tuple[int, msg.Stimulus]]:
        """Hand a message in; what the machine sends at once."""
        return self._take(self.machine.receive(self.now, Rank(sender), message))

    def wakes(self) -> list[tuple[int, msg.Stimulus]]:
        """Wake the machine, once; what it sends."""
        return self._take(self.machine.wake(self.now))

    def wait(self, seconds: float) -> list[tuple[int, msg.Stimulus]]:
        """Let time pass, deadline by deadline; what the machine sends meanwhile."""
        end, news = self.now + seconds, []
        while self.machine.wake_at is not None and self.machine.wake_at <= end:
            assert self.machine.wake_at >= self.now, "a deadline in the past"
            self.now = self.machine.wake_at
            news += self.wakes()
        self.now = end
        return news + self.wakes()

    def drain(self, answer: Answer) -> list[msg.Stimulus]:
        """Answer every message, and those that follow, until there are no more; all that was sent."""
        first = self._answered
        while self._answered < len(self.sent):
            to, message = self.sent[self._answered]
            self._answered += 1
            for sender, reply in answer(to, message):
                self.hear(sender, reply)
        return [message for _, message in self.sent[first:]]

    def messages(self, kind: type[Some], to: int | None = None) -> list[Some]:
        return [message for rank, message in self.sent if isinstance(message, kind) and to in (None, rank)]

    def events(self, kind: type[Some]) -> list[Some]:
        return [event for event in self.told if isinstance(event, kind)]


# A downloader -------------------------------------------------------------------------------------


class Leecher(Alone):
    """Client 1, downloading."""

    def __init__(
        self,
        wants: Mapping[str, int],
        config: SwarmConfig,
        owns: Sequence[Manifest],
        clients: int,
        patterns: Sequence[str],
    ) -> None:
        self.files = {name: declared(name, segments) for name, segments in wants.items()}
        self.store = SegmentStore(MemoryBacking())
        self.joined = False
        for manifest in owns:
            self.store.add_owned(manifest)
        rng = Random(1)
        super().__init__(Downloader(Rank(1), clients, self.store, list(wants), config, rng, patterns))

    def joins(
        self, seeds: Mapping[str, Iterable[int]], peers: Mapping[str, Iterable[int]] | None = None
    ) -> None:
        """The tracker's answer to the first SWARM_REQUEST."""
        self.joined = True
        self.hear(0, swarm_response(self.files.values(), seeds, peers))

    def requests(self, to: int | None = None) -> list[msg.RequestSegment]:
        return self.messages(msg.RequestSegment, to)

    def asked(self) -> list[tuple[int, int]]:
        """Of whom each segment was asked, and which."""
        return [(to, m.index) for to, m in self.sent if isinstance(m, msg.RequestSegment)]

    def held(self, name: str = "file1") -> str:
        return str(self.store.bitfield(name))


def leecher(
    wants: Mapping[str, int],
    owns: Sequence[Manifest] = (),
    clients: int = 5,
    patterns: Sequence[str] = (),
    acknowledged: bool = True,
    **choices: object,
) -> Leecher:
    """A client whose first SWARM_REQUEST is the first thing in ``sent``; a window of 1, unless chosen."""
    config = SwarmConfig(**{"window": 1, **choices})  # type: ignore[arg-type]
    client = Leecher(wants, config, owns, clients, patterns)
    if acknowledged:
        client.sent.clear()
        client.told.clear()
        client.hear(0, msg.InitAck(tuple(() for _ in patterns)))
    return client


def swarm_response(
    manifests: Iterable[Manifest],
    seeds: Mapping[str, Iterable[int]],
    peers: Mapping[str, Iterable[int]] | None = None,
) -> msg.SwarmResponse:
    peers = peers or {}
    swarms = []
    for name in dict.fromkeys((*seeds, *peers)):
        members = [msg.SwarmMember(Rank(rank), "seed") for rank in seeds.get(name, ())]
        members += [msg.SwarmMember(Rank(rank), "peer") for rank in peers.get(name, ())]
        swarms.append(msg.Swarm(name, tuple(members)))
    return msg.SwarmResponse(tuple(manifests), tuple(swarms))


def payload(request: msg.RequestSegment, spoiled: bool = False) -> msg.SendSegment:
    """The answer to a request for a declared segment."""
    return msg.SendSegment(request.ticket, b"x" * request.length if spoiled else content(request))


def content(request: msg.RequestSegment) -> bytes:
    return f"{request.name}-{request.index}".encode()


def serve_all(
    client: Leecher,
    seeds: Iterable[int] = (2,),
    spoiled: Iterable[int] = (),
    silent: Iterable[int] = (),
    spoiled_files: Container[str] = (),
) -> Answer:
    """Everybody else: a tracker, and seeds of every file, some of whom spoil what they send or are silent."""
    seeds, spoiled, silent = list(seeds), set(spoiled), set(silent)

    def answer(to: int, message: msg.Stimulus) -> Iterable[tuple[int, msg.Stimulus]]:
        if isinstance(message, msg.SwarmRequest):
            news = {} if client.joined else client.files
            client.joined = True
            yield TRACKER, swarm_response(news.values(), dict.fromkeys(news, seeds))
        elif isinstance(message, msg.RequestSegment) and to not in silent:
            yield to, payload(message, to in spoiled or message.name in spoiled_files)

    return answer


def holding(name: str, marks: str) -> msg.BitfieldMessage:
    """A BITFIELD of one file, drawn as a string."""
    field = Bitfield.of(len(marks), (at for at, mark in enumerate(marks) if mark == "x"))
    return msg.BitfieldMessage((msg.Holding(name, len(marks), field.to_bytes()),))


def announce(name: str, *indices: int) -> msg.Announce:
    return msg.Announce((msg.Gain(name, tuple(map(SegmentIndex, indices))),))


# An uploader, a tracker ---------------------------------------------------------------------------


def seed(segments: int = 40, clients: int = 5, **choices: object) -> Alone:
    """Client 1, which has all of file1 and serves it."""
    store = SegmentStore(MemoryBacking())
    store.add_owned(declared("file1", segments))
    return Alone(Uploader(Rank(1), clients, store, SwarmConfig(**choices)))  # type: ignore[arg-type]


def request(index: int, ticket: int, name: str = "file1") -> msg.RequestSegment:
    return msg.RequestSegment(name, SegmentIndex(index), Ticket(ticket), len(f"{name}-{index}"))


def tracker(clients: int, rng: int = 0, **choices: object) -> Alone:
    """A tracker that answers a first SWARM_REQUEST at once, unless ``gather_for`` says otherwise."""
    config = SwarmConfig(**{"gather_for": 0.0, **choices})  # type: ignore[arg-type]
    return Alone(Tracker(clients, config, Random(rng)))
