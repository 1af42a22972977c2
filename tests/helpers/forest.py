"""Trees with all that a file system can hold: made by a script, compared without our own code."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

MIB = 1 << 20

#: Names that are hard to carry: no UTF-8, a newline, a terminal's command, what looks like a pattern.
ODD_NAMES = (
    b"no utf-8 \xff\xfe",
    b"\xc3(",
    b"new\nline",
    b"\x1b[31mred",
    b" leading and trailing ",
    b"quotes '\"\\",
    b"*?[ab]",
    "データ.bin".encode(),
    "\U0010f7ff".encode(),
    b"x" * 255,
    b"x.part",
    b"-rf",
    b".hidden",
)
FILE_MODES = (0o644, 0o600, 0o400, 0o755, 0o4755, 0o2755, 0o6711, 0o666)
FOLDER_MODES = (0o755, 0o700, 0o2755, 0o1777, 0o750)
SECOND = 1_000_000_000


def plant(root: Path, entries: int, seed: int = 1) -> Path:
    """A tree of about so many entries, 40 at the least, with all of it."""
    random, top = Random(seed), os.fsencode(root)
    os.makedirs(top)
    folders = [top]
    for at in range(max(8, entries // 60)):
        name = ODD_NAMES[at] if at < len(ODD_NAMES) else b"folder-%d" % at
        folder = os.path.join(random.choice(folders[:20]), name)
        os.mkdir(folder)
        folders.append(folder)
    empty = [os.path.join(random.choice(folders), b"empty-%d" % at) for at in range(max(3, entries // 100))]
    for folder in empty:
        os.mkdir(folder)
    links, hard = max(10, entries // 40), max(6, entries // 40)
    files = []
    for at in range(max(8, entries - len(folders) - len(empty) - links - hard - 5)):
        name = ODD_NAMES[at] if at < len(ODD_NAMES) else b"file-%d" % at
        path = os.path.join(folders[0] if at < len(ODD_NAMES) else random.choice(folders), b"f " + name[:250])
        with open(path, "wb") as file:
            # One in a hundred does not fit into one segment.
            file.write(
                random.randbytes(random.randrange(400_000) if at % 100 == 1 else random.randrange(2000))
            )
        files.append(path)
    for at in range(hard):
        os.link(random.choice(files), os.path.join(random.choice(folders), b"hard-%d" % at))
    targets = (b"nowhere", b"../..", b"/etc/hostname", b"\xff\xfe", b"link-0", b".")
    made = []
    for at in range(links):
        link = os.path.join(random.choice(folders), b"link-%d" % at)
        inside = os.path.relpath(random.choice(files + folders), os.path.dirname(link))
        os.symlink(targets[at] if at < len(targets) else inside, link)
        made.append(link)
    os.link(made[0], os.path.join(top, b"hard link of a link"), follow_symlinks=False)
    sparse = _sparse(top)
    for path in files + sparse:
        os.chmod(path, random.choice(FILE_MODES))
    for path in (*files, *sparse, *made):
        os.utime(path, ns=(0, _time(random)), follow_symlinks=False)
    # The deepest first: what is done in a folder changes its time.
    for folder in sorted(folders + empty, key=lambda path: -path.count(b"/")):
        os.chmod(folder, random.choice(FOLDER_MODES))
        os.utime(folder, ns=(0, _time(random)))
    return root


def small_tree(root: Path) -> Path:
    """A few folders, one of them empty and one private, a link, and a file of three names."""
    for folder in ("a/deep", "b/empty", "c"):
        (root / folder).mkdir(parents=True)
    (root / "a" / "deep" / "x").write_bytes(b"x")
    (root / "a" / "to x").symlink_to("deep/x")
    (root / "c" / "first").write_bytes(b"twins")
    os.link(root / "c" / "first", root / "c" / "second")
    os.link(root / "c" / "first", root / "b" / "third")
    (root / "a").chmod(0o700)
    for folder in ("a/deep", "b/empty", "a", "b", "c", "."):
        os.utime(root / folder, ns=(0, 10**18))
    return root


def _sparse(top: bytes) -> list[bytes]:
    """Files with holes: nothing else in them; at either end; in the middle; small; and zeros on the disk."""
    wholes = {b"hole": 1024 * MIB, b"ends": 8 * MIB, b"middle": 8 * MIB, b"small hole": 70_000, b"zeros": MIB}
    for name, size in wholes.items():
        with open(os.path.join(top, name), "wb") as file:
            if name == b"ends":
                file.seek(3 * MIB + 5)
                file.write(b"in the middle")
            elif name == b"middle":
                file.write(b"begin")
                file.seek(size - 3)
                file.write(b"end")
            elif name == b"zeros":
                file.write(bytes(size))
            file.truncate(size)
    return [os.path.join(top, name) for name in wholes]


def _time(random: Random) -> int:
    """Nanoseconds: mostly of this century, now and then before 1970."""
    return random.randrange(-SECOND * 10**8, 2 * SECOND * 10**9)


class Looks(NamedTuple):
    """What rsync -aH compares of one entry, but for its owner."""

    kind: str
    mode: int
    mtime: int
    size: int
    content: str


def walk(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every entry below ``root`` by its name, and the root itself as ``.``."""
    top = os.fsencode(root)
    waiting = [b"."]
    while waiting:
        name = waiting.pop()
        status = os.lstat(os.path.join(top, name))
        yield name, status
        if stat.S_ISDIR(status.st_mode):
            inside = os.listdir(os.path.join(top, name))
            waiting += [last if name == b"." else os.path.join(name, last) for last in inside]


