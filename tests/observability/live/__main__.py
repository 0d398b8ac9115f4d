"""`python -m tests.observability.live` starts the stack and tells where its parts are, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from tapekeeper.local.postgresql import EmbeddedPostgres
from tapekeeper.store.logins import ensure_logins
from tapekeeper.store.migrate import migrate
from tests.observability.live.stack import SCRAPED, running_stack
from tests.support.databases import RELAXED
from tests.support.processes import wait_for


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.observability.live", description=__doc__)
    parser.add_argument("--days", type=float, default=30.0, help="of history in Prometheus (%(default)s)")
    asked = parser.parse_args()
    # Told to end as Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="tapekeeper-live-") as name, suppress(KeyboardInterrupt):
        server = EmbeddedPostgres(Path(name) / "postgresql", options=RELAXED)
        try:
            with server:
                url = server.url("tapekeeper")
                ensure_logins(url, [])
                migrate(url)
                with running_stack(url, Path(name), days=asked.days) as stack:
                    # A picture of now needs the first scrapes.
                    wait_for(lambda: stack.prometheus.value("count(up == 1)") == SCRAPED)
                    click.echo(f"prometheus  {stack.prometheus.url}")
                    click.echo(f"postgresql  {stack.reader_url}")
                    click.echo(f"collector   http://{stack.collector}/metrics")
                    click.echo(f"exporter    http://{stack.exporter}/metrics")
                    click.echo(f"simulator   {stack.simulator.base_url}")
                    click.echo("Ctrl-C ends all of it.")
                    signal.pause()
        finally:
            server.remove()


if __name__ == "__main__":
    main()
