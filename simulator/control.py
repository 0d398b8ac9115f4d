"""`/truth` tells what a client should have; `/control` changes what happens. Neither counts as a venue request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from aiohttp import web

from simulator.back_door import answer, asked_object, asked_window, positive, write_columns
from simulator.chart import COLUMNS, RESOLUTIONS, Chart
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.deribit.listings import instrument_row
from simulator.deribit.stream.hub import Hub
from simulator.deribit.trade_history import trade_ids
from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.faults import Settlement, parse_faults
from simulator.instruments import VenueInstrument
from simulator.limits import DEFAULT_COST, Limits
from simulator.moments import DAY, MINUTE
from simulator.world import World

_STRETCH: Final = 64 * DAY
"""How much of the truth is made at a stretch before others get their turn."""


class Control:
    """The back door of the simulator."""

    def __init__(
        self,
        world: World,
        plan: FaultPlan,
        limits: Limits,
        counters: Counters,
        hub: Hub,
        others: Mapping[str, Callable[[], object]],
    ) -> None:
        self._others = others
        self._hub = hub
        self._world = world
        self._plan = plan
        self._limits = limits
        self._counters = counters

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve /truth and /control."""
        router.add_get("/truth/candles", self.candles)
        router.add_get("/truth/trades", self.trades)
        router.add_get("/control/state", self.state)
        router.add_get("/control/faults", self.faults)
        router.add_post("/control/faults", self.set_faults)
        router.add_delete("/control/faults", self.clear_faults)
        router.add_post("/control/limits", self.set_limits)
        router.add_post("/control/list", self.list_instrument)
        router.add_post("/control/settle", self.settle)

    async def candles(self, request: web.Request) -> web.StreamResponse:
        """Answer with all complete candles that open in `[start, end)`, as columns, without a cap.

        `missing` tells which of them are true holes: candles that the venue does not have.
        """
        instrument, start, end = asked_window(self._world, request)
        resolution = request.query.get("resolution", "1")
        if resolution not in RESOLUTIONS:
            raise ControlError(f"resolution is {resolution!r}: it has to be one of {', '.join(RESOLUTIONS)}")
        step = RESOLUTIONS[resolution] * MINUTE
        conditions = self._standing()
        cutoff = conditions.cutoff(instrument.name, self._world.clock.now())
        last = min(end - 1, self._world.clock.now() - step)
        charts = [chart async for chart in self._stretches(instrument, start, last, resolution, cutoff)]
        missing = [conditions.missing(instrument.name, chart.ticks, step) for chart in charts]
        head = {"instrument_name": instrument.name, "resolution": resolution}
        columns = [(name, [chart.column(name) for chart in charts]) for name in COLUMNS]
        return await write_columns(
            request, head, [("ticks", [chart.ticks for chart in charts]), *columns, ("missing", missing)]
        )

    async def trades(self, request: web.Request) -> web.Response:
        """Answer with all trades of `[start, end)`, as columns, without a cap; `missing` those that nobody is told."""
        instrument, start, end = asked_window(self._world, request)
        conditions = self._standing()
        cutoff = conditions.cutoff(instrument.name, self._world.clock.now())
        trades = self._world.tape.between(instrument, start, min(end, cutoff))
        return answer(
            {
                "instrument_name": instrument.name,
                "trade_seq": trades.sequence,
                "trade_id": trade_ids(instrument, trades),
                "timestamp": trades.time,
                "price": trades.price,
                "amount": trades.amount,
                "direction": np.where(trades.is_buy, "buy", "sell").tolist(),
                "missing": conditions.missing_trades(instrument.name, trades.sequence),
            }
        )

    async def state(self, _: web.Request) -> web.Response:
        """Answer with everything counted since the start."""
        return answer(
            {
                **self._counters.as_json(),
                **self._hub.as_json(),
                "now": self._world.clock.now(),
                "seed": self._world.seed,
                "limits_enabled": self._limits.enabled,
                "requests_per_second": self._limits.default_terms.refill_per_second / DEFAULT_COST,
                **{name: tell() for name, tell in self._others.items()},
            }
        )

    async def faults(self, _: web.Request) -> web.Response:
        """Answer with the faults that are set."""
        return answer(self._plan.as_json())

    async def set_faults(self, request: web.Request) -> web.Response:
        """Set these faults and no others."""
        self._plan.replace(parse_faults(await request.read()), time.monotonic())
        return answer(self._plan.as_json())

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Let nothing go wrong any more."""
        self._plan.replace((), time.monotonic())
        return answer(self._plan.as_json())

    async def set_limits(self, request: web.Request) -> web.Response:
        """Switch the limits on or off, or set the pace: {"enabled": true, "requests_per_second": 20}."""
        body = await asked_object(request, ("enabled", "requests_per_second"))
        enabled, pace = body.get("enabled", self._limits.enabled), body.get("requests_per_second")
        terms = self._limits.default_terms
        if pace is not None:
            terms = replace(terms, refill_per_second=positive(pace, "requests_per_second") * DEFAULT_COST)
        if not isinstance(enabled, bool):
            raise ControlError(f"enabled is {enabled!r}: it has to be true or false")
        self._limits.change(enabled=enabled, default_terms=terms)
        return await self.state(request)

    async def list_instrument(self, request: web.Request) -> web.Response:
        """List an instrument now: {"instrument_name": ..., "expiration_timestamp": ms, "trades_per_day": number}."""
        body = await asked_object(request, ("instrument_name", "expiration_timestamp", "trades_per_day"))
        name, expires_at, now = (
            str(body.get("instrument_name")),
            body.get("expiration_timestamp"),
            self._world.clock.now(),
        )
        if expires_at is not None and (not isinstance(expires_at, int) or expires_at <= now):
            raise ControlError(f"expiration_timestamp is {expires_at!r}: it has to be milliseconds after now, {now}")
        known = self._world.catalogue.find(name, now)
        if known is not None and now < known.end:
            raise ControlError(f"{name!r} is listed already: settle it first, or take another name")
        pace = positive(body.get("trades_per_day", 1_000), "trades_per_day")
        self._hub.floor.catch_up(now)
        listed = self._world.catalogue.list_by_hand(name, now, expires_at, pace)
        if listed is None:
            raise ControlError(
                f"{name!r} cannot be listed: use a name such as DOGE_USDC-PERPETUAL, BTC-27DEC30 or "
                "ETH-27DEC30-9000-C, with an expiry to come"
            )
        self._hub.floor.lifecycle.advance(now)
        return answer(instrument_row(listed, now))

    async def settle(self, request: web.Request) -> web.Response:
        """End the life of instruments now: {"instrument_names": [...], "seconds": number}.

        For so many seconds every request is refused with 10041 settlement_in_progress.
        """
        body, now = await asked_object(request, ("instrument_names", "seconds")), self._world.clock.now()
        names = body.get("instrument_names", [])
        if not isinstance(names, list):
            raise ControlError(f"instrument_names is {names!r}: it has to be a list of names")
        living = [self._living(str(name), now) for name in names]
        self._hub.floor.catch_up(now)
        rows = [instrument_row(self._world.catalogue.settle(instrument, now), now) for instrument in living]
        self._hub.floor.lifecycle.advance(now)
        seconds = body.get("seconds", 0)
        if seconds:
            pause = Settlement(kind="settlement", to_second=positive(seconds, "seconds"))
            self._plan.add(pause, time.monotonic())
        return answer(rows)

    def _living(self, name: str, now: int) -> VenueInstrument:
        instrument = self._world.catalogue.find(name, now)
        if instrument is None or instrument.end <= now:
            raise ControlError(f"{name!r} is not listed now: take a name from public/get_instruments")
        return instrument

    def _standing(self) -> Conditions:
        return Conditions(self._world.seed, self._plan.standing())

    async def _stretches(
        self, instrument: VenueInstrument, start: int, last: int, resolution: str, cutoff: int
    ) -> AsyncIterator[Chart]:
        """Yield the candles with an open time in `[start, last]`, at least one chart."""
        start = max(start, instrument.listed_at - DAY)
        while start + _STRETCH <= last:
            yield self._world.charts.candles(instrument, start, start + _STRETCH - 1, resolution, cutoff)
            start += _STRETCH
            await asyncio.sleep(0)
        yield self._world.charts.candles(instrument, start, last, resolution, cutoff)
