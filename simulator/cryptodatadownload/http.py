"""`/v1/data/ohlc/deribit/options/`: a key, a throttle, faults, and JSON."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import orjson
from aiohttp import web

from simulator import faults as kinds
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.cryptodatadownload.answers import DailiesError, DailiesRequest, available, ohlc
from simulator.cryptodatadownload.dailies import OptionDailies
from simulator.cryptodatadownload.throttle import Throttle, refusal
from simulator.fault_basics import Service
from simulator.fault_plan import FaultPlan
from simulator.service import HttpService, Question
from simulator.world import World

DEFAULT_KEY: Final = "simulated-key"
_OHLC: Final = "v1/data/ohlc/deribit/options"
_AVAILABLE: Final = f"{_OHLC}/available"


class DailiesApi(HttpService):
    """Answers requests as CryptoDataDownload does."""

    name: ClassVar[Service] = "cryptodatadownload"

    def __init__(
        self, world: World, plan: FaultPlan, counters: Counters, data: OptionDailies, throttle: Throttle, key: str
    ) -> None:
        super().__init__(world, plan, counters)
        self._data = data
        self._throttle = throttle
        self._key = key

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve GET on both paths."""
        router.add_get(f"/{_OHLC}/", self.handle)
        router.add_get(f"/{_AVAILABLE}/", self.handle)

    def question(self, request: web.Request) -> Question:
        """Return the path, and the option or else the currency."""
        query = request.query
        return Question(request.path.strip("/"), query.get("symbol") or query.get("currency"))

    def admit(self, request: web.Request, question: Question) -> web.Response | None:  # noqa: ARG002
        """Ask for the key, and count the call."""
        word, _, key = request.headers.get("Authorization", "").partition(" ")
        if word.lower() != "token":
            return _unauthorized("Authentication credentials were not provided.")
        if key.strip() != self._key:
            return _unauthorized("Invalid token.")
        seconds = self._throttle.wait(key)
        return None if seconds is None else _throttled(429, seconds)

    def refuse(self, request: web.Request, question: Question, fault: kinds.TooManyRequests) -> web.Response:  # noqa: ARG002
        """Refuse with 429."""
        return _throttled(fault.status or 429, max(1, math.ceil(fault.retry_after)))

    async def answer(self, request: web.Request, question: Question, conditions: Conditions) -> web.Response:
        """Answer with names or rows."""
        asked = DailiesRequest(self._data, request.query, conditions)
        try:
            return _json(await (available if question.method == _AVAILABLE else ohlc)(asked))
        except DailiesError as error:
            return _json({"detail": error.detail}, error.status)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _unauthorized(detail: str) -> web.Response:
    response = _json({"detail": detail}, 401)
    response.headers["WWW-Authenticate"] = "Token"
    return response


def _throttled(status: int, seconds: int) -> web.Response:
    response = _json({"detail": refusal(seconds)}, status)
    response.headers["Retry-After"] = str(seconds)
    return response
