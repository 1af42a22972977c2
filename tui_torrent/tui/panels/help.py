"""The help screen: keys, columns, glyphs, glossary."""

from __future__ import annotations

from tui_torrent.tui.panels.lines import EMPTY, Line, Span, crop, rule
from tui_torrent.tui.panels.table import STATES
from tui_torrent.tui.panels.text import definition

KEYS = (
    ("1 … 6", "the screens: overview, client, traffic, log, tracker, report; or click their tabs"),
    ("?", "this help; ? or Esc closes it"),
    ("Esc", "back to the screen before, from everywhere; in the log, first drop the filter"),
    ("q, Ctrl+C", "leave the monitor; the swarm goes on without it"),
    ("↑ ↓, j k", "choose a client, point at a message, or scroll; so does the mouse wheel"),
    ("PgUp PgDn", "the same by a screen; Home and End, g and G: first and last"),
    ("Tab", "client, tracker: let the keys scroll the other list"),
    ("Enter", "overview: show that client; log, in a replay: go to that moment; report, at the end: leave"),
    ("s, S", "overview: sort by the next column; turn the order round"),
    ("n p, ] [", "client: the next one, the previous one"),
    ("/", "log: filter as you type; Enter keeps it, Esc drops it"),
    ("f", "log: follow the newest message, or stop"),
    ("e", "report: save it here, as JSON and as a picture (SVG)"),
    ("m", "mouse off, so that the terminal selects text; m again: on"),
    ("Ctrl+P", "command palette: screens, themes and more"),
)

FILTER = (
    ("words", "match the message's name or its text: REJECT busy"),
    ("from: to:", "who sent it and to whom, by rank: from:3 to:tracker from:1,2"),
    ("seg:", "the segment's number or a range: seg:17 seg:10-20"),
    ("file:", "the file's name, * and ? stand for anything: file:b*"),
)

CELLS = (
    (
        "1a",
        "source-0",
        "got from the client of that letter: 1 to 9 are clients, a is 10, z 35, A 36, Z 61; in a swarm of "
        "more, the letter that the list of peers gives a source, from the 62nd on underlined or reversed",
    ),
    ("·", "missing", "missing"),
    ("*", "asked", "missing, and asked for"),
    ("!", "alarm", "missing and rare: one client alone holds it, while most of the rest has more copies"),
    ("?", "trouble", "missing, and nobody holds it"),
    (":", "partly", "where a cell is several segments: some of them are here"),
    ("+", "text", "got from the 184th source or a later one"),
)

LIMIT = (
    (
        "limit",
        "the earliest end that any schedule could reach: the seeds must send every file once, each client "
        "must take in all it wants, and all uplinks together must send all of that",
    ),
    ("% of the best", "the limit as a share of the time that the run takes: 100% cannot be beaten"),
    ("≈", "an estimate: a link counts as fast as it was seen in its best second"),
)

COLUMNS = (
    ("rank", "the client's number in MPI; the tracker is rank 0"),
    ("state", "what it does now, see below"),
    ("have", "segments it has, of those it wants; a seed wants none"),
    ("%", "the same as a percentage; 100% means all and nothing less"),
    ("down/s, up/s", "bytes a second, in and out, over the last 3 seconds"),
    ("sent", "segments it has served to others"),
    ("rej", "requests refused by it or to it; a few are harmless"),
    ("ETA", "'in 12s' at the present rate, or with the last one; 'at 8.1s': it is done since"),
    ("map", "all files side by side, on one scale for all clients"),
)

MAP = (
    ("━", "own", "owned from the start: this client is a seed of it"),
    ("▁▂▃▄▅▆▇", "got", "downloaded in part: the higher, the more of what this column stands for"),
    ("█", "got", "downloaded, all of it"),
    ("·", "missing", "wanted, nothing of it is here yet"),
    ("×", "trouble", "wanted, and it cannot be had"),
    ("(blank)", "dim", "neither owned nor wanted"),
    ("0", "trouble", "below the maps: nobody holds some segment here"),
    ("1", "rare", "below the maps: only one client holds some segment here"),
    ("▂▄█", "copies", "below the maps: the fewest copies, full height is one at every client"),
)

_STATE_HELP = {
    "starting": "not heard of yet",
    "hashing": "computes the hashes of the files that it shares",
    "ready": "has told the tracker what it owns (INIT) and waits for INIT_ACK",
    "waiting": "wants segments, and none has come for 3 seconds",
    "downloading": "downloads, and uploads what it has",
    "serving": "has all it wants; uploads to the others",
    "stopped": "the tracker's STOP has come",
    "lost": "the tracker has given it up",
}

GLOSSARY = (
    ("swarm", "all the clients that hold or want a file"),
    ("segment", "a part of a file with a hash of its own; the unit of every transfer"),
    ("seed", "a client that has the whole file"),
    ("peer", "a client that is still fetching the file, and already serves what it has of it"),
    ("tracker", "rank 0: knows who is in which swarm, never who holds which segment"),
    ("rarest first", "the rule by which a client picks its next segment: the one with the fewest copies"),
    ("owner", "a client that had a file from the start; also: origin, or original seed"),
    ("Jain's index", "how evenly clients send: 1 if all send alike, 1/n if one of n sends all"),
    ("service", "how long the tracker takes for one message"),
    ("queue", "how many more messages wait meanwhile"),
    ("corrupt", "a segment whose bytes do not match its hash: dropped, and asked of another"),
)


def help_lines(width: int) -> list[Line]:
    """The whole text, as long as it comes; the screen scrolls it."""
    lines: list[Line] = [crop((Span(" help", "bar-strong"),), width, "bar"), EMPTY]

    def section(title: str) -> None:
        if lines[-1]:
            lines.append(EMPTY)
        lines.append(rule(title, "", width))

    section("keys")
    for key, text in KEYS:
        lines += definition(key, "key", text, 14, width)
    section("columns")
    for column, text in COLUMNS:
        lines += definition(column, "strong", text, 14, width)
    section("the limit")
    for word, text in LIMIT:
        lines += definition(word, "limit", text, 14, width)
    section("the map")
    for glyphs, style, text in MAP:
        lines += definition(glyphs, style, text, 14, width)
    section("the cells of a client")
    for glyphs, style, text in CELLS:
        lines += definition(glyphs, style, text, 14, width)
    section("the log's filter")
    for word, text in FILTER:
        lines += definition(word, "key", text, 14, width)
    section("states")
    for state, (glyph, word, style) in STATES.items():
        lines += definition(f"{glyph} {word}", style, _STATE_HELP[state], 14, width)
    section("words")
    for word, text in GLOSSARY:
        lines += definition(word, "strong", text, 14, width)
    return [crop(line, width) for line in lines]
