"""Names of files as text, whatever their bytes are.

A file system's names are bytes; messages, journals and reports carry text. A name that is UTF-8 stands as it
is. Of any other name, each byte that is no UTF-8 stands as one private character, U+10F700 + the byte, which
no screen takes for a command. Both ways lose nothing: a name that holds such a private character itself has
the character's own bytes escaped.
"""

from __future__ import annotations

import re

#: A byte that is no UTF-8, 0x80 to 0xff, stands as this character plus itself.
ESCAPED = 0x10F700

_ESCAPE = re.compile(f"[{chr(ESCAPED + 0x80)}-{chr(ESCAPED + 0xFF)}]")
_LONE = re.compile("[\udc80-\udcff]")


def name_of(raw: bytes) -> str:
    """The text that stands for those bytes."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    text = _ESCAPE.sub(lambda found: "".join(chr(ESCAPED + byte) for byte in found[0].encode()), text)
    return _LONE.sub(lambda found: chr(ord(found[0]) - 0xDC00 + ESCAPED), text)


def bytes_of(name: str) -> bytes:
    """The bytes that the text stands for: the inverse of :func:`name_of`."""
    if name.isascii():
        return name.encode()
    lone = _ESCAPE.sub(lambda found: chr(ord(found[0]) - ESCAPED + 0xDC00), name)
    return lone.encode("utf-8", "surrogateescape")


def is_canonical(name: str) -> bool:
    """Whether no other name stands for the same bytes."""
    return name.isascii() or not _ESCAPE.search(name) or name_of(bytes_of(name)) == name
