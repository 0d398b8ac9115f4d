"""The command: python -m collector stream, check, or metrics."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import uvloop

from collector.exporter.server import Exporter
from collector.health import HealthServer
from collector.log import set_up_logging
from collector.metrics import CollectorMetrics
from collector.service import Collector
from collector.settings import CollectorSettings, read_collector_settings, settings_table, variable_of
from collector.spool import Spool
from collector.transport import connect as connect_venue
from collector.venue_rest import VenueRest
from tapekeeper.clock import MICROSECONDS_PER_SECOND, now_microseconds
from tapekeeper.errors import Stop, TapekeeperError
from tapekeeper.settings import Settings, read_settings
from tapekeeper.store.database import connect as connect_database
from tapekeeper.store.migrate import check_schema
from tapekeeper.store.option_series import followed_options

if TYPE_CHECKING:
    from collections.abc import Callable

SWITCH_SECONDS: Final = 0.0005
"""How long a thread computes while another one waits for its turn. The writer needs a few turns for every batch; with
the 5 ms that Python takes by itself it falls behind when the reader is busy."""
OBJECTS_PER_COLLECTION: Final = 50_000
"""After so many more objects circles among them are searched; rows are many, short-lived, and in no circle."""

log = logging.getLogger("collector")


@dataclass(frozen=True, slots=True)
class _Everything:
    core: Settings
    own: CollectorSettings


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Stream quotes and trades of options into PostgreSQL, and account for every hole.

    Settings are environment variables: see collector/README.md.
    """
    try:
        everything = _Everything(read_settings(os.environ), read_collector_settings(os.environ))
    except TapekeeperError as error:
        _fail(error)
    set_up_logging(everything.own.log_format, everything.own.log_level)
    context.obj = everything


@main.command()
@click.option("--record", type=click.Path(file_okay=False, path_type=Path), help="Keep raw frames in this folder.")
@click.pass_obj
def stream(everything: _Everything, record: Path | None) -> None:
    """Stream until SIGTERM or Ctrl-C; then commit what is left and exit with 0, within ten seconds.

    Examples:
      python -m collector stream
      TOP_N_INSTRUMENTS=all SHARD=1/2 python -m collector stream --record /var/lib/tapekeeper/frames
    """
    own = everything.own if record is None else everything.own.model_copy(update={"record_directory": record})
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(OBJECTS_PER_COLLECTION, *gc.get_threshold()[1:])
    try:
        uvloop.run(_stream(everything.core, own))
    except TapekeeperError as error:
        _fail(error)


@main.command()
def settings() -> None:
    """Print every setting of the collector as a table in Markdown.

    Examples:
      python -m collector settings
    """
    click.echo(settings_table())


@main.command()
@click.pass_obj
def metrics(everything: _Everything) -> None:
    """Tell Prometheus what stands in the database, until SIGTERM or Ctrl-C.

    It needs a login with the role tapekeeper_reader, and neither the venue nor a spool.

    Examples:
      python -m collector metrics
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        Exporter(everything.core, everything.own, stop).run()
    except TapekeeperError as error:
        _fail(error)


@main.command()
@click.pass_obj
def check(everything: _Everything) -> None:
    """Check settings, database, spool and venue, say what is wrong, and exit: 0 if all is well.

    Examples:
      python -m collector check
    """
    checks: dict[str, Callable[[], str]] = {
        "database": lambda: _check_database(everything.core),
        "spool": lambda: _check_spool(everything.own),
        "venue, REST": lambda: uvloop.run(_check_rest(everything.core)),
        "venue, WebSocket": lambda: uvloop.run(_check_websocket(everything.core)),
    }
    failed = False
    for name, run in checks.items():
        try:
            click.echo(f"{name}: {run()}")
        except TapekeeperError as error:
            failed = True
            click.echo(f"{name}: {error}", err=True)
    sys.exit(1 if failed else 0)


async def _stream(core: Settings, own: CollectorSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    collector = Collector(core, own)
    metrics = CollectorMetrics(
        collector.counters, collector.buffer, collector.levels, own.spool_directory, version("tapekeeper")
    )
    server = HealthServer(
        own.metrics_host,
        own.metrics_port,
        metrics,
        collector.live,
        collector.ready,
        port_variable=variable_of("metrics_port"),
    )
    with closing(server) as health:
        log.info("%s: metrics and health on %s", collector.name, health.url)
        await collector.run(stop)
    log.info("ended")


def _check_database(core: Settings) -> str:
    url = core.database.url.get_secret_value()
    with (
        closing(connect_database(url, connect_timeout_seconds=core.database.connect_timeout_seconds)) as connection,
        connection.cursor() as cursor,
    ):
        check_schema(connection)
        return f"ok, {len(followed_options(cursor))} options are followed"


def _check_spool(own: CollectorSettings) -> str:
    with closing(Spool(own.spool_directory, own.spool_bytes_maximum)) as spool:
        return f"ok, {spool.bytes:,} of {spool.capacity:,} bytes wait in {own.spool_directory}"


async def _check_rest(core: Settings) -> str:
    with closing(VenueRest(core)) as rest:
        ahead = await rest.ask(lambda venue: venue.server_time()) - now_microseconds()
        return f"ok, its clock is {ahead / MICROSECONDS_PER_SECOND:+.3f} s from ours"


async def _check_websocket(core: Settings) -> str:
    started = time.monotonic()
    transport = await connect_venue(core.deribit.websocket_url)
    await transport.close()
    return f"ok, connected in {time.monotonic() - started:.3f} s"


def _fail(error: TapekeeperError) -> None:
    click.echo(f"Error: {error}", err=True)
    sys.exit(2 if isinstance(error, Stop) else 1)


if __name__ == "__main__":
    main()
