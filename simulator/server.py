"""One port for everything that the simulator serves."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from simulator.back_door import explain_errors
from simulator.binance_archive.files import ArchiveTerms
from simulator.binance_archive.http import ArchiveApi
from simulator.binance_um.control import UmControl
from simulator.binance_um.http import UmApi
from simulator.binance_um.limits import UmLimits, UmTerms
from simulator.binance_um.request import UmData
from simulator.control import Control
from simulator.counters import Counters
from simulator.cryptodatadownload.control import DailiesControl
from simulator.cryptodatadownload.dailies import OptionDailies
from simulator.cryptodatadownload.http import DEFAULT_KEY, DailiesApi
from simulator.cryptodatadownload.throttle import Throttle
from simulator.deribit.http import DeribitApi
from simulator.deribit.stream.heartbeat import Patience
from simulator.deribit.stream.hub import Hub
from simulator.deribit.stream.load import LoadTerms
from simulator.deribit.stream.replay import Recording, Replay
from simulator.fault_basics import Fault
from simulator.fault_plan import FaultPlan
from simulator.limits import Limits
from simulator.moments import Clock
from simulator.stream_control import StreamControl
from simulator.world import World


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What kind of venue it is; the same terms and the same seed make the same one."""

    seed: int = 1
    quote_changes_per_second: float = 1.0
    """Of each instrument."""
    has_calendar: bool = True
    """Whether options and dated futures are listed and expire by themselves."""
    time_scale: float = 1.0
    """How long the venue waits, beside the real one."""
    load: LoadTerms | None = None
    replay: Path | None = None
    replay_frames_per_second: float = 0.0
    """0 for as fast as the socket takes them."""
    replay_times: int = 1
    binance_trades_per_day: int | None = None
    """Of each contract of Binance; None for as many as each has by itself."""
    binance: UmTerms = field(default_factory=UmTerms)
    """The limits of Binance."""
    archive: ArchiveTerms = field(default_factory=ArchiveTerms)
    cryptodatadownload_key: str = DEFAULT_KEY
    cryptodatadownload_calls: float = 600.0
    cryptodatadownload_window_seconds: float = 3_600.0


def make_application(terms: Terms, clock: Clock, limits: Limits, faults: tuple[Fault, ...] = ()) -> web.Application:
    """Return the whole simulator as a web application.

    Raises:
        OSError: the recording cannot be read.
        ControlError: it is none, or the load asks for what cannot be.
    """
    world = World(terms.seed, clock, terms.quote_changes_per_second, has_calendar=terms.has_calendar)
    plan, counters = FaultPlan(terms.seed), Counters()
    plan.replace(faults, time.monotonic())
    application = web.Application(middlewares=[explain_errors])
    hub = Hub(world, plan, limits, counters, Patience(terms.time_scale))
    if terms.load is not None:
        hub.begin_load(terms.load)
    if terms.replay is not None:
        recording, pace = Recording(terms.replay), terms.replay_frames_per_second
        hub.replay = Replay(recording, hub.floor.publisher, pace, terms.replay_times)
    hub.add_routes(application)
    DeribitApi(world, plan, limits, counters).add_routes(application.router)
    um_limits = UmLimits(time.time, limits.enabled, terms.binance)
    throttle = Throttle(
        time.monotonic, limits.enabled, terms.cryptodatadownload_calls, terms.cryptodatadownload_window_seconds
    )
    others = {"binance_um": um_limits.as_json, "cryptodatadownload": throttle.as_json}
    Control(world, plan, limits, counters, hub, others).add_routes(application.router)
    StreamControl(hub).add_routes(application.router)
    um_data = UmData(world.market, terms.binance_trades_per_day)
    UmApi(world, plan, counters, um_data, um_limits).add_routes(application.router)
    ArchiveApi(world, plan, counters, um_data, terms.archive).add_routes(application.router)
    UmControl(world, plan, um_data, um_limits).add_routes(application.router)
    dailies = OptionDailies(world.market)
    key = terms.cryptodatadownload_key
    DailiesApi(world, plan, counters, dailies, throttle, key).add_routes(application.router)
    DailiesControl(world, dailies, throttle).add_routes(application.router)
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
