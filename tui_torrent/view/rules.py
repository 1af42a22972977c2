"""The rules that a run is held against, as data: what each is called, and what it says where it holds."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Rule(str, Enum):
    """The steps of the protocol, in their order; what must be true of the whole run; and of its journal."""

    INIT = "INIT first"
    INIT_ACK = "no INIT_ACK before the last INIT"
    REQUEST = "no request before INIT_ACK"
    ANSWER = "each SWARM_REQUEST is answered"
    UPDATE = "an update for every unfinished file after each N segments"
    MOVED = "each segment is asked of a member, sent by one that holds it, then stored"
    STORED = "each stored segment matches its hash"
    HOLDERS = "peers serve what they hold"
    GIVEN_UP = "a file is given up only where nobody alive holds it"
    FILE_COMPLETE = "FILE_COMPLETE once a file and only when it is whole"
    ALL_COMPLETE = "ALL_COMPLETE once, after the last file"
    STOP = "STOP after the last ALL_COMPLETE and nothing after it"
    TRACKER = "the tracker moves no segment"
    SERVING = "finished clients keep serving"
    TIME = "time makes sense"
    OUTCOME = "the outcome is what the events say"
    JOURNAL = "the journal is whole"
    #: Checked where a scenario is given.
    SCENARIO = "clients own and want what the scenario says"


class Held(NamedTuple):
    """What is said of a rule that nothing breaks: how many of what were held against it, and what they did.

    ``said`` may hold {was} (were, for other than one) and {every} (N, the segments between two updates).
    """

    one: str
    more: str
    said: str


HELD = {
    Rule.INIT: Held("client", "clients", "sent INIT, once and before anything else"),
    Rule.INIT_ACK: Held(
        "INIT_ACK", "INIT_ACKs", "{was} sent, the first after the INIT of every client was in"
    ),
    Rule.REQUEST: Held("request", "requests", "{was} sent after the INIT_ACK of its client"),
    Rule.ANSWER: Held("SWARM_REQUEST", "SWARM_REQUESTs", "{was} answered, each by one SWARM_RESPONSE"),
    Rule.UPDATE: Held("update", "updates", "{was} sent in time, one after each {every} segments of a client"),
    Rule.MOVED: Held(
        "segment", "segments", "{was} asked for, then sent by a member that held it, then stored"
    ),
    Rule.STORED: Held("stored segment", "stored segments", "{was} compared with the digest, and alike"),
    Rule.HOLDERS: Held("request", "requests", "{was} answered by a segment"),
    Rule.GIVEN_UP: Held("file", "files", "{was} given up, where nobody alive held all of it"),
    Rule.FILE_COMPLETE: Held("file", "files", "{was} completed, once and when it was whole"),
    Rule.ALL_COMPLETE: Held("client", "clients", "sent ALL_COMPLETE, once and after the last file"),
    Rule.STOP: Held("STOP", "STOPs", "{was} sent after the last ALL_COMPLETE, and nothing came after it"),
    Rule.TRACKER: Held("request or segment", "requests and segments", "went from client to client"),
    Rule.SERVING: Held("segment", "segments", "{was} sent by finished clients, who refused none as absent"),
    Rule.TIME: Held("event", "events", "{was} stamped in the order of its rank"),
    Rule.OUTCOME: Held("outcome", "outcomes", "{was} told, as the events have it"),
    Rule.JOURNAL: Held("event", "events", "{was} in order, none missing, from the header to the outcome"),
    Rule.SCENARIO: Held("client", "clients", "{was} compared with the scenario, and alike"),
}


def held(rule: Rule, number: int, every: int) -> str:
    """What is said of ``rule``, which nothing breaks and against which so many things were held."""
    one, more, said = HELD[rule]
    verb = said.format(was="was" if number == 1 else "were", every=every)
    return f"{number} {one if number == 1 else more} {verb}"
