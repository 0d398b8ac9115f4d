"""Pauses between tries, and what Retry-After may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import to_microseconds
from tapekeeper.http.retry import RETRY_AFTER_LONGEST_SECONDS, pause_seconds, retry_after_seconds
from tapekeeper.settings import HttpSettings

SETTINGS = HttpSettings(backoff_first_seconds=0.5, backoff_longest_seconds=30.0)
MIDDLE = 0.5
"""The jitter that moves nothing."""
NOON = 1_718_452_800_000_000
"""2024-06-15 12:00 UTC, a Saturday."""


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [pause_seconds(SETTINGS, attempt, None, MIDDLE) for attempt in range(1, 10)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_jitter_moves_a_pause_by_up_to_a_half() -> None:
    assert pause_seconds(SETTINGS, 3, None, 0.0) == 1.0
    assert pause_seconds(SETTINGS, 3, None, 0.999) == pytest.approx(3.0, rel=0.01)


def test_the_venue_can_ask_for_more_but_never_for_less() -> None:
    assert pause_seconds(SETTINGS, 1, 45.0, MIDDLE) == 45.0
    assert pause_seconds(SETTINGS, 3, 0.0, MIDDLE) == 2.0


@given(attempt=st.integers(1, 10_000), asked=st.none() | st.floats(0, 1e9), jitter=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_bounded_whatever_happened(attempt: int, asked: float | None, jitter: float) -> None:
    pause = pause_seconds(SETTINGS, attempt, asked, jitter)
    assert 0.25 <= pause <= max(30.0, asked or 0.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("-7", 0.0),
        ("Sat, 15 Jun 2024 12:00:40 GMT", 40.0),
        ("Sat, 15 Jun 2024 11:00:00 GMT", 0.0),
        ("99999999999", RETRY_AFTER_LONGEST_SECONDS),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Sat, 15 Jun 2024 12:00:40 -0000", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": value}, NOON) == seconds


def test_without_the_header_nothing_is_asked() -> None:
    assert retry_after_seconds({"Date": "Sat, 15 Jun 2024 12:00:40 GMT"}, NOON) is None


@given(st.text())
def test_no_header_breaks_the_reader(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value}, NOON)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_LONGEST_SECONDS


def test_noon_is_noon() -> None:
    from datetime import UTC, datetime

    assert to_microseconds(datetime(2024, 6, 15, 12, tzinfo=UTC)) == NOON
