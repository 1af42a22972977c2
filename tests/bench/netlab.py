"""A cluster on one machine: N hosts that are network namespaces, each on a limited link to one switch.

    python -m tests.bench.netlab --hosts 5 --rate 200mbit --slow 3:20mbit -- python -m tui_torrent s.toml

runs the command under MPICH's mpirun, one rank a host unless --ranks says otherwise. Hosts are called n0,
n1, … and know one another by name; the files of this machine are there on all of them.

Rules: a host's link is limited at both ends, so up and down alike. Whatever happens, nothing stays: names
bear the process that made them, leaving the block removes them and kills what still runs in them, and so
does the next lab with those of a process that was killed.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.helpers.mpirun import REPOSITORY, find_mpirun, flavour

#: A smaller burst than a large frame would have every such frame dropped.
BURST = ["burst", "256kb", "latency", "100ms"]

#: Far from one another, hosts send frames of one or two packets, and the cores of this machine would be busy
#: with nothing else. So they send large ones, as hosts near one another do; not every kernel can be told to.
LARGE_FRAMES = "echo 16 2>/dev/null >/proc/sys/net/ipv4/tcp_tso_rtt_log || true"

#: The default network of MPICH finds shared memory between the "hosts", which they do not have.
NETWORK = ["-genv", "MPIR_CVAR_CH4_NETMOD", "ofi", "-genv", "FI_PROVIDER", "tcp"]

ETC_NETNS = Path("/etc/netns")
_PREFIX = re.compile(r"tt-lab-(\d+)-(\d+)-")

#: As ssh would: options, a host, words that a shell there puts together again.
ENTER = """#!/bin/sh
while case $1 in -*) true ;; *) false ;; esac; do shift; done
host=$1; shift
exec ip netns exec {prefix}$host unshare --uts sh -c "hostname $host; exec $*"
"""


class LabError(Exception):
    """There can be no lab; the text is one line."""


def _run(*words: str, stdin: str | None = None) -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=30)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(f"{' '.join(words)}: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout


@cache
def missing(mpi: bool = True) -> str | None:
    """Why there can be no lab here, in one line, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    for program in ("ip", "tc", "unshare"):
        if shutil.which(program) is None:
            return f"needs {program}, and it is not on PATH"
    if mpi and (find_mpirun() is None or flavour() != "mpich"):
        return "needs MPICH's mpirun, which enters the hosts"
    try:
        with Netlab(hosts=1):
            return None
    except (LabError, OSError) as error:
        return f"no network namespaces here: {error}"


