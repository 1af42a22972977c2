"""Names of any bytes are text that travels, is printed, and gives the bytes back."""

from __future__ import annotations

import os

from hypothesis import example, given
from hypothesis import strategies as st

from mpi_core.protocol import messages as msg
from mpi_core.protocol.codec import decode, encode
from mpi_core.protocol.entries import Entry
from mpi_core.protocol.errors import one_line
from mpi_core.protocol.manifest import name_problem
from mpi_core.protocol.names import ESCAPED, bytes_of, is_canonical, name_of
from mpi_core.runtime.disk import name_on_disk, partial_name, path_of

BYTES = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw)


@given(BYTES | st.text(min_size=1).map(lambda text: text.encode("utf-8", "ignore")).filter(bool))
@example(b"\xff")
@example("\U0010f7ff".encode())
@example("\U0010f7ff".encode()[:3])
@example("é".encode()[:1])
def test_bytes_become_a_name_and_bytes_again(raw: bytes) -> None:
    name = name_of(raw)
    assert bytes_of(name) == raw
    assert is_canonical(name)
    name.encode()
    assert one_line(name).isprintable()
    if b"\0" not in raw and b"/" not in raw:
        assert name_on_disk(os.fsdecode(raw)) == name
        assert os.fsencode(path_of(name)) == raw


@given(st.text(max_size=20))
def test_a_name_of_a_peer_stands_for_bytes_or_is_refused(name: str) -> None:
    entry_problem = name_problem(name)
    if entry_problem is None and is_canonical(name):
        assert name_of(bytes_of(name)) == name


def test_a_name_that_is_another_written_otherwise_is_refused() -> None:
    """Else a link and a file could meet under one name on a disk."""
    twice = "".join(chr(ESCAPED + byte) for byte in "é".encode())
    assert bytes_of(twice) == "é".encode()
    assert "written otherwise" in (name_problem(twice) or "")


@given(st.text())
def test_text_without_escapes_stands_as_it_is(text: str) -> None:
    raw = text.encode("utf-8", "ignore")
    if not any(ESCAPED + 0x80 <= ord(char) <= ESCAPED + 0xFF for char in text):
        assert name_of(raw) == raw.decode()


def test_odd_names_travel() -> None:
    entry = Entry(name_of(b"a/\xff\n"), 0o777, -1, name_of(b"\xfe"))
    message = msg.Init((), entries=(entry,))
    assert decode(message.tag, encode(message)) == message


@given(st.binary(min_size=1, max_size=255).filter(lambda raw: not {0, 0x2F} & set(raw)), st.integers(1, 12))
def test_a_partial_name_fits_a_file_system_whatever_its_bytes(raw: bytes, number: int) -> None:
    partial = partial_name("d/" + name_of(raw), number)
    assert len(bytes_of(partial)) - 2 <= 255
    assert is_canonical(partial)
