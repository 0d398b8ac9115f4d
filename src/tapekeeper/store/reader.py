"""Read-only access for a process of many threads, such as a web server."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeVar

from tapekeeper.errors import DatabaseUnavailable
from tapekeeper.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor as Cursor

STATEMENT_TIMEOUT_SECONDS: Final = 3
# The login may hold more rights than a reader needs, so every session gives them up by itself.
_PREPARE: Final = f"SET default_transaction_read_only = on; SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"
Result = TypeVar("Result")


class Reader:
    """One read-only connection per thread, made when it is needed and made anew after it broke."""

    def __init__(self, url: str, *, connect_timeout_seconds: int = 5) -> None:
        self._url = url
        self._connect_timeout_seconds = connect_timeout_seconds
        self._of_thread = threading.local()

    def run(self, work: Callable[[Cursor], Result]) -> Result:
        """Return what `work` returns, run in a read-only transaction whose statements take 3 s at the longest.

        Raises:
            DatabaseUnavailable: PostgreSQL is away, or a statement took too long.
            TapekeeperError: what `tapekeeper.store.database.explain` makes of any other error of PostgreSQL.
        """
        worked_before: bool = getattr(self._of_thread, "worked", False)
        try:
            return self._run(work)
        except DatabaseUnavailable:
            if not worked_before:
                raise
            # Most likely the server was restarted since the last use, and only our end of the connection is stale.
            return self._run(work)

    def _run(self, work: Callable[[Cursor], Result]) -> Result:
        if not hasattr(self._of_thread, "database"):
            self._of_thread.database = Database(
                self._url,
                application_name="tapekeeper reader",
                connect_timeout_seconds=self._connect_timeout_seconds,
                prepare=_PREPARE,
            )
        database: Database = self._of_thread.database
        self._of_thread.worked = False
        result = database.run(work)
        self._of_thread.worked = True
        return result
