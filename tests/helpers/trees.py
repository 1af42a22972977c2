"""Folders of real files: made at random, dealt out to owners, and compared with what arrived."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

from tests.helpers.disk import mode_of

#: Name → size in bytes, mode.
Tree = Mapping[str, tuple[int, int]]

_CHUNK = 1 << 20


def grow(folder: Path, tree: Tree, random: Random) -> Path:
    """Make the files of ``tree`` below ``folder``, of random bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, mode) in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK):
                file.write(random.randbytes(min(_CHUNK, size - start)))
        path.chmod(mode)
    return folder


def link_below(folder: Path, everything: Path, names: Iterable[str]) -> Path:
    """An owner's root: some of the files, as hard links."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(everything / name, folder / name)
    return folder


def client_tables(owners: Iterable[tuple[Path, Sequence[str]]], wants: Sequence[Sequence[str]] = ()) -> str:
    """A TOML scenario: the first clients share those patterns below those roots; each wants what it wants."""
    shared = list(owners)
    tables = []
    for at in range(max(len(shared), len(wants))):
        lines = ["[[client]]"]
        if at < len(shared):
            root, patterns = shared[at]
            lines += [f"root = {_string(str(root))}", f"share = {_strings(patterns)}"]
        if at < len(wants) and wants[at]:
            lines.append(f"want = {_strings(wants[at])}")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _strings(texts: Iterable[str]) -> str:
    return "[" + ", ".join(map(_string, texts)) + "]"


def wrong_files(folder: Path, everything: Path, names: set[str]) -> list[str]:
    """What is wrong with the files ``names`` that arrived in ``folder``, a line each."""
    paths = [path for path in folder.rglob("*") if not path.is_dir()] if folder.exists() else []
    there = {str(path.relative_to(folder)) for path in paths}
    wrong = [f"{name} is missing" for name in sorted(names - there)]
    wrong += [f"{name} is there" for name in sorted(there - names)]
    for name in sorted(names & there):
        if not _same(folder / name, everything / name):
            wrong.append(f"{name} has other bytes")
        if mode_of(folder / name) != mode_of(everything / name):
            wrong.append(f"{name} has mode {mode_of(folder / name):o}")
    return wrong


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(_CHUNK):
            if piece != right.read(_CHUNK):
                return False
    return True
