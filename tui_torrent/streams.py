"""This process's stdout and stderr: every text can be written to them, and a pipe outlasts its reader."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: The name of our error handler for text that a stream's encoding lacks.
ESCAPED = "tui_torrent.escaped"


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Escape the characters that the encoding lacks as ``\\uXXXX``, one for each UTF-16 unit, as JSON has it.

    The built-in ``backslashreplace`` writes ``\\xXX`` and ``\\UXXXXXXXX`` too, which are no JSON.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)
    ), error.end


def take_every_text() -> None:
    """Let stdout and stderr take every text, whatever their encoding; what it lacks is written escaped."""
    codecs.register_error(ESCAPED, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


class _Pipe(io.FileIO):
    """A pipe whose reader may leave: what follows goes nowhere, and the command goes on to its end, since its
    exit code is an answer too."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


@contextmanager
def outlasting_the_reader() -> Iterator[None]:
    """Where stdout is a pipe, let it outlast its reader."""
    stdout = sys.stdout
    if type(stdout) is not io.TextIOWrapper or not stat.S_ISFIFO(os.fstat(stdout.fileno()).st_mode):
        yield
        return
    pipe = io.BufferedWriter(_Pipe(stdout.fileno(), "wb", closefd=False))
    with io.TextIOWrapper(pipe, stdout.encoding, stdout.errors, write_through=stdout.write_through) as lines:
        sys.stdout = lines
        try:
            yield
        finally:
            sys.stdout = stdout
