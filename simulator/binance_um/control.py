"""`/truth/binance_um` tells what a client should have; `/control/binance_um` changes its limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, replace
from typing import Final

import numpy as np
from aiohttp import web

from simulator.back_door import answer, asked_object, asked_times, positive, write_columns
from simulator.binance_um.contracts import Contract
from simulator.binance_um.decimals import as_floats
from simulator.binance_um.funding import MARK_DECIMALS, RATE_DECIMALS
from simulator.binance_um.intervals import INTERVALS, following, opening
from simulator.binance_um.kline_answers import closings, missing_klines
from simulator.binance_um.klines import COLUMNS
from simulator.binance_um.limits import UmLimits, UmTerms
from simulator.binance_um.open_interest import PERIODS
from simulator.binance_um.request import UmData
from simulator.conditions import Conditions
from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.moments import DAY, MINUTE
from simulator.told_rows import omitted
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
        router.add_get("/truth/binance_um/agg_trades", self.agg_trades)
        router.add_get("/truth/binance_um/open_interest", self.open_interest)
        router.add_get("/truth/binance_um/funding_rates", self.funding_rates)
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

    async def agg_trades(self, request: web.Request) -> web.StreamResponse:
        """Answer with all aggregate trades of `[start, end)`; `missing` those that nobody is told."""
        contract, start, end = self._asked(request)
        conditions = self._conditions()
        end = min(end, conditions.cutoff(contract.symbol, self._world.clock.now()))
        days = range(max(start, contract.onboard_at) // DAY, -(-end // DAY))
        stretches = []
        for day in days:
            begin, stop = max(start, day * DAY), min(end, (day + 1) * DAY)
            trades = self._data.tape.between(contract, begin, stop)
            stretches.append((trades, conditions.missing_trades(contract.symbol, trades.number)))
            await asyncio.sleep(0)
        price, quantity = contract.price_decimals, contract.quantity_decimals
        columns: dict[str, Iterable[object]] = {
            "agg_trade_id": [trades.number for trades, _ in stretches],
            "price": (as_floats(trades.price, price) for trades, _ in stretches),
            "quantity": (as_floats(trades.quantity, quantity) for trades, _ in stretches),
            "first_trade_id": [trades.first for trades, _ in stretches],
            "last_trade_id": [trades.last for trades, _ in stretches],
            "time": [trades.time for trades, _ in stretches],
            "is_buyer_maker": [trades.is_buyer_maker for trades, _ in stretches],
            "missing": [missing for _, missing in stretches],
        }
        return await write_columns(request, {"symbol": contract.symbol}, columns.items())

    async def open_interest(self, request: web.Request) -> web.Response:
        """Answer with all values at times in `[start, end)`, however old; `missing` those that the venue omits."""
        contract, start, end = self._asked(request)
        period = request.query.get("period", "5m")
        if period not in PERIODS:
            raise ControlError(f"period is {period!r}: it has to be one of {', '.join(PERIODS)}")
        conditions = self._conditions()
        cutoff = conditions.cutoff(contract.symbol, self._world.clock.now())
        found = self._data.open_interest.between(contract, period, start, end - 1, cutoff)
        return answer(
            {
                "symbol": contract.symbol,
                "period": period,
                "time": found.time,
                "open_interest": as_floats(found.amount, contract.quantity_decimals),
                "open_interest_value": as_floats(found.value, contract.quote_decimals),
                "missing": omitted(conditions, contract.symbol, "open_interest", found.time),
            }
        )

    async def funding_rates(self, request: web.Request) -> web.Response:
        """Answer with all rates that were due in `[start, end)`; `missing` those that the venue does not have."""
        contract, start, end = self._asked(request)
        conditions = self._conditions()
        cutoff = conditions.cutoff(contract.symbol, self._world.clock.now())
        found = self._data.funding.between(contract, start, end + MINUTE, cutoff)
        found = found.select((found.due >= start) & (found.due < end))
        marks = as_floats(found.mark, MARK_DECIMALS).tolist()
        return answer(
            {
                "symbol": contract.symbol,
                "due": found.due,
                "time": found.time,
                "funding_rate": as_floats(found.rate, RATE_DECIMALS),
                "mark_price": [mark or None for mark in marks],
                "interval_hours": found.hours,
                "missing": omitted(conditions, contract.symbol, "funding_rates", found.due),
            }
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
        conditions, now = self._conditions(), self._world.clock.now()
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

    def _conditions(self) -> Conditions:
        return Conditions(self._world.seed, self._plan.standing())

    def _asked(self, request: web.Request) -> tuple[Contract, int, int]:
        """Return the contract, start and end (milliseconds) that a query names; without them, all until now."""
        symbol, now = request.query.get("symbol", ""), self._world.clock.now()
        contract = self._data.contracts.find(symbol, now)
        if contract is None:
            raise ControlError(f"there is no symbol {symbol!r}: take one from /fapi/v1/exchangeInfo")
        start, end = asked_times(request, now)
        return contract, start, end
