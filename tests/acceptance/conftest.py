"""How complete the collector's rows were in each test is shown at the end, whether the tests failed or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.collector import COMPLETENESS

_FOUND: dict[str, list[str]] = {}


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
