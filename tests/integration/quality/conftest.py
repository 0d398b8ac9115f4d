"""A healthy market in a database, which every test may spoil: nothing that a test writes is kept."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support.market import healthy_market

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor


@pytest.fixture(scope="module")
def market_ids(module_database_url: str) -> dict[str, int]:
    """The ids of the series of a healthy market, committed once for a module."""
    with closing(Database(module_database_url, prepare=INCOMING_GRID_TABLES)) as database:
        return database.run(healthy_market)


@pytest.fixture
def cursor(module_database_url: str, market_ids: dict[str, int]) -> Iterator[Cursor]:
    """A transaction on the healthy market that is rolled back."""
    with closing(connect(module_database_url)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(INCOMING_GRID_TABLES)
            yield cursor
        connection.rollback()
