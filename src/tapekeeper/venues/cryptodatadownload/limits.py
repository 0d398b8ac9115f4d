"""What CryptoDataDownload allows: calls in any hour, rows in an answer, and how far back it tells.

It publishes no reference of this. The numbers are what its public clients rely on, and what a download of all options
in October 2025 brought.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from tapekeeper.http.rate_limit import RateLimit

if TYPE_CHECKING:
    from tapekeeper.settings import CryptoDataDownloadSettings

OPTION_ROWS_PER_PAGE: Final = 5_000
"""A larger limit is cut to this; one day of all options of a currency has some hundred rows."""
FIRST_DAY: Final = date(2023, 3, 30)
"""The first day that has rows. The last one was 2024-06-16: most options that are listed since have none."""

SUSTAINED_SHARE: Final = 0.5
"""The venue forgets a call when it is an hour old, our bucket fills all the time: a pace of this share and the rest as
the burst can never take more than the whole in any hour."""
_HOUR: Final = 3_600


def hourly_limit(settings: CryptoDataDownloadSettings) -> RateLimit:
    """Return the limit that every call counts against."""
    sustained = settings.calls_per_hour * SUSTAINED_SHARE
    return RateLimit("cryptodatadownload.calls", permits_per_second=sustained / _HOUR, burst=max(1, int(sustained)))
