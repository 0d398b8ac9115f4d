"""Repair: open gaps are fetched again, one by one, until nothing is missing or nobody has what is."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.tools import open_database, tools_for
from tapekeeper.errors import BadData, ConfigInvalid, DatabaseUnavailable, RequestRejected, RetryLater, TapekeeperError
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.repair import RepairSummary
from tapekeeper.repair.gap_repair import GapRepair
from tapekeeper.store import gaps, repair_claims
from tapekeeper.store.migrate import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from tapekeeper.backfill.worker_tools import WorkerTools
    from tapekeeper.model.series import Dataset
    from tapekeeper.settings import Settings
    from tapekeeper.store.repair_claims import Claim

_REFUSALS_IN_A_ROW: Final = 3
"""So many gaps that the venue cannot be asked for, one after the other, and the rest is left for another run."""
_log = logging.getLogger(__name__)


class RepairJob:
    """Repairs gaps with the settings of one process, one gap at a time."""

    def __init__(self, settings: Settings, *, on_progress: Callable[[int, int], None] | None = None) -> None:
        """`on_progress` is told how many gaps were tried, of how many."""
        self._settings = settings
        self._on_progress = on_progress or _unheard
        self._database = open_database(settings, application_name="tapekeeper repair")
        self._tools: dict[str, WorkerTools] = {}

    def has_work(self) -> bool:
        """Return whether a gap is due, with one cheap query.

        Raises:
            SchemaTooOld: the database lacks migrations.
        """
        self._database.run(lambda cursor: check_schema(cursor.connection))
        return bool(self._due(limit=1))

    def repair_open(self, *, by: str) -> RepairSummary:
        """Repair the gaps that are due, newest and largest first, at most as many as are set for one run.

        Raises:
            RetryLater: the database is away, or no connection to the venue is free.
            Stop: a person has to change something first; what was repaired stays.
        """
        self._database.run(lambda cursor: check_schema(cursor.connection))
        due = self._due(limit=self._settings.repair.gaps_per_run)
        return self._repair(due, by, self._settings.repair.attempt_pause_minutes)

    def repair(self, gap_id: int, *, by: str) -> RepairSummary:
        """Repair one gap at once, whenever its next try would have been.

        Raises:
            ConfigInvalid: there is no such gap, or it is closed.
            RetryLater: the database is away, or no connection to the venue is free.
            Stop: a person has to change something first.
        """
        self._database.run(lambda cursor: check_schema(cursor.connection))
        gap = self._database.run(lambda cursor: gaps.find_gap(cursor, gap_id))
        if gap.state.is_closed:
            raise ConfigInvalid(
                f"gap {gap_id} is {gap.state} already: choose one that `tapekeeper gaps list` shows open"
            )
        return self._repair([gap_id], by, None)

    def _due(self, *, limit: int) -> list[int]:
        head_start = self._settings.repair.attempt_pause_minutes
        return self._database.run(
            lambda cursor: repair_claims.due_gaps(cursor, head_start_minutes=head_start, limit=limit)
        )

    def _repair(self, gap_ids: Sequence[int], by: str, head_start_minutes: float | None) -> RepairSummary:
        """Repair gaps; without a head start for the collector they are due because a person says so."""
        started, refusals, summary = time.monotonic(), 0, RepairSummary()
        for tried, gap_id in enumerate(gap_ids):
            self._on_progress(tried, len(gap_ids))
            with self._claimed(gap_id, by, head_start_minutes) as claim:
                if claim is None:
                    summary = replace(summary, skipped=summary.skipped + 1)
                    continue
                done, was_refused = self._try(claim, by)
            summary += done
            refusals = refusals + 1 if was_refused else 0
            if refusals == _REFUSALS_IN_A_ROW:
                _log.warning("%d gaps in a row could not be asked for: the rest is left for another run", refusals)
                break
        else:
            self._on_progress(len(gap_ids), len(gap_ids))
        left = self._database.run(repair_claims.count_left)
        summary = replace(summary, left=left, seconds=time.monotonic() - started)
        _log.info("%s", json.dumps({"event": "repair_summary", **summary.as_json()}))
        return summary

    @contextmanager
    def _claimed(self, gap_id: int, by: str, head_start_minutes: float | None) -> Iterator[Claim | None]:
        """Hold a gap, if nobody else does and it is due."""
        if not self._database.run(lambda cursor: repair_claims.lock_gap(cursor, gap_id)):
            yield None
            return
        try:
            claim = self._database.run(
                lambda cursor: repair_claims.claim(cursor, gap_id, by=by, head_start_minutes=head_start_minutes)
            )
            try:
                yield claim
            except BaseException as error:
                # Ctrl-C, or a person has to change something: the gap is not to be blamed.
                if claim is not None:
                    self._give_back(claim, by, f"interrupted: {type(error).__name__}")
                raise
        finally:
            # The lock goes with the connection, if that is gone.
            with suppress(TapekeeperError):
                self._database.run(lambda cursor: repair_claims.unlock_gap(cursor, gap_id))

    def _give_back(self, claim: Claim, by: str, why: str) -> None:
        with suppress(TapekeeperError):
            self._database.run(lambda cursor: repair_claims.give_back(cursor, claim, by=by, why=why))

    def _try(self, claim: Claim, by: str) -> tuple[RepairSummary, bool]:
        """Return what one try did, and whether the venue could not be asked now."""
        repair = GapRepair(self._tools_of(claim.dataset), claim, self._settings, by)
        try:
            return repair.run(), False
        except DatabaseUnavailable:
            raise
        except (RetryLater, BadData, RequestRejected) as error:
            _log.warning("gap %d of %s: %s", claim.gap.gap_id, claim.instrument_name, error)
            return repair.postpone(str(error), after_seconds=self._pause_seconds(error)), isinstance(error, RetryLater)

    def _pause_seconds(self, error: TapekeeperError) -> float:
        """Return when a gap is tried again after a try that could not be finished."""
        pause = self._settings.repair.attempt_pause_minutes * 60
        if isinstance(error, RetryLater):
            return max(pause, error.after_seconds)
        if isinstance(error, RequestRejected):
            # Asked again soon the venue would refuse again; what it has may change with the days.
            return max(pause, self._settings.repair.permanent_after_hours * 3_600)
        return pause

    def _tools_of(self, dataset: Dataset) -> WorkerTools:
        if dataset.venue not in self._tools:
            self._tools[dataset.venue] = tools_for(dataset, self._settings, Priority.REPAIR)()
        return self._tools[dataset.venue]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of the job."""
        for tools in self._tools.values():
            tools.close()
        self._database.close()


def _unheard(_tried: int, _total: int) -> None:
    """Stand in where nobody wants to know how far it is."""
