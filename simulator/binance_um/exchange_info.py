"""GET /fapi/v1/exchangeInfo: the contracts and their terms."""

from __future__ import annotations

from typing import Final

import orjson

from simulator.binance_um.contracts import DELIVERED_NEVER, Contract
from simulator.binance_um.decimals import text
from simulator.binance_um.request import UmRequest
from simulator.moments import FOREVER

_ORDER_TYPES: Final = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
_LIMITS: Final = (
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2_400},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
)


def exchange_info(request: UmRequest) -> bytes:
    """Answer with all contracts, those that ended included: these have status SETTLING."""
    return orjson.dumps(
        {
            "timezone": "UTC",
            "serverTime": request.now + request.conditions.skew(),
            "futuresType": "U_MARGINED",
            "rateLimits": _LIMITS,
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [_row(contract, request.now) for contract in request.data.contracts.listed(request.now)],
        }
    )


def _row(contract: Contract, now: int) -> dict[str, object]:
    instrument, end = contract.instrument, contract.end
    return {
        "symbol": contract.symbol,
        "pair": contract.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": DELIVERED_NEVER if end == FOREVER else end,
        "onboardDate": contract.onboard_at,
        "status": contract.status(now),
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settlement,
        "pricePrecision": contract.price_decimals,
        "quantityPrecision": contract.quantity_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"] if instrument.base == "BTC" else ["Layer-1"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(contract),
        "orderTypes": _ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(contract: Contract) -> list[dict[str, object]]:
    decimals = contract.price_decimals
    tick = text(round(contract.instrument.tick_size * 10**decimals), decimals)
    step = text(1, contract.quantity_decimals) if contract.quantity_decimals else "1"
    sizes = {"minQty": step, "stepSize": step}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
        {"filterType": "LOT_SIZE", "maxQty": "1000000", **sizes},
        {"filterType": "MARKET_LOT_SIZE", "maxQty": "120000", **sizes},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
    ]
