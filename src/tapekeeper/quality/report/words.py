"""How the reports write numbers, times and names."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final

from tapekeeper.model.resolution import Resolution

NONE: Final = "\N{EN DASH}"
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def percent(part: int, whole: int) -> str:
    """Return a share as text, rounded down, so that 100 % is said only of what is whole; a dash of nothing."""
    if not whole:
        return NONE
    share = (Decimal(100) * min(part, whole) / whole).quantize(Decimal("0.01"), ROUND_DOWN)
    return f"{100 if part >= whole else share} %"


def ratio_percent(ratio: float | None) -> str:
    """Return a ratio from 0 to 1 as `percent` would write it."""
    if ratio is None:
        return NONE
    share = (100 * Decimal(repr(ratio))).quantize(Decimal("0.01"), ROUND_DOWN)
    return "100 %" if ratio >= 1 else f"{share} %"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 gap` and `1,200 gaps`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time as a person says it, such as `45 s`, `12 min`, `3 h 20 min` or `2 days 4 h`."""
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{seconds:.1f} s" if seconds != whole and whole < 10 else f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    return _two(whole // _DAY, "days", whole % _DAY // _HOUR, "h")


def moment(time: datetime | None) -> str:
    """Return a time of UTC to the minute, or to the second where it has one; a dash for none."""
    if time is None:
        return NONE
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if time.second else minute(time)


def minute(time: datetime) -> str:
    """Return a time of UTC to the minute."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def series_name(instrument: str, resolution_seconds: int) -> str:
    """Return an instrument with its resolution, where it has one."""
    return f"{instrument} {Resolution(resolution_seconds)}" if resolution_seconds else instrument


def plain(value: object) -> str:
    """Return a value of a figure or a sample as text."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large:,} {large_unit} {small} {small_unit}" if small else f"{large:,} {large_unit}"
