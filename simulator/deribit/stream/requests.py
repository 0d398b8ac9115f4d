"""Requests over a WebSocket: the methods of HTTP and those of subscriptions, with the limits and the faults."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import WSCloseCode

from simulator import faults as kinds
from simulator.conditions import Conditions
from simulator.deribit import methods
from simulator.deribit.envelope import Call, Timing, envelope, read_call
from simulator.deribit.stream.subscriptions import SOCKET_METHODS
from simulator.errors import TOO_MANY_REQUESTS, VenueError
from simulator.fault_basics import RequestFault
from simulator.number_forms import vary
from simulator.params import Params

if TYPE_CHECKING:
    from simulator.deribit.stream.connection import Connection

_LOGGER: Final = logging.getLogger(__name__)
_UNREADABLE: Final = "unreadable"
_MALFORMED: Final = b'{"jsonrpc": "2.0", "result": <upstream connect error>, usIn}'


async def answer(connection: Connection, text: str | bytes) -> None:
    """Answer one request, and count it; what exhausts its credits ends the connection."""
    floor, arrived_at = connection.floor, connection.floor.world.clock.microseconds()
    floor.counters.arrive(time.monotonic())
    method, outcome = _UNREADABLE, "cut"
    try:
        call = _read(text)
        method = call.method
        floor.limits.spend(connection.address, call.method)
        fired = floor.plan.fire(call.method, call.instrument, time.monotonic())
        floor.counters.faults.update(fault.kind for fault in fired)
        if any(isinstance(fault, kinds.Cut) for fault in fired):
            connection.cut("reset")
            return
        outcome = await _respond(connection, call, fired, arrived_at)
    except VenueError as error:
        outcome = str(error.code)
        refused = call if method != _UNREADABLE else None
        connection.send(envelope(refused, Timing(arrived_at, floor.world.clock.microseconds()), error=error))
        connection.flush(time.monotonic())
        if error.code == TOO_MANY_REQUESTS:
            connection.end("too_many_requests", WSCloseCode.OK)
    finally:
        floor.counters.leave(method, outcome)


async def _respond(connection: Connection, call: Call, fired: list[RequestFault], arrived_at: int) -> str:
    """Send the answer, spoiled as the faults want it, and return its outcome: `ok` or the code of an error."""
    for fault in fired:
        if isinstance(fault, kinds.Slow):
            await asyncio.sleep(fault.seconds)
    clock, skew = connection.floor.world.clock, 0
    skew = sum(fault.skew for fault in fired if isinstance(fault, kinds.ClockSkew)) * 1_000
    outcome = "ok"
    try:
        _refuse(connection, fired)
        result = _result(connection, call, fired)
        body = envelope(call, Timing(arrived_at, clock.microseconds(), skew), result=result)
    except VenueError as error:
        if error.code == TOO_MANY_REQUESTS:
            raise
        outcome = str(error.code)
        body = envelope(call, Timing(arrived_at, clock.microseconds(), skew), error=error)
    connection.send(_spoiled(body, connection, fired))
    connection.answered()
    return outcome


def _result(connection: Connection, call: Call, fired: list[RequestFault]) -> object:
    floor = connection.floor
    now = floor.world.clock.now()
    try:
        if call.method == "public/test" and connection.heartbeat is not None:
            connection.heartbeat.answered()
        method = SOCKET_METHODS.get(call.method)
        if method is not None:
            floor.catch_up(now)
            return method(connection, Params(call.params), fired, time.monotonic())
        conditions = Conditions(floor.world.seed, (*floor.plan.standing(), *fired))
        return methods.call(floor.world, call.method, call.params, now, conditions)
    except VenueError:
        raise
    except Exception as error:
        _LOGGER.exception("%s with %s broke", call.method, dict(call.params))
        raise VenueError(11094) from error


def _refuse(connection: Connection, fired: list[RequestFault]) -> None:
    """Raise the error that a fault wants instead of a result."""
    for fault in fired:
        match fault:
            case kinds.TooManyRequests():
                raise connection.floor.limits.refusal(fault.status)
            case kinds.Settlement():
                raise VenueError(10041)
            case kinds.Maintenance():
                raise VenueError(11051)
            case kinds.ServerError():
                raise VenueError(11094)


def _spoiled(body: bytes, connection: Connection, fired: list[RequestFault]) -> bytes:
    for fault in fired:
        match fault:
            case kinds.NumberForms():
                body = vary(body, connection.floor.world.seed, connection.floor.counters.arrived)
            case kinds.Truncated():
                body = body[: len(body) // 2]
            case kinds.Malformed():
                body = _MALFORMED
    return body


def _read(text: str | bytes) -> Call:
    try:
        return read_call(orjson.loads(text))
    except orjson.JSONDecodeError:
        raise VenueError(11050, "invalid json") from None
