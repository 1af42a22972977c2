"""The machines as machine code, for simulations that take minutes.

mypyc compiles them as they are, once for each version of them, into the user's cache, and from there they
are imported in place of their sources: the same run, to the last event, in half the time. Nothing else sees
compiled machines: no live run, nobody who edits them. What this needs and does not find, a compiler
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
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import suppress
from importlib import import_module, metadata
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import platformdirs

import mpi_core
from mpi_core import sim, swarm
from mpi_core.protocol.errors import reason

#: Where nearly all of a simulation's time goes. ``config`` and ``store`` are not among them: an interpreted
#: class cannot inherit from a compiled one.
MACHINES = (
    "mpi_core.swarm.asking",
    "mpi_core.swarm.audience",
    "mpi_core.swarm.checks",
    "mpi_core.swarm.downloader",
    "mpi_core.swarm.hearsay",
    "mpi_core.swarm.machine",
    "mpi_core.swarm.neighbours",
    "mpi_core.swarm.orphan",
    "mpi_core.swarm.picker",
    "mpi_core.swarm.requests",
    "mpi_core.swarm.slots",
    "mpi_core.swarm.sources",
    "mpi_core.swarm.tracker",
    "mpi_core.swarm.uploader",
    "mpi_core.swarm.wanted",
    "mpi_core.swarm.window",
    "mpi_core.sim.agenda",
    "mpi_core.sim.network",
    "mpi_core.sim.simulation",
)

#: What is said where there is nothing to compile with.
MYPYC = "expected mypyc: pip install 'mypy[mypyc]'"

#: Versions that the cache keeps, some 3 MB each.
KEPT = 4

#: Bytes of the hash before a version's files.
DIGEST = 32

#: Seconds after which a compiler is given up.
PATIENCE = 600.0

#: How the names of folders begin in which a version is compiled, or unpacked for one process.
AT_WORK = ".compiling"

#: As fast as with -O3, for two thirds of the time to compile.
_LEVELS = {"MYPYC_OPT_LEVEL": "1", "MYPYC_DEBUG_LEVEL": "0"}


class NotCompiled(Exception):
    """The machines cannot be compiled; the text is one line that says why."""


def use_compiled(say: Callable[[str], object]) -> None:
    """Import the machines, none of which is imported yet, as machine code. ``say`` hears, in a line each,
    what takes long and what they lack. An exception meanwhile, such as a signal's, leaves nothing behind."""
    try:
        _use_compiled(say)
    except NotCompiled as error:
        say(f"the machines run as Python, at half the speed: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"the machines run as Python, at half the speed: {where}{reason(error)}")


def are_compiled() -> bool:
    """Whether the machines that were imported are machine code."""
    files = [str(getattr(sys.modules.get(name), "__file__", "")) for name in MACHINES]
    return all(file.endswith(tuple(EXTENSION_SUFFIXES)) for file in files)


def _use_compiled(say: Callable[[str], object]) -> None:
    if any(name in sys.modules for name in MACHINES):
        raise NotCompiled("they are in use")
    cache = _cache()
    archive = cache / f"{version()}.zip"
    with TemporaryDirectory(prefix=AT_WORK, dir=cache, ignore_cleanup_errors=True) as work:
        folder = Path(work, "compiled")
        if not _unpack(archive, folder):
            demand_tools()
            say("compiling the machines, once (half a minute; --interpreted does without)")
            _pack(_compile(Path(work, "sources")), archive, Path(work, archive.name))
            _unpack(archive, folder)
        _import_from(folder)
        with suppress(OSError):  # Others tidy up at the same time.
            forget_all_but(KEPT, cache)


def _cache() -> Path:
    try:
        cache = platformdirs.user_cache_path("tui_torrent")
    except RuntimeError as error:  # Nobody knows this user's home.
        raise NotCompiled(str(error)) from None
    if not cache.is_absolute():
        raise NotCompiled(f"expected a folder for caches, found {str(cache)!r}")
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _unpack(archive: Path, folder: Path) -> bool:
    """Unpack a version for this process alone; whether it is there, and every byte as it was packed."""
    try:
        content = archive.read_bytes()
    except FileNotFoundError:
        return False
    digest, packed = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(packed).digest() != digest:
        return False
    with ZipFile(BytesIO(packed)) as files:
        files.extractall(folder)
    with suppress(OSError):
        os.utime(archive)
    return True


def _pack(files: Iterable[tuple[str, Path]], archive: Path, partial: Path) -> None:
    packed = BytesIO()
    with ZipFile(packed, "w") as whole:
        for name, file in files:
            whole.write(file, name)
    partial.write_bytes(hashlib.sha256(packed.getbuffer()).digest() + packed.getbuffer())
    os.replace(partial, archive)


def _import_from(folder: Path) -> None:
    """Import all machines at once: their files need not stay."""
    places: list[tuple[MutableSequence[str], Path]] = [(sys.path, folder)]
    places += [(package.__path__, folder.joinpath(*package.__name__.split("."))) for package in (swarm, sim)]
    for path, place in places:
        path.insert(0, str(place))
    try:
        for name in MACHINES:
            import_module(name)
    except ImportError as error:  # A file system that runs no programs, say.
        for name in MACHINES:
            sys.modules.pop(name, None)
        raise NotCompiled(str(error)) from None
    finally:
        for path, place in places:
            path.remove(str(place))


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
        raise NotCompiled(MYPYC) from None


def _sources() -> list[Path]:
    return sorted(Path(mpi_core.__path__[0]).rglob("*.py"))


def demand_tools() -> None:
    """Raise NotCompiled where there is no compiler to begin with."""
    if not all(map(find_spec, ("mypyc", "setuptools"))):
        raise NotCompiled(MYPYC)
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise NotCompiled(f"expected a C compiler, {compiler}")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        raise NotCompiled(f"expected Python's headers, {header}")


def _compile(work: Path) -> Iterator[tuple[str, Path]]:
    """Compile the machines in a folder; what came of it, each with its name below the folder."""
    root = Path(mpi_core.__path__[0])
    for source in _sources():
        copy = work / "mpi_core" / source.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    _run_mypyc(work)
    for where in ("*", "mpi_core/*/*"):
        for file in work.glob(where + EXTENSION_SUFFIXES[0]):
            yield str(file.relative_to(work)), file


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
    """Remove the versions that were not used lately, and what a process that was killed has left."""
    archives = sorted(cache.glob("*.zip"), key=lambda archive: archive.stat().st_mtime)
    for archive in archives[:-kept]:
        archive.unlink(missing_ok=True)
    for folder in cache.glob(f"{AT_WORK}*"):
        if folder.stat().st_mtime < time.time() - 2 * PATIENCE:
            shutil.rmtree(folder, ignore_errors=True)
