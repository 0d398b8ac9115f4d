"""A small world to follow; how complete the rows of it were in each test is shown at the end, failed or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapekeeper.local.postgresql import EmbeddedPostgres
from tests.support.collector import COMPLETENESS, small_world
from tests.support.databases import own_server
from tests.support.simulator import Simulator

_FOUND: dict[str, list[str]] = {}


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """The same for all tests of a module."""
    with small_world() as simulator:
        yield simulator


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may stop."""
    with own_server(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def _remember_completeness(request: pytest.FixtureRequest) -> Iterator[None]:
    COMPLETENESS.clear()
    yield
    if COMPLETENESS:
        _FOUND[request.node.name] = list(COMPLETENESS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was found."""
    if _FOUND:
        terminalreporter.section("completeness per instrument")
    for test, lines in _FOUND.items():
        terminalreporter.write_line(test)
        for line in lines:
            terminalreporter.write_line(f"  {line}")
