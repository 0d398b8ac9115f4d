"""The writer: a thread of its own that commits what waits in the buffer, or keeps it on disk until it can."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from collector.batch import AWAY, Batch, apply, apply_apart
from collector.buffer import Loss
from collector.counters import Table
from collector.notes import QuotesLost
from collector.spool import SpoolFull
from tapekeeper.clock import MICROSECONDS_PER_SECOND, day_of, now_microseconds
from tapekeeper.errors import TapekeeperError
from tapekeeper.model.gap import Cause
from tapekeeper.store.ticks import ensure_partitions_ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.buffer import Buffer, Taken
    from collector.counters import Counters
    from collector.spool import Spool
    from tapekeeper.store.database import Database
    from tapekeeper.store.ticks import TickCounts

ROWS_PER_TRANSACTION: Final = 10_000
PARTITIONS_AHEAD_DAYS: Final = 2
_PARTITIONS_EVERY_SECONDS: Final = 3_600.0
_LOOK_SECONDS: Final = 0.05

log = logging.getLogger(__name__)


class Writer:
    """Commits batches in order: first those of the spool, then those of the buffer."""

    def __init__(
        self,
        database: Database,
        buffer: Buffer,
        spool: Spool,
        counters: Counters,
        collector: str,
        flush_seconds: float,
        quotes_series: Callable[[int], int | None],
        retry_seconds: float = 1.0,
    ) -> None:
        """`quotes_series` returns the series of an instrument's quotes; `collector` is the name of this process."""
        self.is_writing = False
        """Whether the last transaction was committed."""
        self._database = database
        self._buffer = buffer
        self._spool = spool
        self._counters = counters
        self._collector = collector
        self._flush_seconds = flush_seconds
        self._quotes_series = quotes_series
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._flush_at = time.monotonic() + flush_seconds
        self._partitions_at = 0.0
        self._stopping = threading.Event()
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def has_drained(self) -> bool:
        """Whether nothing that was spooled before waits any more."""
        return self._drained.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Commit or spool everything that is there, and end; at the latest after so many seconds."""
        self._stopping.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.error("the writer did not end within %.0f s: what it was about to commit is fetched again", seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wait()
            self._flush()
        self._flush()
        while self._buffer.rows_waiting and self._flush():
            pass
        self._database.close()

    def _wait(self) -> None:
        """Return when it is time to flush: after the interval, or when a transaction is full."""
        while time.monotonic() < self._flush_at and self._buffer.rows_waiting < ROWS_PER_TRANSACTION:
            if self._stopping.wait(min(_LOOK_SECONDS, max(0.0, self._flush_at - time.monotonic()))):
                return
        # From the beginning of a flush to the next: what a flush takes must not make the rows after it wait longer.
        self._flush_at = time.monotonic() + self._flush_seconds

    def _flush(self) -> bool:
        """Commit everything that can be; return whether something left the buffer."""
        try:
            self._make_partitions()
            if not self._drain():
                return self._keep(self._buffer.take(ROWS_PER_TRANSACTION))
            moved = False
            while taken := self._buffer.take(ROWS_PER_TRANSACTION):
                moved = True
                batch = self._batch_of(taken)
                if not self._commit(batch):
                    return self._keep(taken, batch)
                if self._buffer.rows_waiting < ROWS_PER_TRANSACTION and not self._stopping.is_set():
                    break
            return moved
        except Exception:
            # The thread must not die: whatever this is, the next flush may work.
            log.exception("a fault of the collector: the flush is tried again")
            time.sleep(_LOOK_SECONDS)
            return False

    def _make_partitions(self) -> None:
        if time.monotonic() < max(self._partitions_at, self._retry_at):
            return
        today = day_of(now_microseconds())
        try:
            self._database.run(lambda cursor: ensure_partitions_ahead(cursor, today, PARTITIONS_AHEAD_DAYS))
        except TapekeeperError as error:
            self._away(error)
            return
        self._partitions_at = time.monotonic() + _PARTITIONS_EVERY_SECONDS

    def _drain(self) -> bool:
        """Commit what is spooled, oldest first; return whether nothing waits there any more."""
        while (spooled := self._spool.first()) is not None:
            try:
                batch = msgspec.msgpack.decode(spooled.content, type=Batch)
            except msgspec.MsgspecError as error:
                log.error("a batch of the spool cannot be read and is put aside: %s", error)
                self._spool.refuse(spooled.content, str(error))
            else:
                if not self._commit(batch):
                    return False
            self._spool.remove(spooled)
        self._drained.set()
        return True

    def _commit(self, batch: Batch) -> bool:
        """Commit a batch, or return False if the database is away."""
        is_away = self._retry_at > 0 and not self.is_writing
        if is_away and (self._stopping.is_set() or time.monotonic() < self._retry_at):
            return False
        started = time.monotonic()
        try:
            counts = self._database.run(lambda cursor: apply(cursor, batch, self._collector))
        except AWAY as error:
            self._away(error)
            return False
        except Exception as error:  # noqa: BLE001 (whatever cannot be committed must not cost what can)
            return self._commit_apart(batch, error)
        self._count(batch, counts, time.monotonic() - started)
        return True

    def _commit_apart(self, batch: Batch, reason: Exception) -> bool:
        """Commit what can be of a batch that cannot be committed as a whole; rows that cannot go to quarantine."""
        log.error("a batch cannot be committed as a whole: %r", reason)
        started = time.monotonic()
        try:
            counts, refused = apply_apart(self._database, batch, self._collector)
        except AWAY as error:
            self._away(error)
            return False
        for note, why in refused:
            log.error("what the database refuses is put aside: %r: %r", note, why)
            self._spool.refuse(msgspec.msgpack.encode(note), repr(why))
        self._count(batch, counts, time.monotonic() - started)
        return True

    def _keep(self, taken: Taken, batch: Batch | None = None) -> bool:
        """Put on disk what the database does not take now; return whether it found a place."""
        if not taken:
            return False
        batch = batch or self._batch_of(taken)
        try:
            self._spool.put(msgspec.msgpack.encode(batch), has_rows=bool(batch.quotes or batch.trades))
        except SpoolFull as error:
            self._lose(taken, error)
            return False
        return True

    def _lose(self, taken: Taken, error: SpoolFull) -> None:
        """Give everything back but the quotes, which are lost and lie in gaps; without trades there is no hurry."""
        log.warning("quotes are dropped: %s", error)
        self._counters.rows_dropped[Table.QUOTES] += len(taken.quotes)
        notes = _gaps_of(_losses(taken), Cause.SPOOL_FULL, self._quotes_series, self._counters)
        self._buffer.give_back(taken._replace(quotes=[], notes=[*notes, *taken.notes]))
        self._stopping.wait(self._retry_seconds)

    def _batch_of(self, taken: Taken) -> Batch:
        self._counters.rows_dropped[Table.QUOTES] += sum(loss.quotes for loss in taken.losses.values())
        gaps = _gaps_of(taken.losses, Cause.BUFFER_OVERFLOW, self._quotes_series, self._counters)
        return Batch(taken.announced, taken.quotes, taken.trades, [*gaps, *taken.notes])

    def _count(self, batch: Batch, counts: TickCounts, seconds: float) -> None:
        now = now_microseconds()
        self.is_writing = True
        self._counters.rows_written[Table.QUOTES] += counts.quotes_inserted
        self._counters.rows_written[Table.TRADES] += counts.trades_inserted
        self._counters.last_commit_at = now
        self._counters.write_duration.observe(seconds)
        event_times = [row.event_time for row in batch.quotes] + [row.event_time for row in batch.trades]
        if event_times:
            latency = (now - np.array(event_times, dtype=np.int64)) / MICROSECONDS_PER_SECOND
            self._counters.ingest_latency.observe_all(np.maximum(latency, 0.0))

    def _away(self, error: TapekeeperError) -> None:
        if self.is_writing or self._retry_at == 0.0:
            log.warning("batches are kept on disk: %s", error)
        self.is_writing = False
        self._retry_at = time.monotonic() + self._retry_seconds


def _losses(taken: Taken) -> dict[int, Loss]:
    losses: dict[int, Loss] = {}
    for quote in taken.quotes:
        loss = Loss(quote.event_time, quote.event_time, 1)
        known = losses.get(quote.instrument_id)
        losses[quote.instrument_id] = loss if known is None else known.together_with(loss)
    return losses


def _gaps_of(
    losses: dict[int, Loss], cause: Cause, quotes_series: Callable[[int], int | None], counters: Counters
) -> list[QuotesLost]:
    gaps = []
    for instrument_id, loss in losses.items():
        series_id = quotes_series(instrument_id)
        if series_id is None:
            log.error("%d quotes of the unknown instrument %d were dropped", loss.quotes, instrument_id)
            continue
        counters.gaps_recorded[cause] += 1
        gaps.append(
            QuotesLost(series_id, loss.first_event_time, loss.last_event_time + 1, cause, {"quotes": loss.quotes})
        )
    return gaps
