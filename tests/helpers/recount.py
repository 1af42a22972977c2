"""The numbers of a run, counted anew from its journal's lines as plain JSON.

Nothing here imports the view, the panels or the report: what they show is compared with this. Times in
seconds, sizes in bytes. A moment of a run is the lines up to it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

Line = dict[str, Any]
#: When, and how many bytes.
Amounts = list[tuple[float, int]]

#: A rate is counted in half seconds; a rate at a moment is that of the six whole ones before it.
HALF = 0.5
SIX = 6


def read(path: Path) -> list[Line]:
    """Every line of a journal, compressed or not."""
    if path.suffix == ".zst":
        import zstandard

        with open(path, "rb") as file:
            text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    else:
        text = path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


class Client:
    """One client's numbers."""

    def __init__(self) -> None:
        self.owned: dict[str, int] = {}
        self.wanted: list[str] = []
        self.began: float | None = None
        self.finished: float | None = None
        self.stopped: float | None = None
        self.lost: str | None = None
        self.failed: str | None = None
        self.said = "starting"
        self.started: dict[str, tuple[int, int]] = {}
        self.here: dict[str, set[int]] = defaultdict(set)
        self.stored: list[tuple[float, int, str, int, int]] = []
        self.corrupt: list[tuple[int, int]] = []
        self.duplicates: list[tuple[int, int]] = []
        self.sent: list[tuple[float, int, int]] = []
        self.completed: set[str] = set()
        self.unavailable: dict[str, str] = {}
        self.rejects_sent = self.rejects_received = self.expired = 0
        self.hashed = (0, 0)
        self.open: dict[tuple[str, int], dict[int, float]] = {}
        self.avoided: dict[int, str] = {}

    @property
    def fetches(self) -> list[str]:
        return [name for name in dict.fromkeys(self.wanted) if name not in self.owned]

    @property
    def to_fetch(self) -> int:
        return sum(segments for segments, _ in self.started.values())

    @property
    def to_fetch_bytes(self) -> int:
        return sum(size for _, size in self.started.values())

    @property
    def received(self) -> int:
        return len(self.stored)

    @property
    def received_bytes(self) -> int:
        return sum(size for *_, size in self.stored)

    @property
    def down(self) -> Amounts:
        return [(t, size) for t, *_, size in self.stored]

    @property
    def up(self) -> Amounts:
        return [(t, size) for t, _, size in self.sent]

    @property
    def done(self) -> bool:
        return bool(self.fetches) and self.finished is not None and not self.unavailable

    @property
    def seed(self) -> bool:
        return bool(self.owned) and not self.fetches and self.said not in ("starting", "hashing", "ready")

    def holds(self, name: str) -> set[int]:
        return set(range(self.owned[name])) if name in self.owned else self.here[name]