def looks(root: Path) -> dict[bytes, Looks]:
    top, found = os.fsencode(root), {}
    for name, status in walk(root):
        path, kind = os.path.join(top, name), stat.filemode(status.st_mode)[0]
        size = status.st_size if kind == "-" else 0
        content = ""
        if kind == "l":
            content = repr(os.readlink(path))
        elif kind == "-":
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest() if size < 16 * MIB else ""
        found[name] = Looks(kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns, size, content)
    return found


def twins(root: Path) -> set[frozenset[bytes]]:
    """Which names are one file, or one link."""
    groups: dict[tuple[int, int], set[bytes]] = {}
    for name, status in walk(root):
        if not stat.S_ISDIR(status.st_mode):
            groups.setdefault((status.st_dev, status.st_ino), set()).add(name)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


def differences(source: Path, copy: Path, but: Sequence[bytes] = ()) -> list[str]:
    """What of ``source`` is not in ``copy`` as it is, a line each; ``but`` what could not travel."""
    wanted, there = looks(source), looks(copy)
    for name in but:
        del wanted[name]
    wrong = [f"{name!r} is missing" for name in wanted.keys() - there.keys()]
    wrong += [f"{name!r} is there" for name in there.keys() - wanted.keys()]
    for name in wanted.keys() & there.keys():
        if wanted[name] != there[name]:
            wrong.append(f"{name!r}: {there[name]} instead of {wanted[name]}")
    if twins(source) != twins(copy):
        wrong.append(f"hard links: {twins(source) ^ twins(copy)}")
    blocks, theirs = dict(walk(source)), dict(walk(copy))
    wrong += [
        f"{name!r} takes {theirs[name].st_blocks} blocks instead of {status.st_blocks}"
        for name, status in blocks.items()
        if name in theirs and status.st_size >= MIB and theirs[name].st_blocks > status.st_blocks + 64
    ]
    return sorted(wrong)


def others_say(source: Path, copy: Path) -> list[str]:
    """What rsync and diff have to say, if they are installed."""
    said: list[str] = []
    rsync = ("rsync", "-aHin", f"{source}/", f"{copy}/")
    for words in (rsync, ("diff", "-r", "--no-dereference", str(source), str(copy))):
        if shutil.which(words[0]) is None:
            print(f"{words[0]} is not installed: what it has to say is not known")
            continue
        done = subprocess.run(words, capture_output=True, timeout=300)
        said += [f"{words[0]}: {line!r}" for line in (done.stdout + done.stderr).splitlines()]
    return said
