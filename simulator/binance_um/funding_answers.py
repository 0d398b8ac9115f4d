"""GET /fapi/v1/fundingRate and /fapi/v1/fundingInfo."""

from __future__ import annotations

from typing import Final

import orjson

from simulator.binance_um.contracts import Contract
from simulator.binance_um.decimals import text
from simulator.binance_um.funding import MARK_DECIMALS, RATE_DECIMALS, FundingRates
from simulator.binance_um.request import UmRequest
from simulator.told_rows import omitted, told_positions

_DEFAULT_LIMIT: Final = 100
_MOST: Final = 1_000
_NEWEST: Final = 200
_USUAL_HOURS: Final = 8


def funding_rates(request: UmRequest) -> bytes:
    """Answer with rates, oldest first: of one contract, or of all.

    With a start, the first ones from there; with an end alone, the newest until there; without either the newest 200.
    Both times are included, and are about the time to the millisecond.
    """
    window = request.window(default=_DEFAULT_LIMIT, most=_MOST)
    contracts = [request.contract()] if "symbol" in request.params else list(request.data.contracts.listed(request.now))
    if request.conditions.has_no_data():
        return b"[]"
    limit, shift = window.limit, request.conditions.shift()
    if window.start is None and window.end is None and "limit" not in request.params:
        limit = _NEWEST
    start = (window.start or 0) + shift
    end = (request.now if window.end is None else window.end) + shift
    rows = [row for contract in contracts for row in _rows(request, contract, start, end)]
    rows.sort(key=lambda row: row[0])
    chosen = rows[-limit:] if window.start is None else rows[:limit]
    return orjson.dumps([row for _, row in chosen])


def funding_info(request: UmRequest) -> bytes:
    """Answer with the contracts whose interval is not the usual one; the others are not told."""
    listed = [(one, one.funding_hours(request.now)) for one in request.data.contracts.listed(request.now)]
    return orjson.dumps(
        [
            {
                "symbol": contract.symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": hours,
                "disclaimer": False,
            }
            for contract, hours in listed
            if hours != _USUAL_HOURS
        ]
    )


def held(request: UmRequest, contract: Contract, start: int, end: int) -> FundingRates:
    """Return the rates that are paid in `[start, end]`, both included, and that the venue has, without a cap."""
    cutoff = request.conditions.cutoff(contract.symbol, request.now)
    found = request.data.funding.between(contract, start, end, cutoff)
    return found.select(~omitted(request.conditions, contract.symbol, "funding_rates", found.due))


def _rows(request: UmRequest, contract: Contract, start: int, end: int) -> list[tuple[int, dict[str, object]]]:
    found = held(request, contract, start, end)
    found = found.select(told_positions(request.conditions, contract.symbol, found.due))
    return [
        (
            time,
            {
                "symbol": contract.symbol,
                "fundingTime": time,
                "fundingRate": text(rate, RATE_DECIMALS),
                "markPrice": text(mark, MARK_DECIMALS) if mark else "",
            },
        )
        for time, rate, mark in zip(found.time.tolist(), found.rate.tolist(), found.mark.tolist(), strict=True)
    ]
