"""Folders, links and twins of several owners: what fits together, who gets what, and what no peer may say."""

from __future__ import annotations

from random import Random

import pytest

from mpi_core.protocol import messages as msg
from mpi_core.protocol.entries import Entry
from mpi_core.protocol.errors import RemoteProtocolError
from mpi_core.protocol.events import RunAborted
from mpi_core.protocol.manifest import Manifest, Member
from mpi_core.protocol.roles import TRACKER
from mpi_core.protocol.units import Rank
from mpi_core.swarm.config import SwarmConfig
from mpi_core.swarm.downloader import Downloader
from mpi_core.swarm.machine import Effects, Emit, Send
from mpi_core.swarm.store import MemoryBacking, SegmentStore
from mpi_core.swarm.tracker import Tracker


def file(name: str) -> Manifest:
    return Manifest(name, 1, 4, "sha256", (b"digest",))


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, mode, 1)


def link(name: str, target: str = "x") -> Entry:
    return Entry(name, 0o777, 1, target)


def effects_of(*inits: msg.Init) -> Effects:
    """What the tracker does when the last INIT is in; they come in the order of the clients."""
    tracker = Tracker(len(inits), SwarmConfig(), Random(0))
    effects = tracker.start(0.0)
    for rank, init in enumerate(inits, 1):
        effects = tracker.receive(0.0, Rank(rank), init)
    return effects


def acks_of(*inits: msg.Init) -> list[msg.InitAck]:
    sent = [effect.message for effect in effects_of(*inits) if isinstance(effect, Send)]
    return [message for message in sent if isinstance(message, msg.InitAck)]


def refusals(*inits: msg.Init) -> list[tuple[int, str]]:
    """Exit code and reason where the tracker lets the run not begin."""
    events = [effect.event for effect in effects_of(*inits) if isinstance(effect, Emit)]
    return [(event.code, event.reason) for event in events if isinstance(event, RunAborted)]


FITS = "expected names that fit into one folder"


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (
            msg.Init((), entries=(link("d", "/tmp"),)),
            msg.Init((file("d/f"),), entries=(folder("d"),)),
            f"client 1 shares 'd' as a link and client 2 'd/f' below it: {FITS}",
        ),
        (
            msg.Init((file("d/e/f"),), entries=(folder("d"), folder("d/e"))),
            msg.Init((), entries=(link("d", "/tmp"),)),
            f"client 2 shares 'd' as a link and client 1 'd/e/f' below it: {FITS}",
        ),
        (
            msg.Init((), entries=(link("d"),)),
            msg.Init((), entries=(link("d/e"),)),
            f"client 1 shares 'd' as a link and client 2 'd/e' below it: {FITS}",
        ),
        (
            msg.Init((), entries=(link("d"),)),
            msg.Init((file("d"),)),
            f"client 2 shares 'd' as a file and client 1 as a link: {FITS}",
        ),
        (
            msg.Init((file("d"),)),
            msg.Init((), entries=(folder("d"),)),
            f"client 1 shares 'd' as a file and client 2 as a folder: {FITS}",
        ),
        (
            msg.Init((), entries=(link("d"),)),
            msg.Init((), entries=(folder("d"),)),
            f"client 1 shares 'd' as a link and client 2 as a folder: {FITS}",
        ),
        (
            msg.Init((), entries=(link("d", "a"),)),
            msg.Init((), entries=(link("d", "b"),)),
            "clients 1 and 2 both share the link 'd', but to 'a' and 'b': expected the same from every owner",
        ),
        (
            msg.Init((file("d"),)),
            msg.Init((file("d/f"),)),
            f"client 1 shares 'd' as a file and client 2 'd/f' below it: {FITS}",
        ),
    ],
)
def test_what_does_not_fit_into_one_folder_is_refused_by_name(
    first: msg.Init, second: msg.Init, problem: str
) -> None:
    assert refusals(first, second) == [(2, problem)]


def test_the_first_owner_of_a_folder_says_its_mode() -> None:
    first = msg.Init((file("d/a"),), entries=(folder("d", 0o700),))
    second = msg.Init((file("d/b"),), entries=(folder("d", 0o755), folder("e")))
    *_, ack = acks_of(first, second, msg.Init((), ("d",)))
    assert ack.entries == (folder("d", 0o700),)


def test_twins_are_told_as_one_file_and_its_other_names() -> None:
    owner = msg.Init(
        tuple(map(file, "abc")), entries=(link("m"), link("n")), twins=(("a", "b", "c"), ("m", "n"))
    )
    wants = [("*",), ("b", "c"), ("c",), ("n",)]
    _, *acks = acks_of(owner, *(msg.Init((), patterns) for patterns in wants))
    told = [(ack.matched, ack.twins, ack.entries) for ack in acks]
    assert told == [
        ((("a",),), (("a", "b", "c"), ("m", "n")), (link("m"),)),
        ((("b",), ()), (("b", "c"),), ()),
        ((("c",),), (), ()),
        (((),), (), (link("n"),)),
    ]


def test_twins_of_one_owner_count_only_where_it_owns_them_first() -> None:
    first, second = msg.Init((file("b"),)), msg.Init((file("a"), file("b")), twins=(("a", "b"),))
    *_, ack = acks_of(first, second, msg.Init((), ("*",)))
    assert (ack.matched, ack.twins) == ((("a", "b"),), ())


# A hostile tracker ----------------------------------------------------------------------------


def waiting() -> Downloader:
    downloader = Downloader(
        Rank(1), 2, SegmentStore(MemoryBacking()), (), SwarmConfig(), Random(0), patterns=("**",)
    )
    downloader.start(0.0)
    return downloader


@pytest.mark.parametrize(
    "ack",
    [
        msg.InitAck((("d/f",), ("x",))),
        msg.InitAck((("d",),), entries=(link("d"),)),
        msg.InitAck(((),), entries=(link("d"), link("d"))),
        msg.InitAck(((),), entries=(link("d"), folder("d"))),
        msg.InitAck(((),), entries=(link("d", "/tmp"), folder("d/e"))),
        msg.InitAck(((),), entries=(link("d", "/tmp"), link("d/e"))),
        msg.InitAck((("a",),), twins=(("a", "../b"),)),
        msg.InitAck((("a",),), twins=(("a", "b"), ("a", "c"))),
        msg.InitAck((("a",),), entries=(link("d"),), twins=(("a", "d/b"),)),
        msg.InitAck((("a",),), entries=(folder("b"),), twins=(("a", "b"),)),
        msg.InitAck((("a",),), twins=(("a", "b"), ("c", "b/d"))),
    ],
)
def test_an_init_ack_whose_entries_do_not_fit_is_refused(ack: msg.InitAck) -> None:
    downloader = waiting()
    with pytest.raises(RemoteProtocolError):
        downloader.receive(0.0, TRACKER, ack)


BUNDLE = ((Member("d/f", 1, 0o644),),)


@pytest.mark.parametrize(
    "manifest",
    [
        file("d/f"),
        file("d/e/f"),
        file("e"),
        file("second/f"),
        Manifest("d +1", 1, 4, "sha256", (b"digest",), members=BUNDLE),
    ],
)
def test_a_manifest_of_a_file_below_a_link_is_refused(manifest: Manifest) -> None:
    downloader = waiting()
    entries = (link("d", "/tmp"), folder("e"))
    ack = msg.InitAck(((manifest.name, "a"),), (), entries, (("a", "second"),))
    downloader.receive(0.0, TRACKER, ack)
    with pytest.raises(RemoteProtocolError):
        downloader.receive(0.0, TRACKER, msg.SwarmResponse((manifest,)))
