"""The database, as commands use it: one transaction, on a connection of its own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

from tapekeeper.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.settings import Settings

# The login may hold more rights than a reader needs.
_READ_ONLY: Final = "SET default_transaction_read_only = on"
Result = TypeVar("Result")


def read(settings: Settings, work: Callable[[Cursor], Result]) -> Result:
    """Return what `work` returns, run in a transaction that cannot change anything.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    return _run(settings, settings.reader_database_url.get_secret_value(), _READ_ONLY, work)


def write(settings: Settings, work: Callable[[Cursor], Result]) -> Result:
    """Return what `work` returns, run in a transaction.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    return _run(settings, settings.database.url.get_secret_value(), "SELECT", work)


def _run(settings: Settings, url: str, prepare: str, work: Callable[[Cursor], Result]) -> Result:
    timeout = settings.database.connect_timeout_seconds
    with closing(
        Database(url, application_name="tapekeeper shell", connect_timeout_seconds=timeout, prepare=prepare)
    ) as database:
        return database.run(work)
