"""A whole tapekeeper on this machine: PostgreSQL, the venue simulator where it is wanted, the collector, Airflow."""

from __future__ import annotations

import shlex
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from tapekeeper.local import lock
from tapekeeper.local.airflow import ADMIN, COMPONENTS, MIGRATE, LocalAirflow
from tapekeeper.local.airflow_client import AirflowClient
from tapekeeper.local.collector import COLLECTOR, EXPORTER, STREAMS, LocalCollector
from tapekeeper.local.credentials import Credentials
from tapekeeper.local.databases import (
    AIRFLOW_DATABASE,
    AIRFLOW_LOGIN,
    APPLICATION_LOGIN,
    DATABASE,
    VIEWER_LOGIN,
    login_url,
    prepare_databases,
)
from tapekeeper.local.loopback import ask, without_proxy
from tapekeeper.local.monitoring import PAGES, LocalMonitoring
from tapekeeper.local.ports import LOOPBACK
from tapekeeper.local.postgresql import STOP_SECONDS, STOP_SIGNAL, EmbeddedPostgres
from tapekeeper.local.private_files import private_folder, short_mark, write_private
from tapekeeper.local.supervisor import Program, Supervisor
from tapekeeper.settings import PREFIX, Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tapekeeper.local.console import Console

POSTGRESQL: Final = "postgresql"
SIMULATOR: Final = "simulator"
SIMULATOR_SEED: Final = 7
SIMULATOR_KEY: Final = "simulated-key"
"""What the simulator takes for a key of CryptoDataDownload."""
POSTGRESQL_SECONDS: Final = 60.0
SIMULATOR_SECONDS: Final = 60.0
COLLECTOR_SECONDS: Final = 60.0
MONITORING_SECONDS: Final = 300.0
"""The first start of Grafana makes its tables, on a slow machine for minutes."""
MIGRATION_SECONDS: Final = 300.0
AIRFLOW_SECONDS: Final = 300.0
"""The first start after an installation compiles all of Airflow, on a slow machine for minutes."""
_NOT_PASSED_ON: Final = ("AIRFLOW", "GF_", "PG", f"{PREFIX}PAYLOADS")


@dataclass(frozen=True, slots=True)
class Installation:
    """A running installation; made by `running`."""

    airflow: LocalAirflow
    collector: LocalCollector
    monitoring: LocalMonitoring
    supervisor: Supervisor
    settings: Settings
    simulator_url: str | None
    """Where the venue simulator answers, or None where the live venue is asked."""
    environment_file: Path
    """A shell can read it to use `tapekeeper` with this installation."""

    @property
    def admin_password(self) -> str:
        """The password of `admin` in Airflow's user interface."""
        return self.airflow.credentials.admin_login_password

    def client(self) -> AirflowClient:
        """Return a client of Airflow that is logged in as the admin."""
        client = AirflowClient(self.airflow.url, ADMIN, self.admin_password)
        client.log_in()
        return client


@contextmanager
def running(
    folder: Path, clone: Path, environment: Mapping[str, str], console: Console, *, simulated: bool
) -> Iterator[Installation]:
    """Start an installation in a folder, yield it, and stop every process of it.

    Raises:
        Stop: one of its programs does not start, or another process runs in this folder; the message says which.
        ConfigInvalid: the folder or a setting is wrong.
    """
    private_folder(folder)
    with lock.held(
        folder / "lock", waiting=lambda: console.say("waiting for the processes of the last one to end")
    ) as held:
        credentials = Credentials.load(folder / "credentials.json")
        server = EmbeddedPostgres(folder / "postgresql")
        postgresql = _postgresql(server)
        airflow = LocalAirflow(folder / "airflow", clone, credentials)
        collector = LocalCollector(folder, clone, credentials)
        simulator_url = f"http://{LOOPBACK}:{credentials.simulator_port}" if simulated else None
        own = _own_settings(server, credentials, simulator_url, folder / "reports")
        inherited = without_proxy(_inherited(environment, own))
        settings = read_settings(inherited | own)
        simulators = [_simulator(clone, credentials)] if simulated else []
        components = airflow.programs(
            metadata_url=login_url(server, AIRFLOW_LOGIN, credentials.airflow_password, AIRFLOW_DATABASE),
            tapekeeper_url=settings.database.url.get_secret_value(),
            more=own,
        )
        monitoring = LocalMonitoring.find(folder / "monitoring", clone, credentials, environment.get("PATH"))
        watched = {COLLECTOR: collector.address, EXPORTER: collector.exporter_address}
        control = Path(tempfile.gettempdir()) / f"tapekeeper-{short_mark(folder)}"
        watchers = monitoring.programs(watched, f"{LOOPBACK}:{server.port}")
        programs = [postgresql, *simulators, *collector.programs(own), *watchers, *components]
        supervisor = Supervisor(folder, control, programs, inherited, keep_open=held)
        installation = Installation(
            airflow, collector, monitoring, supervisor, settings, simulator_url, folder / "environment"
        )
        try:
            _start(installation, server, credentials, console)
            write_private(installation.environment_file, _as_shell(own))
            yield installation
        finally:
            with console.step("stop all processes"):
                supervisor.stop()


