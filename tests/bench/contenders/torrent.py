"""A libtorrent client: ``python -m tests.bench.contenders.torrent PLAN NUMBER``.

Tuned for one owner's hosts: no encryption, no discovery, every peer known and connected at once, nobody
choked. It says "ready" once it has checked what it owns, begins at the first line on stdin and seeds until
stdin ends. The torrent file is given, so that the time has no hashing of the seed's data in it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libtorrent

from tests.bench.metered import processor_seconds, write_usage

SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "allow_multiple_connections_per_ip": True,
    "connection_speed": 500,
    "unchoke_slots_limit": -1,
    "choking_algorithm": 0,
    "mixed_mode_algorithm": 0,
    "close_redundant_connections": True,
    "no_connect_privileged_ports": False,
    "alert_mask": libtorrent.alert.category_t.status_notification
    | libtorrent.alert.category_t.storage_notification
    | libtorrent.alert.category_t.error_notification,
}


def make_torrent(folder: Path, file: Path, segment: int) -> None:
    """Write the torrent file of a folder."""
    flags = libtorrent.create_torrent.v1_only
    torrent = libtorrent.create_torrent(libtorrent.list_files(str(folder)), segment, flags)
    libtorrent.set_piece_hashes(torrent, str(folder.parent))
    file.write_bytes(libtorrent.bencode(torrent.generate()))


def wait_for(session: Any, done: Callable[[], bool], alert: str | None = None) -> None:
    """Wait until something holds, and until libtorrent has told so, where it does."""
    told = alert is None
    while not (told and done()):
        session.wait_for_alert(20)
        for heard in session.pop_alerts():
            told = told or heard.what() == alert
            if "error" in heard.what():
                raise OSError(heard.message())


def main() -> None:
    plan, number = json.loads(Path(sys.argv[1]).read_bytes()), int(sys.argv[2])
    host, port = plan["peers"][number]
    settings: Any = {**SETTINGS, "listen_interfaces": f"{host}:{port}"}
    session = libtorrent.session(settings)
    before = processor_seconds()
    parameters = libtorrent.load_torrent_file(plan["torrent"])
    parameters.save_path = plan["folders"][number]
    parameters.flags &= ~libtorrent.torrent_flags.auto_managed
    parameters.flags &= ~libtorrent.torrent_flags.paused
    if number in plan["seeds"]:
        parameters.flags |= libtorrent.torrent_flags.seed_mode
    handle = session.add_torrent(parameters)
    wait_for(session, lambda: "checking" not in str(handle.status().state))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    # One of each two connects: both at once would have to find out which connection to drop.
    for peer in plan["peers"][number + 1 :]:
        handle.connect_peer(tuple(peer))
    wait_for(session, lambda: handle.status().is_seeding)
    handle.flush_cache()
    wait_for(session, lambda: True, "cache_flushed")
    times = {"began": began, "finished": time.monotonic()}
    (Path(plan["results"]) / f"times{number}.json").write_text(json.dumps(times))
    print("finished", flush=True)
    sys.stdin.read()
    write_usage(Path(plan["results"]), number, before)
    # A session would take its time to say goodbye.
    os._exit(0)


if __name__ == "__main__":
    main()
