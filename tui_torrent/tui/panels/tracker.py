"""The tracker: its messages by tag, how many come now, whose swarms it keeps, and who asks most."""

from __future__ import annotations

from collections import Counter

from tui_torrent.tui.panels.lines import (
    EMPTY,
    Line,
    Span,
    clean,
    crop,
    dashed,
    filled,
    fit_end,
    right,
    rule,
)
from tui_torrent.tui.panels.lists import Lists
from tui_torrent.tui.panels.spark import sparkline
from tui_torrent.view.swarm_view import SwarmView
from tui_torrent.view.units import moment_text, number_text
from tui_torrent.view.words import counted

#: The tags in the order of the protocol, and which way each goes.
TAGS = (
    ("INIT", "in"),
    ("INIT_ACK", "out"),
    ("SWARM_REQUEST", "in"),
    ("SWARM_RESPONSE", "out"),
    ("FILE_COMPLETE", "in"),
    ("ALL_COMPLETE", "in"),
    ("STOP", "out"),
    ("ABORT", "out"),
)


def tracker_lines(view: SwarmView, now: float, width: int, height: int, lists: Lists) -> list[Line]:
    """Exactly ``height`` lines. ``lists`` are the swarms and the answers, side by side where that fits."""
    left = 46 if width >= 96 else width
    messages = _messages(view, now, left)
    head = _head(view, now, width)
    rest = max(0, height - len(head))
    if left < width:
        top = len(head) + len(messages)
        room = max(0, rest - len(messages))
        messages += _asking(view, left, room, lists, range(left), range(top, height))
        x = range(left, width)
        swarms = _swarms(view, width - left - 2, rest, lists, x, range(len(head), height))
        body: list[Line] = []
        for at in range(max(len(messages), len(swarms))):
            one = crop(messages[at] if at < len(messages) else EMPTY, left)
            other = swarms[at] if at < len(swarms) else EMPTY
            body.append((*one, Span("  "), *other))
    else:
        room, top = max(0, rest - len(messages)), len(head) + len(messages)
        needs = [len({*view.swarms, *view.files}) + 2, len(view.served) + 2 if view.served else 0]
        # Each list gets what it needs, or half of the room if both need more.
        swarms_room = min(needs[0], max(room - needs[1], (room + 1) // 2))
        x = range(width)
        swarms = _swarms(view, width, swarms_room, lists, x, range(top, top + swarms_room))
        body = [*messages, *swarms]
        top += len(swarms)
        body += _asking(view, width, height - top, lists, x, range(top, height))
    return filled([crop(line, width) for line in [*head, *body]], width, height)


def _head(view: SwarmView, now: float, width: int) -> list[Line]:
    """How busy it is, over time."""
    total = sum(view.tracker_messages.values())
    rate = sum(rate.at(now) for rate in view.tracker_rates.values())
    lines = _load(view)
    text = f" {counted(total, 'message')}, {number_text(rate)} a second  "
    if total and view.clients:
        each = total / len(view.clients)
        text += f"({each:.0f} a client)  " if width >= 70 else ""
    room = min(80, width - len(text) - 1)
    if room < 8:
        return [(Span(text, "text"),), *lines]
    return [(Span(text, "text"), *sparkline(view.tracker_load.last(now, room), room, "copies")), *lines]


def _load(view: SwarmView) -> list[Line]:
    """What a message takes, and how many more wait meanwhile: half of the time, 99 % of it, and lately."""
    load = view.load
    usual, slow = load.service_s(0.5), load.service_s(0.99)
    waiting, most = load.queue(0.5), load.queue(0.99)
    if usual is None or slow is None or waiting is None or most is None:
        return []
    line = [Span(" service", "text"), Span(" median ", "dim"), Span(moment_text(usual), "strong")]
    line += [Span(", 99th ", "dim"), Span(moment_text(slow), "strong")]
    line += [Span("   queue", "text"), Span(" median ", "dim"), Span(f"{waiting:.0f}", "strong")]
    line += [Span(", 99th ", "dim"), Span(f"{most:.0f}", "strong")]
    line += [Span(", lately ", "dim"), Span(f"{load.lately:.0f}", "strong")]
    return [tuple(line)]


def _messages(view: SwarmView, now: float, width: int) -> list[Line]:
    """A line a tag; those that never came are not there, but for the protocol's own."""
    bar = max(0, min(24, width - 42))
    lines: list[Line] = [
        rule("messages", "", width),
        (Span(f" {'tag':<15}      {right('total', 7)}{right('a second', 10)}", "head"),),
    ]
    known = [tag for tag, _ in TAGS]
    rest = [(tag, "") for tag in sorted(view.tracker_messages) if tag not in known]
    most = max(view.tracker_messages.values(), default=0)
    for tag, way in (*TAGS, *rest):
        count = view.tracker_messages[tag]
        if not count and tag == "ABORT":
            continue
        rate = view.tracker_rates[tag].at(now) if tag in view.tracker_rates else 0.0
        arrow = "→" if way == "in" else "←"
        style = "trouble" if tag == "ABORT" else "text"
        line: Line = (
            Span(f" {tag:<15} ", style if count else "dim"),
            Span(f"{arrow} {way:<3}", "dim"),
            Span(right(dashed(count), 7), "strong" if count else "dim"),
            Span(right(number_text(rate) if rate else "–", 10), "text" if rate else "dim"),
        )
        if bar >= 4 and count:
            line = (*line, Span("  " + "━" * max(1, round(bar * count / most)), "gauge"))
        lines.append(line)
    return lines


def _swarms(view: SwarmView, width: int, height: int, lists: Lists, x: range, y: range) -> list[Line]:
    """File → seeds and peers, as the tracker has listed them."""
    names = sorted({*view.swarms, *view.files})
    shown = lists.window("swarms", len(names), max(0, height - 2), x, y)
    name_room = max(8, min(48, width - 30))
    titles = f" {'file':<{name_room}}{right('segments', 9)}{right('seeds', 7)}{right('peers', 7)}"
    lines: list[Line] = [rule("swarms", lists.note("swarms"), width), (Span(titles, "head"),)]
    for name in names[shown.start : shown.stop]:
        listed = view.swarms.get(name)
        roles = Counter(listed.values() if listed is not None else ())
        file = view.files.get(name)
        seeds, peers = roles["seed"], roles["peer"]
        lines.append(
            (
                Span(" " + fit_end(clean(name), name_room), "text"),
                Span(right(str(file.segments) if file else "–", 9), "dim"),
                Span(
                    right(str(seeds) if listed else "–", 7),
                    "own" if seeds else "trouble" if listed else "dim",
                ),
                Span(right(dashed(peers), 7), "text" if peers else "dim"),
            )
        )
    if not names:
        lines.append((Span(" no file is registered yet", "dim"),))
    return lines[: max(0, height)]


def _asking(view: SwarmView, width: int, height: int, lists: Lists, x: range, y: range) -> list[Line]:
    """The clients whose swarm requests were answered, those with the most answers first."""
    shown = lists.window("answers", len(view.served) if height >= 3 else 0, max(0, height - 2), x, y)
    if height < 3 or not view.served:
        return []
    lines: list[Line] = [
        rule("swarm requests answered", lists.note("answers"), width),
        (Span(f" {'client':<10}{right('answers', 10)}{right('members told', 15)}", "head"),),
    ]
    ranked = sorted(view.served.items(), key=lambda served: (-served[1][0], served[0]))
    for rank, (answers, members) in ranked[shown.start : shown.stop]:
        lines.append(
            (
                Span(f" {rank:<10}", "strong"),
                Span(right(str(answers), 10), "text"),
                Span(right(str(members), 15), "text"),
            )
        )
    return lines
