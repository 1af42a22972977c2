"""Who runs where: what stays within a host, and what crosses the network."""

from __future__ import annotations

from mpi_core.protocol import events as ev
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.units import Rank, SegmentIndex
from tests.helpers.runs import fold, scripted, with_facts
from tui_torrent.tui.panels.lines import plain
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.traffic import matrix, traffic_lines
from tui_torrent.view.hosts import Split, by_host, client_hosts, split
from tui_torrent.view.report import build
from tui_torrent.view.swarm_view import SwarmView


def view_of(hosts: str, *moved: tuple[int, int, int]) -> SwarmView:
    """Rank *i* is on the host with the *i*-th letter (``.``: not told); from whom to whom how many bytes."""
    view = SwarmView()
    view.apply(Stamped(0.0, Rank(0), 0, ev.RunStarted(2, len(hosts) - 1, "x", "swarm", 0, 10, 8)))
    for rank, host in enumerate(hosts):
        if host != ".":
            view.apply(Stamped(0.0, Rank(rank), 1, ev.RankPlaced(host)))
    for source, target, size in moved:
        event = ev.SegmentStored(Rank(source), "f", SegmentIndex(0), size, "")
        view.apply(Stamped(1.0, Rank(target), 2, event))
    return view


def test_traffic_is_split_by_host() -> None:
    view = view_of("aabb", (1, 2, 10), (2, 3, 7), (3, 2, 1), (2, 1, 2))
    assert split(view) == Split(2, 8, 2, 12)
    assert split(view_of("aaabb", (1, 2, 10), (2, 3, 7), (3, 4, 1))) == Split(2, 11, 1, 7)


def test_no_split_where_a_host_was_not_told() -> None:
    assert split(view_of("aa.b", (1, 2, 10))) is None
    assert split(view_of("....")) is None
    assert split(view_of("aa.b", (1, 3, 10))) == Split(0, 0, 1, 10)


def test_clients_of_one_host_stand_together() -> None:
    view = view_of("aabab")
    assert client_hosts(view) == ["a", "b"]
    assert by_host(view, [Rank(rank) for rank in (1, 2, 3, 4)]) == [1, 3, 2, 4]
    assert by_host(view_of("aba.b"), [Rank(rank) for rank in (1, 2, 3, 4)]) == [1, 4, 2, 3]


def test_a_border_stands_before_each_host_but_the_first() -> None:
    table = matrix(view_of("aabab", (1, 2, 10)), 9)
    assert table.uploaders == [1, 3, 2, 4]
    assert [table.border(column) for column in range(5)] == [False, False, True, False, False]


def test_the_matrix_names_hosts_where_there_are_several() -> None:
    one, _ = fold(with_facts(scripted(), hosts=1))
    two, _ = fold(with_facts(scripted(), hosts=2))
    alone = plain(traffic_lines(one, 80, 24, Lists(("rows",))))
    assert "all clients are on one host, node0" in alone
    assert "│" not in alone
    shown = plain(traffic_lines(two, 80, 24, Lists(("rows",))))
    assert "2 hosts" in shown
    assert shown.count("│") == 1 + 6 + 1
    assert [line for line in shown.splitlines() if line.startswith("─ node")] != []


def test_the_report_has_both_sums() -> None:
    view, _ = fold(with_facts(scripted(), hosts=3))
    report = build(view, [])
    assert report.hosts is not None
    assert report.hosts.same_segments + report.hosts.other_segments == report.segments_moved
    assert [client.host for client in report.clients[:3]] == ["node0", "node0", "node1"]
    assert report.tracker.service_p99_s is not None
    old, _ = fold(scripted())
    assert (build(old, []).hosts, build(old, []).tracker.service_median_s) == (None, None)
