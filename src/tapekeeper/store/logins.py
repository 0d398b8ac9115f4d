"""The logins of a server: made where they are missing, and given the password that is theirs now.

Running it again with other passwords changes them, so this is how a server is set up and how its passwords are rotated.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password, make_dsn, parse_dsn

from tapekeeper.errors import ConfigInvalid
from tapekeeper.store.database import connect, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

ADVISORY_LOCK: Final = 7_463_201_119
"""Held meanwhile: two who make the same role at once would stumble over each other."""
DASHBOARD_STATEMENT_SECONDS: Final = 30
"""A dashboard that is left open must not keep the database busy."""
_MAINTENANCE: Final = "postgres"


class Role(StrEnum):
    """What a login may do."""

    OWNER = "owner"
    """Owns the database and its tables: `tapekeeper migrate`."""
    WRITER = "writer"
    READER = "reader"
    DASHBOARD = "dashboard"
    """A reader that cannot write by mistake, and whose statements end after half a minute."""
    APART = "apart"
    """Has a database of its own, of the same name, for another program such as Airflow; sees nothing of ours."""


_GROUPS: Final = {
    Role.OWNER: "tapekeeper_owner",
    Role.WRITER: "tapekeeper_writer",
    Role.READER: "tapekeeper_reader",
    Role.DASHBOARD: "tapekeeper_reader",
}


@dataclass(frozen=True, slots=True)
class Login:
    """One login, as it should be."""

    name: str
    role: Role
    password: str

    def __repr__(self) -> str:
        return f"Login({self.name!r}, {self.role.value})"


def ensure_logins(url: str, logins: Sequence[Login]) -> None:
    """Make the database that the URL names, the group roles and the logins; what is there already gets its password.

    Args:
        url: libpq URL of a superuser of the server; the database that it names need not be there yet.
        logins: the first owner among them becomes the owner of that database.

    Raises:
        ConfigInvalid: the URL names no database of its own.
        AuthRejected: the login of the URL may not make logins.
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    database = parse_dsn(url).get("dbname", _MAINTENANCE)
    if database == _MAINTENANCE:
        raise ConfigInvalid("the URL has to name the database to make, such as postgresql://postgres@host/tapekeeper")
    with closing(connect(make_dsn(url, dbname=_MAINTENANCE), application_name="tapekeeper logins")) as connection:
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
                _ensure(cursor, database, logins)
        except psycopg2.Error as error:
            raise explain(error) from error


def _ensure(cursor: Cursor, database: str, logins: Sequence[Login]) -> None:
    groups = sorted(set(_GROUPS.values()))
    for group in groups:
        if not _exists(cursor, group):
            cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(group)))
    # The owner's function counts sessions by what they do, for the dashboards; what they ask it tells nobody.
    cursor.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(_GROUPS[Role.OWNER])))
    for login in logins:
        _ensure_login(cursor, login)
    owners = [login.name for login in logins if login.role is Role.OWNER]
    _ensure_database(cursor, database, owners[0] if owners else None, users=groups)
    for login in logins:
        if login.role is Role.APART:
            _ensure_database(cursor, login.name, login.name, users=[login.name])


def _ensure_login(cursor: Cursor, login: Login) -> None:
    name = sql.Identifier(login.name)
    verb = sql.SQL("ALTER" if _exists(cursor, login.name) else "CREATE")
    # The server gets only the verifier: neither its log nor its catalogue ever sees the password.
    verifier = encrypt_password(login.password, login.name, cursor.connection, "scram-sha-256")
    cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, name), (verifier,))
    if login.role in _GROUPS:
        cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(_GROUPS[login.role]), name))
    if login.role is Role.DASHBOARD:
        cursor.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
        limit = sql.Literal(f"{DASHBOARD_STATEMENT_SECONDS}s")
        cursor.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(name, limit))


def _ensure_database(cursor: Cursor, database: str, owner: str | None, *, users: Sequence[str]) -> None:
    name = sql.Identifier(database)
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
    if not cursor.fetchone():
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(name))
        # By default every login of the server may connect: Airflow's to our data, ours to Airflow's.
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        allowed = sql.SQL(", ").join(map(sql.Identifier, users))
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, allowed))
    if owner:
        cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(owner)))


def _exists(cursor: Cursor, role: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    return cursor.fetchone() is not None
