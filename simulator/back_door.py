"""How requests to /truth and /control are read and answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import orjson
from aiohttp import web

from simulator.errors import ControlError
from simulator.instruments import VenueInstrument
from simulator.world import World

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what cannot be understood with 400 and {"error": message}."""
    try:
        return await handler(request)
    except ControlError as error:
        return web.json_response({"error": str(error)}, status=400)


def asked_window(world: World, request: web.Request) -> tuple[VenueInstrument, int, int]:
    """Return the instrument, start and end (milliseconds) that a query names; without them, all until now.

    Raises:
        ControlError: there is no such instrument, or no such time.
    """
    name, now = request.query.get("instrument", ""), world.clock.now()
    instrument = world.catalogue.find(name, now)
    if instrument is None:
        raise ControlError(f"there is no instrument {name!r}: take a name from public/get_instruments")
    start, end = asked_times(request, now)
    return instrument, start, end


def asked_times(request: web.Request, now: int) -> tuple[int, int]:
    """Return start and end (milliseconds) that a query names; without them, all until now.

    Raises:
        ControlError: there is no such time.
    """
    try:
        return int(request.query.get("start", "0")), int(request.query.get("end", str(now)))
    except ValueError:
        raise ControlError("start and end have to be milliseconds since 1970") from None


async def asked_object(request: web.Request, allowed: tuple[str, ...]) -> Mapping[str, object]:
    """Return the body of a request, which may have these fields.

    Raises:
        ControlError: it is no JSON object, or has others.
    """
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise ControlError(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict) or not set(body) <= set(allowed):
        raise ControlError(f"the body has to be a JSON object with none but these fields: {', '.join(allowed)}")
    return body


def positive(value: object, name: str) -> float:
    """Return a number above 0.

    Raises:
        ControlError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ControlError(f"{name} is {value!r}: it has to be a number above 0")
    return float(value)


def json_of(value: object) -> bytes:
    """Return a value as JSON; columns become lists, and NaN null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def answer(value: object) -> web.Response:
    """Return the response that holds a value."""
    return web.Response(body=json_of(value), content_type="application/json")


async def write_columns(
    request: web.Request, head: Mapping[str, object], columns: Iterable[tuple[str, Iterable[object]]]
) -> web.StreamResponse:
    """Answer with a JSON object: `head`, then columns, each written part by part, so that years need no copy."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(json_of(head)[:-1])
    for name, parts in columns:
        await response.write(b',"' + name.encode() + b'":[')
        comma = b""
        for part in parts:
            inside = json_of(part)[1:-1]
            if inside:
                await response.write(comma + inside)
                comma = b","
        await response.write(b"]")
    await response.write(b"}")
    return response
