"""Where a run is recorded: what a recorder does until the run begins, and when its file cannot be written.

A disk that is full ends the recording, never the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from mpi_core.protocol.events import ClientFailed, InitAckSent, RunAborted, Stamped
from mpi_core.runtime.journal import JournalWriter
from mpi_core.runtime.outputs import OutputFile
from tui_torrent.complaints import cannot_write
from tui_torrent.feed import Recorder
from tui_torrent.scenario import Scenario

#: The exit code of bad input, and of an output that could not be written.
BAD_INPUT = 2


class JournalFile:
    """A journal that is begun with the swarm: a run that is refused before leaves the file as it was."""

    def __init__(self, file: OutputFile) -> None:
        self._file = file
        self._writer: JournalWriter | None = None
        #: What came before the swarm began.
        self._held: list[Stamped] = []

    def append(self, batch: Sequence[Stamped]) -> None:
        """Raises OSError, and then nothing more is written."""
        if self._writer is not None:
            self._write(self._writer, batch)
            return
        self._held += batch
        # Whoever may be refused was heard by then.
        if any(isinstance(stamped.event, InitAckSent) for stamped in batch):
            self._begin()

    def close(self) -> None:
        if self._writer is None and not any(map(_refuses, self._held)):
            self._begin()
        if self._writer is not None:
            self._writer.close()

    def _begin(self) -> None:
        held, self._held = self._held, []
        if held:
            self._writer = JournalWriter(self._file.path, self._file.begin())
            self._write(self._writer, held)

    def _write(self, writer: JournalWriter, batch: Sequence[Stamped]) -> None:
        try:
            writer.append(batch)
        except OSError:
            # Were there room again later, the rest would follow a gap.
            with suppress(OSError):
                writer.close()
            raise


class AtBegin:
    """Does something once, when the swarm begins. Raises OSError where that does."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def append(self, batch: Sequence[Stamped]) -> None:
        if self._act is not None and any(isinstance(stamped.event, InitAckSent) for stamped in batch):
            act, self._act = self._act, None
            act()

    def close(self) -> None:
        """There is nothing to end."""


def _refuses(stamped: Stamped) -> bool:
    """Whether the run ended with that, before the swarm began."""
    event = stamped.event
    return isinstance(event, ClientFailed) or (isinstance(event, RunAborted) and event.code == BAD_INPUT)


class Guarded:
    """A recorder that may fail: one line says so, and it hears nothing more."""

    def __init__(self, recorder: Recorder, what: str) -> None:
        """``what`` is its name in that line."""
        self._recorder = recorder
        self._what = what
        self.failed = False

    def append(self, batch: Sequence[Stamped]) -> None:
        if not self.failed:
            self._attempt(partial(self._recorder.append, batch))

    def close(self) -> None:
        self._attempt(self._recorder.close)

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            if not self.failed:
                self.failed = True
                cannot_write(self._what, error)


def scenario_files(path: str | None, scenario: Scenario | None) -> Iterator[str]:
    """The files that describe the scenario at ``path``, which is ``scenario`` where it could be opened."""
    if path is None:
        return
    yield path
    if scenario is not None and scenario.declared:
        for rank in range(1, scenario.client_count + 1):
            yield os.path.join(path, f"in{rank}.txt")
