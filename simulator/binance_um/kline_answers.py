"""GET /fapi/v1/klines: arrays of twelve, prices and quantities as text, the open kline last."""

from __future__ import annotations

from typing import Final

import numpy as np
import orjson

from simulator.binance_um import errors
from simulator.binance_um.contracts import Contract
from simulator.binance_um.intervals import INTERVALS, MINUTES, following, longest, opening
from simulator.binance_um.klines import Klines
from simulator.binance_um.request import UmRequest
from simulator.conditions import Conditions, Mask
from simulator.data_faults import BadCandle, CandleFault, DuplicatedRows, LeftOutCandles, PriceJump, WrongVolume
from simulator.lines import Lines
from simulator.moments import MINUTE
from tapekeeper.model.candle import Int64Column

DEFAULT_LIMIT: Final = 500
MOST: Final = 1_500
_PRICES: Final = slice(0, 4)
_SIZES: Final = (4, 5, 7, 8)


def klines(request: UmRequest) -> bytes:
    """Answer with klines, oldest first.

    With a start, the first ones from there; without, the newest until the end. Both times are included and are about
    the time of opening.
    """
    contract = request.contract()
    interval = request.choice("interval", INTERVALS, errors.bad_interval())
    window = request.window(default=DEFAULT_LIMIT, most=MOST)
    if request.conditions.has_no_data():
        return b"[]"
    shift = request.conditions.shift()
    start = None if window.start is None else window.start + shift
    end = request.now if window.end is None else window.end + shift
    found = _held(request, contract, interval, (start, end), window.limit)
    found = found.select(slice(0, window.limit) if start is not None else slice(-window.limit, None))
    told = told_klines(request.conditions, contract, found)
    body = b"[" + rows(contract, interval, told)[:-1] + b"]"
    return _spoiled(request.conditions, contract, told, body)


async def prepare_klines(request: UmRequest) -> None:
    """Make the days that an answer adds up, and let others have their turn meanwhile."""
    contract = request.contract()
    interval = request.choice("interval", INTERVALS, errors.bad_interval())
    window = request.window(default=DEFAULT_LIMIT, most=MOST)
    end = min(request.now if window.end is None else window.end, contract.end)
    reach = window.limit * longest(interval)
    start = end - reach if window.start is None else max(window.start, contract.onboard_at)
    await request.data.klines.prepare(contract, interval, start, min(end, start + reach), request.now)


def _held(request: UmRequest, contract: Contract, interval: str, window: tuple[int | None, int], limit: int) -> Klines:
    """Return at least `limit` klines of a window that the venue has, counted from its start or else from its end."""
    start, end = window
    end = min(end, request.conditions.cutoff(contract.symbol, request.now), contract.end)
    reach = limit * longest(interval)
    begin = contract.onboard_at - longest(interval) if start is None else max(start, contract.onboard_at - reach)
    if start is None:
        first = max(begin, end - reach)
        found = held_klines(request, contract, interval, first, end)
        while len(found) < limit and first > begin:
            first = max(begin, first - reach)
            found = held_klines(request, contract, interval, first, end)
        return found
    last = min(end, begin + reach)
    found = held_klines(request, contract, interval, begin, last)
    while len(found) < limit and last < end:
        last = min(end, last + reach)
        found = held_klines(request, contract, interval, begin, last)
    return found


def held_klines(request: UmRequest, contract: Contract, interval: str, start: int, end: int) -> Klines:
    """Return the klines that open in `[start, end]` and that the venue has: without its true holes, without a cap."""
    cutoff = request.conditions.cutoff(contract.symbol, request.now)
    found = request.data.klines.klines(contract, interval, start, end, cutoff)
    missing = missing_klines(request.conditions, contract, interval, found)
    return found.select(~missing) if missing.any() else found


def missing_klines(conditions: Conditions, contract: Contract, interval: str, found: Klines) -> Mask:
    """Return which klines are true holes; one of days is never."""
    if interval not in MINUTES:
        return np.zeros(len(found), dtype=np.bool_)
    return conditions.missing(contract.symbol, found.opened, MINUTES[interval] * MINUTE)


def told_klines(conditions: Conditions, contract: Contract, found: Klines) -> Klines:
    """Return the klines of an answer: without those left out, some twice, some with other numbers."""
    for fault in conditions.faults:
        if not isinstance(fault, CandleFault):
            continue
        chosen = conditions.chosen(fault, contract.symbol, found.opened)
        match fault:
            case LeftOutCandles():
                found = found.select(~chosen)
            case DuplicatedRows():
                twice = np.repeat(np.arange(len(found)), 1 + chosen)
                found = Klines(found.opened[twice], found.rows[:, twice])
            case WrongVolume() | PriceJump() | BadCandle(mode="high_below_low"):
                found = Klines(found.opened, found.rows.copy())
                _change(fault, chosen, found)
    return found


def rows(contract: Contract, interval: str, told: Klines) -> bytes:
    """Return the JSON arrays that tell klines, each with a comma behind it."""
    lines, row = Lines(len(told)), told.rows
    lines.put(b"[").number(told.opened)
    for values in row[:4]:
        lines.put(b',"').number(values, contract.price_decimals).put(b'"')
    lines.put(b',"').number(row[4], contract.quantity_decimals).put(b'",').number(closings(interval, told))
    lines.put(b',"').number(row[5], contract.quote_decimals).put(b'",').number(row[6])
    lines.put(b',"').number(row[7], contract.quantity_decimals)
    lines.put(b'","').number(row[8], contract.quote_decimals).put(b'","0"],')
    return lines.join()


def closings(interval: str, found: Klines) -> Int64Column:
    """Return the last millisecond of each kline, shape (n,)."""
    if interval != "1M":
        return found.opened + longest(interval) - 1
    return np.array([following(interval, opening(interval, one)) for one in found.opened.tolist()], dtype=np.int64) - 1


def _change(fault: CandleFault, chosen: Mask, found: Klines) -> None:
    rows, positions = found.rows, np.flatnonzero(chosen)
    match fault:
        case WrongVolume():
            for size in _SIZES:
                rows[size, positions] = np.rint(rows[size, positions] * fault.factor)
        case PriceJump():
            rows[_PRICES, positions] = np.rint(rows[_PRICES, positions] * fault.factor)
        case BadCandle():
            rows[1, positions] = rows[2, positions] * 99 // 100


def _spoiled(conditions: Conditions, contract: Contract, told: Klines, body: bytes) -> bytes:
    """Return the answer with closes put in that are no number."""
    for fault in conditions.faults:
        if isinstance(fault, BadCandle) and fault.mode != "high_below_low":
            wrong = {"null": None, "nan": "NaN", "text": "not a price"}[fault.mode]
            table = orjson.loads(body)
            for position in np.flatnonzero(conditions.chosen(fault, contract.symbol, told.opened)).tolist():
                table[position][4] = wrong
            body = orjson.dumps(table)
    return body
