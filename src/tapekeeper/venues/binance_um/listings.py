"""Instruments of /fapi/v1/exchangeInfo."""

from __future__ import annotations

import logging
import reprlib
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_MILLISECOND, MILLISECONDS_MAXIMUM
from tapekeeper.errors import ParseFailure
from tapekeeper.model.instrument import Instrument

if TYPE_CHECKING:
    from tapekeeper.model.instrument import InstrumentKind

VENUE: Final = "binance_um"
NEVER_MILLISECONDS: Final = 4_133_404_800_000
"""2100-12-25, the delivery date of a perpetual that is not about to be delisted (recorded)."""
PERPETUALS: Final = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL", "PERPETUAL_DELIVERING"})
"""Contract types without an expiry; the last one is being delisted."""

log = logging.getLogger(__name__)


class ListingParser:
    """Turns answers into instruments and counts what was left out; one per thread."""

    def __init__(self) -> None:
        self.left_out = 0
        """Instruments so far that cannot be understood, such as those that are announced but not dated yet."""

    def names(self, result: object) -> frozenset[str]:
        """Return the names of all that are listed, also of those that cannot be understood.

        Raises:
            ParseFailure: the answer is not of the documented shape.
        """
        names = (row.get("symbol") for row in _rows(result) if isinstance(row, dict))
        return frozenset(name for name in names if isinstance(name, str))

    def instruments(self, result: object) -> dict[str, Instrument]:
        """Return the instruments by name.

        Raises:
            ParseFailure: the answer is not of the documented shape.
        """
        listed = _rows(result)
        understood = [instrument for instrument in map(_instrument, listed) if instrument is not None]
        left_out = len(listed) - len(understood)
        if left_out:
            log.warning(
                "%d of %d instruments of Binance were left out: not dated, or not understood", left_out, len(listed)
            )
        self.left_out += left_out
        return {instrument.name: instrument for instrument in understood}


def _rows(result: object) -> list[object]:
    listed = result.get("symbols") if isinstance(result, dict) else None
    if not isinstance(listed, list):
        raise ParseFailure(f"the list of instruments of Binance lacks 'symbols': {reprlib.repr(result)}")
    return listed


def _instrument(row: object) -> Instrument | None:
    if not isinstance(row, dict):
        return None
    name, currency = row.get("symbol"), row.get("baseAsset")
    listed_at, delivery = _moment(row.get("onboardDate")), _moment(row.get("deliveryDate"))
    if not isinstance(name, str) or not name or not isinstance(currency, str) or listed_at is None:
        return None
    kind: InstrumentKind = "perpetual" if row.get("contractType") in PERPETUALS else "future"
    never = NEVER_MILLISECONDS * MICROSECONDS_PER_MILLISECOND
    return Instrument(
        venue=VENUE,
        name=name,
        kind=kind,
        currency=currency,
        listed_at=listed_at,
        expires_at=delivery if delivery is not None and delivery < never else None,
        tick_size=_tick_size(row.get("filters")),
    )


def _moment(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MILLISECONDS_MAXIMUM:
        return None
    return value * MICROSECONDS_PER_MILLISECOND


def _tick_size(filters: object) -> float | None:
    if not isinstance(filters, list):
        return None
    for each in filters:
        if isinstance(each, dict) and each.get("filterType") == "PRICE_FILTER":
            try:
                return float(each["tickSize"]) or None
            except (KeyError, TypeError, ValueError):
                return None
    return None
