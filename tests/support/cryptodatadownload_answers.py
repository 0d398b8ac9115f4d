"""Good answers of CryptoDataDownload, made by hand."""

from __future__ import annotations

from typing import Any, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY
from tapekeeper.model.window import Window

DATE: Final = "2024-06-15"
UNIX: Final = 1_718_438_400_000
"""08:00 UTC of it, in milliseconds."""
MIDNIGHT: Final = 1_718_409_600_000_000
"""Its first microsecond."""
DAY: Final = Window(MIDNIGHT, MIDNIGHT + MICROSECONDS_PER_DAY)
CALL: Final = "ETH-27DEC24-2500-C"
PUT: Final = "ETH-7JUL24-1800-P"


def row(symbol: str = CALL, **changes: Any) -> dict[str, Any]:
    """Return a row that can be believed."""
    prices = {"open": "0.4425", "high": "0.4500", "low": "0.4400", "close": "0.4475"}
    return {"unix": UNIX, "date": DATE, "symbol": symbol, **prices, "volume": 1.5, **changes}


def page(*rows: object, next_offset: object = None) -> dict[str, object]:
    """Return an answer; the last one, unless another is said to follow."""
    return {"result": list(rows), "pagination": {"has_more": next_offset is not None, "next_offset": next_offset}}
