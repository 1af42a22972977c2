"""Long simulations run compiled machines: the same run to the last event, or one line says what they lack."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from hashlib import sha256
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn
from zipfile import ZipFile

import platformdirs
import pytest

import mpi_core
from tests.helpers.mpirun import MARKER, marked, needs_proc
from tui_torrent import compiled
from tui_torrent.config import WORTH_COMPILING, SimulateOptions

pytestmark = pytest.mark.timeout(300)

#: The command line, for which a run of one transfer is a long one.
COMMAND = """
import sys
from tui_torrent import config
config.WORTH_COMPILING = 1
from tui_torrent.cli import main
sys.exit(main())
"""

#: A crowd in which everything happens.
TROUBLED = [
    "--clients",
    "60",
    "--segments",
    "40",
    "--seeds",
    "2",
    "--slow",
    "0.1",
    "--dead",
    "0.1",
    "--corrupt",
    "0.1",
    "--latency",
    "0.005",
]

#: What the machines' being compiled may change of a report.
COSTS = ("compiled", "cpu_s", "cpu_us_per_transfer", "peak_mib")


def simulate(cache: Path, *words: object, **environment: str) -> tuple[dict[str, Any], list[str]]:
    """The report, and the lines beside it."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "simulate", "--json", *map(str, words)],
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr.splitlines()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has this version of the machines."""
    try:
        compiled.demand_tools()
    except compiled.NotCompiled as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cache")
    report, lines = simulate(folder, "--clients", 2)
    assert report["compiled"]
    assert [line.startswith("tui_torrent: compiling the machines, once") for line in lines] == [True]
    return folder


def test_a_compiled_run_is_the_same_to_the_last_event(cache: Path, tmp_path: Path) -> None:
    reports, journals = [], []
    for how in ([], ["--interpreted"]):
        journal = tmp_path / "run.jsonl"
        report, lines = simulate(cache, *TROUBLED, *how, "--journal", journal)
        assert report["compiled"] == (not how)
        assert not lines
        reports.append({key: value for key, value in report.items() if key not in COSTS})
        journals.append(journal.read_bytes())
    assert reports[0] == reports[1]
    assert journals[0] == journals[1]


def test_what_was_compiled_needs_no_compiler(cache: Path) -> None:
    report, lines = simulate(cache, "--clients", 2, CC="/nowhere/cc")
    assert (report["compiled"], lines) == (True, [])
    assert [path.suffix for path in cache.glob("tui_torrent/*")] == [".zip"]


def runs_as_python(cache: Path, because: str, **environment: str) -> None:
    report, lines = simulate(cache, "--clients", 2, **environment)
    assert (report["compiled"], report["complete"]) == (False, 2)
    assert lines[-1].startswith("tui_torrent: the machines run as Python, at half the speed: ")
    assert because in lines[-1]


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    runs_as_python(tmp_path, "expected a C compiler, /nowhere/cc", CC="/nowhere/cc")


def test_a_compiler_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    runs_as_python(tmp_path, "mypyc: ", CC="false")
    assert not [*tmp_path.glob("tui_torrent/*")]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tui_torrent").write_text("in the way")
    runs_as_python(tmp_path, f"{tmp_path / 'tui_torrent'}: ")


def only_version(cache: Path, folder: Path) -> Path:
    """The version of a cache, in a cache of its own below ``folder``."""
    (archive,) = shutil.copytree(cache / "tui_torrent", folder / "tui_torrent").glob("*.zip")
    return archive


@pytest.mark.parametrize("place", [0, 40, -1, None], ids=["digest", "header", "end", "cut"])
def test_a_damaged_version_is_compiled_anew(place: int | None, cache: Path, tmp_path: Path) -> None:
    archive = only_version(cache, tmp_path)
    content = bytearray(archive.read_bytes())
    if place is None:
        content = content[: len(content) // 2]
    else:
        content[place] ^= 1
    archive.write_bytes(content)
    runs_as_python(tmp_path, "expected a C compiler", CC="/nowhere/cc")


def test_what_cannot_be_loaded_is_named(cache: Path, tmp_path: Path) -> None:
    archive = only_version(cache, tmp_path)
    with ZipFile(archive) as whole:
        names = whole.namelist()
    packed = BytesIO()
    with ZipFile(packed, "w") as files:
        for name in names:
            files.writestr(name, "no machine code")
    archive.write_bytes(sha256(packed.getvalue()).digest() + packed.getvalue())
    runs_as_python(tmp_path, ".so: ")


def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a process says that has not imported the machines yet."""
    for name in compiled.MACHINES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    lines: list[str] = []
    compiled.use_compiled(lines.append)
    return [line.removeprefix("the machines run as Python, at half the speed: ") for line in lines]


