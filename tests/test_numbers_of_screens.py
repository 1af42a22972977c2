"""Every number of every screen is the journal's, as ``test_numbers`` has it of what is written."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from mpi_core.protocol.units import Rank
from tests.helpers.moments import (
    JOURNALS,
    Moment,
    assert_amount,
    is_count,
    is_pace,
    is_time,
    lines_of,
    mean,
    moments_of,
    near,
)
from tests.helpers.recount import Amounts, Client, Run
from tests.helpers.recount_limit import finish as finish_of
from tests.helpers.recount_limit import lately
from tests.helpers.recount_limit import limit as limit_of
from tui_torrent.tui.panels.client import ClientPanel
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.overview import Overview
from tui_torrent.tui.panels.report import report_lines
from tui_torrent.tui.panels.traffic import traffic_lines
from tui_torrent.view.report import build
from tui_torrent.view.story import Tail

#: Wide enough for every column and every number.
WIDE = 240

AMOUNT = r"(?P<amount>[\d.]+ of [\d.]+ \S+)"
RATE = r"(?:[\d.]+ [kMG]?B|[\d.]+[kMG]?|–)"


@pytest.fixture(scope="module", params=JOURNALS)
def moments(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Moment]:
    return moments_of(request.param, tmp_path_factory.mktemp("journal"))


def doing(run: Run, client: Client) -> str:
    """The word for what it does."""
    if client.lost is not None:
        return "lost"
    if client.said in ("stopped", "serving", "hashing"):
        return {"stopped": "done", "serving": "seeding", "hashing": "hashing"}[client.said]
    return "downloading" if client.said == "downloading" and run.rate(client.down) else "waiting"


def pace(run: Run, amounts: Amounts, client: Client, ended: float | None) -> float:
    """What it receives or sends a second; of one that has ended the mean."""
    if ended is not None and client.began is not None and ended > client.began:
        return (sum(size for _, size in amounts) if run.real else len(amounts)) / (ended - client.began)
    return run.rate(amounts)


def is_finish(shown: str, run: Run, client: Client) -> bool:
    """``at 3.9 s``, ``in 12 s`` or a dash."""
    if client.finished is not None and not client.seed:
        return shown.startswith("at ") and is_time(shown[3:], client.finished)
    missing, own = client.to_fetch - client.received, lately(client.down, run.now)
    few = client.received < min(8, max(1, client.to_fetch // 4))
    if client.seed or client.lost is not None or missing <= 0 or few or not own:
        return shown == "–"
    left = missing * client.received_bytes / client.received / own
    last = finish_of(run)
    if last is not None:
        left = min(left, last[0] - run.now)
    return shown.startswith("in ") and is_time(shown[3:], max(1.0, left))


# The overview --------------------------------------------------------------------------------------

ROW = re.compile(
    rf"[▸ ]\s*(?P<rank>\d+)[! ]\s*\S (?P<state>\w+)\s+(?P<got>\d+/\d+|–)\s+(?P<share><?\d+ %|–)"
    rf"\s+(?P<down>{RATE})\s+(?P<up>{RATE})\s+(?P<sent>\d+)\s+(?P<rejects>\d+k?\+?|–)"
    r"\s+(?P<finish>(?:at|in) (?:[\d.]+ s|[\d:.]+|\d+ h \d\d)|–)(?: |$)"
)
HEAD = re.compile(
    rf" [━╸─]+\s+(?P<share><?\d+ %)(?:\s+{AMOUNT})?(?:\s+(?P<done>\d+)/(?P<fetching>\d+) done"
    r"(?:, (?P<seeds>\d+) seeds?)?)?(?:\s+(?P<rate>\S+ \S+?/s)(?: on average)?)?"
)


def test_the_overview(moments: list[Moment]) -> None:
    for moment in moments:
        run, clients = moment.run, moment.run.clients
        height = 2 * len(clients) + 60
        shown = lines_of(Overview().lines(moment.view, Tail(), run.now, WIDE, height, "a run"))
        head = HEAD.match(shown[1])
        assert head is not None, shown[1]
        assert near(head["share"], 100 * run.share)
        if head["amount"]:
            names = ("received_bytes", "to_fetch_bytes") if run.real else ("received", "to_fetch")
            assert_amount(head["amount"], *(run.sum(name) for name in names))
            assert int(head["done"]) == sum(client.done for client in clients.values())
            assert int(head["fetching"]) == sum(bool(client.fetches) for client in clients.values())
            assert int(head["seeds"] or 0) == sum(client.seed for client in clients.values())
        finish, limit = finish_of(run), limit_of(run)
        if head["rate"]:
            all_done = finish is not None and finish[1]
            now = sum(run.rate(client.down) for client in clients.values())
            assert near(head["rate"], mean(run) if all_done else now), shown[1]
        text = "\n".join(shown[1:3])
        if found := re.search(r"(?:finish ≈|(?:finished|ended) at) ([\d:.]+ s|\d+ h \d\d|[\d:.]+)", text):
            assert finish is not None
            assert is_time(found[1], finish[0])
        if found := re.search(r"(\S+ %) of the best possible", text):
            assert finish is not None
            assert limit is not None
            assert near(found[1], min(100.0, 100 * limit / (finish[0] - (run.began or 0.0))))
        if found := re.search(r"best possible ≈ ([\d:.]+ s|\d+ h \d\d|[\d:.]+)", text):
            assert limit is not None
            assert is_time(found[1], (run.began or 0.0) + limit)
        rows = [row for line in shown[3:] if (row := ROW.match(line))]
        assert [int(row["rank"]) for row in rows] == sorted(clients)
        for row in rows:
            client = clients[int(row["rank"])]
            assert row["state"] == doing(run, client)
            assert row["got"] == (f"{client.received}/{client.to_fetch}" if client.to_fetch else "–")
            if client.to_fetch:
                assert near(row["share"], 100 * run.share_of(client))
            assert is_pace(row["down"], pace(run, client.down, client, client.finished)), row[0]
            assert is_pace(row["up"], pace(run, client.up, client, client.stopped)), row[0]
            assert int(row["sent"]) == len(client.sent)
            assert is_count(row["rejects"], client.rejects_sent + client.rejects_received)
            assert is_finish(row["finish"], run, client), row[0]


# A client ------------------------------------------------------------------------------------------

PEER = re.compile(r" . client (?P<rank>\d+)\s+\S (?P<state>\w+)\s+(?P<numbers>(?:[\d–]+\s+){3}[\d–]+)(?: |$)")


def test_a_client(moments: list[Moment]) -> None:
    for moment in moments:
        run, ranks = moment.run, sorted(moment.run.clients)
        for rank in {ranks[0], ranks[1], ranks[-1]}:
            client = run.clients[rank]
            height = 2 * len(ranks) + 40
            shown = lines_of(ClientPanel().lines(moment.view, Rank(rank), run.now, WIDE, height))
            assert shown[0].startswith(f" client {rank} ")
            if client.to_fetch:
                head = re.search(rf"(?P<share><?\d+ %)   {AMOUNT}", shown[0])
                assert head is not None, shown[0]
                assert near(head["share"], 100 * run.share_of(client))
                amounts = (client.received, client.to_fetch)
                if run.real:
                    amounts = (client.received_bytes, client.to_fetch_bytes)
                assert_amount(head["amount"], *amounts)
            ways = (("↓", client.down, client.finished), ("↑", client.up, client.stopped))
            for arrow, moved, ended in ways:
                found = re.search(rf"{arrow} ([\d.]+[kM]? \S+?)/s", shown[0])
                exact = pace(run, moved, client, ended)
                assert near(found[1].removesuffix(" segments"), exact) if found else exact == 0, shown[0]
            text = "\n".join(shown[:3])
            missing = sum(
                segments - len(client.here[name])
                for name, (segments, _) in client.started.items()
                if name not in client.completed
            )
            if found := re.search(r"(\d+) missing", text):
                unknown = [name for name in client.fetches if name not in client.started]
                missing += sum(run.files.get(name, (0, 0))[0] for name in unknown)
                assert int(found[1]) == missing
            for word, number in (
                ("corrupt segment", len(client.corrupt)),
                ("reject", client.rejects_sent + client.rejects_received),
            ):
                found = re.search(rf"(\d+) {word}s?(?: |$)", text, re.MULTILINE)
                assert int(found[1]) == number if found else not number, text
            assert_peers(shown, run, rank)
            assert_files(shown, client)
            assert_requests(shown, run, client)
            rare = rare_of(run, rank)
            found = re.search(r"(\d+) held by one client only", text)
            assert (int(found[1]) if found else 0) == rare, text


def rare_of(run: Run, rank: int) -> int:
    """How many segments it lacks that one other client alone holds."""
    others = [other for at, other in run.clients.items() if at != rank and other.lost is None]
    client, rare = run.clients[rank], 0
    for name, (segments, _) in client.started.items():
        if name not in client.completed:
            holders = Counter(index for other in others for index in other.holds(name))
            rare += sum(holders[index] == 1 for index in range(segments) if index not in client.here[name])
    return rare


FILE = re.compile(r" (?P<name>\S.*?) +(?P<got>\d+)/(?P<all>\d+) ")


def assert_files(shown: list[str], client: Client) -> None:
    """How many segments of each file are here."""
    rule = next(at for at, line in enumerate(shown) if line.startswith("─ peers"))
    rows = {found["name"]: found for line in shown[1:rule] if (found := FILE.match(line))}
    assert rows or not client.started
    for name, (segments, _) in client.started.items():
        assert name in rows, name
        assert (int(rows[name]["got"]), int(rows[name]["all"])) == (len(client.here[name]), segments)


REQUEST = re.compile(r"(?P<age>[\d.:]+ s|[\d:.]+) → (?P<source>\d+) (?P<file>\S.*?) #(?P<segment>\d+)\s*$")


def assert_requests(shown: list[str], run: Run, client: Client) -> None:
    """How many requests are in flight, which, and how old they are."""
    asked = {
        (source, name, index): run.now - t
        for (name, index), sources in client.open.items()
        for source, t in sources.items()
    }
    title = next((found for line in shown if (found := re.search(r"(\d+) requests? in flight", line))), None)
    assert (int(title[1]) if title else 0) == len(asked)
    listed = [found for line in shown if (found := REQUEST.search(line))]
    for found in listed:
        key = int(found["source"]), found["file"], int(found["segment"])
        assert is_time(found["age"], asked.pop(key)), found[0]


def assert_peers(shown: list[str], run: Run, rank: int) -> None:
    """What came from each of the others, what went to it, what it offers, how many requests it has."""
    client = run.clients[rank]
    lacks = {
        name: set(range(segments)) - client.here[name]
        for name, (segments, _) in client.started.items()
        if name not in client.completed
    }
    peers = [peer for line in shown if (peer := PEER.match(line))]
    assert peers or len(run.clients) == 1
    for peer in peers:
        other = run.clients[int(peer["rank"])]
        got = sum(source == int(peer["rank"]) for _, source, *_ in client.stored)
        gave = sum(source == rank for _, source, *_ in other.stored)
        offers = sum(
            len(missing & other.holds(name))
            for name, missing in lacks.items()
            if name in other.owned or name in other.started
        )
        asked = sum(int(peer["rank"]) in sources for sources in client.open.values())
        assert [int(n) if n != "–" else 0 for n in peer["numbers"].split()] == [got, gave, offers, asked]


# The traffic ---------------------------------------------------------------------------------------


TRAFFIC = re.compile(r" (\d+) segments?(?:, ([\d.]+ [kMG]?B))?(.*?)   (\S+ %) of them .*?   ([\d.]+) Jain")
END = re.compile(r"(?:^|\s)(\d+)\s+(?:[<\d.]+ %|–)?\s*[━╸]*\s*$")


def test_the_traffic(moments: list[Moment]) -> None:
    for moment in moments:
        run, cells = moment.run, moment.run.traffic()
        lists = Lists(("rows",))
        shown = lines_of(traffic_lines(moment.view, WIDE, len(run.clients) + 20, lists))
        jain, origin = run.fairness()
        if jain is None or origin is None:
            assert "No segment" in shown[0]
            continue
        corrupt = sum(len(client.corrupt) for client in run.clients.values())
        duplicates = sum(len(client.duplicates) for client in run.clients.values())
        head = TRAFFIC.match(shown[0])
        assert head is not None, shown[0]
        assert int(head[1]) == run.sum("received")
        assert near(head[2], run.sum("received_bytes")) if run.real else not head[2]
        wastes = {word: int(number) for number, word in re.findall(r"(\d+) (corrupt|duplicate)", head[3])}
        assert wastes == {w: n for w, n in (("corrupt", corrupt), ("duplicate", duplicates)) if n}
        assert near(head[4], 100 * origin)
        assert abs(float(head[5]) - jain) <= 0.01
        ranks = sorted(run.clients)
        rows = {int(m[1]): m[2] for line in shown if (m := re.match(r"\s*(\d+)[* ] (.*)$", line))}
        for rank, text in rows.items():
            given = sum(cells.get((rank, other), (0, 0))[0] for other in ranks)
            found = END.search(text)
            assert found is not None, text
            assert int(found[1]) == given, text
            if len(ranks) < 20:
                numbers = [0 if n == "·" else int(n) for n in text[: found.start()].split()]
                expected = [cells.get((rank, other), (0, 0))[0] for other in ranks if other != rank]
                assert numbers == expected, text
            if part := re.search(r"(<?[\d.]+ %)\s*[━╸]*\s*$", text):
                assert near(part[1], 100 * given / run.sum("received")), text
        if len(ranks) < 20:
            columns = next(line.split()[1:] for line in shown if line.startswith("got "))
            received = [run.clients[rank].received for rank in ranks]
            assert list(map(int, columns)) == [*received, sum(received)]


# The report ----------------------------------------------------------------------------------------


def test_the_reports_screen(moments: list[Moment]) -> None:
    for moment in moments:
        run, view = moment.run, moment.view
        over = run.outcome is not None
        shown = lines_of(report_lines(build(view, []), view, "a run", WIDE, so_far=not over))
        pattern = r"\s*(\d+)[* ]\s+(at [\d.:]+(?: s)?|at \d+ h \d\d|–|not yet|not all|lost|\S+)\s+(.*)$"
        start = next(at for at, line in enumerate(shown) if line.startswith("─ clients"))
        names = [word for word in shown[start + 1].split() if word in COLUMNS]
        rows = {}
        for line in shown[start + 2 :]:
            if not (found := re.match(pattern, line)):
                break
            rows[int(found[1])] = found
        assert sorted(rows) == sorted(run.clients)
        for rank, found in rows.items():
            client = run.clients[rank]
            if found[2].startswith("at "):
                assert client.finished is not None
                assert is_time(found[2][3:], client.finished)
            told = re.match(r"\s+".join(COLUMNS[name] for name in names), found[3])
            assert told is not None, found[0]
            for name, (number, size) in exact_of(client).items():
                assert is_count(told[name] if name in names else "–", number), found[0]
                if name in ("got", "sent") and told[f"{name}_bytes"]:
                    assert run.real
                    assert near(told[f"{name}_bytes"], size)
                elif name in ("got", "sent"):
                    assert not run.real or not number, "only nothing has no bytes"


#: A number a column, and the bytes beside two of them.
BYTES = r"(?:\s+(?P<{}_bytes>[\d.]+ [kMG]?B))?"
COLUMNS = {
    name: rf"(?P<{name}>\d+|–)" + (BYTES.format(name) if name in ("got", "sent") else "")
    for name in ("got", "sent", "rejects", "corrupt", "duplicates")
}


def exact_of(client: Client) -> dict[str, tuple[int, int]]:
    """By column: how many, and their bytes."""
    return {
        "got": (client.received, client.received_bytes),
        "sent": (len(client.sent), sum(size for _, size in client.up)),
        "rejects": (client.rejects_sent + client.rejects_received, 0),
        "corrupt": (len(client.corrupt), 0),
    }
