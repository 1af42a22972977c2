"""A file of zstd frames, as a plain one to whoever writes or reads lines. The library is imported on use.

What is flushed can be read even if the file never gets its end: the writer ends a block at each flush, and
the reader gives all whole blocks. What is no zstd at all is an OSError, as of a disk that cannot be read.
"""

from __future__ import annotations

import errno
import io
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: What every zstd frame begins with.
MAGIC = b"\x28\xb5\x2f\xfd"

#: Of 1…22: higher ones take longer than a live run has time for, and gain little.
LEVEL = 3


class ZstWriter:
    """Compresses into ``file``, which it owns."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._file = file
        self._frame = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        self._end_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def write(self, content: bytes) -> None:
        self._file.write(self._frame.compress(content))

    def flush(self) -> None:
        """All that was written can be read from now on, whatever becomes of this process."""
        self._file.write(self._frame.flush(self._end_block))
        self._file.flush()

    def close(self) -> None:
        """End the frame and close the file; does nothing where that was done."""
        if not self._file.closed:
            with self._file:
                self._file.write(self._frame.flush())


class _Frames(io.RawIOBase):
    """The content of all frames of ``file``, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        import zstandard

        self._stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        self._error = zstandard.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            return self._stream.readinto(buffer)
        except self._error as error:
            raise OSError(errno.EIO, f"damaged zstd ({error})") from None

    def close(self) -> None:
        self._stream.close()  # type: ignore[no-untyped-call]
        super().close()


def reader(file: BinaryIO) -> BinaryIO:
    """``file`` decompressed; closing it closes ``file``."""
    return io.BufferedReader(_Frames(file), 1 << 17)