def _started_at(pid: int) -> int | None:
    """When a process began, in the kernel's ticks; with the pid it names a process for good."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def remove_leftovers() -> None:
    """Remove what labs have left whose process is gone."""
    # `ip netns list` says (id: 0) behind some names.
    names = [line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line.strip()]
    names += [folder.name for place in (ETC_NETNS, _temporary()) for folder in place.glob("tt-lab-*")]
    for name in dict.fromkeys(names):
        made_by = _PREFIX.match(name)
        if made_by and _started_at(int(made_by[1])) != int(made_by[2]):
            _remove(name)


def _remove(namespace: str) -> None:
    with suppress(LabError):
        for pid in _run("ip", "netns", "pids", namespace).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with suppress(LabError):
        _run("ip", "netns", "del", namespace)
    for place in (ETC_NETNS, _temporary()):
        shutil.rmtree(place / namespace, ignore_errors=True)


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


class Netlab:
    """N hosts for as long as the block lasts. Rates as tc writes them, latency in seconds each way.

    ``slow`` gives a host's link a rate of its own, ``slow_paths`` what two hosts may send each other.
    """

    def __init__(
        self,
        hosts: int,
        rate: str | None = "200mbit",
        slow: Mapping[int, str] | None = None,
        slow_paths: Mapping[tuple[int, int], str] | None = None,
        latency: float = 0.0,
    ) -> None:
        self.names = [f"n{number}" for number in range(hosts)]
        self._rates = [(slow or {}).get(number, rate) for number in range(hosts)]
        self._slow_paths = dict(slow_paths or {})
        self._latency = latency
        self._prefix = f"tt-lab-{os.getpid()}-{_started_at(os.getpid())}-{next(_numbers)}"
        self._switch = f"{self._prefix}switch"
        self._enter = _temporary() / self._prefix / "enter"
        self._line: subprocess.Popen[str] | None = None

    def __enter__(self) -> Netlab:
        remove_leftovers()
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove all that was made; harmless when nothing is left."""
        atexit.unregister(self.close)
        if self._line is not None:
            self._line.kill()
            self._line.communicate()
            self._line = None
        for name in [*self.names, "switch", ""]:
            _remove(self._prefix + name)

    # Building ---------------------------------------------------------------------------------

    def _build(self) -> None:
        self._enter.parent.mkdir(mode=0o700)
        self._enter.write_text(ENTER.format(prefix=self._prefix))
        self._enter.chmod(0o700)
        table = "127.0.0.1 localhost\n" + "".join(
            f"{address(number)} {name}\n" for number, name in enumerate(self.names)
        )
        for name in self.names:
            folder = ETC_NETNS / f"{self._prefix}{name}"
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(table)
        namespaces = [f"netns add {self._prefix}{name}" for name in (*self.names, "switch")]
        _run("ip", "-batch", "-", stdin="\n".join(namespaces))
        links = ["link add br0 type bridge", "link set br0 up"]
        for number, name in enumerate(self.names):
            peer = f"name eth0 address {_mac(number)} netns {self._prefix}{name}"
            links.append(f"link add v{number} type veth peer {peer}")
            links.append(f"link set v{number} master br0 up")
        _run("ip", "-n", self._switch, "-batch", "-", stdin="\n".join(links))
        for number, name in enumerate(self.names):
            mine = ["link set lo up", f"addr add {address(number)}/16 dev eth0", "link set eth0 up"]
            _run("ip", "-n", self._prefix + name, "-batch", "-", stdin="\n".join(mine))
            self._limit(number)
        if self._latency:
            self._lengthen()

    def _limit(self, number: int) -> None:
        rate = self._rates[number]
        slow = {
            other: limit
            for pair, limit in self._slow_paths.items()
            for other in pair
            if number in pair and other != number
        }
        namespace, tc = self._prefix + self.names[number], ["tc", "-batch", "-"]
        if rate is not None:
            down = f"qdisc add dev v{number} root tbf rate {rate} {' '.join(BURST)}"
            _run("tc", "-n", self._switch, *tc[1:], stdin=down)
        if not slow:
            if rate is not None:
                up = f"qdisc add dev eth0 root tbf rate {rate} {' '.join(BURST)}"
                _run("tc", "-n", namespace, *tc[1:], stdin=up)
            return
        rate = rate or "10gbit"
        burst = "burst 256kb cburst 256kb"
        lines = [
            "qdisc add dev eth0 root handle 1: htb default 1",
            f"class add dev eth0 parent 1: classid 1:99 htb rate {rate} {burst}",
            f"class add dev eth0 parent 1:99 classid 1:1 htb rate {rate} {burst}",
        ]
        for other, limit in slow.items():
            lines.append(f"class add dev eth0 parent 1:99 classid 1:1{other} htb rate {limit} {burst}")
            to = f"u32 match ip dst {address(other)}/32 flowid 1:1{other}"
            lines.append(f"filter add dev eth0 parent 1: protocol ip {to}")
        _run("tc", "-n", namespace, *tc[1:], stdin="\n".join(lines))

    def _lengthen(self) -> None:
        """Lead all that comes from a host through a delay line before the switch forwards it."""
        links = []
        for end in ("into", "outof"):
            # What the line takes and gives is not for the switch itself, and not to be told of the line.
            links.append(f"link add {end} type veth peer name {end}-line")
            links += [f"link set {device} addrgenmode none up" for device in (end, f"{end}-line")]
        # The hosts' addresses must not be learned where their frames come out of the line.
        links.append("link set outof master br0")
        links.append("link set outof type bridge_slave learning off flood off")
        _run("ip", "-n", self._switch, "-batch", "-", stdin="\n".join(links))
        words = [sys.executable, "-m", "tests.bench.delay_line", "into-line", "outof-line"]
        self._line = subprocess.Popen(
            ["ip", "netns", "exec", self._switch, *words, str(self._latency)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self._line.stdout is not None
        if self._line.stdout.readline() != "ready\n":
            raise LabError("the delay line did not start")
        for number, name in enumerate(self.names):
            _run("ip", "netns", "exec", self._prefix + name, "sh", "-c", LARGE_FRAMES)
            known = f"fdb replace {_mac(number)} dev v{number} master static"
            _run("bridge", "-n", self._switch, *known.split())
            lines = [
                f"qdisc add dev v{number} ingress",
                f"filter add dev v{number} parent ffff: protocol all u32 match u32 0 0 "
                "action mirred egress redirect dev into",
            ]
            _run("tc", "-n", self._switch, "-batch", "-", stdin="\n".join(lines))

    # Using ------------------------------------------------------------------------------------

    def inside(self, host: int) -> list[str]:
        """The words before a command that is to run on a host."""
        into = ["ip", "netns", "exec", self._prefix + self.names[host]]
        return [*into, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.names[host]]

    def mpirun(self, ranks: Sequence[int]) -> list[str]:
        """The words that start a command as many ranks, each on its host; mpirun itself runs on the first
        rank's host."""
        launcher = find_mpirun()
        assert launcher is not None
        hosts = ",".join(self.names[host] for host in ranks)
        launching = [
            "-launcher",
            "ssh",
            "-launcher-exec",
            str(self._enter),
            "-hosts",
            hosts,
            "-np",
            str(len(ranks)),
        ]
        return [*self.inside(ranks[0]), launcher, *launching, *NETWORK]

    def sent(self) -> list[int]:
        """Bytes that each host has put on its uplink until now, the wire's headers included."""
        links: list[dict[str, Any]] = json.loads(_run("ip", "-n", self._switch, "-j", "-s", "link"))
        received = {link["ifname"]: int(link["stats64"]["rx"]["bytes"]) for link in links}
        return [received[f"v{number}"] for number in range(len(self.names))]


_numbers = iter(range(1 << 30))


def address(host: int) -> str:
    """The IPv4 address of a host."""
    return f"10.77.{host // 250}.{host % 250 + 1}"


def _mac(host: int) -> str:
    return f"02:77:00:00:{host // 256:02x}:{host % 256:02x}"


# By hand --------------------------------------------------------------------------------------


def _pairs(text: str) -> tuple[str, str]:
    where, colon, rate = text.partition(":")
    if not colon or not where or not rate:
        raise argparse.ArgumentTypeError(f"expected HOST:RATE, found {text!r}")
    return where, rate


def parse_latency(text: str) -> float:
    """Seconds, from "20ms" or "0.02s"."""
    found = re.fullmatch(r"([0-9.]+)(ms|s)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected a time such as 20ms, found {text!r}")
    return float(found[1]) * (1e-3 if found[2] == "ms" else 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.netlab", description="MPI across namespaces")
    parser.add_argument("--hosts", type=int, default=5, help="so many, n0, n1, … (%(default)s)")
    parser.add_argument("--rate", default="200mbit", help="of each link, up and down (%(default)s)")
    parser.add_argument("--slow", type=_pairs, action="append", default=[], metavar="HOST:RATE")
    parser.add_argument("--slow-path", type=_pairs, action="append", default=[], metavar="HOST-HOST:RATE")
    parser.add_argument("--latency", type=parse_latency, default=0.0, help="each way, such as 20ms")
    parser.add_argument("--ranks", help="the host of each rank, such as 0,0,1,2 (default: one a host)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- what each rank runs")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("expected a command behind --")
    if missing():
        print(f"no lab: {missing()}", file=sys.stderr)
        return 2
    ranks = list(map(int, options.ranks.split(","))) if options.ranks else list(range(options.hosts))
    if not all(0 <= host < options.hosts for host in ranks):
        parser.error(f"--ranks names a host that is not one of {options.hosts}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    slow = {int(host): rate for host, rate in options.slow}
    paths = {(int(a), int(b)): rate for pair, rate in options.slow_path for a, b in [pair.split("-")]}
    with Netlab(options.hosts, options.rate, slow, paths, options.latency) as lab:
        began, before = time.monotonic(), lab.sent()
        try:
            code = subprocess.run([*lab.mpirun(ranks), *command]).returncode
        except KeyboardInterrupt:
            return 130
        seconds = time.monotonic() - began
        sent = [after - first for after, first in zip(lab.sent(), before, strict=True)]
        figures = " ".join(f"{name} {size / 2**20:.1f}" for name, size in zip(lab.names, sent, strict=True))
        print(
            f"{shlex.join(command)}: exit code {code}, {seconds:.2f} s, MiB sent: {figures}", file=sys.stderr
        )
    return code


if __name__ == "__main__":
    sys.exit(main())
