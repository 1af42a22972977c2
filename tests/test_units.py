"""How amounts, rates, times and shares are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_torrent.view import units


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1234, "1.2 kB"),
        (12_345, "12 kB"),
        (999_600, "1.0 MB"),
        (1_250_000, "1.2 MB"),
        (10**10, "10 GB"),
        (10**16, "10 PB"),
    ],
)
def test_bytes_are_counted_in_powers_of_a_thousand(count: int, text: str) -> None:
    assert units.bytes_text(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (42_300_000, 92_000_000, "42 of 92 MB"),
        (91_999_999, 92_000_000, "91 of 92 MB"),
        (92_400_000, 92_400_000, "92 of 92 MB"),
        (400_000, 4_200_000, "0.4 of 4.2 MB"),
        (0, 0, "0 of 0 B"),
        (7, 512, "7 of 512 B"),
        (999_000, 1_000_000_000, "0.0 of 1.0 GB"),
    ],
)
def test_a_part_is_in_the_unit_of_the_whole(part: int, whole: int, text: str) -> None:
    assert units.bytes_of_text(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "time", "stamp", "about"),
    [
        (0.04, "0.0 s", "0.0 s", "0.0 s"),
        (8.14, "8.1 s", "8.1 s", "8.1 s"),
        (21.6, "21.6 s", "21.6 s", "22 s"),
        (59.96, "1:00", "1:00.0", "1:00"),
        (83.42, "1:23", "1:23.4", "1:23"),
        (3599.97, "1 h 00", "1:00:00.0", "1 h 00"),
        (3723.4, "1 h 02", "1:02:03.4", "1 h 02"),
    ],
)
def test_times_have_one_form(seconds: float, time: str, stamp: str, about: str) -> None:
    assert (units.time_text(seconds), units.stamp_text(seconds), units.about_text(seconds)) == (
        time,
        stamp,
        about,
    )


def test_short_moments_have_their_units() -> None:
    said = [units.moment_text(s) for s in (0, 4.2e-6, 42e-6, 0.0013, 0.125, 2.0, 83.0)]
    assert said == ["0 s", "4.2 µs", "42 µs", "1.3 ms", "125 ms", "2.0 s", "1:23"]


def test_a_hundred_percent_is_said_of_the_whole_alone() -> None:
    said = [units.percent_text(share) for share in (0.0, 0.001, 0.01, 0.29, 0.6315, 0.9999, 1.0)]
    assert said == ["0 %", "<1 %", "1 %", "29 %", "63 %", "99 %", "100 %"]


def test_segments_without_bytes_have_a_rate_of_their_own() -> None:
    assert [units.rate_text(4_200_000), units.rate_text(640, real=False)] == ["4.2 MB/s", "640 segments/s"]
    said = [units.number_text(number) for number in (0, 0.4, 9.96, 640, 12_345, 1_234_567)]
    assert said == ["0", "0.4", "10", "640", "12.3k", "1.2M"]


@given(st.floats(0, 9e17), st.floats(0, 359_000), st.floats(0, 9e11))
def test_nothing_takes_more_than_its_column(count: float, seconds: float, number: float) -> None:
    assert len(units.bytes_text(count)) <= 6
    assert len(units.time_text(seconds)) <= 7
    assert len(units.number_text(number)) <= 6