class Run:
    """A run up to a moment."""

    def __init__(self, lines: Iterable[Line], now: float) -> None:
        self.now = now
        self.header: Line = {}
        self.clients: dict[int, Client] = {}
        self.files: dict[str, tuple[int, int]] = {}
        self.registered: set[str] = set()
        self.members: dict[str, list[list[str]]] = {}
        self.real = False
        self.tracker: Counter[str] = Counter()
        #: When each of the tracker's messages was; file → client → role; client → [answers, members told].
        self.tracker_at: dict[str, Amounts] = defaultdict(list)
        self.listed: dict[str, dict[int, str]] = defaultdict(dict)
        self.served: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        #: Bins of what the tracker's messages took, and of those that waited; the fullest bin told last.
        self.service: Counter[int] = Counter()
        self.waiting: Counter[int] = Counter()
        self.fullest = 0
        self.hosts: dict[int, str] = {}
        self.outcome: str | None = None
        self.events = 0
        self.last = 0.0
        self.ended: float | None = None
        for line in lines:
            if line["t"] <= now:
                self.events += 1
                self.last = max(self.last, line["t"])
                self._count(line["t"], line["rank"], line["event"])

    def _client(self, rank: int) -> Client:
        return self.clients.setdefault(rank, Client())

    def _file(self, name: str, segments: int, size: int) -> None:
        known = self.files.get(name, (segments, 0))
        self.files[name] = (known[0], max(known[1], size))

    def _count(self, t: float, rank: int, event: Line) -> None:
        kind = event["kind"]
        of_tracker = {
            "InitReceived": ("INIT",),
            "InitAckSent": ("INIT_ACK",),
            "SwarmServed": ("SWARM_REQUEST", "SWARM_RESPONSE"),
            "FileCompleteReceived": ("FILE_COMPLETE",),
            "AllCompleteReceived": ("ALL_COMPLETE",),
            "StopSent": ("STOP",),
            "ClientFailed": ("FAILED",),
            "RunAborted": ("ABORT",),
        }
        self.tracker.update(of_tracker.get(kind, ()))
        for tag in of_tracker.get(kind, ()):
            self.tracker_at[tag].append((t, 1))
        if kind == "RunStarted":
            self.header = event
            for client in range(1, event["clients"] + 1):
                self._client(client)
        elif kind == "RunEnded":
            self.outcome, self.ended = event["outcome"], t
        elif kind == "FileRegistered":
            self._file(event["file"], event["segments"], event["size"])
            self.registered.add(event["file"])
            self.real |= event["algorithm"] != "declared"
            if event.get("members"):
                self.members[event["file"]] = event["members"]
        elif kind == "ClientLost":
            self._client(event["client"]).lost = event["reason"]
        elif kind == "ClientFailed":
            self._client(event["client"]).failed = event["reason"]
        elif kind == "SwarmListed":
            self.listed[event["file"]][event["client"]] = event["role"]
        elif kind == "SwarmServed":
            self.served[event["client"]][0] += 1
            self.served[event["client"]][1] += event["members"]
        elif kind == "TrackerLoad":
            self.service.update(dict(event["service"]))
            self.waiting.update(dict(event["waiting"]))
            self.fullest = max((number for number, _ in event["waiting"]), default=0)
        elif kind == "RankPlaced":
            self.hosts[rank] = event["host"]
        elif rank and kind in COUNTED:
            COUNTED[kind](self, self._client(rank), t, event)

    # Sums ---------------------------------------------------------------------------------------

    def sum(self, name: str) -> int:
        return sum(getattr(client, name) for client in self.clients.values())

    @property
    def began(self) -> float | None:
        return min((c.began for c in self.clients.values() if c.began is not None), default=None)

    @property
    def share(self) -> float:
        return self._share(
            *(self.sum(n) for n in ("received", "to_fetch", "received_bytes", "to_fetch_bytes"))
        )

    def share_of(self, client: Client) -> float:
        if not client.to_fetch:
            return float(client.finished is not None or client.stopped is not None)
        return self._share(client.received, client.to_fetch, client.received_bytes, client.to_fetch_bytes)

    def _share(self, received: int, to_fetch: int, received_bytes: int, to_fetch_bytes: int) -> float:
        if not to_fetch:
            return float(all(client.finished is not None for client in self.clients.values()))
        return received_bytes / to_fetch_bytes if self.real else received / to_fetch

    def rate(self, amounts: Amounts) -> float:
        """Bytes a second or, where segments have none, segments a second."""
        return rate(amounts if self.real else [(t, 1) for t, _ in amounts], self.now)

    def owners(self, name: str) -> list[int]:
        return [rank for rank, client in sorted(self.clients.items()) if name in client.owned]

    def traffic(self) -> dict[tuple[int, int], tuple[int, int]]:
        cells: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, client in self.clients.items():
            for _, source, _, _, size in client.stored:
                segments, total = cells.get((source, rank), (0, 0))
                cells[source, rank] = (segments + 1, total + size)
        return cells

    def fairness(self) -> tuple[float | None, float | None]:
        received = self.sum("received")
        if not received:
            return None, None
        given: Counter[int] = Counter()
        from_owners = 0
        for client in self.clients.values():
            for _, source, name, _, _ in client.stored:
                given[source] += 1
                from_owners += name in self.clients[source].owned
        fetchers = Counter(name for client in self.clients.values() for name in client.fetches)
        able = [
            given[rank]
            for rank, client in self.clients.items()
            if given[rank]
            or any(
                client.holds(name) and fetchers[name] > (name in client.fetches)
                for name in {*client.owned, *client.here}
            )
        ]
        return sum(able) ** 2 / (len(able) * sum(n * n for n in able)), from_owners / received


# What each kind of event counts ------------------------------------------------------------------


def _init_sent(run: Run, client: Client, t: float, event: Line) -> None:
    client.said = "ready"
    for file in event["owned"]:
        client.owned[file["file"]] = file["segments"]
        run._file(file["file"], file["segments"], 0)


