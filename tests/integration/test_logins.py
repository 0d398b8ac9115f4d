"""Logins: made with what they may do, given new passwords, and never told to the server in clear."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg2.errors
import pytest
from click.testing import CliRunner

from tapekeeper.cli import main
from tapekeeper.errors import AuthRejected, ConfigInvalid
from tapekeeper.store.database import connect
from tapekeeper.store.logins import Login, Role, ensure_logins
from tapekeeper.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Databases

PASSWORDS = {
    "desk_owner": "owner-1",
    "desk_writer": "writer/1",
    "desk_reader": "reader-1",
    "desk_dashboard": "dashboard-1",
    "desk_apart": "apart-1",
}


def as_login(url: str, name: str, password: str, database: str | None = None) -> str:
    """Return the URL of another login of the same server."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"postgresql://{name}:{password.replace('/', '%2F')}@{host}/{database or parts.path.strip('/')}"


def ask(url: str, statement: str) -> object:
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row[0] if row else None


@pytest.fixture(scope="module")
def server(databases: Databases) -> Iterator[str]:
    """The superuser's URL of a database that is made by the logins, with all of them, and migrated by its owner."""
    with databases.empty() as other:
        url = other.rpartition("/")[0] + "/desk"
        logins = [Login(name, Role(name.removeprefix("desk_")), password) for name, password in PASSWORDS.items()]
        ensure_logins(url, logins)
        migrate(as_login(url, "desk_owner", PASSWORDS["desk_owner"]))
        yield url
        with closing(connect(other)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("DROP DATABASE desk WITH (FORCE)")
                cursor.execute("DROP DATABASE desk_apart WITH (FORCE)")
                for name in PASSWORDS:
                    cursor.execute(f"DROP ROLE {name}")


def url_of(server: str, name: str) -> str:
    return as_login(server, name, PASSWORDS[name])


def test_the_owner_migrates_without_being_a_superuser(server: str) -> None:
    assert ask(server, "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = 'desk_owner'") is False
    assert ask(server, "SELECT tableowner FROM pg_tables WHERE tablename = 'candles'") == "tapekeeper_owner"
    assert migrate(url_of(server, "desk_owner")) == []


def test_a_writer_writes_and_changes_no_table(server: str) -> None:
    url = url_of(server, "desk_writer")
    assert ask(url, "DELETE FROM candles WHERE false; SELECT 1") == 1
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(url, "DROP TABLE candles")


@pytest.mark.parametrize("name", ["desk_reader", "desk_dashboard"])
def test_a_reader_reads_alone(server: str, name: str) -> None:
    assert ask(url_of(server, name), "SELECT count(*) FROM candles") == 0
    with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)):
        ask(url_of(server, name), "DELETE FROM candles RETURNING 1")


def test_a_dashboard_cannot_write_and_cannot_wait(server: str) -> None:
    url = url_of(server, "desk_dashboard")
    assert ask(url, "SHOW default_transaction_read_only") == "on"
    assert ask(url, "SHOW statement_timeout") == "30s"
    assert ask(url_of(server, "desk_reader"), "SHOW statement_timeout") == "0"


def test_a_dashboard_sees_what_sessions_do_and_not_what_they_ask(server: str) -> None:
    with closing(connect(url_of(server, "desk_writer"))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'secret'")
        url = url_of(server, "desk_dashboard")
        assert ask(url, "SELECT state FROM database_sessions WHERE login = 'desk_writer'") == "idle in transaction"
        assert ask(url, "SELECT longest_seconds > 0 FROM database_sessions WHERE login = 'desk_writer'") is True
        assert "secret" not in str(ask(url, "SELECT json_agg(told) FROM database_sessions AS told"))


def test_another_program_has_its_database_and_sees_nothing_of_ours(server: str) -> None:
    password = PASSWORDS["desk_apart"]
    assert ask(as_login(server, "desk_apart", password, "desk_apart"), "CREATE TABLE x (); SELECT 1") == 1
    with pytest.raises(AuthRejected):
        ask(as_login(server, "desk_apart", password), "SELECT 1")
    with pytest.raises(AuthRejected):
        ask(as_login(server, "desk_writer", PASSWORDS["desk_writer"], "desk_apart"), "SELECT 1")


def test_a_changed_file_changes_the_password_and_the_server_never_sees_it(server: str, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(as_login(server, "desk_reader", "reader-2").replace("postgresql:", "postgresql+psycopg2:"))
    command = ["logins", "--login", "desk_reader", "reader", str(file)]
    told = CliRunner().invoke(main, command, env={"TAPEKEEPER_DATABASE_URL": server})
    assert (told.exit_code, told.output) == (0, "1 logins are as they should be\n")
    assert ask(as_login(server, "desk_reader", "reader-2"), "SELECT 1") == 1
    with pytest.raises(AuthRejected):
        ask(url_of(server, "desk_reader"), "SELECT 1")
    kept = ask(server, "SELECT rolpassword FROM pg_authid WHERE rolname = 'desk_reader'")
    assert str(kept).startswith("SCRAM-SHA-256$")
    PASSWORDS["desk_reader"] = "reader-2"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("postgresql://somebody:x@h/d", "holds the URL of 'somebody', not of 'desk_reader'"),
        ("postgresql://desk_reader@h/d", "holds no password"),
        ("\n", "holds no password"),
    ],
)
def test_a_file_without_the_password_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    told = CliRunner().invoke(main, ["logins", "--login", "desk_reader", "reader", str(file)])
    assert told.exit_code == 2
    assert sentence in " ".join(told.stderr.split()).replace(f"{file}", "file")


def test_the_database_to_make_has_to_be_named(server: str) -> None:
    with pytest.raises(ConfigInvalid, match="has to name the database to make"):
        ensure_logins(server.rpartition("/")[0] + "/postgres", [])


def test_a_password_is_in_no_text() -> None:
    assert "hunter2" not in repr(Login("a", Role.READER, "hunter2"))
