"""The demo: the same bytes everywhere, for any number of clients, for long enough to watch."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mpi_core.protocol.errors import ScenarioError
from tui_torrent.scenario import open_scenario
from tui_torrent.scenario.demo import DEMO_RATE, DEMO_SECONDS, DEMO_SEGMENT_LENGTH, demo_files, fastest


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 7, 8, 50])
def test_the_demo_keeps_any_number_of_clients_busy_for_a_while(clients: int) -> None:
    files = demo_files(clients)
    assert {rank for file in files for rank in file.owners} <= set(range(1, clients + 1))
    assert all(file.owners for file in files)
    assert sum(-(-file.size // DEMO_SEGMENT_LENGTH) for file in files) > 100
    assert sum(file.size for file in files) < 2 * DEMO_SECONDS * DEMO_RATE
    seconds = fastest([(file.size, set(file.owners)) for file in files], clients) / DEMO_RATE
    assert seconds == pytest.approx(DEMO_SECONDS if clients > 1 else 0, abs=0.01)


def test_the_demo_makes_the_same_bytes_for_every_seed_and_removes_them() -> None:
    demo = [open_scenario(None, 4), open_scenario(None, 4)]
    assert (demo[0].description, demo[0].client_count, demo[0].rate) == ("demo", 4, DEMO_RATE)
    plans = [demo[0].client(2), demo[1].client(4)]
    assert all(demo[0].shares(rank) == bool(demo[0].client(rank).shares) for rank in range(1, 5))
    contents = [{share.name: Path(share.path).read_bytes() for share in plan.shares} for plan in plans]
    common = set(contents[0]) & set(contents[1])
    assert common == {"model.ckpt"}
    assert all(contents[0][name] == contents[1][name] for name in common)
    assert plans[0] == demo[0].client(2)
    for plan in plans:
        assert plan.segment_length == DEMO_SEGMENT_LENGTH
        assert plan.wants == tuple(file.name for file in demo_files(4))
        for share in plan.shares:
            status = Path(share.path).stat()
            mode = next(file.mode for file in demo_files(4) if file.name == share.name)
            assert (share.size, mode) == (status.st_size, status.st_mode & 0o777)
    for scenario in demo:
        scenario.cleanup()
        scenario.cleanup()
    assert not any(Path(share.path).exists() for plan in plans for share in plan.shares)


def test_no_room_for_the_demo_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(
        ScenarioError, match=r"^demo: expected room for \d+ bytes in a temporary folder: No such"
    ):
        open_scenario(None, 2).client(1)
