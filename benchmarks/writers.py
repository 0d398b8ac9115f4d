"""Ways to write candles: ours, and those that one meets elsewhere."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Protocol

import asyncpg  # type: ignore[import-untyped]
from psycopg2.extras import execute_values

from benchmarks.sample import INSTRUMENT, ONE_MINUTE, window_of
from tapekeeper.clock import from_microseconds
from tapekeeper.model.backfill import BackfillRequest, PlannedChunk, Source
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, coverage, runs
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import CANDLES, INCOMING_GRID_TABLES, write_rows
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.backfill import Chunk
    from tapekeeper.model.candle import Candles

Row = tuple[object, ...]

_COLUMNS: Final = ("series_id", "open_time", "open", "high", "low", "close", "volume", "cost")
_INSERT: Final = f"INSERT INTO candles ({', '.join(_COLUMNS)}) VALUES"
_ON_CONFLICT: Final = "ON CONFLICT (series_id, open_time) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _COLUMNS[2:]
)
_LEASE_SECONDS: Final = 3_600.0


class Writer(Protocol):
    """One way to write chunks, each in a transaction of its own.

    Called in this order: `prepare` before every pass, outside the measured time, then `write` for each chunk.
    """

    def prepare(self, chunks: Sequence[Candles]) -> None:
        """Bring the chunks into the form that this way takes."""
        ...

    def write(self, position: int) -> None:
        """Write the chunk of this position and commit."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


class Ours:
    """Rows, coverage, totals and the settled chunk in one transaction, as the runner of a backfill commits them."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, prepare=INCOMING_GRID_TABLES)
        self._owner = uuid.uuid4()
        self._candles: Sequence[Candles] = ()
        self._chunks: list[Chunk] = []

    def prepare(self, chunks: Sequence[Candles]) -> None:
        """Plan a run over the chunks and lease them all."""
        self._candles = chunks
        self._chunks = self._database.run(lambda cursor: self._leased(cursor, [window_of(chunk) for chunk in chunks]))

    def write(self, position: int) -> None:
        """Write the chunk of this position and commit."""
        self._database.run(lambda cursor: self._commit(cursor, self._chunks[position], self._candles[position]))

    def close(self) -> None:
        """Give the connection back."""
        self._database.close()

    def _commit(self, cursor: Cursor, chunk: Chunk, rows: Candles) -> None:
        counts = write_rows(cursor, CANDLES, chunk.series_id, rows)
        runs.finish(cursor, chunk, self._owner, counts)

    def _leased(self, cursor: Cursor, windows: list[Window]) -> list[Chunk]:
        whole = Window(windows[0].start, windows[-1].end)
        series = catalogue.ensure_series(cursor, DERIBIT_PERPETUAL_CANDLES, INSTRUMENT, ONE_MINUTE)
        lock_series(cursor, series.series_id)
        catalogue.follow(cursor, series.series_id, whole, keep_fresh=False, reason="benchmark")
        coverage.expect(cursor, series.series_id, whole, ONE_MINUTE, life_start=INSTRUMENT.listed_at, horizon=whole.end)
        request = BackfillRequest(DERIBIT_PERPETUAL_CANDLES, (INSTRUMENT.name,), whole, ONE_MINUTE)
        run_id = runs.create_run(cursor, str(uuid.uuid4()), request)
        if run_id is None:
            raise AssertionError("a run of a random key exists already")
        runs.add_chunks(cursor, run_id, series.series_id, [PlannedChunk(each, Source.REST) for each in windows])
        claimed = [runs.claim(cursor, run_id, None, self._owner, _LEASE_SECONDS) for _ in windows]
        return [chunk for chunk in claimed if chunk is not None]


class _Psycopg2Rows:
    """What the two ways of psycopg2 share: one statement for the rows of a chunk, then a commit."""

    def __init__(self, url: str) -> None:
        self._connection = connect(url)
        self._chunks: list[list[Row]] = []

    def prepare(self, chunks: Sequence[Candles]) -> None:
        """Make the rows."""
        self._chunks = [_rows(chunk) for chunk in chunks]

    def write(self, position: int) -> None:
        """Write the chunk of this position and commit."""
        with self._connection, self._connection.cursor() as cursor:
            self._write(cursor, self._chunks[position])

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _write(self, cursor: Cursor, rows: list[Row]) -> None:
        raise NotImplementedError


class Psycopg2ExecuteMany(_Psycopg2Rows):
    """A statement and a round trip per row."""

    def _write(self, cursor: Cursor, rows: list[Row]) -> None:
        marks = ", ".join(["%s"] * len(_COLUMNS))
        cursor.executemany(f"{_INSERT} ({marks}) {_ON_CONFLICT}", rows)


class Psycopg2ExecuteValues(_Psycopg2Rows):
    """One statement with all rows of the chunk in its text."""

    def _write(self, cursor: Cursor, rows: list[Row]) -> None:
        execute_values(cursor, f"{_INSERT} %s {_ON_CONFLICT}", rows, page_size=len(rows))


class AsyncpgExecuteMany:
    """A prepared statement, its rows sent in the binary protocol without waiting for each."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: Any = self._loop.run_until_complete(asyncpg.connect(url))
        self._chunks: list[list[Row]] = []
        marks = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
        self._statement = f"{_INSERT} ({marks}) {_ON_CONFLICT}"

    def prepare(self, chunks: Sequence[Candles]) -> None:
        """Make the rows."""
        self._chunks = [_rows(chunk) for chunk in chunks]

    def write(self, position: int) -> None:
        """Write the chunk of this position and commit: asyncpg's executemany is one transaction."""
        self._loop.run_until_complete(self._connection.executemany(self._statement, self._chunks[position]))

    def close(self) -> None:
        """Give the connection back."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


def export_for_copy(url: str, rows: int) -> str:
    """Let the server write what `candles` holds to a file of its own in binary form; return the file's path."""
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        path = f"{(cursor.fetchone() or ('',))[0]}/benchmark_candles.copy"
        cursor.execute("COPY candles TO %s (FORMAT binary)", (path,))
        if cursor.rowcount != rows:
            raise AssertionError(f"{cursor.rowcount} rows were exported instead of {rows}")
    return path


class ServerSideCopy:
    """What the server can do at most: COPY from its own file, no client, no conflict, one commit for all."""

    def __init__(self, url: str, path: str) -> None:
        self._connection = connect(url)
        self._path = path

    def write(self) -> None:
        """Copy the whole file and commit."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("COPY candles FROM %s (FORMAT binary)", (self._path,))

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _rows(chunk: Candles) -> list[Row]:
    """Return a chunk as the tuples that drivers take; the series is the first that a new database has."""
    return [
        (1, from_microseconds(moment), *values)
        for moment, *values in zip(
            chunk.open_time.tolist(),
            *(getattr(chunk, name).tolist() for name in _COLUMNS[2:]),
            strict=True,
        )
    ]