def test_without_mypyc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert said(monkeypatch) == ["expected mypyc: pip install 'mypy[mypyc]'"]


def test_mypyc_without_setuptools_is_no_mypyc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "find_spec", lambda name: name != "setuptools" or None)
    assert said(monkeypatch) == ["expected mypyc: pip install 'mypy[mypyc]'"]


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(name: str) -> NoReturn:
        raise RuntimeError("no home")

    monkeypatch.setattr(platformdirs, "user_cache_path", homeless)
    assert said(monkeypatch) == ["no home"]
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: Path("~/.cache"))
    assert said(monkeypatch) == ["expected a folder for caches, found '~/.cache'"]


def test_machines_in_use_stay_what_they_are(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tui_torrent.simulate  # noqa: F401

    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    lines: list[str] = []
    compiled.use_compiled(lines.append)
    assert lines == ["the machines run as Python, at half the speed: they are in use"]
    assert not compiled.are_compiled()


def test_an_edit_makes_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(mpi_core.__path__[0], tmp_path / "mpi_core")
    monkeypatch.setattr(mpi_core, "__path__", [str(copy)])
    before = compiled.version()
    assert compiled.version() == before
    with (copy / "swarm" / "picker.py").open("a") as file:
        file.write("# an edit\n")
    assert compiled.version() != before


def test_old_versions_are_forgotten(tmp_path: Path) -> None:
    now = time.time()
    for age in range(6):
        (tmp_path / f"{age}.zip").touch()
        os.utime(tmp_path / f"{age}.zip", (now - age, now - age))
    for name, age in (("1", 1), ("2", 10 * compiled.PATIENCE)):
        folder = tmp_path / f"{compiled.AT_WORK}{name}"
        folder.mkdir()
        os.utime(folder, (now - age, now - age))
    compiled.forget_all_but(4, tmp_path)
    left = [f"{compiled.AT_WORK}1", "0.zip", "1.zip", "2.zip", "3.zip"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@needs_proc
@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_while_it_compiles_it_leaves_nothing_behind(
    how: signal.Signals, code: int, tmp_path: Path
) -> None:
    compiler, marker = tmp_path / "cc", uuid.uuid4().hex
    compiler.write_text(f"#!/bin/sh\n: >{tmp_path}/begun\nexec sleep 60\n")
    compiler.chmod(0o755)
    environment = {"XDG_CACHE_HOME": str(tmp_path), "CC": str(compiler), MARKER: marker}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "simulate", "--clients", "2"],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for(lambda: (tmp_path / "begun").exists())
            process.send_signal(how)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code
    assert told.splitlines()[1:] == [f"tui_torrent: interrupted by {how.name}"]
    assert not [*tmp_path.glob("tui_torrent/*")]
    wait_for(lambda: not marked(marker))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_long_runs_are_worth_it() -> None:
    assert SimulateOptions(clients=10_000, segments=64).worth_compiling
    assert not SimulateOptions(clients=10_000, segments=64, interpreted=True).worth_compiling
    assert not SimulateOptions(clients=1, segments=WORTH_COMPILING - 1).worth_compiling
