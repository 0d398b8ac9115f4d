"""What the service answers: the names of all options, and days of one, of an expiry, or of a date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from simulator.conditions import Conditions
from simulator.cryptodatadownload.dailies import CURRENCIES, OPENING, Dailies, OptionDailies, day_text
from simulator.data_faults import DuplicatedRows, LeftOutRows
from simulator.hashing import key_of
from simulator.instruments import VenueInstrument
from simulator.moments import day_start
from simulator.told_rows import told_positions

DEFAULT_LIMIT: Final = 1_000
MOST: Final = 5_000
Row = dict[str, object]


class DailiesError(Exception):
    """An answer that is an error, told as {"detail": ...}."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class DailiesRequest:
    """One request."""

    data: OptionDailies
    query: Mapping[str, str]
    conditions: Conditions


async def available(request: DailiesRequest) -> dict[str, object]:
    """Answer with the names of all options, or of those that expire in the year asked for; many have no data.

    Raises:
        DailiesError: 400.
    """
    year = request.query.get("year")
    if year is not None and not re.fullmatch(r"\d{4}", year):
        raise DailiesError(400, "year has to be four digits.")
    names = [
        one.name
        for currency in CURRENCIES
        for one in await request.data.options(currency)
        if year is None or (one.expiry_day is not None and one.expiry_day.year == int(year))
    ]
    return {"result": names}


async def ohlc(request: DailiesRequest) -> dict[str, object]:
    """Answer with a page of rows: of an option or an expiry with the newest first, of a date by name.

    Raises:
        DailiesError: 400 for a query that makes no sense, 404 where nothing is held.
    """
    limit, offset = _number(request.query, "limit", DEFAULT_LIMIT), _number(request.query, "offset", 0)
    if limit < 1:
        raise DailiesError(400, "limit has to be above 0.")
    rows = await _rows(request)
    if not rows or request.conditions.has_no_data():
        raise DailiesError(404, "Not found.")
    end = offset + min(limit, MOST)
    has_more = end < len(rows)
    page = {"limit": min(limit, MOST), "offset": offset, "has_more": has_more, "next_offset": end if has_more else None}
    return {"result": _told(request.conditions, rows[offset:end]), "pagination": page}


async def _rows(request: DailiesRequest) -> list[Row]:
    query, data = request.query, request.data
    currency, shift = query.get("currency", ""), request.conditions.shift()
    if "symbol" in query:
        option = data.find(query["symbol"])
        return [] if option is None else _newest_first(await data.many([option]))
    if currency and "expiry" in query:
        return _newest_first(await data.many(data.of_expiry(currency, query["expiry"])))
    if currency and "date" in query:
        time = _time(query["date"]) + shift
        found = await data.many(data.of_day(currency, time))
        return [row for option, days in found for row in _rows_of(option, days) if row["unix"] == time]
    raise DailiesError(400, "Send symbol, or currency with date or expiry.")


def _newest_first(found: list[tuple[VenueInstrument, Dailies]]) -> list[Row]:
    return [row for option, days in found for row in reversed(_rows_of(option, days))]


def _rows_of(option: VenueInstrument, days: Dailies) -> list[Row]:
    columns = (days.time, days.open, days.high, days.low, days.close, days.volume)
    return [
        {
            "unix": time,
            "date": day_text(time),
            "symbol": option.name,
            "open": repr(first),
            "high": repr(high),
            "low": repr(low),
            "close": repr(last),
            "volume": volume,
        }
        for time, first, high, low, last, volume in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _told(conditions: Conditions, rows: list[Row]) -> list[Row]:
    if not any(isinstance(fault, LeftOutRows | DuplicatedRows) for fault in conditions.faults):
        return rows
    keys = np.array([key_of(row["symbol"], row["unix"]) >> 1 for row in rows], dtype=np.int64)
    return [rows[position] for position in told_positions(conditions, "options", keys).tolist()]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", value):
        raise DailiesError(400, f"{name} has to be a whole number.")
    return int(value)


def _time(value: str) -> int:
    """Return when the day of a date begins."""
    try:
        return day_start(date.fromisoformat(value)) + OPENING
    except ValueError:
        raise DailiesError(400, "date has to be written as 2024-06-16.") from None
