"""Every method that is served, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulator.conditions import Conditions
from simulator.deribit import chart_data, listings, platform, tickers, trade_history
from simulator.deribit.request import Method, Request
from simulator.errors import VenueError
from simulator.params import Params
from simulator.world import World

METHODS: Final[dict[str, Method]] = {
    "public/get_time": platform.get_time,
    "public/test": platform.version,
    "public/hello": platform.version,
    "public/status": platform.status,
    "public/auth": platform.refuse_login,
    "public/subscribe": platform.needs_websocket,
    "public/unsubscribe": platform.needs_websocket,
    "public/unsubscribe_all": platform.needs_websocket,
    "public/set_heartbeat": platform.needs_websocket,
    "public/disable_heartbeat": platform.needs_websocket,
    "public/get_index_price": platform.get_index_price,
    "public/get_index_price_names": platform.get_index_price_names,
    "public/get_historical_volatility": platform.get_historical_volatility,
    "public/get_currencies": listings.get_currencies,
    "public/get_instruments": listings.get_instruments,
    "public/get_instrument": listings.get_instrument,
    "public/get_expirations": listings.get_expirations,
    "public/get_combos": listings.get_combos,
    "public/get_contract_size": listings.get_contract_size,
    "public/ticker": tickers.ticker,
    "public/get_order_book": tickers.get_order_book,
    "public/get_book_summary_by_currency": tickers.get_book_summary_by_currency,
    "public/get_book_summary_by_instrument": tickers.get_book_summary_by_instrument,
    "public/get_tradingview_chart_data": chart_data.get_tradingview_chart_data,
    "public/get_last_trades_by_instrument": trade_history.by_instrument,
    "public/get_last_trades_by_instrument_and_time": trade_history.by_instrument_and_time,
    "public/get_last_trades_by_currency": trade_history.by_currency,
    "public/get_last_trades_by_currency_and_time": trade_history.by_currency_and_time,
}


def call(
    world: World, method: str, values: Mapping[str, object], now: int, conditions: Conditions | None = None
) -> object:
    """Return the result of a method at `now` (milliseconds).

    Raises:
        VenueError: as the venue answers a wrong method or parameter.
    """
    answer = METHODS.get(method)
    if answer is None:
        raise VenueError(13009 if method.startswith("private/") else -32601)
    return answer(Request(world, Params(values), now, conditions or Conditions(world.seed)))
