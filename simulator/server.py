"""One port for everything that the simulator serves."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass

from aiohttp import web

from simulator.control import Control, explain_errors
from simulator.counters import Counters
from simulator.deribit.http import DeribitApi
from simulator.faults import Fault, FaultPlan
from simulator.limits import Limits
from simulator.moments import Clock
from simulator.world import World


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


def make_application(seed: int, clock: Clock, limits: Limits, faults: tuple[Fault, ...] = ()) -> web.Application:
    """Return the whole simulator as a web application."""
    world, plan, counters = World(seed, clock), FaultPlan(seed), Counters()
    plan.replace(faults, time.monotonic())
    application = web.Application(middlewares=[explain_errors])
    DeribitApi(world, plan, limits, counters).add_routes(application.router)
    Control(world, plan, limits, counters).add_routes(application.router)
    return application


async def serve(application: web.Application, address: Address) -> None:
    """Serve until SIGTERM or SIGINT; print the URL when ready.

    Raises:
        OSError: the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        print(f"simulator ready at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201
        await stop.wait()
    finally:
        await runner.cleanup()
