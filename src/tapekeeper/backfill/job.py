"""A backfill from start to end, as the CLI and the DAGs run it."""

from __future__ import annotations

import json
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from tapekeeper.backfill.offers import offer_of
from tapekeeper.backfill.plan import make_plan, start_run
from tapekeeper.backfill.replaced_files import replaced_files, start_reload
from tapekeeper.backfill.runner import Runner
from tapekeeper.backfill.tools import open_database, tools_for
from tapekeeper.clock import now_microseconds
from tapekeeper.errors import BadData, RequestRejected, RetryLater, Stop
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.backfill import BackfillRequest, Direction, Mode
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, run_summary, runs, unfinished_runs
from tapekeeper.store.migrate import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tapekeeper.model.backfill import BackfillPlan, Chunk, RowCounts, RunSummary
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings

_log = logging.getLogger(__name__)


class BackfillJob:
    """Plans, runs and sums up backfills with the settings of one process."""

    def __init__(self, settings: Settings, *, priority: Priority = Priority.BACKFILL) -> None:
        self._settings = settings
        self._priority = priority
        self._database = open_database(settings, application_name="tapekeeper backfill")

    def plan(self, request: BackfillRequest) -> BackfillPlan:
        """Return what the backfill would do; the venue is asked for the instruments, nothing is written.

        Raises:
            RequestRejected: the venue does not know an instrument.
        """
        self._database.run(lambda cursor: check_schema(cursor.connection))
        tools = tools_for(request.dataset, self._settings, self._priority)()
        try:
            return make_plan(self._database, tools, request, self._settings, now=now_microseconds())
        finally:
            tools.close()

    def start(self, plan: BackfillPlan, run_key: str) -> int:
        """Write the plan down and return the run's id; a run of this key that exists already is gone on with."""
        return start_run(self._database, plan, run_key, now=now_microseconds())

    def find(self, run_key: str) -> int | None:
        """Return the id of the run of this key, or None."""
        return self._database.run(lambda cursor: runs.find_run(cursor, run_key))

    def series_of(self, run_id: int) -> list[tuple[int, str]]:
        """Return the id and the instrument of the series that have work in the run."""
        return self._database.run(lambda cursor: runs.series_with_work(cursor, run_id))

    def work(
        self,
        run_id: int,
        *,
        series_id: int | None = None,
        on_progress: Callable[[Chunk, RowCounts], None] | None = None,
    ) -> None:
        """Work on the run, or on one series of it, until nothing is left.

        Raises:
            RetryLater: the rest needs a longer wait; call again after `after_seconds`.
            Stop: a person has to change something first.
        """
        request = self._database.run(lambda cursor: runs.request_of(cursor, run_id))
        progress = _ProgressLog(self._settings.backfill.progress_rows, on_progress)
        Runner(
            run_id,
            request,
            self._settings,
            tools_for(request.dataset, self._settings, self._priority),
            series_id=series_id,
            on_progress=progress,
        ).run()

    def finish(self, run_id: int) -> RunSummary:
        """Close the run if nothing is left to do, log its summary as one JSON line, and return it."""
        self._database.run(lambda cursor: runs.close_run(cursor, run_id))
        summary = self._database.run(lambda cursor: run_summary.summarise(cursor, run_id))
        _log.info("%s", json.dumps({"event": "backfill_summary", **summary.as_json()}))
        return summary

    def give_up(self, run_id: int, reason: str) -> None:
        """End a run that its asker does not go on with."""
        self._database.run(lambda cursor: unfinished_runs.give_up(cursor, run_id, error=reason))

    def fresh_requests(self, dataset: Dataset) -> list[BackfillRequest]:
        """Return what keeps the followed series of a dataset fresh: from a little before the newest row until now."""
        now = now_microseconds()
        followed = self._database.run(lambda cursor: catalogue.kept_fresh(cursor, dataset))
        return [
            BackfillRequest(
                dataset=dataset,
                instruments=(name,),
                window=Window(start, now),
                resolution=resolution,
                direction=Direction.OLDEST_FIRST,
                mode=Mode.MISSING_ONLY,
                keep_fresh=True,
            )
            for name, resolution, start in followed
            if start + resolution.microseconds <= now
        ]

    def take_turn(self, dataset: Dataset, job_key: str, turn: str) -> list[RunSummary]:
        """Keep a dataset fresh, then load files again that were replaced, and return what was done.

        An archive that cannot be asked now is asked in the next turn: it keeps nothing else from being fresh.

        Args:
            dataset: whose series and files.
            job_key: as in `keep_fresh`.
            turn: as in `keep_fresh`.

        Raises:
            RateLimited: as in `keep_fresh`.
            Stop: as in `keep_fresh` and `reload_replaced`.
        """
        summaries = self.keep_fresh(dataset, job_key, turn)
        try:
            return summaries + self.reload_replaced(dataset, job_key, turn)
        except RetryLater as error:
            _log.warning("replaced files are looked for in the next turn: %s", error)
            return summaries

    def keep_fresh(self, dataset: Dataset, job_key: str, turn: str) -> list[RunSummary]:
        """Fetch what is new for the followed series of a dataset, and return what was done.

        Runs that an earlier turn of the same job left unfinished are gone on with first. What goes wrong with one
        series ends only that series.

        Args:
            dataset: whose series.
            job_key: the name of what calls this again and again; never twice at a time.
            turn: the name of this call, the same when it is repeated after a `RetryLater`.

        Raises:
            RateLimited: the budget is exhausted for longer than a worker should wait.
            Stop: some series could not be kept fresh; the message says how many, and why the first.
        """
        unfinished = self._database.run(lambda cursor: unfinished_runs.unfinished_runs(cursor, f"{job_key}/"))
        summaries = [self._go_on(run_id) for run_id in unfinished]
        troubles = [error for summary in summaries for error in summary.errors]
        for request in self.fresh_requests(dataset):
            key = f"{job_key}/{turn}/{request.instruments[0]}/{request.resolution}"
            try:
                summary = self._freshen(request, key)
            except (BadData, RequestRejected) as error:
                _log.error("%s is not kept fresh: %s", key, error)
                troubles.append(str(error))
                continue
            if summary is not None and summary.run_id not in unfinished:
                summaries.append(summary)
                troubles += summary.errors
        if troubles:
            raise Stop(f"not everything is fresh, {len(troubles)} times something went wrong, first: {troubles[0]}")
        return summaries

    def reload_replaced(self, dataset: Dataset, job_key: str, turn: str) -> list[RunSummary]:
        """Look at the checksums of loaded files whose turn it is, load those again that were replaced, and return what
        was done. Runs that an earlier turn of the same job left unfinished are gone on with first.

        Args:
            dataset: whose files.
            job_key: the name of what calls this again and again.
            turn: the name of this call, the same when it is repeated after a `RetryLater`.

        Raises:
            RetryLater: the archive cannot be asked now.
            Stop: some files could not be loaded again; the message says how many, and why the first.
        """
        if offer_of(dataset).archive is None or not self._settings.binance_archive.url:
            return []
        unfinished = self._database.run(lambda cursor: unfinished_runs.unfinished_runs(cursor, f"again/{job_key}/"))
        summaries = [self._go_on(run_id) for run_id in unfinished]
        tools = tools_for(dataset, self._settings, self._priority)()
        try:
            replaced = replaced_files(self._database, tools.archive(), dataset, self._settings, now=now_microseconds())
        finally:
            tools.close()
        for loaded in replaced:
            _log.warning("%s was replaced since it was loaded: it is loaded again", loaded.name)
            # What waits for the archive is not gone on with before everything is fresh.
            key = f"again/{job_key}/{turn}/{loaded.name}"
            summaries.append(self._go_on(self._database.run(partial(start_reload, loaded=loaded, run_key=key))))
        if troubles := [error for summary in summaries for error in summary.errors]:
            raise Stop(f"{len(troubles)} replaced files could not be loaded again, first: {troubles[0]}")
        return summaries

    def _freshen(self, request: BackfillRequest, run_key: str) -> RunSummary | None:
        """Fetch what is new of one series; None if nothing is, or if this turn has done it already without trouble."""
        done = self.find(run_key)
        if done is not None:
            summary = self._database.run(lambda cursor: run_summary.summarise(cursor, done))
            return summary if summary.errors else None
        planned = self.plan(request)
        return self._go_on(self.start(planned, run_key)) if planned.requests else None

    def _go_on(self, run_id: int) -> RunSummary:
        self.work(run_id)
        return self.finish(run_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection of the job itself."""
        self._database.close()


class _ProgressLog:
    """Logs a line each time so many rows have been written, and passes progress on; called from several threads."""

    def __init__(self, every_rows: int, onward: Callable[[Chunk, RowCounts], None] | None) -> None:
        self._every_rows = every_rows
        self._onward = onward
        self._lock = threading.Lock()
        self._rows = 0

    def __call__(self, chunk: Chunk, rows: RowCounts) -> None:
        with self._lock:
            before, self._rows = self._rows, self._rows + rows.fetched
            if before // self._every_rows != self._rows // self._every_rows:
                _log.info("%d rows so far, now at %s %s", self._rows, chunk.instrument_name, chunk.window)
            if self._onward is not None:
                self._onward(chunk, rows)