def _start(installation: Installation, server: EmbeddedPostgres, credentials: Credentials, console: Console) -> None:
    supervisor = installation.supervisor
    with console.step(f"PostgreSQL {server.version} on port {server.port}"):
        supervisor.start()
        supervisor.start_program(POSTGRESQL)
        supervisor.wait_until([POSTGRESQL], server.answers, seconds=POSTGRESQL_SECONDS)
    with console.step("databases, logins and tables"):
        prepare_databases(server, credentials)
    simulator_url = installation.simulator_url
    if simulator_url:
        with console.step(f"venue simulator at {simulator_url}"):
            supervisor.start_program(SIMULATOR)
            supervisor.wait_until([SIMULATOR], lambda: _tells_time(simulator_url), seconds=SIMULATOR_SECONDS)
    collector = installation.collector
    with console.step(f"live collector, metrics at http://{collector.address}/metrics"):
        for name in STREAMS:
            supervisor.start_program(name)
        supervisor.wait_until(STREAMS, collector.is_alive, seconds=COLLECTOR_SECONDS)
    monitoring = installation.monitoring
    for name in monitoring.names:
        supervisor.start_program(name)
    with console.step("tables of Airflow"):
        supervisor.run_to_its_end(MIGRATE, seconds=MIGRATION_SECONDS)
    with console.step(f"Airflow at {installation.airflow.url}"):
        for name in COMPONENTS:
            supervisor.start_program(name)
        client = AirflowClient(installation.airflow.url, ADMIN, credentials.admin_login_password)
        supervisor.wait_until(COMPONENTS, client.is_healthy, seconds=AIRFLOW_SECONDS)
        client.close()
    if monitoring.names:
        with console.step(", ".join(name for name in monitoring.names if name != PAGES)):
            supervisor.wait_until(monitoring.names, monitoring.is_ready, seconds=MONITORING_SECONDS)


def _own_settings(
    server: EmbeddedPostgres, credentials: Credentials, simulator_url: str | None, reports: Path
) -> dict[str, str]:
    own = {
        f"{PREFIX}QUALITY_REPORT_FOLDER": str(reports.absolute()),
        f"{PREFIX}DATABASE_URL": login_url(server, APPLICATION_LOGIN, credentials.application_password, DATABASE),
        f"{PREFIX}READER_DATABASE_URL": login_url(server, VIEWER_LOGIN, credentials.viewer_password, DATABASE),
    }
    if simulator_url is None:
        return own
    return own | {
        f"{PREFIX}DERIBIT_REST_URL": simulator_url,
        f"{PREFIX}DERIBIT_WEBSOCKET_URL": f"{simulator_url.replace('http', 'ws', 1)}/ws/api/v2",
        f"{PREFIX}BINANCE_UM_REST_URL": simulator_url,
        f"{PREFIX}BINANCE_ARCHIVE_URL": simulator_url,
        f"{PREFIX}CRYPTODATADOWNLOAD_URL": simulator_url,
        f"{PREFIX}CRYPTODATADOWNLOAD_API_KEY": SIMULATOR_KEY,
    }


def _inherited(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return what the programs get from our environment: nothing that would compete with what we set."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_PASSED_ON) and name.removesuffix("_FILE") not in own
    }


def _postgresql(server: EmbeddedPostgres) -> Program:
    return Program(
        POSTGRESQL,
        server.prepare(),
        server.home,
        group=POSTGRESQL,
        stop_signal=STOP_SIGNAL,
        grace_seconds=STOP_SECONDS,
        user=server.user_name,
    )


def _simulator(clone: Path, credentials: Credentials) -> Program:
    options = {
        "--host": LOOPBACK,
        "--port": str(credentials.simulator_port),
        "--seed": str(SIMULATOR_SEED),
        "--cryptodatadownload-key": SIMULATOR_KEY,
    }
    command = [sys.executable, "-m", "simulator", *(word for option in options.items() for word in option)]
    return Program(SIMULATOR, command, clone, group=SIMULATOR)


def _tells_time(simulator_url: str) -> bool:
    try:
        answer = ask(f"{simulator_url}/api/v2/public/get_time", seconds=SIMULATOR_SECONDS)
        return isinstance(answer.json()["result"], int)
    except (requests.RequestException, ValueError, KeyError):
        return False


def _as_shell(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
