"""Worker: one thread that leases chunks, fetches, and commits rows and their account together."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from tapekeeper.backfill.file_load import FileLoad
from tapekeeper.backfill.landing import land_answer
from tapekeeper.backfill.offers import offer_of
from tapekeeper.errors import BadData, DatabaseUnavailable, RequestRejected, RetryLater
from tapekeeper.http.client import BudgetExhausted
from tapekeeper.model.backfill import Chunk, RowCounts, Source
from tapekeeper.store import runs
from tapekeeper.store.quarantine import quarantine
from tapekeeper.store.runs import LeaseLost

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.worker_tools import MakeTools
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.model.backfill import BackfillRequest
    from tapekeeper.settings import Settings

_BAD_DATA_PAUSE_SECONDS: Final = 1.0
_DATABASE_PAUSE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class _Interrupted(RetryLater):
    """The run is ending; the chunk goes back as if it had not been tried."""


class Worker:
    """One thread: claim, fetch, commit.

    Args:
        run_id: whose chunks are worked on.
        request: of the run.
        settings: of the process.
        make_tools: makes what the thread has for itself.
        on_progress: called after each commit.
        stop: set when the run is ending.

    Raises:
        RateLimited: there is no connection for one more.
    """

    def __init__(
        self,
        run_id: int,
        request: BackfillRequest,
        settings: Settings,
        make_tools: MakeTools,
        on_progress: Callable[[Chunk, RowCounts], None],
        stop: threading.Event,
    ) -> None:
        self._run_id = run_id
        self._request = request
        self._settings = settings
        self._on_progress = on_progress
        self._stop = stop
        self._owner = uuid.uuid4()
        self._chunk: Chunk | None = None
        self._renewed_at = 0.0
        self._tools = make_tools(self._while_waiting)

    def claim(self, series_id: int | None) -> Chunk | None:
        """Lease the next chunk, or return None if none can be had now."""
        lease_seconds = self._settings.backfill.lease_seconds
        self._chunk = self._patiently(
            lambda cursor: runs.claim(cursor, self._run_id, series_id, self._owner, lease_seconds)
        )
        self._renewed_at = time.monotonic()
        return self._chunk

    def seconds_until_next(self, series_id: int | None) -> float | None:
        """Return when the next chunk can be had, None if all are finished."""
        return self._patiently(lambda cursor: runs.seconds_until_next(cursor, self._run_id, series_id))

    def do(self, chunk: Chunk) -> None:
        """Fetch a chunk and commit it; what goes wrong with it is written down and ends only this chunk."""
        try:
            self._fetch_and_commit(chunk)
        except LeaseLost as error:
            _log.warning("%s", error)
        finally:
            self._chunk = None

    def _fetch_and_commit(self, chunk: Chunk) -> None:
        try:
            self._tools.about_to_fetch(chunk)
            self._on_progress(chunk, self._load(chunk) if chunk.source is Source.ARCHIVE else self._ask(chunk))
        except _Interrupted as error:
            self._come_back(chunk, error)
        except BadData as error:
            self._again_or_fail(chunk, error)
        except RequestRejected as error:
            self._fail(chunk, error)
        except (DatabaseUnavailable, LeaseLost):
            raise
        except RetryLater as error:
            if self._tries_are_used_up(error):
                self._fail(chunk, error)
            else:
                self._come_back(chunk, error)
                raise

    def _ask(self, chunk: Chunk) -> RowCounts:
        """Ask the venue for the chunk's window, and commit what it tells."""
        dataset = self._request.dataset
        answer = self._tools.venue.rows(dataset, chunk.instrument_name, chunk.window, chunk.resolution)
        return self._patiently(lambda cursor: self._commit(cursor, chunk, answer))

    def _load(self, chunk: Chunk) -> RowCounts:
        """Load the chunk's window from the archive, and what is missing there over REST; commit file by file."""
        load = FileLoad(
            self._tools,
            self._request.dataset,
            chunk,
            self._settings,
            self._patiently,
            renew=lambda cursor: self._renew(cursor, chunk),
            count=lambda cursor, rows: runs.count(cursor, chunk, self._owner, rows),
            finish=lambda cursor, rows: runs.finish(cursor, chunk, self._owner, rows),
        )
        return load.run()

    def _tries_are_used_up(self, error: RetryLater) -> bool:
        """The HTTP client sits out every short wait itself, up to its number of tries: a longer one, and one for our
        own budget, is a request to come back; a shorter one means that the tries are used up.
        """
        longest = self._settings.http.inline_wait_longest_seconds
        return error.after_seconds <= longest and not isinstance(error, BudgetExhausted)

    def close(self) -> None:
        """Close what the thread opened."""
        self._tools.close()

    def _commit(self, cursor: Cursor, chunk: Chunk, answer: Answer[Rows]) -> RowCounts:
        """Write good rows, quarantine bad ones, settle the chunk: one transaction."""
        is_last_try = chunk.attempts >= self._settings.backfill.attempts_per_chunk
        quarantine(cursor, chunk.series_id, answer.rejected)
        rows = RowCounts()
        is_final = is_last_try or offer_of(self._request.dataset).step is None
        if not answer.rejected or is_final:
            evidence = {"run_id": chunk.run_id, "rejected": len(answer.rejected)}
            rows = land_answer(
                cursor,
                self._request.dataset,
                chunk.series_id,
                chunk.window,
                answer,
                by="backfill",
                evidence=evidence,
            )
        if not answer.rejected:
            runs.finish(cursor, chunk, self._owner, rows)
            return rows
        rows = replace(rows, fetched=len(answer.rows) + len(answer.rejected), rejected=len(answer.rejected))
        error = f"{len(answer.rejected)} rows are in quarantine, first: {answer.rejected[0].reason}"
        if is_last_try:
            runs.fail(cursor, chunk, self._owner, rows, error=error)
        else:
            runs.give_back(
                cursor, chunk, self._owner, rows, error=error, after_seconds=_BAD_DATA_PAUSE_SECONDS, counts=True
            )
        return rows

    def _again_or_fail(self, chunk: Chunk, error: BadData) -> None:
        if chunk.attempts >= self._settings.backfill.attempts_per_chunk:
            self._fail(chunk, error)
            return
        _log.warning("%s %s is tried again: %s", chunk.instrument_name, chunk.window, error)
        self._patiently(
            lambda cursor: runs.give_back(
                cursor,
                chunk,
                self._owner,
                RowCounts(),
                error=str(error),
                after_seconds=_BAD_DATA_PAUSE_SECONDS,
                counts=True,
            )
        )

    def _fail(self, chunk: Chunk, error: Exception) -> None:
        _log.error("%s %s failed: %s", chunk.instrument_name, chunk.window, error)
        self._patiently(lambda cursor: runs.fail(cursor, chunk, self._owner, RowCounts(), error=str(error)))

    def _come_back(self, chunk: Chunk, error: RetryLater) -> None:
        self._patiently(
            lambda cursor: runs.give_back(
                cursor,
                chunk,
                self._owner,
                RowCounts(),
                error=str(error),
                after_seconds=error.after_seconds,
                counts=False,
            )
        )

    def _while_waiting(self) -> None:
        if self._stop.is_set() and self._chunk is not None:
            raise _Interrupted("the run was interrupted", after_seconds=0)
        self._renew_if_due()

    def _renew_if_due(self) -> None:
        chunk = self._chunk
        if chunk is None or time.monotonic() - self._renewed_at < self._settings.backfill.lease_seconds / 3:
            return
        try:
            self._tools.database.run(lambda cursor: self._renew(cursor, chunk))
        except DatabaseUnavailable as error:
            _log.warning("the lease of %s is not renewed: %s", chunk.window, error)
        self._renewed_at = time.monotonic()

    def _renew(self, cursor: Cursor, chunk: Chunk) -> None:
        """Keep the chunk; inside a long transaction nobody can take it before its end."""
        runs.renew(cursor, chunk, self._owner, self._settings.backfill.lease_seconds)

    def _patiently(self, work: Callable[[Cursor], Result]) -> Result:
        """Run a transaction, and sit out a database that is away for a short while."""
        deadline = time.monotonic() + self._settings.http.inline_wait_longest_seconds
        while True:
            try:
                return self._tools.database.run(work)
            except LeaseLost:
                raise
            except DatabaseUnavailable as error:
                if time.monotonic() > deadline or self._stop.is_set():
                    raise
                _log.warning("waiting for the database: %s", error)
                self._stop.wait(_DATABASE_PAUSE_SECONDS)
