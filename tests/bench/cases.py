"""What is raced: who has what, who wants it, and over which links.

A case's clients are numbered from 0. Each is a host of its own in a lab, or a process of this machine. The
bound is what no schedule can beat (Kumar and Ross), from the links alone: headers, hashes and digests are
what a contender may lose against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One race. Every client wants all files; those that own something come first."""

    name: str
    title: str
    #: The names that each client owns, and the sizes of all files.
    owns: tuple[tuple[str, ...], ...]
    files: Mapping[str, int]
    contenders: tuple[str, ...]
    #: Mbit/s of each link (None: on one machine), and of the links of some clients; seconds each way.
    mbit: float | None = None
    slow: Mapping[int, float] = field(default_factory=dict)
    latency: float = 0.0

    @property
    def clients(self) -> int:
        return len(self.owns)

    @property
    def size(self) -> int:
        """F: bytes in all files."""
        return sum(self.files.values())

    @property
    def receivers(self) -> list[int]:
        """The clients that lack something."""
        return [number for number in range(self.clients) if self.lacks(number)]

    @property
    def timed(self) -> list[int]:
        """The receivers whose last one ends the race: all but those on a slow link."""
        return [number for number in self.receivers if number not in self.slow]

    def lacks(self, client: int) -> int:
        """Bytes that a client has to get."""
        return self.size - sum(self.files[name] for name in self.owns[client])

    @property
    def demand(self) -> int:
        """Bytes that all receivers have to get, together; N·F where seeds have all."""
        return sum(map(self.lacks, self.receivers))

    @property
    def bound(self) -> float | None:
        """Seconds until the last of the timed receivers can have all, at best."""
        if self.mbit is None:
            return None
        rates = [self.slow.get(number, self.mbit) * 1e6 / 8 for number in range(self.clients)]
        downlinks = max(self.lacks(number) / rates[number] for number in self.timed)
        uplinks = sum(map(self.lacks, self.timed)) / sum(rates)
        origins = max(
            size / sum(rate for rate, owned in zip(rates, self.owns, strict=True) if name in owned)
            for name, size in self.files.items()
        )
        return max(downlinks, uplinks, origins)


def one_seed(receivers: int, mib: int) -> tuple[tuple[tuple[str, ...], ...], dict[str, int]]:
    return (("data.bin",), *((),) * receivers), {"data.bin": mib * MIB}


def small_files(count: int, total: int) -> dict[str, int]:
    """So many files of 1 to 64 KiB, most of them small, about so many bytes in all, in 100 folders."""
    random = Random(1)
    mean = (total / count - 1024) / (63 * 1024)
    bend = 1 / mean - 1
    sizes = [int(1024 * (1 + 63 * random.random() ** bend)) for _ in range(count)]
    return {f"{at % 100:02}/{at:05}.dat": size for at, size in enumerate(sizes)}


#: A chain and MPI_Bcast know the order of the ranks and nothing of the links.
_WIRE = ("swarm", "chain", "bcast", "star", "libtorrent")
_QUARTERS = {f"quarter{at}.bin": 16 * MIB for at in range(4)}
_SMALL = small_files(20_000, 500 * MIB)

_ONE_SEED = "one seed, 8 receivers, 64 MiB"
_WAN = f"{_ONE_SEED}, 200 Mbit/s links"

CASES = {
    case.name: case
    for case in (
        Case("wan8", _WAN, *one_seed(8, 64), _WIRE, 200),
        Case(
            "slow8", f"{_WAN}, one of them 20 Mbit/s: the other seven", *one_seed(8, 64), _WIRE, 200, {3: 20}
        ),
        Case(
            "quarters",
            "4 owners of a quarter each and 4 others, all want all, 64 MiB, 200 Mbit/s links",
            (*((name,) for name in _QUARTERS), (), (), (), ()),
            _QUARTERS,
            _WIRE,
            200,
        ),
        Case(
            "twoseeds",
            "two full seeds, 8 receivers, 64 MiB, 200 Mbit/s links",
            (("data.bin",), ("data.bin",), *((),) * 8),
            {"data.bin": 64 * MIB},
            _WIRE,
            200,
        ),
        Case("latency20", f"{_WAN}, 20 ms each way", *one_seed(8, 64), _WIRE, 200, latency=0.02),
        # As far apart, but slow enough for the cores of a small machine.
        Case(
            "latency20at100",
            f"{_ONE_SEED}, 100 Mbit/s links, 20 ms each way",
            *one_seed(8, 64),
            _WIRE,
            100,
            latency=0.02,
        ),
        Case(
            "local8",
            "one machine, one seed, 8 receivers, 512 MiB",
            *one_seed(8, 512),
            ("swarm", "chain", "bcast", "libtorrent", "cp"),
        ),
        Case(
            "small",
            "one machine, one seed, 4 receivers, 20,000 files of 1 to 64 KiB, 500 MiB",
            (tuple(_SMALL), (), (), (), ()),
            _SMALL,
            ("swarm", "cp"),
        ),
        Case("big", "one machine, one seed, 2 receivers, 4 GiB", *one_seed(2, 4096), ("swarm",)),
    )
}
