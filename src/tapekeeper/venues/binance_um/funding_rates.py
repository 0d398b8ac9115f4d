"""Funding rates of /fapi/v1/fundingRate and intervals of /fapi/v1/fundingInfo, and which of them can be believed.

A rate is {"symbol", "fundingRate", "fundingTime", "markPrice"}: rate and price are text, the price is empty or absent
for old ones. It is paid some milliseconds after it is due. An interval is {"symbol", "fundingIntervalHours", ...}; only
instruments of which something was adjusted are told, all others pay every 8 hours.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_SECOND, format_moment
from tapekeeper.errors import ParseFailure, WindowMismatch
from tapekeeper.model.answer import Answer
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.resolution import Resolution
from tapekeeper.venues.binance_um.limits import FUNDING_INTERVALS, USUAL_FUNDING_INTERVAL
from tapekeeper.venues.binance_um.told_lists import list_about, list_told
from tapekeeper.venues.told_columns import ToldColumns

if TYPE_CHECKING:
    from tapekeeper.model.candle import Int64Column
    from tapekeeper.model.window import Window

FIELDS: Final = ("symbol", "fundingRate", "fundingTime", "markPrice")
LATEST_PAYMENT: Final = 60 * MICROSECONDS_PER_SECOND
"""So much after it is due a rate may be paid; milliseconds are usual."""
SHORTEST_INTERVAL: Final = min(FUNDING_INTERVALS.values())


def parse_funding_rates(
    result: object, instrument_name: str, window: Window, interval: Resolution, now: int
) -> Answer[FundingRates]:
    """Return the funding rates that are due in a window, in the units of `FundingRates`.

    Args:
        result: the venue's, parsed JSON.
        instrument_name: whose they were asked for.
        window: what was asked for, on the grid of the interval.
        interval: the distance of the rates.
        now: microseconds since 1970; nothing that is due after it is believed.

    Raises:
        ParseFailure: the answer is not of the documented shape, or about another instrument.
        WindowMismatch: it holds a rate of another window, or of another interval.
        InvariantBroken: the rates do not ascend, or two are due at once.
    """
    told = _told(result, instrument_name)
    if told is None:
        return Answer(FundingRates.empty())
    paid_at = told.moments("fundingTime")
    due_at = nearest_due(paid_at, interval)
    _check_interval(paid_at[(due_at < 0) & (paid_at >= 0)], instrument_name, interval)
    rates = FundingRates(
        due_at=due_at,
        paid_at=paid_at,
        funding_rate=told.decimals("fundingRate"),
        mark_price=told.optional_decimals("markPrice"),
    )
    values = {"mark_price": rates.mark_price}
    told.doubt(rates.mark_price <= 0, "mark_price {mark_price!r} is not above zero", values)
    for row in np.flatnonzero(due_at < 0).tolist():
        told.put_aside(
            row, f"paid at {format_moment(int(paid_at[row]))}, which is not near to a multiple of {interval}"
        )
    return told.believe(rates, window, interval, latest=now, told_at=paid_at)


def parse_payment_times(result: object, instrument_name: str) -> Int64Column:
    """Return when rates were paid, in microseconds since 1970, as far as it can be read.

    Raises:
        ParseFailure: the answer is not of the documented shape, or about another instrument.
    """
    told = _told(result, instrument_name)
    paid_at = np.empty(0, dtype=np.int64) if told is None else told.moments("fundingTime")
    return paid_at[paid_at >= 0]


def parse_funding_intervals(result: object) -> dict[str, Resolution]:
    """Return the present intervals by instrument, of those that the venue names.

    Raises:
        ParseFailure: the answer is not of the documented shape.
    """
    intervals = {}
    for row in list_told(result, "funding intervals"):
        name, hours = (row.get("symbol"), row.get("fundingIntervalHours")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or type(hours) is not int or hours < 1:
            raise ParseFailure(
                f"a funding interval of Binance should have a symbol and a number of hours: {reprlib.repr(row)}"
            )
        intervals[name] = Resolution(hours * 3_600)
    return intervals


def present_interval(intervals: dict[str, Resolution], instrument_name: str) -> Resolution:
    """Return the present interval of an instrument.

    Raises:
        ParseFailure: it is none of those that are known.
    """
    interval = intervals.get(instrument_name, USUAL_FUNDING_INTERVAL)
    if interval not in FUNDING_INTERVALS.values():
        raise ParseFailure(
            f"{instrument_name} pays funding every {interval}, and only {', '.join(FUNDING_INTERVALS)} are known"
        )
    return interval


def nearest_due(paid_at: Int64Column, interval: Resolution) -> Int64Column:
    """Return when payments were due on the grid of an interval, -1 where none is near; shape (n,), microseconds."""
    step = interval.microseconds
    due_at = (paid_at + step // 2) // step * step
    return np.where((paid_at >= 0) & (np.abs(paid_at - due_at) <= LATEST_PAYMENT), due_at, -1)


def _told(result: object, instrument_name: str) -> ToldColumns | None:
    """Return the columns of an answer about one instrument, None where it has no row."""
    rows = list_about(result, instrument_name, "funding rates", "a funding rate")
    return ToldColumns({name: [row.get(name) for row in rows] for name in FIELDS}) if rows else None


def _check_interval(strays: Int64Column, instrument_name: str, interval: Resolution) -> None:
    """Raise WindowMismatch if a payment that is off the grid is on that of a shorter interval."""
    others = strays[nearest_due(strays, SHORTEST_INTERVAL) >= 0]
    if len(others):
        raise WindowMismatch(
            f"{instrument_name} paid funding at {format_moment(int(others[0]))}, which is no multiple of {interval}:"
            " its interval seems to have changed; plan the window again"
        )