def _init_ack(run: Run, client: Client, t: float, event: Line) -> None:
    client.said, client.began, client.wanted = "downloading", t, event["wanted"]
    for file in event.get("bundled", ()):
        client.owned[file["file"]] = file["segments"]
        run._file(file["file"], file["segments"], 0)


def _started(run: Run, client: Client, t: float, event: Line) -> None:
    if event["file"] not in client.owned:
        client.started.setdefault(event["file"], (event["segments"], event["size"]))
        client.here[event["file"]] |= set()
    run._file(event["file"], event["segments"], event["size"])


def _stored(run: Run, client: Client, t: float, event: Line) -> None:
    client.stored.append((t, event["source"], event["file"], event["segment"], event["size"]))
    client.here[event["file"]].add(event["segment"])
    client.open.pop((event["file"], event["segment"]), None)
    if client.avoided.get(event["source"]) == "silent":
        del client.avoided[event["source"]]


def _dropped(run: Run, client: Client, t: float, event: Line) -> None:
    kind = client.corrupt if event["reason"] == "corrupt" else client.duplicates
    kind.append((event["source"], event["size"]))
    _answered(client, event)


def _rejected(run: Run, client: Client, t: float, event: Line) -> None:
    client.rejects_received += event["reason"] != "cancelled"
    _answered(client, event)


def _expired(run: Run, client: Client, t: float, event: Line) -> None:
    client.expired += 1
    _answered(client, event)


def _answered(client: Client, event: Line) -> None:
    asked = client.open.get((event["file"], event["segment"]), {})
    asked.pop(event["source"], None)
    if not asked:
        client.open.pop((event["file"], event["segment"]), None)


def _requested(run: Run, client: Client, t: float, event: Line) -> None:
    client.open.setdefault((event["file"], event["segment"]), {})[event["source"]] = t


def _sent(run: Run, client: Client, t: float, event: Line) -> None:
    client.sent.append((t, event["target"], event["size"]))


def _refused(run: Run, client: Client, t: float, event: Line) -> None:
    client.rejects_sent += event["reason"] != "cancelled"


def _all_completed(run: Run, client: Client, t: float, event: Line) -> None:
    client.said, client.finished = "serving", t
    client.open.clear()


def _stopped(run: Run, client: Client, t: float, event: Line) -> None:
    client.said, client.stopped = "stopped", t


def _hashed(run: Run, client: Client, t: float, event: Line) -> None:
    client.said, client.hashed = "hashing", (event["done"], event["total"])


def _completed(run: Run, client: Client, t: float, event: Line) -> None:
    client.completed.add(event["file"])


def _unavailable(run: Run, client: Client, t: float, event: Line) -> None:
    client.unavailable[event["file"]] = event["reason"]


def _avoided(run: Run, client: Client, t: float, event: Line) -> None:
    client.avoided[event["source"]] = event["reason"]


COUNTED = {
    "ShareHashed": _hashed,
    "InitSent": _init_sent,
    "InitAckReceived": _init_ack,
    "DownloadStarted": _started,
    "SegmentRequested": _requested,
    "SegmentStored": _stored,
    "SegmentDropped": _dropped,
    "RequestRejected": _rejected,
    "RequestExpired": _expired,
    "SegmentSent": _sent,
    "SegmentRefused": _refused,
    "FileCompleted": _completed,
    "FileUnavailable": _unavailable,
    "AllCompleted": _all_completed,
    "Stopped": _stopped,
    "SourceAvoided": _avoided,
}


def rate(amounts: Amounts, now: float) -> float:
    """A second, over the six whole half seconds before ``now``, or as many as there were."""
    end = max(int(now / HALF), 1)
    return sum(size for t, size in amounts if end - SIX <= int(t / HALF) < end) / (HALF * min(SIX, end))


def quantile(bins: Counter[int], share: float) -> float:
    """The middle of the bin below which that share of all is; the bins are those of an event."""
    every = sorted(bins.elements())
    return middle(every[max(1, ceil(share * len(every))) - 1])


def middle(number: int) -> float:
    """Whole numbers below 8 have a bin each; above, each power of two has four."""
    if number < 8:
        return float(number)
    width = 2 ** (number // 4 - 1)
    return (4 + number % 4) * width + (width - 1) / 2
