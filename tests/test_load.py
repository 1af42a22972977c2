"""How busy the tracker is: histograms that merge, an inbox that counts, a meter that tells once a second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from mpi_core.protocol import events as ev
from mpi_core.protocol import messages as msg
from mpi_core.protocol.histogram import LAST_BIN, Bins, bin_of, merge, middle, packed, quantile
from mpi_core.protocol.units import Rank
from mpi_core.runtime.clock import Clock
from mpi_core.runtime.driver import Driver
from mpi_core.runtime.load import Inbox, Meter
from mpi_core.runtime.transport import LocalNetwork
from mpi_core.swarm.machine import Effects, Halt
from tests.helpers.runs import view_of
from tui_torrent.view.swarm_view import SwarmView

SIZES = st.integers(0, 1 << 62)


@given(SIZES)
def test_a_bin_knows_its_values_to_within_a_quarter(value: int) -> None:
    assert abs(middle(bin_of(value)) - value) <= value / 8
    assert bin_of(value) <= bin_of(value + 1) <= LAST_BIN


def test_small_numbers_have_a_bin_each() -> None:
    assert [middle(bin_of(value)) for value in range(8)] == list(range(8))
    assert (bin_of(-5), bin_of(-100), bin_of(1 << 200)) == (0, 0, LAST_BIN)


@given(st.lists(SIZES, min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_in_the_bin_of_the_value_that_has_that_place(values: list[int], share: float) -> None:
    ordered = sorted(values)
    place = next(at for at in range(len(ordered)) if at + 1 >= share * len(ordered))
    assert quantile(Counter(map(bin_of, values)), share) == middle(bin_of(ordered[place]))


@given(st.lists(st.lists(SIZES, max_size=20), max_size=6), st.randoms())
def test_histograms_merge_in_any_order(parts: list[list[int]], random: object) -> None:
    told = [packed(Counter(map(bin_of, part))) for part in parts]
    whole, other = Counter[int](), Counter[int]()
    for bins in told:
        merge(whole, bins)
    for bins in sorted(told, reverse=True):
        merge(other, bins)
    assert whole == other == Counter(bin_of(value) for part in parts for value in part)


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({3: -1}, 0.5) is None


# The inbox and the meter ------------------------------------------------------------------------


def test_an_inbox_counts_who_waits_and_keeps_the_order() -> None:
    network = LocalNetwork()
    inbox, client = Inbox(network.endpoint(Rank(0), "tracker")), network.endpoint(Rank(1), "downloader")
    for name in ("a", "b", "c"):
        client.send(Rank(0), msg.FileComplete(name))
    seen = []
    while (delivery := inbox.receive(0.0)) is not None:
        seen.append((delivery, len(inbox)))
    assert seen == [((1, msg.FileComplete(name)), left) for name, left in (("a", 2), ("b", 1), ("c", 0))]


class Quiet:
    """Takes messages and says nothing, until the last of so many."""

    wake_at = None

    def __init__(self, messages: int) -> None:
        self.left = messages

    def start(self, now: float) -> Effects:
        return []

    def receive(self, now: float, sender: Rank, message: msg.Stimulus) -> Effects:
        self.left -= 1
        return [] if self.left else [Halt()]

    def wake(self, now: float) -> Effects:
        return []


def test_a_metered_driver_tells_each_message_once_the_last_one_included() -> None:
    network, told = LocalNetwork(), list[ev.Event]()
    inbox, client = Inbox(network.endpoint(Rank(0), "tracker")), network.endpoint(Rank(1), "downloader")
    for _ in range(50):
        client.send(Rank(0), msg.Alive())
    meter = Meter(inbox, told.append)
    driver = Driver(Rank(0), Quiet(50), inbox, Clock(), lambda event, at: told.append(event), meter=meter)
    thread = threading.Thread(target=driver.run, daemon=True)
    thread.start()
    thread.join(20)
    loads = [event for event in told if isinstance(event, ev.TrackerLoad)]
    assert loads == told
    assert sum(count for load in loads for _, count in load.service) == 50
    assert Counter(dict(loads[0].waiting)) == Counter(bin_of(waiting) for waiting in range(50))


def test_a_meter_tells_once_a_second_and_nothing_of_nothing() -> None:
    told: list[tuple[float, ev.TrackerLoad]] = []
    now = 0.0
    meter = Meter(Inbox(LocalNetwork().endpoint(Rank(0), "tracker")), lambda load: told.append((now, load)))
    for step in range(1, 400):
        now = step / 100
        if now < 2.5:
            meter.served(now, now + 0.003)
        meter.look(now)
    assert [t for t, _ in told] == [1.0, 2.0, 3.0]
    assert [sum(count for _, count in load.service) for _, load in told] == [100, 100, 49]


# The view ---------------------------------------------------------------------------------------


def bins(*values: int) -> Bins:
    return packed(Counter(map(bin_of, values)))


def test_the_view_gives_median_and_99th() -> None:
    usual: Sequence[int] = [40] * 98
    early, late = ev.TrackerLoad(bins(*usual, 5000), bins(0, 0, 3)), ev.TrackerLoad(bins(90_000), bins(2))
    load = view_of((1.0, 0, early), (2.0, 0, late)).load
    assert load.lately == 2.0
    median, slow, most = load.service_s(0.5), load.service_s(0.99), load.service_s(1.0)
    assert median is not None
    assert abs(median - 40e-6) < 5e-6
    assert slow is not None
    assert abs(slow - 5e-3) < 0.7e-3
    assert most is not None
    assert abs(most - 90e-3) < 12e-3
    assert (load.queue(0.5), load.queue(1.0)) == (0.0, 3.0)


def test_what_was_not_told_is_not_known() -> None:
    load = SwarmView().load
    assert (load.service_s(0.5), load.queue(0.99)) == (None, None)
