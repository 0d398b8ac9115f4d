"""Connections, transactions, and what an error of PostgreSQL asks us to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg2
import psycopg2.errors

from tapekeeper.errors import AuthRejected, DatabaseUnavailable, SchemaTooOld, Stop, StorageFull, TapekeeperError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

RETRY_AFTER_SECONDS: Final = 5.0
_CONFLICT_RETRIES: Final = 5
_LACKING: Final = (
    psycopg2.errors.UndefinedTable,
    psycopg2.errors.UndefinedColumn,
    psycopg2.errors.UndefinedFunction,
)
_REFUSALS: Final = ("authentication failed", "does not exist", "no pg_hba.conf entry", "permission denied for database")
_CONFLICTS: Final = (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure)
Result = TypeVar("Result")


def connect(url: str, *, application_name: str = "tapekeeper", connect_timeout_seconds: int = 5) -> Connection:
    """Return a new connection that speaks UTC.

    Raises:
        DatabaseUnavailable: nothing answers there, or it is starting or stopping.
        AuthRejected: the login, its password or the database name is wrong.
    """
    try:
        return psycopg2.connect(
            url,
            connect_timeout=connect_timeout_seconds,
            application_name=application_name,
            options="-c TimeZone=UTC",
            # A peer that vanished is noticed within half a minute instead of two hours.
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=4,
        )
    except psycopg2.Error as error:
        raise explain(error) from error


def explain(error: psycopg2.Error) -> TapekeeperError:
    """Return the error of ours that says what to do about an error of PostgreSQL."""
    said = " ".join(str(error).split())
    if isinstance(error, psycopg2.errors.DiskFull):
        return StorageFull(f"PostgreSQL has no room left: free or add disk space, then run the same again ({said})")
    if isinstance(error, _LACKING):
        return SchemaTooOld(f"the database lacks a table, column or function: run tapekeeper migrate ({said})")
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        return AuthRejected(
            "the database login lacks a right: grant it tapekeeper_writer to fetch, tapekeeper_reader to look; "
            f"tapekeeper migrate needs an administrator ({said})"
        )
    if isinstance(error, psycopg2.errors.ReadOnlySqlTransaction):
        return AuthRejected(
            "the database only lets this login read: let TAPEKEEPER_DATABASE_URL name the primary server and a login "
            f"that may write ({said})"
        )
    # A refused connection carries no code of PostgreSQL; the same words about a statement mean something else.
    if error.pgcode is None and any(words in said for words in _REFUSALS):
        return AuthRejected(f"PostgreSQL refuses the login: check TAPEKEEPER_DATABASE_URL ({said})")
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return DatabaseUnavailable(
            f"PostgreSQL cannot be reached: check that it runs and that TAPEKEEPER_DATABASE_URL is right ({said})",
            after_seconds=RETRY_AFTER_SECONDS,
        )
    return Stop(f"PostgreSQL refused a statement, which is a fault of tapekeeper: please report it ({said})")


class Database:
    """One connection that is made when it is needed and made anew after it broke; not for two threads at once."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str = "tapekeeper",
        connect_timeout_seconds: int = 5,
        prepare: str = "SELECT",
    ) -> None:
        """`prepare` is a statement that every new connection runs first, such as one that makes a temporary table."""
        self._url = url
        self._application_name = application_name
        self._connect_timeout_seconds = connect_timeout_seconds
        self._prepare = prepare
        self._connection: Connection | None = None

    def run(self, work: Callable[[Cursor], Result]) -> Result:
        """Return what `work` returns, run in a transaction of its own.

        It is run again after a deadlock, and on a new connection if the old one turns out to be broken; never after
        a commit that may have succeeded.

        Raises:
            DatabaseUnavailable: PostgreSQL is away, or the deadlocks did not end.
            TapekeeperError: what `explain` makes of any other error of PostgreSQL.
        """
        for attempt in range(1, _CONFLICT_RETRIES + 1):
            try:
                return self._run_once(work)
            except _CONFLICTS as error:
                if attempt == _CONFLICT_RETRIES:
                    raise DatabaseUnavailable(
                        f"{_CONFLICT_RETRIES} deadlocks in a row: run the same again later ({error})",
                        after_seconds=RETRY_AFTER_SECONDS,
                    ) from error
                time.sleep(0.05 * attempt)
            except psycopg2.Error as error:
                explained = explain(error)
                if isinstance(explained, DatabaseUnavailable):
                    self.close()
                raise explained from error
        raise AssertionError("the loop above returns or raises")

    def _run_once(self, work: Callable[[Cursor], Result]) -> Result:
        was_open = self._connection is not None
        try:
            connection = self._connected()
            result = _rolled_back_on_error(connection, work)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            if not was_open or not self._is_broken():
                raise
            connection = self._connected()
            result = _rolled_back_on_error(connection, work)
        connection.commit()
        return result

    def close(self) -> None:
        """Close the connection; the next use makes a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _is_broken(self) -> bool:
        return self._connection is None or self._connection.closed != 0

    def _connected(self) -> Connection:
        if self._connection is None or self._is_broken():
            self._connection = connect(
                self._url,
                application_name=self._application_name,
                connect_timeout_seconds=self._connect_timeout_seconds,
            )
            try:
                with self._connection, self._connection.cursor() as cursor:
                    cursor.execute(self._prepare)
            except BaseException:
                # A connection that is not prepared must not be used by the next one who asks.
                self.close()
                raise
        return self._connection


def _rolled_back_on_error(connection: Connection, work: Callable[[Cursor], Result]) -> Result:
    try:
        with connection.cursor() as cursor:
            return work(cursor)
    except BaseException:
        if not connection.closed:
            connection.rollback()
        raise
