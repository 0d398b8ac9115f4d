"""Migrations: numbered .sql files, each applied once, in order, by one process at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

import psycopg2

from tapekeeper.errors import SchemaTooOld
from tapekeeper.store.database import connect, explain

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

ADVISORY_LOCK: Final = 7_463_201_118
"""Held while migrating, so that a second process waits and then finds nothing to do."""

_ROLES: Final = "0001"
"""The one migration that runs as whoever migrates; the others run as, and leave all tables to, the owner role."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`; its version is the number in front of the name."""

    version: str
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, which tells a file that was changed after it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def all_migrations() -> list[Migration]:
    """Return the migrations of this version of tapekeeper, in order."""
    folder = resources.files("tapekeeper.store") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [Migration(name[:4], name, (folder / name).read_text(encoding="utf-8")) for name in names]


def migrate(url: str) -> list[str]:
    """Bring the schema up to date and return the names of the files that were applied.

    Raises:
        SchemaTooOld: a file that was applied has been changed since, or the database is newer than this program.
        AuthRejected: the login may not create roles or tables.
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    connection = connect(url, application_name="tapekeeper migrate")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
            _create_ledger(cursor)
            pending = _pending(cursor)
        for migration in pending:
            _apply(connection, migration)
        return [migration.name for migration in pending]
    except psycopg2.Error as error:
        raise explain(error) from error
    finally:
        connection.close()


def check_schema(connection: Connection) -> None:
    """Return if the database has every migration of this program.

    Raises:
        SchemaTooOld: it has not; the message says what to run.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL")
        row = cursor.fetchone()
        applied = _applied(cursor) if row and row[0] else {}
    missing = [migration.name for migration in all_migrations() if migration.version not in applied]
    if missing:
        raise SchemaTooOld(f"the database lacks {len(missing)} migrations, first {missing[0]}: run tapekeeper migrate")


def _create_ledger(cursor: Cursor) -> None:
    cursor.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            version text PRIMARY KEY,
            name text NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        GRANT SELECT ON schema_migrations TO PUBLIC;
        """
    )


def _applied(cursor: Cursor) -> dict[str, str]:
    cursor.execute("SELECT version, checksum FROM schema_migrations")
    return dict(cursor.fetchall())


def _pending(cursor: Cursor) -> list[Migration]:
    migrations, applied = all_migrations(), _applied(cursor)
    newer = sorted(set(applied) - {migration.version for migration in migrations})
    if newer:
        raise SchemaTooOld(f"the database has migration {newer[-1]}, which this tapekeeper lacks: install a newer one")
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaTooOld(f"{migration.name} was changed after it was applied: restore it and add a new file")
    return [migration for migration in migrations if migration.version not in applied]


def _apply(connection: Connection, migration: Migration) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            if migration.version != _ROLES:
                cursor.execute("SET LOCAL ROLE tapekeeper_owner")
            cursor.execute(migration.sql)
            cursor.execute("RESET ROLE")
            cursor.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                (migration.version, migration.name, migration.checksum),
            )
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
