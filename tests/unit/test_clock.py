"""Moments are exact, in UTC, and what a person types is understood or refused with a hint."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import format_moment, from_microseconds, parse_moment, to_microseconds
from tapekeeper.errors import ConfigInvalid

NOW = 1_700_000_000_000_000


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_survives_the_round_trip_exactly(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("7 days ago", NOW - 7 * 86_400_000_000),
        (" 1 Day ago ", NOW - 86_400_000_000),
        ("2018-08-14", 1_534_204_800_000_000),
        ("2018-08-14T00:00Z", 1_534_204_800_000_000),
        ("2018-08-14T02:00:00+02:00", 1_534_204_800_000_000),
    ],
)
def test_what_a_person_types(typed: str, meant: int) -> None:
    assert parse_moment(typed, now=NOW) == meant


@pytest.mark.parametrize("typed", ["2018-08-14T00:00", "2018-08-14 12:30:00"])
def test_a_naive_time_is_refused(typed: str) -> None:
    with pytest.raises(ConfigInvalid, match="has no time zone: type a UTC time such as 2024-05-01"):
        parse_moment(typed, now=NOW)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "yesterday",
        "-1 days ago",
        "123456 days ago",
        "14/08/2018",
        "2018-13-01",
        "0001-01-01T00:00+05:00",
        "9999-12-31T23:59-05:00",
    ],
)
def test_nonsense_is_refused(typed: str) -> None:
    with pytest.raises(ConfigInvalid, match="is not a time: type a UTC time such as"):
        parse_moment(typed, now=NOW)


def test_a_moment_is_shown_with_its_zone() -> None:
    assert format_moment(1_534_204_800_000_000) == "2018-08-14T00:00:00Z"
