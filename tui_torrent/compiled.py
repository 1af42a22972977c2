"""The machines as machine code, for simulations that take minutes.

mypyc compiles them as they are, once for each version of them, into the user's cache, and from there they
are imported in place of their sources: the same run, to the last event, in half the time. Nothing else sees
compiled machines: no live run, no test, nobody who edits them. What this needs and does not find, a compiler
say, is named in one line, and the machines run as Python.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, MutableSequence
from contextlib import suppress
from importlib import import_module, metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs

import mpi_core
from mpi_core import sim, swarm

#: Where nearly all of a simulation's time goes. ``config`` and ``store`` are not among them: an interpreted
#: class cannot inherit from a compiled one.
MACHINES = (
    "mpi_core.swarm.asking",
    "mpi_core.swarm.checks",
    "mpi_core.swarm.downloader",
    "mpi_core.swarm.machine",
    "mpi_core.swarm.neighbours",
    "mpi_core.swarm.picker",
    "mpi_core.swarm.requests",
    "mpi_core.swarm.slots",
    "mpi_core.swarm.sources",
    "mpi_core.swarm.tracker",
    "mpi_core.swarm.uploader",
    "mpi_core.swarm.window",
    "mpi_core.sim.agenda",
    "mpi_core.sim.network",
    "mpi_core.sim.simulation",
)

#: Versions that the cache keeps, some 3 MB each.
KEPT = 4

#: Seconds after which a compiler is given up.
PATIENCE = 600.0

#: How the names of folders begin in which a version is being compiled.
COMPILING = ".compiling"

#: As fast as with -O3, for two thirds of the time to compile.
_LEVELS = {"MYPYC_OPT_LEVEL": "1", "MYPYC_DEBUG_LEVEL": "0"}


class NotCompiled(Exception):
    """The machines cannot be compiled; the text is one line that says why."""


def use_compiled(say: Callable[[str], object]) -> None:
    """Let the machines, none of which is imported yet, be imported compiled. ``say`` hears, in a line each,
    what takes long and what they lack."""
    try:
        _import_from(_compiled(say))
    except NotCompiled as error:
        say(f"the machines run as Python, at half the speed: {error}")


def _import_from(folder: Path) -> None:
    if any(name in sys.modules for name in MACHINES):
        raise NotCompiled("they are in use")
    places: list[tuple[MutableSequence[str], Path]] = [(sys.path, folder)]
    places += [(package.__path__, folder.joinpath(*package.__name__.split("."))) for package in (swarm, sim)]
    for path, place in places:
        path.insert(0, str(place))
    try:
        import_module(MACHINES[0])
    except ImportError as error:  # A file system that runs no programs, say.
        for path, place in places:
            path.remove(str(place))
        raise NotCompiled(f"{folder}: {error}") from None


def are_compiled() -> bool:
    """Whether the machines that were imported are machine code."""
    return str(sys.modules[MACHINES[0]].__file__).endswith(tuple(EXTENSION_SUFFIXES))


def _compiled(say: Callable[[str], object]) -> Path:
    """The folder with the machines of this version, compiled now if they never were."""
    cache = platformdirs.user_cache_path("tui_torrent")
    folder = cache / version()
    if folder.is_dir():
        return folder
    demand_tools()
    say("compiling the machines, once (half a minute; --interpreted does without)")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=COMPILING, dir=cache) as work:
            os.rename(_compile(Path(work)), folder)
        forget_all_but(KEPT, cache)
    except OSError as error:
        if not folder.is_dir():  # Another process was faster.
            raise NotCompiled(f"{error.filename or cache}: {error.strerror}") from None
    return folder


def version() -> str:
    """Whatever the compiled machines depend on, as a name."""
    digest = hashlib.sha256(f"{sys.version} {EXTENSION_SUFFIXES[0]} {_LEVELS} {_of_mypy()}".encode())
    for source in _sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def _of_mypy() -> str:
    try:
        return metadata.version("mypy")
    except metadata.PackageNotFoundError:
        raise NotCompiled("expected mypyc: pip install 'mypy[mypyc]'") from None


def _sources() -> list[Path]:
    return sorted(Path(mpi_core.__path__[0]).rglob("*.py"))


def demand_tools() -> None:
    """Raise NotCompiled where there is no compiler to begin with."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise NotCompiled(f"expected a C compiler, {compiler}")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        raise NotCompiled(f"expected Python's headers, {header}")


def _compile(work: Path) -> Path:
    """Compile the machines in that folder; the one within it that holds the compiled files alone."""
    root = Path(mpi_core.__path__[0])
    for source in _sources():
        _put(source.read_bytes(), work / "mpi_core" / source.relative_to(root))
    _run_mypyc(work)
    for where in ("*", "mpi_core/*/*"):
        for file in work.glob(where + EXTENSION_SUFFIXES[0]):
            _put(file.read_bytes(), work / "compiled" / file.relative_to(work))
    return work / "compiled"


def _put(content: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _run_mypyc(work: Path) -> None:
    files = [name.replace(".", "/") + ".py" for name in MACHINES]
    with subprocess.Popen(
        [sys.executable, "-m", "mypyc", "--config-file=", *files],
        cwd=work,
        env={**os.environ, **_LEVELS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # Until the compilers that it started are gone as well.
            if isinstance(error, subprocess.TimeoutExpired):
                raise NotCompiled(f"mypyc took longer than {PATIENCE:g} s") from None
            raise
    if process.returncode != 0:
        raise NotCompiled(f"mypyc: {(output.strip() or 'it failed').splitlines()[-1]}")


def forget_all_but(kept: int, cache: Path) -> None:
    """Remove the versions that were not made lately, and what a process that was killed has left."""
    folders = sorted((folder.stat().st_mtime, folder) for folder in cache.iterdir())
    versions = [folder for _, folder in folders if not folder.name.startswith(COMPILING)]
    left = [folder for at, folder in folders if at < time.time() - 2 * PATIENCE and folder not in versions]
    for folder in [*versions[:-kept], *left]:
        shutil.rmtree(folder, ignore_errors=True)
