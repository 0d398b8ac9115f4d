"""Runner: workers that work on one run until nothing of it is left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.worker import Worker
from tapekeeper.errors import RateLimited, RetryLater
from tapekeeper.model.backfill import Chunk, RowCounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekeeper.backfill.worker_tools import MakeTools
    from tapekeeper.model.backfill import BackfillRequest
    from tapekeeper.settings import Settings

_LOOK_AGAIN_LONGEST_SECONDS: Final = 1.0


class Runner:
    """Works on the chunks of one run, or of one series of it, until none is left."""

    def __init__(
        self,
        run_id: int,
        request: BackfillRequest,
        settings: Settings,
        make_tools: MakeTools,
        *,
        series_id: int | None = None,
        on_progress: Callable[[Chunk, RowCounts], None],
    ) -> None:
        """`on_progress` is called after each commit, from the worker's thread."""
        self._run_id = run_id
        self._request = request
        self._settings = settings
        self._make_tools = make_tools
        self._series_id = series_id
        self._on_progress = on_progress
        self._stop = threading.Event()
        self._busy: set[Worker] = set()

    def run(self) -> None:
        """Work until nothing is left.

        Raises:
            RetryLater: the rest needs a longer wait than a worker should sit out; call again after `after_seconds`.
            Stop: a person has to change something; everything that was committed stays.
        """
        with ThreadPoolExecutor(self._settings.backfill.workers, thread_name_prefix="chunk") as pool:
            futures = [pool.submit(self._work) for _ in range(self._settings.backfill.workers)]
            try:
                wait(futures)
            except BaseException:
                # Ctrl-C, or Airflow ends the task: leaving the block waits for the workers, so they have to know.
                self._stop.set()
                raise
        errors = [error for future in futures if (error := future.exception()) is not None]
        if errors:
            raise min(errors, key=_urgency)
        refusals = [future.result() for future in futures]
        if all(refusals):
            raise refusals[0] or AssertionError("every worker was refused without a reason")

    def _work(self) -> RateLimited | None:
        """Work until nothing is left; return why this worker did not begin, if there was no connection for it."""
        try:
            worker = Worker(
                self._run_id, self._request, self._settings, self._make_tools, self._on_progress, self._stop
            )
        except RateLimited as error:
            return error
        try:
            while not self._stop.is_set():
                chunk = worker.claim(self._series_id)
                if chunk is not None:
                    self._busy.add(worker)
                    worker.do(chunk)
                    self._busy.discard(worker)
                elif not self._wait_for_more(worker):
                    break
        except BaseException:
            self._stop.set()
            raise
        finally:
            worker.close()
        return None

    def _wait_for_more(self, worker: Worker) -> bool:
        """Wait a little for a chunk that another worker may give back; return False if none is left."""
        seconds = worker.seconds_until_next(self._series_id)
        if seconds is None:
            # Whoever waits for more need not find that out alone, up to a second later.
            self._stop.set()
            return False
        # A chunk that is leased to one of ours is not waited for in vain, however long the lease.
        if seconds > self._settings.http.inline_wait_longest_seconds and not self._busy:
            raise RetryLater(f"the next chunk can be had in {seconds:.0f} s", after_seconds=seconds)
        self._stop.wait(min(max(seconds, 0.05), _LOOK_AGAIN_LONGEST_SECONDS))
        return True


def _urgency(error: BaseException) -> int:
    """Order errors: what a person must see comes before what only needs another try."""
    return 1 if isinstance(error, RetryLater) else 0
