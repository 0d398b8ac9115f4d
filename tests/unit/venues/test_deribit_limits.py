"""Resolutions as people type them, and the limits that we keep."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.resolution import Resolution
from tapekeeper.settings import DeribitSettings
from tapekeeper.venues.deribit.limits import (
    GET_INSTRUMENTS_LIMIT,
    RESOLUTIONS,
    parse_resolution,
    resolution_name,
    rest_limit,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 60),
        ("1m", 60),
        (" 5 ", 300),
        ("60", 3_600),
        ("60m", 3_600),
        ("1h", 3_600),
        ("1H", 3_600),
        ("720", 43_200),
        ("12h", 43_200),
        ("1D", 86_400),
        ("1d", 86_400),
        ("24h", 86_400),
        ("1440", 86_400),
    ],
)
def test_what_people_type(text: str, seconds: int) -> None:
    assert parse_resolution(text) == Resolution(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1M", "1w", "240", "4h", "2", "2D", "01", "1.0", "1 m", "m", "\u0661", "99999"]
)
def test_what_deribit_lacks_is_refused_with_what_it_has(text: str) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        parse_resolution(text)
    assert str(raised.value) == (
        f"{text!r} is not a resolution of Deribit: type one of 1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720 (minutes)"
        " or 1D; the same with a unit is understood too: 1m, 3m, 5m, 10m, 15m, 30m, 1h, 2h, 3h, 6h, 12h, 1d"
    )


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_the_names_of_the_venue_and_ours_are_understood(name: str) -> None:
    resolution = parse_resolution(name)
    assert resolution_name(resolution) == name
    assert parse_resolution(str(resolution)) == resolution


def test_a_resolution_that_the_venue_lacks_has_no_name() -> None:
    with pytest.raises(ConfigInvalid, match="Deribit has no candles of 4h: choose one of 1m, 3m"):
        resolution_name(Resolution(4 * 3_600))


@given(st.text(max_size=8))
def test_nothing_else_is_understood_or_raised(text: str) -> None:
    with contextlib.suppress(ConfigInvalid):
        assert parse_resolution(text) in RESOLUTIONS.values()


def test_the_pace_is_the_setting_and_lists_of_instruments_have_their_own() -> None:
    limit = rest_limit(DeribitSettings(requests_per_second=7.5, burst_requests=30))
    assert (limit.name, limit.permits_per_second, limit.burst) == ("deribit.rest", 7.5, 30)
    assert (GET_INSTRUMENTS_LIMIT.permits_per_second, GET_INSTRUMENTS_LIMIT.burst) == (0.1, 5)
