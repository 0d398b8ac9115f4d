"""A backfill from start to end, as the CLI and the DAGs run it."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

from tapekeeper.backfill.plan import make_plan, start_run
from tapekeeper.backfill.runner import Runner
from tapekeeper.backfill.tools import open_database, tools_for
from tapekeeper.clock import now_microseconds
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.backfill import BackfillRequest, Direction, Mode
from tapekeeper.model.window import Window
from tapekeeper.store import catalogue, runs
from tapekeeper.store.migrate import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable

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
        tools = tools_for(request.dataset, self._settings, self._priority)(_nothing)
        try:
            return make_plan(self._database, tools.venue, request, self._settings, now=now_microseconds())
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
        summary = self._database.run(lambda cursor: runs.summarise(cursor, run_id))
        _log.info("%s", json.dumps({"event": "backfill_summary", **summary.as_json()}))
        return summary

    def fresh_requests(self, dataset: Dataset) -> list[BackfillRequest]:
        """Return what keeps the followed series of a dataset fresh: from the newest row of each until now."""
        now = now_microseconds()
        followed = self._database.run(lambda cursor: catalogue.kept_fresh(cursor, dataset))
        return [
            BackfillRequest(
                dataset=dataset,
                instruments=(name,),
                window=Window(newest, now),
                resolution=resolution,
                direction=Direction.OLDEST_FIRST,
                mode=Mode.MISSING_ONLY,
                keep_fresh=True,
            )
            for name, resolution, newest in followed
            if newest + 2 * resolution.microseconds <= now
        ]

    def keep_fresh(self, dataset: Dataset, run_key: str) -> list[RunSummary]:
        """Fetch what is new for the followed series of a dataset, and return what was done.

        Raises:
            RateLimited: the budget is exhausted for longer than a worker should wait.
        """
        summaries = []
        for request in self.fresh_requests(dataset):
            key = f"{run_key}/{request.instruments[0]}/{request.resolution}"
            run_id = self.find(key) or self.start(self.plan(request), key)
            self.work(run_id)
            summaries.append(self.finish(run_id))
        return summaries

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
                _log.info("%d candles so far, now at %s %s", self._rows, chunk.instrument_name, chunk.window)
            if self._onward is not None:
                self._onward(chunk, rows)


def _nothing() -> None:
    """Stand in where no lease has to be renewed."""
