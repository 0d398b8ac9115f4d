"""Migrations: once each, in order, from two processes at once, and never silently out of step."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.errors import AuthRejected, DatabaseUnavailable, SchemaTooOld
from tapekeeper.store.database import connect
from tapekeeper.store.migrate import all_migrations, check_schema, migrate

if TYPE_CHECKING:
    from tests.support.databases import Databases


def test_two_processes_at_once_apply_each_file_once(databases: Databases) -> None:
    with databases.empty() as url, ThreadPoolExecutor(4) as pool:
        applied = [name for names in pool.map(migrate, [url] * 4) for name in names]
    assert applied == [migration.name for migration in all_migrations()]


def test_databases_of_one_server_may_be_migrated_at_once(databases: Databases) -> None:
    with databases.empty() as one, databases.empty() as other, ThreadPoolExecutor(2) as pool:
        assert [len(names) for names in pool.map(migrate, [one, other])] == [len(all_migrations())] * 2


def test_numbers_are_unique_and_without_a_hole() -> None:
    assert [int(migration.version) for migration in all_migrations()] == list(range(1, len(all_migrations()) + 1))


def test_a_schema_that_is_behind_says_what_to_run(databases: Databases) -> None:
    with databases.empty() as url, closing(connect(url)) as connection:
        with pytest.raises(SchemaTooOld, match=r"lacks \d+ migrations, first 0001_roles.sql: run tapekeeper migrate"):
            check_schema(connection)
        connection.rollback()
        migrate(url)
        check_schema(connection)


def test_a_file_changed_after_it_was_applied_is_refused(database_url: str) -> None:
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE schema_migrations SET checksum = 'x' WHERE version = '0002'")
    with pytest.raises(SchemaTooOld, match=r"0002_catalogue.sql was changed after it was applied: restore it"):
        migrate(database_url)


def test_a_database_from_the_future_is_refused(database_url: str) -> None:
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO schema_migrations (version, name, checksum) VALUES ('9999', 'x', 'x')")
    with pytest.raises(SchemaTooOld, match="has migration 9999, which this tapekeeper lacks: install a newer one"):
        migrate(database_url)


def test_nobody_there_and_a_wrong_password_are_told_apart(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="check that it runs and that TAPEKEEPER_DATABASE_URL is right"):
        migrate("postgresql://postgres:x@127.0.0.1:1/none")
    wrong = database_url.replace("postgresql://", "postgresql://nobody_we_know:", 1)
    with pytest.raises(AuthRejected, match="refuses the login: check TAPEKEEPER_DATABASE_URL"):
        migrate("postgresql://nobody_we_know:wrong@" + wrong.rsplit("@", 1)[1])
