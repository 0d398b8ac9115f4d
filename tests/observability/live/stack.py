"""All parts together: PostgreSQL, the simulated venue, the collector, the exporter, Prometheus, Alertmanager."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tapekeeper.local.ports import LOOPBACK, free_port
from tapekeeper.store.logins import Login, Role, ensure_logins
from tests.observability.live.history import moments, parts, told_backwards, write_blocks
from tests.observability.live.ledger import fill
from tests.observability.live.recorded import record
from tests.observability.live.servers import (
    answers,
    running_alertmanager,
    running_prometheus,
    running_webhook,
    with_webhook,
)
from tests.support.collector import control, rows, running_collector
from tests.support.command_line import environment
from tests.support.processes import wait_for
from tests.support.simulator import PROJECT, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.observability.live.history import Part
    from tests.observability.live.servers import Prometheus
    from tests.support.collector import RunningCollector
    from tests.support.simulator import Simulator

INSTRUMENTS: Final = 20
SCRAPED: Final = 4
"""Collector, exporter, Alertmanager, and Prometheus itself."""
SECONDS_COLLECTED: Final = 10.0
"""About how long the collector runs when its history is written."""
WEEK_SECONDS: Final = 7 * 86_400.0
"""In which the work in the database was done."""
READER: Final = "dashboards"
_PASSWORD: Final = "a-long-password"


@dataclass(slots=True)
class Stack:
    """What runs, and where."""

    database_url: str
    """Of the superuser."""
    folder: Path
    simulator: Simulator
    exporter: str
    """host:port"""
    collector: str
    """host:port, whichever process listens there."""
    prometheus: Prometheus = field(init=False)
    running_collector: RunningCollector = field(init=False)
    """The one that was started last."""
    _collectors: ExitStack = field(default_factory=ExitStack)

    @property
    def reader_url(self) -> str:
        """Of the login that Grafana has."""
        return f"postgresql://{READER}:{_PASSWORD}@" + self.database_url.split("@", 1)[1]

    def targets(self, alertmanager: str) -> dict[str, str]:
        """Return what Prometheus has to scrape; there is no Airflow."""
        return {
            "collector": self.collector,
            "exporter": self.exporter,
            "alertmanager": alertmanager,
            "airflow": "",
        }

    def start_collector(self) -> None:
        """Start the collector where it always listens; the one before has to be gone."""
        port = self.collector.rsplit(":", 1)[1]
        settings = {
            "TAPEKEEPER_COLLECTOR_METRICS_PORT": port,
            # However slow this machine is, it is not taken for a venue that fell silent.
            "TAPEKEEPER_COLLECTOR_SILENCE_CLOSE_SECONDS": 60,
            "TOP_N_INSTRUMENTS": INSTRUMENTS,
        }
        self.running_collector = self._collectors.enter_context(
            running_collector(self.database_url, self.simulator, self.folder, **settings)
        )
        self.running_collector.wait_until_ready()

    def stop_collectors(self) -> None:
        """End whatever was started."""
        self._collectors.close()


@contextmanager
def running_stack(database_url: str, folder: Path, *, days: float) -> Iterator[Stack]:
    """Run everything on a migrated database, with a week of work in it and so many days of history in Prometheus."""
    with ExitStack() as running:
        simulator = running.enter_context(running_simulator("--limits", "off", "--quote-changes-per-second", "2"))
        fill(database_url, simulator)
        stack = Stack(database_url, folder, simulator, f"{LOOPBACK}:{free_port()}", f"{LOOPBACK}:{free_port()}")
        ensure_logins(database_url, [Login(READER, Role.DASHBOARD, _PASSWORD)])
        running.callback(stack.stop_collectors)
        stack.start_collector()
        _interrupt(stack)
        running.enter_context(running_exporter(stack))
        blocks = _history(stack, parts(time.time(), days))
        webhook = running.enter_context(running_webhook())
        alertmanager = running.enter_context(running_alertmanager(with_webhook(folder, webhook.url)))
        stack.prometheus = running.enter_context(
            running_prometheus(folder / "prometheus", stack.targets(alertmanager), history=blocks)
        )
        yield stack


def _interrupt(stack: Stack) -> None:
    """Cut the connections of the collector once, and wait until the holes are recorded."""
    control(stack.simulator, "/control/cut", {"how": "reset"})
    wait_for(lambda: bool(rows(stack.database_url, "SELECT FROM data_gaps WHERE cause = 'disconnect'")))
    stack.running_collector.wait_until_ready()


def _history(stack: Stack, of: list[Part]) -> Path:
    """Write what was told and recorded before the start, and return the folder of its blocks."""
    folder, times = stack.folder / "history", moments(of)
    collector = told_backwards("collector", f"http://{stack.collector}", times, counted_for=SECONDS_COLLECTED)
    exporter = told_backwards("exporter", f"http://{stack.exporter}", times, counted_for=WEEK_SECONDS)
    blocks = write_blocks([*collector, *exporter], times, folder)
    record(blocks, of, folder)
    return blocks


@contextmanager
def running_exporter(stack: Stack) -> Iterator[None]:
    """Run `python -m collector metrics` where the stack says, until every family was read."""
    settings = {
        "TAPEKEEPER_READER_DATABASE_URL": stack.reader_url,
        "TAPEKEEPER_COLLECTOR_EXPORTER_PORT": stack.exporter.rsplit(":", 1)[1],
    }
    log = stack.folder / "exporter.log"
    command = [sys.executable, "-m", "collector", "metrics"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd=PROJECT, env=environment(settings), stderr=output) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or answers(f"http://{stack.exporter}/readyz"))
            assert process.poll() is None, log.read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()
