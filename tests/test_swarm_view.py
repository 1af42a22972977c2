"""Laws 6 and 7: the view does not hang on the interleaving, and a journal folds to what was seen live."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from mpi_core.runtime.journal import JournalWriter, read_journal
from tests.helpers.lawful import SIZE, SMALL, Plan, journal, lawful, plans
from tests.helpers.runs import judged
from tui_torrent.view.report import to_json
from tui_torrent.view.swarm_view import SwarmView


def fold(events: Iterable[Stamped]) -> SwarmView:
    view = SwarmView()
    for event in events:
        view.apply(event)
    return view


def one(rank: int, *events: AnyEvent, t: float = 0.0) -> list[Stamped]:
    return [Stamped(t, Rank(rank), seq, event) for seq, event in enumerate(events)]


def report_of(events: Iterable[Stamped]) -> bytes:
    return to_json(judged(events))


@given(plans(), st.integers(0, 2**32), st.integers(0, 2**32), st.integers(0, 2))
def test_the_view_is_the_same_under_every_interleaving(plan: Plan, seed: int, other: int, dies: int) -> None:
    told = lawful(plan, seed, dies)
    assert fold(journal(told, seed)) == fold(journal(told, other))


@given(plans(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_report_is_the_same_under_every_interleaving(plan: Plan, seed: int, other: int) -> None:
    told = lawful(plan, seed)
    assert report_of(journal(told, seed)) == report_of(journal(told, other))


@pytest.mark.parametrize("seed", range(10))
def test_a_journal_folds_to_the_live_view_and_the_live_report(tmp_path: Path, seed: int) -> None:
    events = journal(lawful(SMALL, seed, dies=seed % 2), seed)
    with JournalWriter(tmp_path / "run.jsonl") as writer:
        for at in range(0, len(events), 7):
            writer.append(events[at : at + 7])
    assert fold(read_journal(tmp_path / "run.jsonl")) == fold(events)
    assert report_of(read_journal(tmp_path / "run.jsonl")) == report_of(events)


@given(plans(), st.integers(0, 2**32))
def test_a_finished_run_has_all_that_could_be_had(plan: Plan, seed: int) -> None:
    view = fold(journal(lawful(plan, seed), seed))
    for client in view.clients.values():
        wanted = plan.wants[client.rank - 1]
        assert set(client.completed) == {name for name in wanted if name in plan.files}
        assert set(client.unavailable) == {name for name in wanted if name not in plan.files}
        fetched = [name for name in wanted if name not in plan.owns[client.rank - 1]]
        assert client.received == client.to_fetch == sum(plan.files.get(name, 0) for name in fetched)
        assert client.state == "stopped"
    moved = sum(cell[0] for cell in view.traffic.values())
    assert moved == view.received == view.to_fetch == view.delivered.total()
    came = [client.received + client.corrupt + client.duplicates for client in view.clients.values()]
    assert sum(came) == sum(client.sent for client in view.clients.values())
    assert moved == sum(file.given.total() for file in view.files.values())
    assert view.outcome == ("incomplete" if any(c.unavailable for c in view.clients.values()) else "complete")
    assert view.ended_at == view.t


def test_what_an_owner_gives_of_its_own_files_is_counted_apart() -> None:
    owner = one(1, ev.InitSent((ev.OwnedFile("own", 3),)))
    names = ("own", "fetched", "own")
    begun = [ev.DownloadStarted("own", 3, 3 * SIZE), ev.DownloadStarted("fetched", 3, 3 * SIZE)]
    stored = [ev.SegmentStored(Rank(1), name, SegmentIndex(at), SIZE, "") for at, name in enumerate(names)]
    # The receiver's events may come before the owner's.
    for told in ([*owner, *one(2, *begun, *stored)], [*one(2, *begun, *stored), *owner]):
        view = fold(told)
        assert (view.delivered[Rank(1)], view.delivered_as_owner(Rank(1))) == (3, 2)


def test_received_means_verified() -> None:
    begun = ev.DownloadStarted("a", 4, 4 * SIZE)
    stored = [ev.SegmentStored(Rank(2), "a", SegmentIndex(at), SIZE, "") for at in range(2)]
    corrupt = ev.SegmentDropped(Rank(2), "a", SegmentIndex(2), SIZE, "corrupt")
    twice = ev.SegmentDropped(Rank(3), "a", SegmentIndex(1), SIZE - 1, "duplicate")
    view = fold(one(1, begun, *stored, corrupt, twice, twice))
    client = view.clients[Rank(1)]
    assert (client.to_fetch, client.to_fetch_bytes) == (4, 4 * SIZE)
    assert (client.received, client.received_bytes) == (2, 2 * SIZE)
    assert (client.corrupt, client.corrupt_bytes) == (1, SIZE)
    assert (client.duplicates, client.duplicate_bytes) == (2, 2 * (SIZE - 1))
    assert view.traffic == {(2, 1): [2, 2 * SIZE]}
    assert view.share_done == client.share_done == 0.5


def test_what_a_client_owns_is_not_to_be_fetched_and_seeds_are_not_done() -> None:
    seed = one(1, ev.InitSent((ev.OwnedFile("a", 3),)), ev.InitAckReceived(("a",)), ev.AllCompleted())
    peer = one(2, ev.InitSent(()), ev.InitAckReceived(("a",)), ev.DownloadStarted("a", 3, 3 * SIZE))
    stored = ev.SegmentStored(Rank(1), "a", SegmentIndex(0), SIZE, "")
    view = fold([*seed, *peer])
    assert (view.share_done, view.done, view.fetching, view.seeds) == (0.0, 0, 1, 1)
    view.apply(Stamped(1.0, Rank(2), len(peer), stored))
    assert view.share_done == pytest.approx(1 / 3)
    view.apply(Stamped(1.0, Rank(2), len(peer) + 1, ev.AllCompleted()))
    assert (view.done, view.seeds) == (1, 1)


def test_bytes_are_real_where_some_file_is() -> None:
    declared = ev.FileRegistered("a", 4, 1, "declared", ("hash",))
    real = ev.FileRegistered("b", 4, 1, "blake3", ("hash",))
    assert not fold(one(0, declared)).real_bytes
    assert fold(one(0, declared, real, declared)).real_bytes


def test_why_a_client_was_lost_is_kept() -> None:
    view = fold(one(0, ev.ClientLost(Rank(3), "silent for 60 s")))
    assert (view.clients[Rank(3)].lost, view.clients[Rank(3)].lost_reason) == (True, "silent for 60 s")


@pytest.mark.parametrize("segment", [-1, 2, 99])
def test_a_segment_that_cannot_be_changes_no_map(segment: int) -> None:
    stored = ev.SegmentStored(Rank(2), "a", SegmentIndex(segment), SIZE, "")
    view = fold(one(1, ev.DownloadStarted("a", 2, 2 * SIZE), stored))
    assert view.clients[Rank(1)].held["a"] == bytes(2)
    assert view.files["a"].copies == [0, 0]


def test_a_file_of_less_than_no_segments_has_none() -> None:
    view = fold(one(1, ev.DownloadStarted("a", -5, 0)))
    assert view.clients[Rank(1)].held["a"] == b""
