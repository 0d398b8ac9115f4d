"""GET /fapi/v1/aggTrades: from an id on, or of a window shorter than an hour, of the past 48 hours alone."""

from __future__ import annotations

from typing import Final

from simulator.binance_um import errors
from simulator.binance_um.agg_trades import AggTrades
from simulator.binance_um.contracts import Contract
from simulator.binance_um.request import UmRequest, Window
from simulator.conditions import Conditions
from simulator.lines import Lines
from simulator.moments import HOUR
from simulator.told_rows import told_positions

WEIGHT: Final = 20
REACH: Final = 48 * HOUR
_DEFAULT_LIMIT: Final = 500
_MOST: Final = 1_000


def agg_trades(request: UmRequest) -> bytes:
    """Answer with aggregate trades, oldest first: from an id (included), from a start, or the newest.

    Both times are included. What the venue answers beyond 48 hours is not documented: here a start or an id before
    them is refused with -1130.
    """
    contract = request.contract()
    window, number = request.window(default=_DEFAULT_LIMIT, most=_MOST), request.number("fromId")
    if number is not None and (window.start is not None or window.end is not None):
        raise errors.mixed("fromId", "startTime")
    if window.start is not None and window.end is not None and window.end - window.start >= HOUR:
        raise errors.too_long(1)
    if request.conditions.has_no_data():
        return b"[]"
    found = _found(request, contract, window, number)
    told = found.select(told_positions(request.conditions, contract.symbol, found.number))
    return b"[" + rows(contract, told)[:-1] + b"]"


def rows(contract: Contract, trades: AggTrades) -> bytes:
    """Return the JSON objects that tell trades, each with a comma behind it."""
    lines = Lines(len(trades)).put(b'{"a":').number(trades.number)
    lines.put(b',"p":"').number(trades.price, contract.price_decimals)
    lines.put(b'","q":"').number(trades.quantity, contract.quantity_decimals)
    lines.put(b'","f":').number(trades.first).put(b',"l":').number(trades.last).put(b',"T":').number(trades.time)
    return lines.put(b',"m":').choice(trades.is_buyer_maker, b"true", b"false").put(b"},").join()


def held(conditions: Conditions, contract: Contract, trades: AggTrades) -> AggTrades:
    """Return the trades that anybody is told of."""
    missing = conditions.missing_trades(contract.symbol, trades.number)
    return trades.select(~missing) if missing.any() else trades


def _found(request: UmRequest, contract: Contract, window: Window, number: int | None) -> AggTrades:
    tape, conditions, reach = request.data.tape, request.conditions, request.now - REACH
    newest = tape.count_before(contract, conditions.cutoff(contract.symbol, request.now))
    oldest, shift = tape.count_before(contract, reach) + 1, conditions.shift()
    if number is not None:
        if number < oldest:
            raise errors.refused_time("fromId")
        return _from(request, contract, number, newest, window.limit)
    last = newest if window.end is None else min(newest, tape.count_before(contract, window.end + shift + 1))
    if window.start is not None:
        if window.start < reach:
            raise errors.refused_time("startTime")
        first = tape.count_before(contract, window.start + shift) + 1
        return _from(request, contract, first, last, window.limit)
    first = max(oldest, last - window.limit + 1)
    return held(conditions, contract, tape.select(contract, first, last))


def _from(request: UmRequest, contract: Contract, first: int, last: int, limit: int) -> AggTrades:
    """Return so many trades that anybody is told of, from one id up to another, both included."""
    reach = limit
    while True:
        stop = min(last, first + reach - 1)
        found = held(request.conditions, contract, request.data.tape.select(contract, first, stop))
        if len(found) >= limit or stop >= last:
            return found.select(slice(0, limit))
        reach *= 2
