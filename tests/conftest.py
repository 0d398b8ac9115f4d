"""What every test relies on: real parts to run against, and no silent skip in CI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tapekeeper.local.postgresql import EmbeddedPostgres
from tests.support.api_server import make_metadata
from tests.support.databases import RELAXED, Databases
from tests.support.payloads import FOLDER
from tests.support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"

# The same examples every time, and no verdict by the speed of the machine.
settings.register_profile(
    "tapekeeper",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tapekeeper")


def pytest_report_header() -> str:
    """Tell whether the venues' recorded answers are at hand; asked here, before any test looks at the environment."""
    return f"recorded answers of the venues: {FOLDER or 'none'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With REQUIRE_ALL=1 a test that skips itself has failed: nothing may be left out unseen."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although REQUIRE_ALL=1: {call.excinfo.value if call.excinfo else 'no reason'}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself whole."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped although REQUIRE_ALL=1: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests pass their settings on themselves; what the shell happens to hold must not change a result."""
    for name in list(os.environ):
        if name.startswith("TAPEKEEPER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server for the whole session that does not wait for its disk."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgresql"), options=RELAXED) as server:
        yield server
    server.remove()


@pytest.fixture(scope="session")
def databases(postgres_server: EmbeddedPostgres) -> Databases:
    """The maker of databases, for a test that needs more than one or an empty one."""
    return Databases(postgres_server)


@pytest.fixture(scope="session")
def airflow_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of an Airflow that has done nothing yet, to be copied."""
    return make_metadata(tmp_path_factory.mktemp("airflow-tables"))


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """The superuser's URL of a fresh migrated database, for one test."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(databases: Databases) -> Iterator[str]:
    """The superuser's URL of a fresh migrated database, shared by the tests of one module."""
    with databases.migrated() as url:
        yield url


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A venue simulator shared by the tests of one module; faults and counters stay between them."""
    with running_simulator() as running:
        yield running


@pytest.fixture
def simulator(simulator_process: Simulator) -> Iterator[Simulator]:
    """The module's venue simulator, without faults at the start and at the end of a test."""
    simulator_process.clear_faults()
    yield simulator_process
    simulator_process.clear_faults()
