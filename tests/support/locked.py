"""A database that keeps the collector waiting."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from tests.support.collector import rows
from tests.support.processes import wait_for


class locked:  # noqa: N801 (a context manager that reads like a word)
    """Keeps the writer in the middle of a transaction: it waits for a table that another one holds."""

    def __init__(self, url: str, table: str) -> None:
        self._url = url
        self._table = table

    def __enter__(self) -> None:
        self._connection = psycopg2.connect(self._url)
        with self._connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {self._table} IN ACCESS EXCLUSIVE MODE")
        waits = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tapekeeper collector'"
            " AND wait_event_type = 'Lock' AND datname = current_database()"
        )
        wait_for(lambda: rows(self._url, waits)[0][0] > 0)

    def __exit__(self, *_: object) -> None:
        with closing(self._connection):
            self._connection.rollback()
