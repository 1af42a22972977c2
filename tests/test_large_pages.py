"""Large pages are asked for where the objects are, and change nothing but the time that a run takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_torrent.large_pages import use_large_pages

SMAPS = Path("/proc/self/smaps")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this system has no transparent large pages",
)
def test_they_are_asked_for_where_the_objects_are() -> None:
    objects = [bytes([number % 251]) * 500 for number in range(50_000)]
    use_large_pages()
    asked = [line for line in SMAPS.read_text().splitlines() if line.startswith("VmFlags:") and " hg" in line]
    assert asked
    assert all(piece == bytes([number % 251]) * 500 for number, piece in enumerate(objects))


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    use_large_pages()  # Nothing is raised.
