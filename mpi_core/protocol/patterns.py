"""Which names of a swarm a pattern means.

A pattern is tried as a name, then as a folder (all below it), then as a glob with the meaning of
pathlib's: ``*``, ``?`` and ``[...]`` stay within one component and match dot-files too, ``**`` is any
number of components. It names files, never folders: ``a/*`` is the files of ``a``, and a trailing
``**`` is every file below. Python 3.10–3.12 have no ``PurePath.full_match``, and pathlib's glob itself
changed with 3.13; this meaning is the same everywhere, on a disk (shares) and off it (wants). A symbolic
link is a name like a file's. Folders come with what is below them, and on their own where a pattern means all
that is below something: a folder's name, or a glob whose end is ``**`` or ``**/*``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from itertools import count

#: A pattern's components, ``.`` and doubled slashes left out.
Parts = tuple[str, ...]

_MAGIC = re.compile(r"[*?[]")


def match_names(pattern: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names that ``pattern`` means, in the order of ``names``; empty where there are none.

    A pattern that leaves its folder (absolute, or with ``..``) means nothing.
    """
    if pattern in names:
        return (pattern,)
    parts = pattern_parts(pattern)
    if parts is None:
        return ()
    if not parts:
        return tuple(names)
    path = "/".join(parts)
    folder_only = pattern.endswith("/")
    if not folder_only and path in names:
        return (path,)
    below = tuple(name for name in names if name.startswith(path + "/"))
    if below or folder_only or not has_magic(path):
        return below
    matches = glob_regex(parts).fullmatch
    return tuple(name for name in names if matches(name))


def match_folders(pattern: str, folders: Sequence[str]) -> tuple[str, ...]:
    """Those of ``folders`` that ``pattern`` means, as a folder or as a glob that means all below one."""
    parts = pattern_parts(pattern)
    if parts is None:
        return ()
    if not parts:
        return tuple(folders)
    path = "/".join(parts)
    below = tuple(name for name in folders if name == path or name.startswith(path + "/"))
    if below or not is_deep(parts):
        return below
    matches = glob_regex(parts).fullmatch
    return tuple(name for name in folders if matches(name))


def is_deep(parts: Parts) -> bool:
    """Whether a glob means all that is below what its first parts mean."""
    return parts[-1:] == ("**",) or parts[-2:] == ("**", "*")


def means_all(pattern: str) -> bool:
    """Whether ``pattern`` means the root folder itself, with all that is below."""
    parts = pattern_parts(pattern)
    return parts is not None and (not parts or (is_deep(parts) and set(parts[:-1]) <= {"**"}))


def pattern_problem(pattern: str) -> str | None:
    """Why ``pattern`` can mean no name of a swarm, or None."""
    if not pattern:
        return "an empty name"
    if "\0" in pattern:
        return "a name with a NUL in it"
    if pattern.startswith("/"):
        return f"an absolute name: {pattern!r}"
    if pattern_parts(pattern) is None:
        return f"a name that leaves its folder: {pattern!r}"
    return None


def pattern_parts(pattern: str) -> Parts | None:
    """The components of ``pattern``, or None where it leaves its folder; () is the folder itself."""
    parts = tuple(part for part in pattern.split("/") if part not in ("", "."))
    return None if not pattern or pattern.startswith("/") or ".." in parts else parts


def has_magic(text: str) -> bool:
    """Whether ``text`` holds a glob character."""
    return _MAGIC.search(text) is not None


def glob_regex(parts: Parts) -> re.Pattern[str]:
    """The regular expression that a file's whole name matches (``fullmatch``) where the glob does.

    What stands between two ``**`` (or two ``*``) is matched at the first place that fits and never
    tried again, as fnmatch does it: no pattern takes more than time linear in the name's length times
    its own. Python 3.10 lacks atomic groups; a lookahead that captures, then a backreference, is one.
    """
    groups = count()
    runs: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            runs.append([])
        else:
            runs[-1].append(_component(part, groups))
    first, *others = ("".join(f"{part}/" for part in run) for run in runs)
    if not others:
        return re.compile(first[:-1], re.DOTALL)
    *middle, last = others
    text = first
    for run in filter(None, middle):
        text += _once(f"(?:[^/]+/)*?{run}", groups)
    text += f"(?:[^/]+/)*{last[:-1]}" if last else ".+"
    return re.compile(text, re.DOTALL)


def _component(part: str, groups: Iterator[int]) -> str:
    """The regular expression of one component that is not ``**``."""
    pieces = [""]
    for token in _tokens(part):
        if token == "*":
            pieces.append("")
        elif token == "?":
            pieces[-1] += "[^/]"
        elif len(token) > 1:
            # fnmatch knows the fine print of brackets: "(?s:" + … + ")\Z".
            pieces[-1] += "(?!/)" + fnmatch.translate(token)[4:-3]
        else:
            pieces[-1] += re.escape(token)
    first, *others = pieces
    if not others:
        return first
    *middle, last = others
    text = first
    for piece in filter(None, middle):
        text += _once(f"[^/]*?{piece}", groups)
    # A component is never empty, so that a lone "*" takes at least one character.
    return text + ("[^/]*" if first or any(middle) or last else "[^/]+") + last


def _tokens(part: str) -> Iterator[str]:
    """``*``, ``?``, a whole ``[...]``, or one literal character."""
    at = 0
    while at < len(part):
        end = at + 1
        if part[at] == "[":
            inside = at + 1 + part.startswith("!", at + 1)
            close = part.find("]", inside + 1)
            end = close + 1 if close >= 0 else end
        yield part[at:end]
        at = end


def _once(text: str, groups: Iterator[int]) -> str:
    """``text`` as an atomic group."""
    group = f"g{next(groups)}"
    return f"(?=(?P<{group}>{text}))(?P={group})"
