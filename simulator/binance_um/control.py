"""`/truth/binance_um` tells what a client should have; `/control/binance_um` changes its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Final

import numpy as np
from aiohttp import web

from simulator.back_door import answer, asked_object, asked_times, positive, write_columns
from simulator.binance_um.contracts import Contract
from simulator.binance_um.decimals import as_floats
from simulator.binance_um.intervals import INTERVALS, following, opening
from simulator.binance_um.kline_answers import closings, missing_klines
from simulator.binance_um.klines import COLUMNS
from simulator.binance_um.limits import UmLimits, UmTerms
from simulator.binance_um.request import UmData
from simulator.conditions import Conditions
from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.moments import DAY
from simulator.world import World

_STRETCH: Final = 32 * DAY
"""How much of the truth is made at a stretch before others get their turn."""


class UmControl:
    """The back door of the venue."""

    def __init__(self, world: World, plan: FaultPlan, data: UmData, limits: UmLimits) -> None:
        self._world = world
        self._plan = plan
        self._data = data
        self._limits = limits

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve /truth/binance_um and /control/binance_um."""
        router.add_get("/truth/binance_um/klines", self.klines)
        router.add_post("/control/binance_um/limits", self.set_limits)

    async def klines(self, request: web.Request) -> web.StreamResponse:
        """Answer with all complete klines that open in `[start, end)`, as columns, without a cap.

        `missing` tells which of them are true holes: klines that the venue does not have.
        """
        contract, start, end = self._asked(request)
        interval = request.query.get("interval", "1m")
        if interval not in INTERVALS:
            raise ControlError(f"interval is {interval!r}: it has to be one of {', '.join(INTERVALS)}")
        head = {"symbol": contract.symbol, "interval": interval}
        names = ("open_time", "close_time", *COLUMNS, "missing")
        stretches = [stretch async for stretch in self._klines(contract, interval, start, end)]
        return await write_columns(
            request, head, [(name, [stretch[row] for stretch in stretches]) for row, name in enumerate(names)]
        )

    async def set_limits(self, request: web.Request) -> web.Response:
        """Set some of the terms, or switch the limits on or off; every address begins anew, and no ban is left."""
        names = tuple(asdict(UmTerms()))
        body = dict(await asked_object(request, ("enabled", *names)))
        enabled = body.pop("enabled", self._limits.enabled)
        if not isinstance(enabled, bool):
            raise ControlError(f"enabled is {enabled!r}: it has to be true or false")
        asked = {name: positive(value, name) for name, value in body.items()}
        self._limits.change(enabled=enabled, terms=replace(self._limits.terms, **asked))
        return answer({"enabled": enabled, **asdict(self._limits.terms)})

    async def _klines(
        self, contract: Contract, interval: str, start: int, end: int
    ) -> AsyncIterator[tuple[object, ...]]:
        conditions = Conditions(self._world.seed, self._plan.standing())
        now = self._world.clock.now()
        cutoff = conditions.cutoff(contract.symbol, now)
        decimals = (*[contract.price_decimals] * 4, contract.quantity_decimals, contract.quote_decimals)
        decimals = (*decimals, 0, contract.quantity_decimals, contract.quote_decimals)
        begin = max(start, opening(interval, contract.onboard_at))
        while begin < end:
            stop = min(end, following(interval, opening(interval, begin + _STRETCH)))
            found = self._data.klines.klines(contract, interval, begin, stop - 1, cutoff)
            closed = closings(interval, found)
            whole = closed < now
            found, closed = found.select(whole), closed[whole]
            numbers: list[object] = [as_floats(row, places) for row, places in zip(found.rows, decimals, strict=True)]
            numbers[6] = np.ascontiguousarray(found.rows[6])
            yield (found.opened, closed, *numbers, missing_klines(conditions, contract, interval, found))
            begin = stop
            await asyncio.sleep(0)

    def _asked(self, request: web.Request) -> tuple[Contract, int, int]:
        """Return the contract, start and end (milliseconds) that a query names; without them, all until now."""
        symbol, now = request.query.get("symbol", ""), self._world.clock.now()
        contract = self._data.contracts.find(symbol, now)
        if contract is None:
            raise ControlError(f"there is no symbol {symbol!r}: take one from /fapi/v1/exchangeInfo")
        start, end = asked_times(request, now)
        return contract, start, end
