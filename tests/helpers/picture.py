"""What a machine knows, as a value that can be compared: law 2 says that an error changes none of it."""

from __future__ import annotations

from collections import deque
from random import Random
from types import FunctionType, MethodType
from typing import Any

import msgspec


def picture(thing: Any) -> Any:
    """Lists, dicts and plain values all the way down. Methods say nothing, and sets have no order."""
    if isinstance(thing, dict):
        return [(key, picture(value)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple, deque)):
        return [picture(value) for value in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(thing)
    if isinstance(thing, Random):
        return thing.getstate()
    if isinstance(thing, (MethodType, FunctionType)):
        return None
    if isinstance(thing, msgspec.Struct) or thing is None or type(thing).__module__ == "builtins":
        return thing
    names = getattr(type(thing), "__slots__", None) or vars(thing)
    return type(thing).__name__, [(name, picture(getattr(thing, name))) for name in names]
