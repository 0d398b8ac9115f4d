"""How long to wait before a request is sent again."""

from __future__ import annotations

import math
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_SECOND, to_microseconds
from tapekeeper.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.settings import HttpSettings

RETRY_AFTER_LONGEST_SECONDS: Final = 7 * 86_400.0
"""A Retry-After beyond this is taken as this; the longest ban that a venue we know documents is three days."""


def pause_seconds(settings: HttpSettings, attempt: int, asked_seconds: float | None, jitter: float) -> float:
    """Return the pause after a failed try: exponential, jittered, never shorter than the venue asked for.

    Args:
        settings: the first and the longest pause.
        attempt: 1 after the first try.
        asked_seconds: what the venue named itself, if it did.
        jitter: a random number in [0, 1), which moves the pause by up to a half in both directions.
    """
    # The exponent is bounded so that many tries cannot overflow a double.
    middle = settings.backoff_first_seconds * 2.0 ** min(attempt - 1, 64)
    pause = min(middle * (0.5 + jitter), settings.backoff_longest_seconds)
    return max(pause, asked_seconds or 0.0)


def retry_after_seconds(headers: Mapping[str, str], now: int) -> float | None:
    """Return what the header Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), or None without a usable one.

    Args:
        headers: of the answer; names in any case.
        now: microseconds since 1970, against which a date is measured.
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    if text is None:
        return None
    seconds = _as_seconds(text.strip(), now)
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_LONGEST_SECONDS)


def _as_seconds(text: str, now: int) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return (to_microseconds(parsedate_to_datetime(text)) - now) / MICROSECONDS_PER_SECOND
    except (ValueError, OverflowError, ConfigInvalid):
        return None
