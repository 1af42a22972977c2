"""What of a tree cannot be shared, made or kept is named, and the rest arrives."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import AnyEvent, Stamped
from mpi_core.protocol.units import Rank
from mpi_core.sim.simulation import Key
from mpi_core.swarm.machine import Machine
from tests.helpers.forest import differences, looks, small_tree
from tests.helpers.grove import Grove, moved
from tui_torrent.scenario.shares import all_shares
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.view.problems import problems
from tui_torrent.view.report import build, exit_code, to_json
from tui_torrent.view.swarm_view import SwarmView


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path / "tree")


def test_what_no_swarm_carries_is_named_and_the_rest_arrives(tmp_path: Path, tree: Path) -> None:
    os.mkfifo(tree / "a" / "fifo")
    os.mknod(tree / "socket", stat.S_IFSOCK | 0o600)
    for folder in ("a", "."):
        os.utime(tree / folder, ns=(0, 10**18))
    grove = moved(tmp_path, tree)
    assert grove.told == [ev.NotKept("untravelled", (("a/fifo", "a FIFO"), ("socket", "a socket")), 2)]
    assert grove.tracker.exit_code == 0
    assert differences(tree, grove.out(2), but=[b"a/fifo", b"socket"]) == []


@pytest.mark.parametrize(
    ("what", "words", "code", "mark"),
    [
        ("untravelled", "does not share what no swarm carries: ", 0, "!"),
        ("attributes", "its file system refuses to keep all as it is: ", 0, "!"),
        ("unreadable", "cannot share ", 1, "✗"),
        ("unmade", "cannot make ", 1, "✗"),
    ],
)
def test_what_is_not_kept_is_one_sentence_and_a_part_of_the_report(
    what: ev.Loss, words: str, code: int, mark: str
) -> None:
    view = SwarmView()
    loss = ev.NotKept(what, tuple((f"a{at}\x1b", "why") for at in range(12)), 30)
    events: list[AnyEvent] = [ev.RunStarted(1, 1, "", "swarm", 0, 10, 8), loss, ev.RunEnded("complete")]
    for seq, event in enumerate(events):
        view.apply(Stamped(1.0, Rank(seq == 1), seq, event))
    report = build(view, [])
    (sentence,) = problems(report)
    assert sentence.startswith(f"client 1{':' if what == 'attributes' else ''} {words}'a0\\x1b' (why), ")
    assert sentence.endswith("'a9\\x1b' (why) and 20 more")
    assert exit_code(report) == code
    assert json.loads(to_json(report))["clients"][0]["not_kept"] == [
        {"what": what, "files": [[f"a{at}\x1b", "why"] for at in range(12)], "count": 30}
    ]
    lines = ["".join(span.text for span in line) for line in report_lines(report, view, "x", 100)]
    assert any(line.strip().startswith(mark) and words[:12] in line for line in lines)


def test_what_vanishes_or_changes_before_it_is_hashed_is_named_and_the_rest_arrives(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "grows").write_bytes(b"1")
    (tree / "goes").write_bytes(b"1")
    before = looks(tree)
    real = Grove.fresh_machines

    def meddling(grove: Grove) -> dict[Key, Machine]:
        def found(root: str, entries: Sequence[str]) -> object:
            all_of_it = all_shares(root, entries)
            (tree / "goes").unlink()
            (tree / "grows").write_bytes(b"12")
            return all_of_it

        monkeypatch.setattr("tests.helpers.grove.all_shares", found)
        return real(grove)

    monkeypatch.setattr(Grove, "fresh_machines", meddling)
    grove = moved(tmp_path, tree)
    losses = (("goes", "vanished before it was hashed"), ("grows", "changed while it was hashed"))
    assert grove.told == [ev.NotKept("unreadable", losses, 2)]
    assert grove.tracker.exit_code == 1
    after = looks(grove.out(2))
    assert after.keys() == before.keys() - {b"goes", b"grows"}


def test_a_place_of_a_link_that_is_taken_is_named_and_the_rest_arrives(tmp_path: Path, tree: Path) -> None:
    taken = tmp_path / "client2" / "a" / "to x"
    taken.mkdir(parents=True)
    grove = moved(tmp_path, tree)
    problem = f"cannot write '{taken}': a folder is there"
    assert grove.losses(2) == [ev.NotKept("unmade", (("a/to x", problem),), 1)]
    assert grove.tracker.exit_code == 1
    assert (grove.out(2) / "a" / "deep" / "x").read_bytes() == b"x"


@pytest.mark.parametrize("refused", ["fchmod", "utime", "link"])
def test_a_file_system_that_refuses_costs_one_remark(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, refused, refuse)
    grove = moved(tmp_path, tree)
    monkeypatch.undo()
    (loss,) = grove.losses(2)
    assert (loss.what, grove.tracker.exit_code) == ("attributes", 0)
    what = {"fchmod": "mode", "utime": "time", "link": "hard link"}[refused]
    assert {why for _, why in loss.files} == {f"{what}: Operation not permitted"}
    contents = {name: (seen.kind, seen.content) for name, seen in looks(tree).items()}
    assert {name: (seen.kind, seen.content) for name, seen in looks(grove.out(2)).items()} == contents
