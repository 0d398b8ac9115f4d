"""A PostgreSQL server of our own, as `make demo` starts it, and fresh databases in it."""

from __future__ import annotations

import itertools
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from psycopg2 import sql

from tapekeeper.local import lock
from tapekeeper.local.postgresql import EmbeddedPostgres, remove_data
from tapekeeper.local.private_files import private_folder
from tapekeeper.store.database import connect
from tapekeeper.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE: Final = Path(__file__).parents[1]
_TEMPLATE: Final = "migrated"
_TOLD_SETTINGS: Final = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")


class Server:
    """Hands out migrated databases; made by `running_server`."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._administer("CREATE DATABASE {}", _TEMPLATE)
        migrate(server.url(_TEMPLATE))

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the superuser's URL of a new database with the project's tables, and drop it afterwards.

        A checkpoint goes before, so that what others wrote is not flushed on this one's time.
        """
        name = f"benchmark_{next(self._numbers)}"
        self._administer("CREATE DATABASE {} TEMPLATE {}", name, _TEMPLATE)
        self._administer("CHECKPOINT")
        yield self._server.url(name)
        self._administer("DROP DATABASE {} WITH (FORCE)", name)

    def description(self) -> str:
        """Return the version and the settings that decide how fast it writes."""
        url = self._server.url()
        version = only_value(url, "SHOW server_version")
        told = ", ".join(f"{name} {only_value(url, f'SHOW {name}')}" for name in _TOLD_SETTINGS)
        return f"PostgreSQL {version}, {told}"

    def _administer(self, statement: str, *names: str) -> None:
        with closing(connect(self._server.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def running_server() -> Iterator[Server]:
    """Run a server with its own defaults: what is committed is on the disk. Its data are deleted afterwards.

    Raises:
        Stop: another process runs the benchmarks of this clone.
    """
    folder = private_folder(CLONE / ".tapekeeper" / "benchmarks")
    with lock.held(folder / "lock", waiting=lambda: None):
        remove_data(folder / "postgresql")
        server = EmbeddedPostgres(folder / "postgresql")
        try:
            with server:
                yield Server(server)
        finally:
            server.remove()


def query(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def only_value(url: str, statement: str, *values: object) -> Any:
    """Return the first column of the first row of a query."""
    return query(url, statement, *values)[0][0]
