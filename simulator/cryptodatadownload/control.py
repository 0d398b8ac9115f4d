"""`/truth/cryptodatadownload` tells what a client should have; `/control/cryptodatadownload` changes the throttle."""

from __future__ import annotations

from aiohttp import web

from simulator.back_door import answer, asked_object, asked_times, positive, write_columns
from simulator.cryptodatadownload.dailies import CURRENCIES, OptionDailies
from simulator.cryptodatadownload.throttle import Throttle
from simulator.errors import ControlError
from simulator.instruments import VenueInstrument
from simulator.world import World


class DailiesControl:
    """The back door of the service."""

    def __init__(self, world: World, data: OptionDailies, throttle: Throttle) -> None:
        self._world = world
        self._data = data
        self._throttle = throttle

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve /truth/cryptodatadownload and /control/cryptodatadownload."""
        router.add_get("/truth/cryptodatadownload/option_candles", self.option_candles)
        router.add_get("/truth/cryptodatadownload/symbols", self.symbols)
        router.add_post("/control/cryptodatadownload/limits", self.set_limits)

    async def option_candles(self, request: web.Request) -> web.StreamResponse:
        """Answer with all rows of a currency or a symbol whose days begin in `[start, end)`, as columns, by name."""
        start, end = asked_times(request, self._world.clock.now())
        found = []
        alive = [one for one in await self._asked(request) if one.listed_at < end and one.expires_at > start]
        for option, days in await self._data.many(alive):
            wanted = (days.time >= start) & (days.time < end)
            if wanted.any():
                found.append((option.name, days, wanted))
        columns = [
            (name, [getattr(days, name)[wanted] for _, days, wanted in found])
            for name in ("time", "open", "high", "low", "close", "volume")
        ]
        symbols = ("symbol", [[name] * int(wanted.sum()) for name, _, wanted in found])
        return await write_columns(request, {"count": len(found)}, [symbols, *columns])

    async def symbols(self, request: web.Request) -> web.Response:
        """Answer with all names of a currency, and which of them have data."""
        options = await self._asked(request)
        with_data = {option.name for option, _ in await self._data.many(options)}
        names = [option.name for option in options]
        return answer({"symbol": names, "has_data": [name in with_data for name in names]})

    async def set_limits(self, request: web.Request) -> web.Response:
        """Set the throttle: {"enabled": true, "calls": 600, "window_seconds": 3600}; every key begins anew."""
        body = await asked_object(request, ("enabled", "calls", "window_seconds"))
        enabled = body.get("enabled", self._throttle.enabled)
        if not isinstance(enabled, bool):
            raise ControlError(f"enabled is {enabled!r}: it has to be true or false")
        self._throttle.change(
            enabled=enabled,
            calls=positive(body.get("calls", self._throttle.calls), "calls"),
            window_seconds=positive(body.get("window_seconds", self._throttle.window_seconds), "window_seconds"),
        )
        return answer(self._throttle.as_json())

    async def _asked(self, request: web.Request) -> list[VenueInstrument]:
        symbol, currency = request.query.get("symbol"), request.query.get("currency", "")
        if symbol is not None:
            option = self._data.find(symbol)
            return [] if option is None else [option]
        if currency not in CURRENCIES:
            raise ControlError(f"currency is {currency!r}: it has to be one of {', '.join(CURRENCIES)}")
        return await self._data.options(currency)
