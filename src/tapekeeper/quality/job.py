"""A quality run from start to end, as the CLI and the DAGs run it."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tapekeeper.backfill.tools import open_database
from tapekeeper.clock import now_microseconds, to_microseconds
from tapekeeper.errors import DatabaseUnavailable, TapekeeperError
from tapekeeper.model.quality import CheckResult, QualitySummary
from tapekeeper.quality import ledger
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.checks.check import Findings, Scope
from tapekeeper.quality.expectation import expect_closed_days
from tapekeeper.quality.request import check_request
from tapekeeper.store import quality_runs
from tapekeeper.store.completeness import dataset_completeness
from tapekeeper.store.migrate import check_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import Hole, QualityRequest
    from tapekeeper.model.series import Dataset
    from tapekeeper.quality.checks.check import BadRow, Check
    from tapekeeper.settings import Settings

_log = logging.getLogger(__name__)
CHECK_SESSION: Final = "SET jit = off; SET work_mem = '64MB'"
"""What a connection that asks checks runs first: to compile a statement takes longer than it would gain, and the hours
of some years fit into this memory."""
_ONE_PICTURE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
"""All statements of a check see the same moment of the database."""
_BEGINNING: Final = """
    SELECT least(
        (SELECT min(window_start) FROM followed),
        (SELECT min(day) AT TIME ZONE 'UTC' FROM coverage),
        (SELECT min(first_event_time) FROM series_totals)
    )
"""


@dataclass(slots=True)
class _Found:
    """What the checks of a run found."""

    results: list[CheckResult] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)


class QualityJob:
    """Runs the checks, brings the ledger of gaps up to date, and keeps the results."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = open_database(settings, application_name="tapekeeper quality", prepare=CHECK_SESSION)

    def request(
        self, datasets: Sequence[str] | None, window: str | None, checks: Sequence[str] | None
    ) -> QualityRequest:
        """Return the request that was typed; what is left out means all datasets, the last 24 hours, all checks.

        Raises:
            ConfigInvalid: something cannot be; the message names it and says what to type.
        """
        now = now_microseconds()
        return check_request(datasets, window, checks, now=now, beginning=lambda: self._beginning(now))

    def run(self, request: QualityRequest, run_key: str, *, by: str) -> QualitySummary:
        """Check what is asked for and return what was found; a run of the same key begins anew.

        A check that cannot be done is a result with an error, and not the end of the run.

        Raises:
            DatabaseUnavailable: PostgreSQL is away; run the same again later.
            TapekeeperError: the ledger could not be brought up to date; the run is kept as failed.
        """
        started = time.monotonic()
        self._database.run(lambda cursor: check_schema(cursor.connection))
        run_id = self._database.run(lambda cursor: quality_runs.begin(cursor, run_key, request, by=by))
        try:
            summary = self._checked(run_id, request, run_key, by, started)
        except BaseException:
            with suppress(TapekeeperError):
                self._database.run(lambda cursor: quality_runs.finish(cursor, run_id, "failed"))
            raise
        _log.info("%s", json.dumps({"event": "quality_summary", **summary.as_json()}))
        return summary

    def _checked(self, run_id: int, request: QualityRequest, run_key: str, by: str, started: float) -> QualitySummary:
        scopes = self._scopes(request, run_key, now_microseconds())
        for scope in scopes:
            self._account(scope)
        gaps_closed = self._close_filled(request.datasets, by)
        found = _Found()
        for scope in scopes:
            self._ask(scope, request.checks, found)
        gaps_opened, rows_quarantined = self._record(found, by)
        completeness = self._database.run(dataset_completeness)
        summary = QualitySummary(
            run_id=run_id,
            request=request,
            results=tuple(found.results),
            gaps_opened=gaps_opened,
            gaps_closed=gaps_closed,
            rows_quarantined=rows_quarantined,
            completeness={scope.dataset.name: completeness.get(scope.dataset.name, {}) for scope in scopes},
            seconds=time.monotonic() - started,
        )

        def keep(cursor: Cursor) -> None:
            # First what two turns of one run wait for each other at.
            quality_runs.finish(cursor, run_id, "green" if summary.is_green else "red")
            quality_runs.save_results(cursor, run_id, summary.results)

        self._database.run(keep)
        return summary

    def _scopes(self, request: QualityRequest, run_key: str, now: int) -> list[Scope]:
        return [
            Scope(dataset, request.window, now, self._settings, seed=run_key, is_everything=request.is_everything)
            for dataset in request.datasets
        ]

    def _account(self, scope: Scope) -> None:
        """Bring up to date what is expected of days that are over."""
        days = scope.closed_days
        if days is not None:
            self._database.run(lambda cursor: expect_closed_days(cursor, scope.dataset, days, now=scope.now))

    def _close_filled(self, datasets: Sequence[Dataset], by: str) -> int:
        """Close the gaps that filled themselves, and return how many."""
        names = [dataset.name for dataset in datasets]

        def close(cursor: Cursor) -> int:
            cursor.execute("SELECT series_id FROM series WHERE dataset = ANY(%s) ORDER BY series_id", (names,))
            return ledger.close_filled(cursor, [series_id for (series_id,) in cursor.fetchall()], by=by)

        return self._database.run(close)

    def _ask(self, scope: Scope, checks: Sequence[str], found: _Found) -> None:
        for check in (check for check in CHECKS.values() if check.name in checks):
            if scope.dataset.name in check.datasets:
                result, findings = self._result(check, scope)
                found.results.append(result)
                found.holes += findings.holes
                found.bad_rows += findings.bad_rows

    def _result(self, check: Check, scope: Scope) -> tuple[CheckResult, Findings]:
        def look(cursor: Cursor) -> Findings:
            cursor.execute(_ONE_PICTURE)
            return check.run(cursor, scope)

        started, error = time.monotonic(), None
        try:
            findings = self._database.run(look)
        except DatabaseUnavailable:
            raise
        except Exception as trouble:  # noqa: BLE001 - whatever is wrong with one check, the others have to be heard
            _log.exception("the check %s of %s could not be done", check.name, scope.dataset.name)
            findings, error = Findings(0, 0), f"{type(trouble).__name__}: {trouble}"
        result = CheckResult(
            check=check.name,
            dataset=scope.dataset.name,
            severity=check.severity,
            checked=findings.checked,
            found=findings.found,
            figures=findings.figures,
            sample=findings.sample,
            seconds=time.monotonic() - started,
            error=error,
        )
        return result, findings

    def _record(self, found: _Found, by: str) -> tuple[int, int]:
        """Bring what was found into the ledger and into quarantine; return how many gaps are new, and how many rows."""
        by_reason: dict[tuple[int, str], list[int]] = {}
        for row in found.bad_rows:
            by_reason.setdefault((row.series_id, row.reason), []).append(row.open_time)

        def record(cursor: Cursor) -> tuple[int, int]:
            opened, taken = len(ledger.record_holes(cursor, found.holes, by=by)), 0
            for (series_id, reason), open_times in sorted(by_reason.items()):
                quarantined = ledger.quarantine_rows(cursor, series_id, sorted(open_times), reason=reason, by=by)
                taken += quarantined.rows
                opened += len(quarantined.gaps)
            ledger.classify_by_outages(cursor, by=by)
            return opened, taken

        return self._database.run(record)

    def _beginning(self, now: int) -> int:
        """Return the first moment that anything is known of; without any, now."""

        def first(cursor: Cursor) -> int:
            cursor.execute(_BEGINNING)
            ((moment,),) = cursor.fetchall()
            return now if moment is None else to_microseconds(moment)

        return self._database.run(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection of the job."""
        self._database.close()
