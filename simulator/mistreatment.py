"""What faults make of an answer over HTTP, whichever service gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from simulator import faults as kinds
from simulator.fault_basics import RequestFault
from simulator.number_forms import vary

_SERVER_ERROR: Final = "<html><head><title>{0}</title></head><body><h1>{0} Server Error</h1></body></html>"
_MALFORMED: Final = b'{"jsonrpc": "2.0", "result": <upstream connect error>, usIn}'


async def delay(fired: Iterable[RequestFault]) -> None:
    """Wait as long as the faults say."""
    for fault in fired:
        if isinstance(fault, kinds.Slow):
            await asyncio.sleep(fault.seconds)


def instead(request: web.Request, fault: RequestFault) -> web.Response | None:
    """Return what is answered in place of a result, if the fault says so for every service alike."""
    match fault:
        case kinds.Cut(where="before"):
            return _cut_off(request)
        case kinds.ServerError():
            page = _SERVER_ERROR.format(fault.status)
            return web.Response(status=fault.status, text=page, content_type="text/html")
        case kinds.Malformed():
            return web.Response(body=_MALFORMED, content_type="application/json")
    return None


async def on_its_way(
    request: web.Request, response: web.Response, fired: Iterable[RequestFault], seed: int, number: int
) -> web.StreamResponse:
    """Return the response to the n-th request, or what a fault makes of it on its way."""
    body = response.body
    if not isinstance(body, bytes):
        return response
    for fault in fired:
        match fault:
            case kinds.NumberForms():
                body = response.body = vary(body, seed, number)
            case kinds.Truncated():
                response.body = body[: len(body) // 2]
            case kinds.Cut(where="middle"):
                return await _cut_in_the_middle(request, response, body)
    return response


def closing(response: web.Response) -> web.Response:
    """Return the response with the connection closed behind it."""
    response.force_close()
    return response


async def _cut_in_the_middle(request: web.Request, response: web.Response, body: bytes) -> web.StreamResponse:
    """Send the head and half of the body, wait until they have left, and abort the connection."""
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    stream.content_length = len(body)
    await stream.prepare(request)
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=0)
        await stream.write(body[: len(body) // 2])
        transport.abort()
    return stream


def _cut_off(request: web.Request) -> web.Response:
    if isinstance(request.transport, asyncio.WriteTransport):
        request.transport.abort()
    return web.Response(body=b"")
