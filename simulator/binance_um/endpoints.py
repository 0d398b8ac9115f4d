"""Which endpoints there are, what each costs, and who answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from simulator.binance_um.agg_trade_answers import WEIGHT, agg_trades
from simulator.binance_um.exchange_info import exchange_info
from simulator.binance_um.funding_answers import funding_info, funding_rates
from simulator.binance_um.kline_answers import DEFAULT_LIMIT, klines, prepare_klines
from simulator.binance_um.limits import Pool
from simulator.binance_um.open_interest_answers import open_interest_history
from simulator.binance_um.request import UmRequest

Answerer: TypeAlias = Callable[[UmRequest], bytes]
"""Answers a request with a JSON document, or raises UmError."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the venue: the pool that it takes from, and what it costs."""

    answer: Answerer
    prepare: Callable[[UmRequest], Awaitable[None]] | None = None
    """Does what takes long beforehand, a little at a time, or raises UmError."""
    pool: Pool = "weight"
    weight: Callable[[Mapping[str, str]], int] = lambda _: 1


def kline_weight(query: Mapping[str, str]) -> int:
    """Return what klines cost: 1, 2, 5 or 10 by their limit; one that cannot be read costs what the default does."""
    text = query.get("limit", "")
    limit = int(text) if text.isdecimal() else DEFAULT_LIMIT
    return next((weight for below, weight in ((100, 1), (500, 2), (1_001, 5)) if limit < below), 10)


def _ping(_: UmRequest) -> bytes:
    return b"{}"


def _time(request: UmRequest) -> bytes:
    return orjson.dumps({"serverTime": request.now + request.conditions.skew()})


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "fapi/v1/ping": Endpoint(_ping),
    "fapi/v1/time": Endpoint(_time),
    "fapi/v1/exchangeInfo": Endpoint(exchange_info),
    "fapi/v1/klines": Endpoint(klines, prepare_klines, weight=kline_weight),
    "fapi/v1/aggTrades": Endpoint(agg_trades, weight=lambda _: WEIGHT),
    "fapi/v1/fundingRate": Endpoint(funding_rates, pool="funding"),
    "fapi/v1/fundingInfo": Endpoint(funding_info, pool="funding"),
    "futures/data/openInterestHist": Endpoint(open_interest_history, pool="data"),
}
