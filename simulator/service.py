"""What the services over plain HTTP share: requests are counted, limited, befallen by faults, and answered."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

from aiohttp import web

from simulator import faults as kinds
from simulator import mistreatment
from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.fault_basics import Service
from simulator.fault_plan import FaultPlan
from simulator.world import World

_LOGGER: Final = logging.getLogger(__name__)
_CUT: Final = "cut"


@dataclass(frozen=True, slots=True)
class Question:
    """What a request is about, as counters and faults name it."""

    method: str
    instrument: str | None


class HttpService(ABC):
    """One service of the simulator; what is special about it, its class says."""

    name: ClassVar[Service]

    def __init__(self, world: World, plan: FaultPlan, counters: Counters) -> None:
        self._world = world
        self._plan = plan
        self._counters = counters

    @abstractmethod
    def question(self, request: web.Request) -> Question:
        """Return what the request is about."""

    @abstractmethod
    def admit(self, request: web.Request, question: Question) -> web.Response | None:
        """Return the refusal of a request that the limits do not allow, None where they do."""

    @abstractmethod
    def refuse(self, request: web.Request, question: Question, fault: kinds.TooManyRequests) -> web.Response:
        """Return the refusal that a fault asks for."""

    @abstractmethod
    async def answer(self, request: web.Request, question: Question, conditions: Conditions) -> web.Response:
        """Return the answer."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, and count it."""
        self._counters.arrive(time.monotonic())
        question, outcome = self.question(request), _CUT
        try:
            response = await self._respond(request, question)
            if request.transport is not None and not request.transport.is_closing():
                outcome = str(response.status)
            return response
        finally:
            self._counters.leave(question.method, outcome)

    async def _respond(self, request: web.Request, question: Question) -> web.StreamResponse:
        refusal = self.admit(request, question)
        if refusal is not None:
            return refusal
        fired = self._plan.fire(question.method, question.instrument, time.monotonic(), self.name)
        self._counters.faults.update(fault.kind for fault in fired)
        await mistreatment.delay(fired)
        response: web.Response | None = None
        for fault in fired:
            if isinstance(fault, kinds.TooManyRequests):
                response = self.refuse(request, question, fault)
            else:
                response = mistreatment.instead(request, fault)
            if response is not None:
                break
        if response is None:
            response = await self._answer(
                request, question, Conditions(self._world.seed, (*self._plan.standing(), *fired))
            )
        told = await mistreatment.on_its_way(request, response, fired, self._world.seed, self._counters.arrived)
        return await self.deliver(request, told)

    async def deliver(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:  # noqa: ARG002
        """Return the response in the way in which the service sends it."""
        return response

    async def _answer(self, request: web.Request, question: Question, conditions: Conditions) -> web.Response:
        try:
            return await self.answer(request, question, conditions)
        except Exception:
            _LOGGER.exception("%s with %s broke", question.method, dict(request.query))
            return web.Response(status=500, text="the simulator broke, its log tells why")
