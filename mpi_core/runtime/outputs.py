"""The files that a command is asked to write: its report, its journal, its plot.

Rules. No output is a file that the same run reads, nor that of another option. At the start it is proved
that each can be written, and nothing is changed by that: a run that is refused, or that is ended from
outside, leaves what was there. What is written at once stands in a file beside first, which then takes the
old one's place. A device, a pipe, and whatever this process's stdout or stderr goes to, is written as it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from errno import EACCES, EBUSY, EPERM, EROFS
from typing import BinaryIO

from mpi_core.protocol.errors import ScenarioError, reason
from mpi_core.runtime.disk import CREATE, TEMPORARY, identity

#: A path, as an option or a scenario gives it.
Path = str | os.PathLike[str]

#: What tells whether two paths lead to one file: where it is on the disk, or where it would be.
_Place = tuple[int, int] | str


class OutputFile:
    """A file that can be written; opening it raises ScenarioError, ``option`` is named in that."""

    def __init__(self, option: str, path: Path) -> None:
        self.path = os.fspath(path)
        #: What cannot be replaced, open from the start: a reader of a pipe may wait for it.
        self._direct: BinaryIO | None = None
        #: What a link at the path leads to, so that the link stays.
        self._target = os.path.realpath(self.path)
        try:
            self._prove()
        except OSError as error:
            problem = f"expected a file that can be written: {reason(error)}"
            raise ScenarioError(f"{option} {self.path!r}: {problem}") from None

    def _prove(self) -> None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            os.close(os.open(self._target, CREATE, 0o600))
            os.unlink(self._target)
            return
        ours = _descriptor(status)
        if ours is not None:
            # Not opened anew: that would have a place of its own in the file, and write over our lines.
            self._direct = open(os.dup(ours), "wb")  # noqa: SIM115
        elif stat.S_ISREG(status.st_mode):
            os.close(os.open(self._target, os.O_WRONLY | os.O_CLOEXEC))
        else:
            self._direct = open(self.path, "wb")  # noqa: SIM115

    @property
    def is_replaced(self) -> bool:
        """Whether what is written takes the place of what is there, and does not follow it."""
        return self._direct is None

    @property
    def holds_another(self) -> bool:
        """Whether something is there that writing would replace."""
        return self._direct is None and os.path.lexists(self._target)

    def begin(self) -> BinaryIO:
        """The file, empty, to be written bit by bit; raises OSError."""
        return self._direct or open(self._target, "wb")

    def write(self, content: bytes) -> None:
        """Let it hold ``content`` and nothing else; raises OSError, and then it holds what it held."""
        try:
            if self._direct is None:
                self._replace(content)
                return
        except OSError as error:
            # The folder is not ours, or the file is mounted there; it itself can be written.
            if error.errno not in (EACCES, EPERM, EROFS, EBUSY):
                raise
        with self.begin() as file:
            file.write(content)

    def write_at_last(self, content: bytes) -> None:
        """The same where nothing else is left to do: raises ScenarioError, which ends the command."""
        try:
            self.write(content)
        except OSError as error:
            raise ScenarioError(f"cannot write {self.path!r}: {reason(error)}") from None

    def _replace(self, content: bytes) -> None:
        name = f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"
        beside = os.path.join(os.path.dirname(self._target), name)
        try:
            with open(os.open(beside, CREATE, 0o666), "wb") as file:
                with suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(os.stat(self._target).st_mode))
                file.write(content)
            os.replace(beside, self._target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise


def check_output(out: Path) -> None:
    """Make the folder ``out`` and prove that a file can be made in it; raises ScenarioError."""
    probe = os.path.join(out, f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}")
    try:
        os.makedirs(out, exist_ok=True)
        os.close(os.open(probe, CREATE, 0o600))
        os.unlink(probe)
    except FileExistsError:
        raise ScenarioError(f"--out {str(out)!r}: expected a folder, found a file") from None
    except (OSError, ValueError, RecursionError) as error:
        problem = f"expected a folder that can be written: {reason(error)}"
        raise ScenarioError(f"--out {str(out)!r}: {problem}") from None


def open_outputs(asked: Mapping[str, Path | None], inputs: Iterable[Path] = ()) -> dict[str, OutputFile]:
    """The files that options ask for, by option; ``inputs`` are the files that the command reads.

    Raises ScenarioError where one cannot be written, is an input, or is that of another option.
    """
    refuse_inputs(asked, inputs)
    places: dict[_Place, str] = {}
    for option, path in asked.items():
        # What has no content to lose, such as /dev/null, may be written by many.
        if path is not None and not _is_device(path):
            other = places.setdefault(_place(path), option)
            if other != option:
                problem = f"expected a file of its own, found that of {other}"
                raise ScenarioError(f"{option} {os.fspath(path)!r}: {problem}")
    return {option: OutputFile(option, path) for option, path in asked.items() if path is not None}


def refuse_inputs(asked: Mapping[str, Path | None], inputs: Iterable[Path]) -> None:
    """Raise ScenarioError where a file that an option asks for is one of ``inputs``, by whatever path."""
    places = {
        _place(path): f"{option} {os.fspath(path)!r}"
        for option, path in asked.items()
        if path is not None and os.path.exists(path) and not _is_device(path)
    }
    # Shares are many: where nothing is there that could be lost, none of them is looked at.
    for path in inputs if places else ():
        output = places.get(_place(path))
        if output is not None:
            found = f"found {os.fspath(path)!r}, which is read"
            raise ScenarioError(f"{output}: expected a file of its own, {found}")


def refuse_results(asked: Mapping[str, Path | None], results: str) -> None:
    """Raise ScenarioError where a file that an option asks for is one that the run itself may write: its path
    begins with ``results``."""
    for option, path in asked.items():
        if path is not None and os.path.realpath(path).startswith(results):
            found = f"found one in the place of results, {results}…"
            raise ScenarioError(f"{option} {os.fspath(path)!r}: expected a file of its own, {found}")


def _place(path: Path) -> _Place:
    try:
        return identity(os.stat(path))
    except OSError:
        return os.path.realpath(path)


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False


def _descriptor(status: os.stat_result) -> int | None:
    """Which of stdout and stderr goes to that file, if one does."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(status, os.fstat(descriptor)):
                return descriptor
    return None
