"""What Binance USD-M allows: intervals, rows per answer, weights, and three pools of permits.

Source: the venue's general information on REST limits and the reference of each method
(https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.errors import ConfigInvalid
from tapekeeper.http.rate_limit import RateLimit
from tapekeeper.model.resolution import Resolution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekeeper.settings import BinanceUmSettings

CANDLES_PER_REQUEST: Final = 499
"""The most rows for their weight: 499 cost 2, which is 250 rows for 1; 1,000 would cost 5, and 1,500 would cost 10."""
CANDLES_WEIGHT: Final = 2.0
LISTING_WEIGHT: Final = 1.0

OPEN_INTEREST_PER_REQUEST: Final = 500
OPEN_INTEREST_DAYS: Final = 29
"""How far back we ask: the venue keeps a month, whose last hours come and go."""
UNWEIGHED: Final = 0.0
"""What lies outside of the weights still stops while our address is banned."""

AGG_TRADES_PER_REQUEST: Final = 1_000
AGG_TRADES_WEIGHT: Final = 20.0
AGG_TRADES_WINDOW_MINUTES: Final = 30
"""How long a chunk is; the venue tells windows of less than an hour."""
AGG_TRADES_HOURS: Final = 47
"""How far back we ask: a chunk may wait for an hour before it is its turn."""
AGG_TRADES_KEPT_HOURS: Final = 48
"""How far back the venue tells them."""

FUNDING_RATES_PER_REQUEST: Final = 1_000

INTERVALS: Final[dict[str, Resolution]] = {
    **{f"{minutes}m": Resolution(minutes * 60) for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": Resolution(hours * 3_600) for hours in (1, 2, 4, 6, 8, 12)},
    "1d": Resolution(86_400),
}
"""By the venue's own names. Its 3d, 1w and 1M do not begin on multiples of their length, so they are left out."""

PERIODS: Final[dict[str, Resolution]] = {
    name: INTERVALS[name] for name in ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
}
"""Of open interest, by the venue's own names."""

FUNDING_INTERVALS: Final[dict[str, Resolution]] = {name: INTERVALS[name] for name in ("1h", "2h", "4h", "8h")}
"""Of funding, by the venue's own names; it is due on multiples of them."""
USUAL_FUNDING_INTERVAL: Final = FUNDING_INTERVALS["8h"]
"""Of every instrument that fundingInfo does not name."""

SUSTAINED_SHARE: Final = 0.95
"""The venue counts by the minute of its clock, our bucket by the moment: a pace of this share and the rest as the burst
can never take more than the whole in any minute."""


def weight_limit(settings: BinanceUmSettings) -> RateLimit:
    """Return the limit that every request counts against, by its weight."""
    return _by_window("binance_um.weight", settings.weight_per_minute, seconds=60)


def _by_window(name: str, permits: int, *, seconds: int) -> RateLimit:
    pace = permits * SUSTAINED_SHARE / seconds
    return RateLimit(name, permits_per_second=pace, burst=max(1, int(permits * (1 - SUSTAINED_SHARE))))


DATA_LIMIT: Final = _by_window("binance_um.data", 1_000, seconds=300)
"""/futures/data lies outside of the weights; no header tells how much of this is used."""


FUNDING_LIMIT: Final = _by_window("binance_um.funding", 500, seconds=300)
"""fundingRate and fundingInfo share it. Both are documented with it in place of a weight, so they weigh nothing; if
they did, the header that every answer carries would still make everybody pause before the minute is spent."""


def parse_interval(text: str) -> Resolution:
    """Return the interval of candles that a person typed, as the venue writes it: 1m, 4h, 1d.

    Raises:
        ConfigInvalid: the venue has no such interval; the message lists those that it has.
    """
    return _parse(text, INTERVALS, "an interval")


def parse_period(text: str) -> Resolution:
    """Return the period of open interest that a person typed, as the venue writes it: 5m, 1h, 1d.

    Raises:
        ConfigInvalid: the venue has no such period; the message lists those that it has.
    """
    return _parse(text, PERIODS, "a period")


def _parse(text: str, known: Mapping[str, Resolution], what: str) -> Resolution:
    name = text.strip()
    if name not in known:
        raise ConfigInvalid(f"{text!r} is not {what} of Binance: type one of {', '.join(known)}")
    return known[name]


def interval_name(resolution: Resolution, known: Mapping[str, Resolution] = INTERVALS) -> str:
    """Return what Binance calls a resolution.

    Raises:
        ConfigInvalid: Binance has nothing of it.
    """
    for name, each in known.items():
        if each == resolution:
            return name
    raise ConfigInvalid(f"Binance has nothing of {resolution}: choose one of {', '.join(known)}")
