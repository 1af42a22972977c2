"""Classic scenarios drawn at random, with what every run of them must write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

HEX = "0123456789abcdef"
#: Kinds of hashes: so many random digits each; always NONE; or all segments of a file alike.
KINDS = ("8", "32", "32", "32", "64", "NONE", "repeated")


@dataclass(frozen=True)
class File:
    name: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Generated:
    """A scenario's in-files, and the files that a run must write: all of them, and no others."""

    clients: int
    #: The bytes of in<R>.txt for each rank.
    inputs: dict[int, bytes]
    #: The bytes of each output, by its name.
    outputs: dict[str, bytes]
    #: Who wants what nobody has.
    unavailable: frozenset[tuple[int, str]]
    #: Segments that some client has to fetch.
    transfers: int

    @property
    def exit_code(self) -> int:
        return 1 if self.unavailable else 0

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for rank, data in self.inputs.items():
            (folder / f"in{rank}.txt").write_bytes(data)
        return folder


def generate(
    random: Random,
    clients: int | None = None,
    files: int | None = None,
    segments: int = 150,
    all_had: bool | None = None,
) -> Generated:
    """A scenario of 3–11 clients and 1–25 files of at most so many ``segments``, or as told.

    Where not ``all_had`` (None: in one of three), some wanted files have no owner.
    """
    clients = clients or random.randint(3, 11)
    number = files or random.randint(1, 25)
    if all_had is None:
        all_had = random.random() < 2 / 3
    longest = random.choice([5, segments, segments])
    names = _names(random, number)
    everything = [_file(random, name, min(longest, segments)) for name in names]
    owners = {file.name: _owners(random, clients, all_had) for file in everything}
    wanted = _wanted(random, clients, names)
    if not all_had and random.random() < 0.5:
        wanted[random.randint(1, clients)].append("nowhere-to-be-found")
    inputs = {
        rank: _in_file(random, [f for f in everything if rank in owners[f.name]], wanted[rank])
        for rank in range(1, clients + 1)
    }
    outputs: dict[str, bytes] = {}
    unavailable: set[tuple[int, str]] = set()
    transfers = 0
    by_name = {file.name: file for file in everything}
    for rank, wants in wanted.items():
        for name in dict.fromkeys(wants):
            if not owners.get(name):
                unavailable.add((rank, name))
                continue
            file = by_name[name]
            outputs[f"client{rank}_{name}"] = "".join(f"{digest}\n" for digest in file.hashes).encode()
            transfers += 0 if rank in owners[name] else len(file.hashes)
    return Generated(clients, inputs, outputs, frozenset(unavailable), transfers)


def one_seed(random: Random, downloaders: int = 8, segments: int = 100) -> Generated:
    """One owner of one file that everybody else wants."""
    file = File("file1", tuple(_digits(random, 32) for _ in range(segments)))
    inputs = {1: _in_file(None, [file], [])}
    inputs |= {rank: _in_file(None, [], [file.name]) for rank in range(2, downloaders + 2)}
    content = "".join(f"{digest}\n" for digest in file.hashes).encode()
    outputs = {f"client{rank}_{file.name}": content for rank in range(2, downloaders + 2)}
    return Generated(downloaders + 1, inputs, outputs, frozenset(), downloaders * segments)


def wrong_outputs(folder: Path, expected: dict[str, bytes]) -> list[str]:
    """What is wrong in a folder of outputs, a line each."""
    there = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - there.keys())]
    wrong += [f"{name} is there" for name in sorted(there.keys() - expected.keys())]
    both = sorted(expected.keys() & there.keys())
    return wrong + [f"{name} has other content" for name in both if there[name] != expected[name]]


def _digits(random: Random, length: int) -> str:
    return "".join(random.choices(HEX, k=length))


def _names(random: Random, number: int) -> list[str]:
    shapes: list[Callable[[int], str]] = [
        lambda at: f"file{at}",
        lambda at: f"f{at}".ljust(15, "x"),
        lambda at: f"a-long-name-{at}-".ljust(40, "y"),
        lambda at: f"данные-{at}.bin",
        lambda at: f"[{at}]*?.tar.gz",
    ]
    return [random.choice(shapes)(at) for at in range(1, number + 1)]


def _file(random: Random, name: str, longest: int) -> File:
    kind = random.choice(KINDS)
    segments = random.choice([0, 1, longest, random.randint(0, longest), random.randint(0, longest)])
    if kind == "NONE":
        return File(name, ("NONE",) * segments)
    if kind == "repeated":
        few = [_digits(random, 32) for _ in range(2)]
        return File(name, tuple(random.choice(few) for _ in range(segments)))
    return File(name, tuple(_digits(random, int(kind)) for _ in range(segments)))


def _owners(random: Random, clients: int, all_had: bool) -> set[int]:
    if not all_had and random.random() < 0.2:
        return set()
    several = min(random.choice([1, 1, 2, 3]), clients)
    return set(random.sample(range(1, clients + 1), several))


def _wanted(random: Random, clients: int, names: list[str]) -> dict[int, list[str]]:
    """Names for each rank, own ones among them, now and then one of them twice."""
    wanted: dict[int, list[str]] = {}
    for rank in range(1, clients + 1):
        share = random.choice([0.0, 0.2, 0.5, 0.8])
        wants = [name for name in names if random.random() < share]
        random.shuffle(wants)
        if wants and random.random() < 0.2:
            wants.append(wants[0])
        wanted[rank] = wants
    return wanted


def _in_file(random: Random | None, owned: list[File], wants: list[str]) -> bytes:
    lines = [str(len(owned))]
    for file in owned:
        lines += [f"{file.name} {len(file.hashes)}", *file.hashes]
    lines += [str(len(wants)), *wants]
    newline = "\n"
    if random is not None:
        newline = random.choice(["\n", "\n", "\r\n"])
        if random.random() < 0.3:
            lines = [line + random.choice(["", " ", "\t "]) for line in lines]
    text = newline.join(lines)
    if random is None or random.random() < 0.7:
        text += newline
    return text.encode()
