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
    ("from: to:", "who sent it and to whom, by number: from:3 to:tracker from:1,2"),
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

HEADLINE = (
    ("45 %", "received ÷ to be fetched, of all clients; received means verified, 100 % means all"),
    ("0/8 done", "clients that have all they had to fetch, of those that had something; seeds have nothing"),
    ("finish ≈", "when the last client will be done, counted from the start of the run"),
    (
        "best possible",
        "the earliest end that any schedule could reach: the seeds must send every file once, each client "
        "must take in all it has to fetch, and all uplinks together must send all of that",
    ),
    ("98 % of it", "the time of the best possible as a share of the run's: 100 % cannot be beaten"),
    ("limit", "whose links set the best possible; as fast as the scenario says, or as in their best second"),
)

COLUMNS = (
    (
        "client",
        "its number, which is its rank in MPI; the tracker is rank 0. ! beside it: something is amiss",
    ),
    ("state", "what it does now, see below"),
    ("got", "verified segments, of those that it has to fetch; a seed has none to fetch"),
    ("%", "the same as a percentage, in bytes where there are any; 100 % means all and nothing less"),
    (
        "down/s, up/s",
        "bytes a second, in and out, over the last 3 seconds; segments a second where they have no bytes; of "
        "one that has ended, the mean",
    ),
    ("sent", "segments it has sent to others, whatever became of them"),
    ("given, gave", "verified segments that others got from it"),
    ("offers", "of the chosen client's missing segments, those that this one has"),
    ("rej", "requests refused by it or to it; a few are harmless"),
    ("trouble", "in a wide terminal: what is wrong with the client; its screen says so too"),
    ("finish", "'in 12 s' at the present rate, or with the last one; 'at 8.1 s': it is done since"),
    ("map", "all files side by side, on one scale for all clients"),
    ("×101", "in the messages: this one and a hundred like it"),
)

MAP = (
    ("━", "own", "owned from the start: this client is a seed of it"),
    ("▁▂▃▄▅▆▇", "got", "downloaded in part: the higher, the more of what this column stands for"),
    ("█", "got", "downloaded, all of it"),
    ("·", "missing", "wanted, nothing of it is here yet"),
    ("×", "trouble", "wanted, and it cannot be had"),
    ("(blank)", "dim", "neither owned nor wanted"),
    ("0", "trouble", "below the maps: nobody holds some segment here"),
    ("1", "rare", "below the maps: only one client holds some segment here; bold where others wait for it"),
    ("▂▄█", "copies", "below the maps: the fewest copies, full height is one at every client"),
)

_STATE_HELP = {
    "hashing": "computes the hashes of the files that it shares",
    "waiting": "waits to begin, or wants segments and none has come for 3 seconds",
    "downloading": "downloads, and uploads what it has",
    "seeding": "has all it wants; uploads to the others",
    "done": "the tracker's STOP has come",
    "lost": "the tracker has given it up, or trouble of its own has ended it",
}

GLOSSARY = (
    ("swarm", "all the clients that hold or want a file"),
    ("segment", "a part of a file with a hash of its own; the unit of every transfer"),
    ("seed", "a client that has the whole file"),
    ("peer", "a client that is still fetching the file, and already serves what it has of it"),
    ("tracker", "rank 0: knows who is in which swarm, never who holds which segment"),
    ("rarest first", "the rule by which a client picks its next segment: the one with the fewest copies"),
    ("owner", "a client that had a file from the start; also: origin, or original seed"),
    ("Jain's index", "how evenly clients give: 1 if all give alike, 1/n if one of n gives all"),
    ("service", "how long the tracker takes for one message"),
    ("queue", "how many more messages wait meanwhile"),
    ("corrupt", "a segment whose bytes do not match its hash: dropped, and asked of another"),
    ("duplicate", "a segment that came when it was there already: dropped"),
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
    section("the first lines")
    for word, text in HEADLINE:
        lines += definition(word, "strong", text, 14, width)
    section("columns")
    for column, text in COLUMNS:
        lines += definition(column, "strong", text, 14, width)
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
