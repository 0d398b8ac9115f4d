"""`/api/v2`: requests in, envelopes out, with the limits and the faults in between."""

from __future__ import annotations

import logging
import time
from typing import Final

import orjson
from aiohttp import web

from simulator import faults as kinds
from simulator import mistreatment
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.deribit import methods
from simulator.deribit.envelope import Call, Timing, envelope, read_call
from simulator.errors import VenueError
from simulator.fault_basics import RequestFault
from simulator.fault_plan import FaultPlan
from simulator.limits import Limits
from simulator.mistreatment import closing
from simulator.world import World

_LOGGER: Final = logging.getLogger(__name__)
_UNREADABLE: Final = "unreadable"
_TOO_MANY_CONNECTIONS: Final = "<html><head><title>429 Too Many Requests</title></head></html>"
_CUT: Final = "cut"


class DeribitApi:
    """Answers HTTP requests as Deribit does."""

    def __init__(self, world: World, plan: FaultPlan, limits: Limits, counters: Counters) -> None:
        self._world = world
        self._plan = plan
        self._limits = limits
        self._counters = counters

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve GET and POST on /api/v2/{method} and POST on /api/v2."""
        router.add_get("/api/v2/{method:.+}", self.handle)
        router.add_post("/api/v2/{method:.+}", self.handle)
        router.add_post("/api/v2", self.handle)
        router.add_post("/api/v2/", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, and count it."""
        address = request.remote or ""
        arrived_at = self._world.clock.microseconds()
        self._counters.arrive(time.monotonic())
        method, outcome = _UNREADABLE, _CUT
        try:
            if not self._limits.has_room(address):
                outcome = "429"
                return closing(web.Response(status=429, text=_TOO_MANY_CONNECTIONS, content_type="text/html"))
            self._limits.in_flight[address] += 1
            try:
                call = await _read(request)
                method = call.method
                response = await self._answer(request, call, address, arrived_at)
                if request.transport is not None and not request.transport.is_closing():
                    outcome = str(response.status)
                return response
            except VenueError as error:
                outcome = str(error.status)
                return self._envelope(None, arrived_at, 0, error=error)
            finally:
                self._limits.in_flight[address] -= 1
        finally:
            self._counters.leave(method, outcome)

    async def _answer(self, request: web.Request, call: Call, address: str, arrived_at: int) -> web.StreamResponse:
        try:
            self._limits.spend(address, call.method)
        except VenueError as error:
            return closing(self._envelope(call, arrived_at, 0, error=error))
        fired = self._plan.fire(call.method, call.instrument, time.monotonic())
        self._counters.faults.update(fault.kind for fault in fired)
        await mistreatment.delay(fired)
        skew = sum(fault.skew for fault in fired if isinstance(fault, kinds.ClockSkew)) * 1_000
        refusals = (self._refusal(request, call, fault, arrived_at, skew) for fault in fired)
        response = next((refusal for refusal in refusals if refusal is not None), None)
        response = response or self._result(call, fired, arrived_at, skew)
        return await mistreatment.on_its_way(request, response, fired, self._world.seed, self._counters.arrived)

    def _refusal(
        self, request: web.Request, call: Call, fault: RequestFault, arrived_at: int, skew: int
    ) -> web.Response | None:
        """Return what is answered instead of a result, if the fault says so."""
        match fault:
            case kinds.TooManyRequests():
                return closing(self._envelope(call, arrived_at, skew, error=self._limits.refusal(fault.status)))
            case kinds.Settlement():
                return self._envelope(call, arrived_at, skew, error=VenueError(10041))
            case kinds.Maintenance():
                return self._envelope(call, arrived_at, skew, error=VenueError(11051))
        return mistreatment.instead(request, fault)

    def _result(self, call: Call, fired: list[RequestFault], arrived_at: int, skew: int) -> web.Response:
        conditions = Conditions(self._world.seed, (*self._plan.standing(), *fired))
        try:
            result = methods.call(self._world, call.method, call.params, self._world.clock.now(), conditions)
            return self._envelope(call, arrived_at, skew, result=result)
        except VenueError as error:
            return self._envelope(call, arrived_at, skew, error=error)
        except Exception:
            _LOGGER.exception("%s with %s broke", call.method, dict(call.params))
            return self._envelope(call, arrived_at, skew, error=VenueError(11094, status=500))

    def _envelope(
        self,
        call: Call | None,
        arrived_at: int,
        skew: int,
        *,
        result: object = None,
        error: VenueError | None = None,
    ) -> web.Response:
        timing = Timing(arrived_at, self._world.clock.microseconds(), skew)
        return web.Response(
            status=200 if error is None else error.status,
            body=envelope(call, timing, result=result, error=error),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


async def _read(request: web.Request) -> Call:
    """Return the method and its parameters, from the query of a GET or the JSON of a POST."""
    method = request.match_info.get("method", "")
    if request.method == "GET":
        return Call(method, dict(request.query))
    try:
        document = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise VenueError(-32700) from None
    return read_call(document, method)
