"""Does the account agree with the rows, counted one by one?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapekeeper.clock import day_of
from tapekeeper.model.quality import Severity
from tapekeeper.model.series import DATASETS, DERIBIT_OPTION_QUOTES, GRID_DATASETS
from tapekeeper.quality.checks.check import SAMPLE_ROWS, Findings, series_labels
from tapekeeper.store.grid_rows import table_named

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.quality.checks.check import Scope


class _Table(NamedTuple):
    """A table of which coverage counts the rows."""

    name: str
    time: str
    key: str
    """The column that tells the series."""


_ON_A_GRID: Final = [dataset for dataset in DATASETS.values() if dataset.name in GRID_DATASETS]
_COUNTED_BY_ROWS: Final = {
    **{dataset.table: _Table(dataset.table, table_named(dataset.table).time, "series_id") for dataset in _ON_A_GRID},
    **{table: _Table(table, "event_time", "instrument_id") for table in ("option_trades", "agg_trades")},
}
_SOME_DAYS: Final = """
    SELECT account.series_id, account.day, account.held, counted.rows
    FROM (
        SELECT series_id, instrument_id, day, held
        FROM coverage JOIN series USING (series_id)
        WHERE dataset = %(dataset)s AND day >= %(first_day)s AND day <= %(last_day)s
        ORDER BY md5(concat_ws('/', %(seed)s, series_id, day))
        LIMIT %(series_days)s
    ) AS account
    CROSS JOIN LATERAL (
        SELECT count(*) AS rows FROM {table.name} AS held
        WHERE held.{table.key} = account.{table.key}
            AND held.{table.time} >= account.day AT TIME ZONE 'UTC'
            AND held.{table.time} < (account.day + 1) AT TIME ZONE 'UTC'
    ) AS counted
"""
# Both sides may have days that the other one does not know.
_ALL_DAYS: Final = """
    SELECT series_id, day, coalesce(account.held, 0), coalesce(counted.rows, 0)
    FROM (
        SELECT series_id, day, held FROM coverage JOIN series USING (series_id) WHERE dataset = %(dataset)s
    ) AS account
    FULL JOIN (
        SELECT series_id, (midnight AT TIME ZONE 'UTC')::date AS day, rows
        FROM (
            SELECT {table.key}, date_bin('1 day', {table.time}, 'epoch') AS midnight, count(*) AS rows
            FROM {table.name}
            GROUP BY 1, 2
        ) AS by_day
        JOIN series USING ({table.key})
        WHERE dataset = %(dataset)s
    ) AS counted USING (series_id, day)
"""
_TOTALS: Final = """
    SELECT total.series_id, total.expected, total.held, total.explained, day.expected, day.held, day.explained
    FROM series_totals AS total
    JOIN series USING (series_id)
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum(expected), 0)::bigint AS expected,
            coalesce(sum(held), 0)::bigint AS held,
            coalesce(sum(explained), 0)::bigint AS explained
        FROM coverage
        WHERE coverage.series_id = total.series_id
    ) AS day
    WHERE dataset = %(dataset)s AND (%(series_ids)s::integer[] IS NULL OR total.series_id = ANY(%(series_ids)s))
"""
# Coverage of quotes counts seconds; their rows are counted in the totals alone.
_QUOTE_ROWS: Final = """
    SELECT series_id, total.rows_held, coalesce(counted.rows, 0)
    FROM series_totals AS total
    JOIN series USING (series_id)
    LEFT JOIN (SELECT instrument_id, count(*) AS rows FROM option_quotes GROUP BY 1) AS counted USING (instrument_id)
    WHERE dataset = %(dataset)s
"""
_SOME_SERIES: Final = """
    SELECT series_id FROM series WHERE dataset = %(dataset)s
    ORDER BY md5(concat_ws('/', %(seed)s, series_id)) LIMIT %(series_days)s
"""


class ExactCount:
    """Days whose account differs from their rows, and totals that differ from the sum of their days.

    A run over everything counts every day; any other one some days and series, drawn by the key of the run.
    """

    name = "exact_count"
    question = "Does the account agree with the rows, counted one by one?"
    severity = Severity.CRITICAL
    datasets = tuple(DATASETS)

    def run(self, cursor: Cursor, scope: Scope) -> Findings:
        """Return what differs; `checked` and `found` count days of series, and totals of series."""
        values = {
            "dataset": scope.dataset.name,
            "seed": scope.seed,
            "first_day": scope.first_day,
            "last_day": day_of(scope.window.end - 1),
            "series_days": scope.settings.quality.exact_count_series_days,
        }
        counted = _counted(cursor, scope, values)
        wrong: list[dict[str, object]] = [
            {"series_id": series_id, "what": str(day) if day else "all rows", "account": held, "counted": rows}
            for series_id, day, held, rows in counted
            if held != rows
        ]
        wrong.sort(key=lambda row: str(row["what"]), reverse=True)
        totals = _totals(cursor, scope, values)
        wrong += [
            {"series_id": series_id, "what": f"total {name}", "account": told, "counted": summed}
            for series_id, *sums in totals
            for name, told, summed in zip(("expected", "held", "explained"), sums[:3], sums[3:], strict=True)
            if told != summed
        ]
        labels = series_labels(cursor, (series_id for series_id, *_ in [*counted, *totals]))
        sample = ({**labels[_series(row)].as_json(), **row} for row in wrong[:SAMPLE_ROWS])
        return Findings(len(counted) + len(totals), len(wrong), {"in_full": scope.is_everything}, tuple(sample))


def _counted(cursor: Cursor, scope: Scope, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return series, day, held and counted rows; without a day where only all rows together are counted."""
    table = _COUNTED_BY_ROWS.get(scope.dataset.table)
    if table is not None:
        cursor.execute((_ALL_DAYS if scope.is_everything else _SOME_DAYS).format(table=table), values)
        return cursor.fetchall()
    if scope.dataset is not DERIBIT_OPTION_QUOTES or not scope.is_everything:
        return []
    cursor.execute(_QUOTE_ROWS, values)
    return [(series_id, None, held, rows) for series_id, held, rows in cursor.fetchall()]


def _totals(cursor: Cursor, scope: Scope, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return series, and what its totals tell of it beside the sums of its days."""
    series_ids = None
    if not scope.is_everything:
        cursor.execute(_SOME_SERIES, values)
        series_ids = [series_id for (series_id,) in cursor.fetchall()]
    cursor.execute(_TOTALS, {**values, "series_ids": series_ids})
    return cursor.fetchall()


def _series(row: dict[str, object]) -> int:
    return int(str(row["series_id"]))
