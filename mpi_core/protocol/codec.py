"""Messages to and from buffers, events to and from JSON and batches.

MessagePack and JSON by msgspec: typed and validated on arrival, no pickle. Whatever the bytes are,
decoding them gives a message or raises RemoteProtocolError (law 2 begins here).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mpi_core.protocol.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.messages import ENCODED, Message, Tag

_encoder = msgspec.msgpack.Encoder()
_decoders = {tag: msgspec.msgpack.Decoder(message) for tag, message in ENCODED.items()}
_batch_decoder = msgspec.msgpack.Decoder(list[Stamped])
_line_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(Stamped)

#: What msgspec raises for bytes that are no message; the last for arrays nested too deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(message: Message) -> bytes:
    """The buffer that carries ``message``; its tag travels beside it."""
    if message.tag not in ENCODED:
        raise LocalProtocolError(f"{message.tag.name} travels bare")
    return _encoder.encode(message)


def decode(tag: int, buffer: bytes | bytearray | memoryview) -> Message:
    """The message in ``buffer``; raises RemoteProtocolError where there is none."""
    decoder = _decoders.get(tag)  # type: ignore[call-overload]
    if decoder is None:
        raise RemoteProtocolError(f"no message has tag {tag}")
    try:
        return decoder.decode(buffer)  # type: ignore[no-any-return]
    except _UNREADABLE as error:
        raise RemoteProtocolError(f"{Tag(tag).name}: {error}") from None


def encode_batch(batch: list[Stamped]) -> bytes:
    """A STATUS message: events of one rank, in their order."""
    return _encoder.encode(batch)


def decode_batch(buffer: bytes | bytearray | memoryview) -> list[Stamped]:
    """The inverse of :func:`encode_batch`; raises RemoteProtocolError."""
    try:
        return _batch_decoder.decode(buffer)
    except _UNREADABLE as error:
        raise RemoteProtocolError(f"STATUS: {error}") from None


def to_lines(events: Iterable[Stamped]) -> bytes:
    """The events as JSON Lines, each line ended."""
    return b"".join(_line_encoder.encode(event) + b"\n" for event in events)


def from_line(line: bytes) -> Stamped:
    """The event of one line of a journal; raises ScenarioError, whose text lacks file and line."""
    try:
        return _line_decoder.decode(line)
    except _UNREADABLE as error:
        # Imported where a line is wrong: most runs read none.
        from mpi_core.protocol.lines import what_is_wrong

        raise ScenarioError(f"expected an event as JSON: {what_is_wrong(line, str(error))}") from None
