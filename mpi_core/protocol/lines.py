"""What is wrong with a line of a journal that is no event, in words: what was expected, and a near word.

Reading a line that is right costs nothing here: a line is looked at again only once msgspec has refused it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, get_args

import msgspec

from mpi_core.protocol.events import AnyEvent, Stamped

_KINDS = {kind.__name__: kind for kind in get_args(AnyEvent)}
#: What of the input is quoted, in characters.
_QUOTED = 60


def what_is_wrong(line: bytes, otherwise: str) -> str:
    """Why that line is no event, in one line; ``otherwise`` where nothing better can be said."""
    try:
        found = json.loads(line.rstrip().decode())
    except UnicodeDecodeError as error:
        return f"byte 0x{line[error.start]:02x} in column {error.start + 1} is not UTF-8"
    except json.JSONDecodeError as error:
        return f"{error.msg[:1].lower()}{error.msg[1:]} in column {error.colno}"
    except (RecursionError, ValueError):
        return otherwise
    if not isinstance(found, dict):
        return f"expected an object, found {_kind(found)}"
    return _of_stamp(found) or _of_event(found["event"]) or otherwise


def _of_stamp(found: dict[str, Any]) -> str | None:
    problem = _missing(found, Stamped.__struct_fields__)
    if problem is not None:
        return problem
    t = found["t"]
    if isinstance(t, bool) or not isinstance(t, (int, float)):
        return f"expected t to be seconds, found {_kind(t)}"
    if not isfinite(t):
        return f"expected t to be seconds, found {t}"
    for name in ("rank", "seq"):
        if type(found[name]) is not int:
            return f"expected {name} to be a whole number, found {_kind(found[name])}"
    if not isinstance(found["event"], dict):
        return f"expected event to be an object, found {_kind(found['event'])}"
    return None


def _of_event(event: dict[str, Any]) -> str | None:
    problem = _missing(event, ("kind",))
    if problem is not None:
        return problem
    name = event["kind"]
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        near = f" (did you mean {_near(name, _KINDS)}?)" if _near(name, _KINDS) else ""
        return f"expected kind to be one of an event, found {_quoted(name)}{near}"
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    problem = _missing(event, required, known)
    return f"{name}: {problem}" if problem is not None else None


def _missing(found: dict[str, Any], required: Iterable[str], known: Iterable[str] = ()) -> str | None:
    """The first field that is not there, and what may stand in its place."""
    fields = {*required, *known, "kind"}
    strange = [name for name in found if name not in fields]
    for name in required:
        if name not in found:
            near = next((other for other in strange if _near(other, [name])), None)
            other = near or (strange[0] if len(strange) == 1 else None)
            hint = f", found {_quoted(other)} (did you mean {name}?)" if near else ""
            hint = hint or (f", found {_quoted(other)}" if other else ", which is not there")
            return f"expected the field {name}{hint}"
    return None


def _near(word: object, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(str(word)[:_QUOTED], list(known), 1)
    return close[0] if close else None


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"


def _kind(value: object) -> str:
    """What JSON calls a value."""
    kinds = {str: "a string", list: "an array", dict: "an object", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), _quoted(value))
