"""What is sent is what comes; and any bytes with any tag are a message or a RemoteProtocolError."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, decode_batch, encode, encode_batch, from_line, to_lines
from mpi_core.protocol.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from mpi_core.protocol.events import Stamped
from mpi_core.protocol.messages import Tag
from mpi_core.protocol.units import Rank, Ticket
from tests.helpers.wire import ENCODED, STAMPED

#: Well-formed MessagePack that may mean anything.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
TAGS = st.one_of(st.sampled_from(list(Tag)), st.integers(-5, 2000))

DEEP = b"\x91" * 100_000
LONG = b"\xdd\xff\xff\xff\xff"
MANIFEST = ["file1", 3, 0, "declared", [b"abc"], 0o644]


# Round trips ------------------------------------------------------------------------------------


@given(ENCODED)
def test_every_message_comes_as_it_was_sent(message: msg.Message) -> None:
    assert decode(message.tag, encode(message)) == message
    assert decode(message.tag, memoryview(bytearray(encode(message)))) == message


def test_every_tag_but_three_carries_an_encoded_message() -> None:
    bare = {Tag.SEND_SEGMENT, Tag.STATUS, Tag.KEYS}
    assert set(msg.ENCODED) == set(Tag) - bare
    with pytest.raises(LocalProtocolError, match="SEND_SEGMENT travels bare"):
        encode(msg.SendSegment(Ticket(0), b"payload"))


@given(st.lists(STAMPED, max_size=5))
def test_every_batch_of_events_comes_as_it_was_sent(batch: list[Stamped]) -> None:
    assert decode_batch(encode_batch(batch)) == batch


@given(st.lists(STAMPED, max_size=5))
def test_every_event_is_one_line_of_json(batch: list[Stamped]) -> None:
    lines = to_lines(batch).splitlines(keepends=True)
    assert [from_line(line) for line in lines] == batch
    assert all(line.endswith(b"\n") and b"kind" in line for line in lines)


# Nonsense ---------------------------------------------------------------------------------------


def reads(tag: int, buffer: bytes) -> None:
    """Decode: a message of that tag or a RemoteProtocolError, nothing else."""
    with contextlib.suppress(RemoteProtocolError):
        assert decode(tag, buffer).tag == tag
    with contextlib.suppress(RemoteProtocolError):
        decode_batch(buffer)
    with contextlib.suppress(ScenarioError):
        from_line(buffer)


@given(TAGS, st.binary(max_size=40))
@example(Tag.INIT_ACK, b"\x92\x90" + DEEP)
@example(Tag.INIT, DEEP)
@example(Tag.STATUS, DEEP)
@example(Tag.STATUS, b"\x91\x81\xa1x" + DEEP)
@example(Tag.INIT_ACK, b"\x91" + LONG)
@example(Tag.ANNOUNCE, b"\x91" + LONG + b"\x92\xa1a" + LONG)
@example(Tag.STATUS, b'{"x":' + b"[" * 100_000)
@example(Tag.STATUS, b'{"t":0,"rank":1' + b"0" * 6000 + b"}")
@example(Tag.STATUS, b'{"t":1e999}')
@example(Tag.FILE_COMPLETE, b"\x91\xa2\xff\xfe")
@example(Tag.FILE_COMPLETE, b"\x91\xa3\xed\xa0\x80")
def test_any_bytes_with_any_tag_are_a_message_or_a_remote_error(tag: int, buffer: bytes) -> None:
    reads(tag, buffer)


@given(TAGS, ANYTHING)
def test_so_is_anything_well_formed(tag: int, value: object) -> None:
    reads(tag, msgspec.msgpack.encode(value))


@given(ENCODED, st.data())
def test_so_is_a_message_with_a_few_bytes_changed(message: msg.Message, data: st.DataObject) -> None:
    buffer = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
    reads(message.tag, bytes(buffer))
    reads(message.tag, bytes(buffer[: data.draw(st.integers(0, len(buffer)))]))


@given(STAMPED, st.data())
def test_so_is_a_line_with_a_few_bytes_changed(stamped: Stamped, data: st.DataObject) -> None:
    line = bytearray(to_lines([stamped]))
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ScenarioError):
        from_line(bytes(line))


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (0, "../up", "could leave its folder"),
        (0, "/etc/passwd", "an absolute name"),
        (0, "", "an empty name"),
        (1, 4, "3 bytes of digests for a size of 4"),
        (1, -1, "3 bytes of digests for a size of -1"),
        (3, "md5", "Invalid enum value 'md5'"),
        (4, [b"abc", b"d"], "4 bytes of digests"),
        (5, 0o10000, "mode 4096"),
        (5, -1, "mode -1"),
        (2, None, "Expected `int`"),
    ],
)
def test_an_invalid_manifest_never_arrives(place: int, value: Any, problem: str) -> None:
    fields: list[Any] = [*MANIFEST]
    assert isinstance(decode(Tag.INIT, msgspec.msgpack.encode([[fields], []])), msg.Init)
    fields[place] = value
    with pytest.raises(RemoteProtocolError, match=problem):
        decode(Tag.INIT, msgspec.msgpack.encode([[fields], []]))


def test_nonsense_is_named_by_its_tag() -> None:
    with pytest.raises(RemoteProtocolError, match="FILE_COMPLETE: "):
        decode(Tag.FILE_COMPLETE, b"\xc1")
    with pytest.raises(RemoteProtocolError, match="no message has tag 6"):
        decode(Tag.SEND_SEGMENT, b"")
    with pytest.raises(RemoteProtocolError, match="STATUS: "):
        decode_batch(b"\xc1")
    with pytest.raises(ScenarioError, match="expected an event as JSON"):
        from_line(b'{"t": 0}')


def test_an_event_says_its_kind() -> None:
    line = to_lines([Stamped(0.5, Rank(2), 7, ev.FileCompleted("file1"))])
    assert line == b'{"t":0.5,"rank":2,"seq":7,"event":{"kind":"FileCompleted","file":"file1"}}\n'
