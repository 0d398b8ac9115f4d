"""What Binance's public archive allows, as far as we ask: it publishes no limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tapekeeper.http.rate_limit import RateLimit

if TYPE_CHECKING:
    from tapekeeper.settings import BinanceArchiveSettings

FILE_BYTES_MAXIMUM: Final = 2**31 - 1
"""A longer file is refused; a month of the busiest contract's aggregate trades takes about 1 GB."""
CHECKSUM_BYTES_MAXIMUM: Final = 1_024
"""One line: 64 digits, two blanks, the name of the file."""


def archive_limit(settings: BinanceArchiveSettings) -> RateLimit:
    """Return the limit that every request for a file or a checksum counts against."""
    pace = settings.requests_per_second
    return RateLimit("binance_archive.requests", permits_per_second=pace, burst=max(1, math.floor(pace)))
