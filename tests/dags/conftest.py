"""Airflow for DAG tests: its environment is set before anything imports it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.airflow_home import configure_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = configure_airflow()


@pytest.fixture(scope="session")
def airflow_metadata() -> Iterator[None]:
    """Airflow's own database, empty and up to date."""
    from airflow.utils.db import initdb

    initdb()
    yield
    shutil.rmtree(HOME, ignore_errors=True)
