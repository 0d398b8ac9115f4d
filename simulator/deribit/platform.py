"""Methods about the venue itself, its indices, and what needs a socket or a login."""

from __future__ import annotations

import numpy as np

from simulator.deribit.request import Request
from simulator.errors import VenueError, invalid
from simulator.instruments import VenueInstrument
from simulator.market import moments
from simulator.moments import DAY, HOUR
from simulator.world import World


def get_time(request: Request) -> object:
    """Answer with the venue's time in milliseconds."""
    return request.now + request.conditions.skew()


def version(_: Request) -> object:
    """Answer test and hello."""
    return {"version": "1.2.26"}


def status(_: Request) -> object:
    """Answer that nothing is locked; the venue says it with a string."""
    return {"locked": "false"}


def get_index_price_names(request: Request) -> object:
    """Answer with the names of all indices."""
    return sorted({instrument.price_index for instrument in request.world.catalogue.live(request.now)})


def get_index_price(request: Request) -> object:
    """Answer with the price of one index, which is made once a second."""
    price = index_price(request.world, _base_of_index(request), request.now)
    return {"index_price": price, "estimated_delivery_price": price}


def get_historical_volatility(request: Request) -> object:
    """Answer with hourly [timestamp, annualised volatility in percent] of the last 15 days."""
    currency = request.currency(may_be_any=False) or ""
    hours = np.arange(request.now // HOUR - 15 * 24, request.now // HOUR + 1) * HOUR
    spread = np.abs(np.diff(np.log(request.world.market.index(currency, np.append(hours - DAY, hours)))))
    volatilities = np.round(20.0 + 900.0 * spread[: len(hours)], 6)
    return [list(pair) for pair in zip(hours.tolist(), volatilities.tolist(), strict=True)]


def index_price(world: World, base: str, now: int) -> float:
    """Return the index of a base currency in cents, as it was at the last whole second."""
    return round(float(world.market.index(base, moments(now // 1_000 * 1_000))[0]), 2)


def needs_websocket(_: Request) -> object:
    """Refuse: this works over a WebSocket alone."""
    raise VenueError(10030)


def refuse_login(_: Request) -> object:
    """Refuse: nobody has an account here."""
    raise VenueError(13004)


def _base_of_index(request: Request) -> str:
    name = request.params.text("index_name")
    indices: dict[str, VenueInstrument] = {
        instrument.price_index: instrument for instrument in request.world.catalogue.live(request.now)
    }
    if name not in indices:
        raise invalid("index_name", "invalid index name")
    return indices[name].base
