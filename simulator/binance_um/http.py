"""`/fapi` and `/futures/data`: requests in, JSON out, with the limits and the faults in between."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import orjson
from aiohttp import web

from simulator import faults as kinds
from simulator.binance_um.endpoints import ENDPOINTS
from simulator.binance_um.errors import UmError
from simulator.binance_um.limits import Refused, UmLimits
from simulator.binance_um.request import UmData, UmRequest
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.fault_basics import Service
from simulator.fault_plan import FaultPlan
from simulator.service import HttpService, Question
from simulator.world import World

USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"
_UNKNOWN: Final = "fapi/unknown"
_NOT_THERE: Final = "<html><head><title>404 Not Found</title></head></html>"


class UmApi(HttpService):
    """Answers HTTP requests as Binance does for its USD-M futures."""

    name: ClassVar[Service] = "binance_um"

    def __init__(self, world: World, plan: FaultPlan, counters: Counters, data: UmData, limits: UmLimits) -> None:
        super().__init__(world, plan, counters)
        self._data = data
        self._limits = limits

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve GET on all endpoints."""
        router.add_get("/{path:fapi/.+}", self.handle)
        router.add_get("/{path:futures/data/.+}", self.handle)

    def question(self, request: web.Request) -> Question:
        """Return the path and the symbol."""
        path = request.match_info["path"]
        return Question(path if path in ENDPOINTS else _UNKNOWN, request.query.get("symbol"))

    def admit(self, request: web.Request, question: Question) -> web.Response | None:
        """Take the weight of the request."""
        endpoint = ENDPOINTS.get(question.method)
        try:
            if endpoint is None:
                self._limits.charge(request.remote or "", "weight", 1)
            else:
                self._limits.charge(request.remote or "", endpoint.pool, endpoint.weight(request.query))
        except Refused as refused:
            return self._refusal(request, question, refused)
        return None

    def refuse(self, request: web.Request, question: Question, fault: kinds.TooManyRequests) -> web.Response:
        """Refuse with 429, or begin a ban with 418."""
        until = self._limits.clock() + fault.retry_after
        if fault.status != 418:
            return self._refusal(request, question, Refused(429, fault.retry_after, until))
        self._limits.ban(request.remote or "", fault.retry_after)
        return self._refusal(request, question, Refused(418, fault.retry_after, until))

    async def answer(self, request: web.Request, question: Question, conditions: Conditions) -> web.Response:
        """Answer as the endpoint does."""
        endpoint = ENDPOINTS.get(question.method)
        if endpoint is None:
            return web.Response(status=404, text=_NOT_THERE, content_type="text/html")
        asked = UmRequest(self._data, request.query, self._world.clock.now(), conditions)
        try:
            if endpoint.prepare is not None:
                await endpoint.prepare(asked)
            body = endpoint.answer(asked)
        except UmError as error:
            return self._respond_with(request, question, orjson.dumps(error.body()), error.status)
        return self._respond_with(request, question, body)

    def _refusal(self, request: web.Request, question: Question, refused: Refused) -> web.Response:
        address, most = request.remote or "", round(self._limits.terms.weight)
        message = (
            f"Way too many requests; IP({address}) banned until {round(refused.until * 1_000)}. "
            "Please use the websocket for live updates to avoid bans."
            if refused.status == 418
            else f"Too many requests; current limit of IP({address}) is {most} requests per minute. "
            "Please use the websocket for live updates to avoid polling the API."
        )
        response = self._respond_with(request, question, orjson.dumps({"code": -1003, "msg": message}), refused.status)
        response.headers["Retry-After"] = str(max(1, math.ceil(round(refused.retry_after, 3))))
        return response

    def _respond_with(self, request: web.Request, question: Question, body: bytes, status: int = 200) -> web.Response:
        response = web.Response(status=status, body=body, content_type="application/json")
        if question.method.startswith("fapi/"):
            response.headers[USED_WEIGHT] = str(self._limits.used_weight(request.remote or ""))
        return response
