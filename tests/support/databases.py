"""Fresh databases in the test session's PostgreSQL server, copied from one that has been migrated."""

from __future__ import annotations

import itertools
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import psycopg2
from psycopg2 import sql

from tapekeeper.local.postgresql import EmbeddedPostgres
from tapekeeper.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE: Final = "migrated"
RELAXED: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Options of a server that does not wait for its disk."""


@contextmanager
def own_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Run a server that a test may stop, with the tables in it."""
    with EmbeddedPostgres(folder / "postgresql", options=RELAXED) as server:
        migrate(server.url())
        yield server
    server.remove()


class Databases:
    """Hands out databases of one server; a copy of the migrated one takes some hundredths of a second."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the superuser's URL of a new database with the project's tables, and drop it afterwards."""
        name = f"test_{next(self._numbers)}"
        self._administer("CREATE DATABASE {} TEMPLATE {}", name, self._template())
        yield self._server.url(name)
        self._administer("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the superuser's URL of a new database without any table, and drop it afterwards."""
        name = f"test_{next(self._numbers)}"
        self._administer("CREATE DATABASE {}", name)
        yield self._server.url(name)
        self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def _template(self) -> str:
        with closing(psycopg2.connect(self._server.url())) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,))
            exists = cursor.fetchone() is not None
        if not exists:
            self._administer("CREATE DATABASE {}", TEMPLATE)
            migrate(self._server.url(TEMPLATE))
        return TEMPLATE

    def _administer(self, statement: str, *names: str) -> None:
        with closing(psycopg2.connect(self._server.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
