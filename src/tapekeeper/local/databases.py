"""The databases and logins of a local installation."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from tapekeeper.local.ports import LOOPBACK
from tapekeeper.store.database import connect
from tapekeeper.store.migrate import migrate

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.local.credentials import Credentials
    from tapekeeper.local.postgresql import EmbeddedPostgres

APPLICATION_LOGIN: Final = "tapekeeper_application"
VIEWER_LOGIN: Final = "tapekeeper_viewer"
AIRFLOW_LOGIN: Final = "airflow"
DATABASE: Final = "tapekeeper"
AIRFLOW_DATABASE: Final = "airflow"
_ROLE_OF_LOGIN: Final = {APPLICATION_LOGIN: "tapekeeper_writer", VIEWER_LOGIN: "tapekeeper_reader"}


def login_url(server: EmbeddedPostgres, login: str, password: str, database: str) -> str:
    """Return the libpq URL of a login."""
    return f"postgresql://{login}:{quote(password, safe='')}@{LOOPBACK}:{server.port}/{database}"


def prepare_databases(server: EmbeddedPostgres, credentials: Credentials) -> list[str]:
    """Make the databases, tables and logins that are missing; returns the migrations that were applied."""
    _administer(server, credentials)
    applied = migrate(server.url(DATABASE))
    with closing(connect(server.url())) as connection, connection, connection.cursor() as cursor:
        for login, role in _ROLE_OF_LOGIN.items():
            cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))
    return applied


def _administer(server: EmbeddedPostgres, credentials: Credentials) -> None:
    with closing(connect(server.url())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            _ensure_login(cursor, APPLICATION_LOGIN, credentials.application_password)
            _ensure_login(cursor, VIEWER_LOGIN, credentials.viewer_password)
            _ensure_login(cursor, AIRFLOW_LOGIN, credentials.airflow_password)
            _ensure_database(cursor, DATABASE, owner=None)
            _ensure_database(cursor, AIRFLOW_DATABASE, owner=AIRFLOW_LOGIN)


def _ensure_login(cursor: Cursor, login: str, password: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,))
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    # The server gets only the verifier: neither its log nor its catalogue ever sees the password.
    verifier = encrypt_password(password, login, cursor.connection, "scram-sha-256")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, sql.Identifier(login)), (verifier,))


def _ensure_database(cursor: Cursor, database: str, *, owner: str | None) -> None:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
    if cursor.fetchone():
        return
    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    if owner:
        cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), sql.Identifier(owner)))
