"""The spool: what could not be committed waits on disk, in order, bounded, and survives the death of the process."""

from __future__ import annotations

import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.errors import ConfigInvalid, Stop

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "spool.sqlite"
NOTES_RESERVE: Final = 0.05
"""The share of the size that batches without rows may use beyond it: an account of what was lost must find a place."""
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS batches (position INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS refused (
        position INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT NOT NULL, content BLOB NOT NULL
    );
"""

log = logging.getLogger(__name__)


class SpoolFull(Stop):
    """Neither the spool nor its disk has room for the batch; nothing that is in it is lost."""


class Spooled(NamedTuple):
    """A batch and its place."""

    position: int
    content: bytes


class Spool:
    """A queue of batches in one SQLite file; for one thread, and for one process at a time."""

    def __init__(self, directory: Path, bytes_maximum: int) -> None:
        """Open the spool, made if it is new.

        Raises:
            ConfigInvalid: the folder cannot be written to, or another process has it.
        """
        self.capacity = bytes_maximum
        self._path = directory / FILE_NAME
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()
        except (OSError, sqlite3.OperationalError) as error:
            raise ConfigInvalid(
                f"the spool {self._path} cannot be used ({error}): name a folder that can be written to and that no "
                "other collector uses in TAPEKEEPER_COLLECTOR_SPOOL_DIRECTORY"
            ) from error
        count, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(length(content)), 0) FROM batches"
        ).fetchone()
        self.batches: int = count
        self.bytes: int = size
        self._done = 0
        """Batches up to this place are committed, even where the disk has no room to note that."""

    def put(self, content: bytes, *, has_rows: bool = True) -> None:
        """Add a batch at the end; it is on the disk when this returns.

        Raises:
            SpoolFull: there is no room.
        """
        room = self.capacity if has_rows else self.capacity * (1 + NOTES_RESERVE)
        if self.bytes + len(content) > room:
            raise SpoolFull(f"the spool {self._path} holds {self.bytes:,} bytes, and {self.capacity:,} are allowed")
        try:
            with self._connection:
                self._connection.execute("INSERT INTO batches (content) VALUES (?)", (content,))
        except sqlite3.OperationalError as error:
            raise SpoolFull(f"the disk of the spool {self._path} takes nothing more: {error}") from error
        self.batches += 1
        self.bytes += len(content)

    def first(self) -> Spooled | None:
        """Return the oldest batch, which stays until it is removed."""
        query = "SELECT position, content FROM batches WHERE position > ? ORDER BY position LIMIT 1"
        row = self._connection.execute(query, (self._done,)).fetchone()
        return None if row is None else Spooled(*row)

    def remove(self, spooled: Spooled) -> None:
        """Forget the oldest batch, which is committed."""
        self._done = spooled.position
        self.batches -= 1
        self.bytes -= len(spooled.content)
        try:
            with self._connection:
                self._connection.execute("DELETE FROM batches WHERE position <= ?", (self._done,))
        except sqlite3.OperationalError as error:
            # Removing takes room as well. What is not removed would be written again after a kill, and change nothing.
            if not self.batches:
                log.warning("the disk of the spool has no room even to remove from it: it begins anew: %s", error)
                self._begin_anew()

    def refuse(self, content: bytes, reason: str) -> None:
        """Keep apart what can never be committed, so that a person may look at it."""
        try:
            with self._connection:
                self._connection.execute("INSERT INTO refused (reason, content) VALUES (?, ?)", (reason, content))
        except sqlite3.OperationalError as error:
            log.error("what can never be committed cannot be kept either: %s (%s)", error, reason)

    def _begin_anew(self) -> None:
        """Give the room back that a spool takes in which no batch waits."""
        refused = self._connection.execute("SELECT reason, content FROM refused").fetchall()
        self._connection.close()
        for path in self._path.parent.glob(f"{FILE_NAME}*"):
            if ".broken-" not in path.name:
                path.unlink()
        self._connection, self._done = self._connected(), 0
        for reason, content in refused:
            self.refuse(content, reason)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            broken = self._path.with_name(f"{FILE_NAME}.broken-{int(time.time())}")
            log.error("the spool cannot be read and is put aside as %s: %s", broken, error)
            self._path.rename(broken)
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        # The writer's thread is another one than that which opens the spool.
        connection = sqlite3.connect(self._path, timeout=1.0, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection
