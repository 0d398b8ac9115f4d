"""`/ws/api/v2`: takes connections in, lets time pass for them, and ends them all when the venue restarts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import WSCloseCode, web

from simulator.conditions import Conditions
from simulator.counters import Counters
from simulator.deribit.stream.connection import Connection
from simulator.deribit.stream.floor import Floor
from simulator.deribit.stream.heartbeat import Patience
from simulator.deribit.stream.lifecycle import Lifecycle
from simulator.deribit.stream.load import Load, LoadTerms
from simulator.deribit.stream.publisher import Publisher
from simulator.deribit.stream.replay import Replay
from simulator.deribit.stream.source import Source
from simulator.deribit.stream.wire import Wire
from simulator.errors import ControlError
from simulator.fault_plan import FaultPlan
from simulator.faults import ServerError
from simulator.frame_faults import CutManner, VenueRestart
from simulator.limits import Limits
from simulator.world import World

_LOGGER: Final = logging.getLogger(__name__)
_LONGEST_PAUSE: Final = 0.02
_PAUSE_UNDER_LOAD: Final = 0.004
_LARGEST_REQUEST: Final = 4_000_000


class Hub:
    """All connections of the venue."""

    def __init__(self, world: World, plan: FaultPlan, limits: Limits, counters: Counters, patience: Patience) -> None:
        moment = world.clock.now() - 1
        publisher = Publisher(Source(world, lambda: Conditions(world.seed, plan.standing())), moment)
        lifecycle = Lifecycle(world, publisher, moment)
        self.floor = Floor(world, plan, limits, counters, patience, publisher, lifecycle)
        self.connections: dict[int, Connection] = {}
        self.load: Load | None = None
        self.replay: Replay | None = None
        self.refuse_connections = 0
        """So many more are refused before one is taken in again."""
        self._opened = 0
        self._refusing_until = 0.0

    def add_routes(self, application: web.Application) -> None:
        """Serve /ws/api/v2, and let time pass while the application runs."""
        application.router.add_get("/ws/api/v2", self.handle)
        application.router.add_get("/ws/api/v2/", self.handle)
        application.cleanup_ctx.append(self._living)
        application.on_shutdown.append(self._goodbye)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take one connection in, and serve it to its end."""
        limits, address = self.floor.limits, request.remote or ""
        if time.monotonic() < self._refusing_until:
            return web.Response(status=503, text="503 Service Unavailable")
        if self.refuse_connections:
            self.refuse_connections -= 1
            return web.Response(status=503, text="503 Service Unavailable")
        if not limits.has_room(address):
            return web.Response(status=429, text="429 Too Many Requests")
        limits.in_flight[address] += 1
        try:
            socket = web.WebSocketResponse(
                timeout=2.0, autoping=False, autoclose=False, max_msg_size=_LARGEST_REQUEST, decode_text=True
            )
            await socket.prepare(request)
            if isinstance(request.transport, asyncio.WriteTransport):
                wire = Wire(request.transport, socket.headers.get("Sec-WebSocket-Extensions"))
                await self._serve(address, socket, wire)
            return socket
        finally:
            limits.in_flight[address] -= 1

    def beat(self) -> None:
        """Let time pass: tell what happened, and do what time demands of every connection."""
        now = time.monotonic()
        for restart in self.floor.plan.restarts(now):
            self.floor.counters.faults[restart.kind] += 1
            self.restart(restart)
        self.floor.catch_up(self.floor.world.clock.now())
        if self.load is not None:
            self.load.send_due()
        if self.replay is not None:
            self.replay.attend(self.connections.values(), now)
        for connection in list(self.connections.values()):
            connection.attend(now)
            connection.flush(now)

    def begin_load(self, terms: LoadTerms) -> Load:
        """Send frames for load from now on, or change the pace of a load that has begun.

        Raises:
            ControlError: the currency has no options, or another load has begun.
        """
        if self.load is None:
            self.load = Load(self.floor, terms)
        elif (self.load.terms.options, self.load.terms.currency) == (terms.options, terms.currency):
            self.load.change_pace(terms.frames_per_second)
        else:
            raise ControlError("a load has begun: only its frames_per_second can be changed")
        return self.load

    def restart(self, restart: VenueRestart) -> None:
        """End every connection, refuse new ones and requests for a while, and begin change ids anew."""
        now, seconds = time.monotonic(), restart.seconds
        self._refusing_until = now + seconds
        self.floor.world.quotes.books.restarts.append(self.floor.world.clock.now())
        if seconds:
            self.floor.plan.add(ServerError(kind="server_error", status=503, to_second=seconds), now)
        self.floor.publisher.say("platform_state", {"maintenance": True})
        for connection in list(self.connections.values()):
            connection.flush(now)
            if restart.how == "reset" or connection.is_dead:
                self.floor.closed["restart"] += 1
                connection.abort()
            else:
                connection.end("restart", WSCloseCode.SERVICE_RESTART, "service restart")

    def cut(self, how: CutManner, numbers: list[int] | None = None) -> int:
        """End connections as a fault does, all of them or those with these numbers; return how many."""
        chosen = [one for one in self.connections.values() if numbers is None or one.number in numbers]
        for connection in chosen:
            connection.cut(how)
        return len(chosen)

    def as_json(self) -> dict[str, object]:
        """Return what is counted of connections and frames."""
        return {
            "connections": len(self.connections),
            "connections_opened": self._opened,
            "connections_closed": dict(self.floor.closed),
            "subscriptions": sum(len(one.channels) for one in self.connections.values()),
            "frames": dict(self.floor.frames),
            "time_scale": self.floor.patience.scale,
            "slow_reader_bytes": self.floor.slow_reader_bytes,
            "refuse_connections": self.refuse_connections,
            "load": None if self.load is None else self.load.as_json(),
            "replay": None if self.replay is None else self.replay.as_json(),
        }

    async def _serve(self, address: str, socket: web.WebSocketResponse, wire: Wire) -> None:
        self._opened += 1
        connection = Connection(self._opened, address, self.floor, socket, wire)
        self.connections[connection.number] = connection
        try:
            await connection.serve()
            await connection.ended()
        finally:
            connection.leave(list(connection.channels))
            del self.connections[connection.number]

    async def _run(self) -> None:
        while True:
            try:
                began = time.thread_time()
                self.beat()
                if self.load is not None:
                    self.load.spent += time.thread_time() - began
            except Exception:
                _LOGGER.exception("the streams broke; all connections are closed")
                for connection in list(self.connections.values()):
                    connection.end("error", WSCloseCode.INTERNAL_ERROR)
                await asyncio.sleep(1.0)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Return how long nothing is to be done, in seconds."""
        next_at, longest = self.floor.publisher.next_at, _LONGEST_PAUSE if self.load is None else _PAUSE_UNDER_LOAD
        if next_at is None:
            return longest
        wait = (next_at + 1) / 1_000 - self.floor.world.clock.microseconds() / 1_000_000
        return min(max(wait, 0.0005), longest)

    async def _living(self, _: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def _goodbye(self, _: web.Application) -> None:
        for connection in list(self.connections.values()):
            connection.end("shutdown", WSCloseCode.GOING_AWAY)
