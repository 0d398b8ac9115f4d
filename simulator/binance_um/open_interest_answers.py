"""GET /futures/data/openInterestHist: the past 30 days, oldest first."""

from __future__ import annotations

from typing import Final

from simulator.binance_um import errors
from simulator.binance_um.contracts import Contract
from simulator.binance_um.intervals import MINUTES
from simulator.binance_um.open_interest import PERIODS, OpenInterest
from simulator.binance_um.request import UmRequest
from simulator.lines import Lines
from simulator.moments import DAY, HOUR, MINUTE
from simulator.told_rows import omitted, told_positions

REACH: Final = 30 * DAY
_SLACK: Final = HOUR
_DEFAULT_LIMIT: Final = 30
_MOST: Final = 500
_DECIMALS: Final = 8


def open_interest_history(request: UmRequest) -> bytes:
    """Answer with the newest values of a window; both times are included.

    A start of more than 30 days ago is refused with -1130; that the newest come where there are too many is what
    clients found.
    """
    contract = request.contract()
    period = request.choice("period", PERIODS, errors.refused_time("period"))
    window = request.window(default=_DEFAULT_LIMIT, most=_MOST)
    if window.start is not None and window.start < request.now - REACH - _SLACK:
        raise errors.refused_time("startTime")
    if request.conditions.has_no_data():
        return b"[]"
    shift = request.conditions.shift()
    start = max(request.now - REACH, window.start or 0) + shift
    end = (request.now if window.end is None else window.end) + shift
    found = _newest(request, contract, period, (start, end), window.limit)
    told = found.select(told_positions(request.conditions, contract.symbol, found.time))
    return b"[" + rows(contract, told)[:-1] + b"]"


def held(request: UmRequest, contract: Contract, period: str, start: int, end: int) -> OpenInterest:
    """Return the values of `[start, end]` that the venue has, without a cap."""
    cutoff = request.conditions.cutoff(contract.symbol, request.now)
    found = request.data.open_interest.between(contract, period, start, end, cutoff)
    return found.select(~omitted(request.conditions, contract.symbol, "open_interest", found.time))


def rows(contract: Contract, told: OpenInterest) -> bytes:
    """Return the JSON objects that tell values, each with a comma behind it."""
    amount = told.amount * 10 ** (_DECIMALS - contract.quantity_decimals)
    lines = Lines(len(told.time)).put(f'{{"symbol":"{contract.symbol}","sumOpenInterest":"'.encode())
    lines.number(amount, _DECIMALS).put(b'","sumOpenInterestValue":"').number(told.value, contract.quote_decimals)
    zeros = b"0" * (_DECIMALS - contract.quote_decimals)
    return lines.put(zeros + b'","timestamp":').number(told.time).put(b"},").join()


def _newest(request: UmRequest, contract: Contract, period: str, window: tuple[int, int], limit: int) -> OpenInterest:
    """Return the newest `limit` values of a window, without making many more than these."""
    start, end = window
    reach = limit * MINUTES[period] * MINUTE
    first = max(start, min(end, request.now) - reach)
    found = held(request, contract, period, first, end)
    while len(found.time) < limit and first > start:
        reach *= 2
        first = max(start, first - reach)
        found = held(request, contract, period, first, end)
    return found.select(slice(-limit, None))
