"""What Deribit allows: resolutions, candles per answer, requests per second.

Sources: https://docs.deribit.com/articles/rate-limits and the reference of public/get_tradingview_chart_data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.resolution import Resolution

if TYPE_CHECKING:
    from tapekeeper.settings import DeribitSettings

CANDLES_PER_ANSWER: Final = 5_001
"""Measured: a longer window is answered with its newest 5,001 candles and status ok, as if there were no others."""
CANDLES_PER_REQUEST: Final = CANDLES_PER_ANSWER - 1
"""What we ask for at most: one less, because the answer may begin one candle before the window that we want."""

TRADES_PER_ANSWER: Final = 1_000
"""What the methods of get_last_trades tell at most; they tell ten where nobody says how many."""
CURRENCY_TRADES_AGE: Final = MICROSECONDS_PER_DAY
"""How far back get_last_trades_by_currency_and_time reaches; an older start is answered with nothing, not an error."""

RESOLUTIONS: Final[dict[str, Resolution]] = {
    **{str(minutes): Resolution(minutes * 60) for minutes in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)},
    "1D": Resolution(86_400),
}
"""By the venue's own names: minutes, or 1D. There are no four hours and no week."""

REQUEST_WEIGHT: Final = 1.0
"""Permits per request: all methods that are not listed below cost the same 500 credits."""

GET_INSTRUMENTS_LIMIT: Final = RateLimit("deribit.get_instruments", permits_per_second=0.1, burst=5)
"""get_instruments has a limit of its own: 1 per second with a burst of 50 today, 1 per 10 s with a burst of 5 in older
documents. We keep the older one, which holds under both."""

_SECONDS_PER_UNIT: Final = {"": 60, "m": 60, "h": 3_600, "H": 3_600, "d": 86_400, "D": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,3})([mhHdD]?)")
_NAMES = {resolution: name for name, resolution in RESOLUTIONS.items()}


def rest_limit(settings: DeribitSettings) -> RateLimit:
    """Return the limit that every REST request counts against."""
    return RateLimit("deribit.rest", settings.requests_per_second, settings.burst_requests)


def parse_resolution(text: str) -> Resolution:
    """Return the resolution that a person typed.

    A number alone is minutes, as Deribit writes them; a unit may follow: `m` minutes, `h` hours, `d` days. So 1, 60,
    1m, 1h, 60m, 1D and 1d are understood. `1M` is not: elsewhere it means a month.

    Raises:
        ConfigInvalid: it is no duration, or Deribit has no candles of it; the message lists those that it has.
    """
    duration = _DURATION.fullmatch(text.strip())
    if duration:
        resolution = Resolution(int(duration[1]) * _SECONDS_PER_UNIT[duration[2]])
        if resolution in _NAMES:
            return resolution
    raise ConfigInvalid(
        f"{text!r} is not a resolution of Deribit: type one of {', '.join(list(RESOLUTIONS)[:-1])} (minutes) or 1D;"
        f" the same with a unit is understood too: {', '.join(map(str, _NAMES))}"
    )


def resolution_name(resolution: Resolution) -> str:
    """Return what Deribit calls a resolution.

    Raises:
        ConfigInvalid: Deribit has no candles of it.
    """
    if resolution not in _NAMES:
        raise ConfigInvalid(f"Deribit has no candles of {resolution}: choose one of {', '.join(map(str, _NAMES))}")
    return _NAMES[resolution]
