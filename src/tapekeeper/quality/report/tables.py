"""The reports that are no pages: two CSV files for a spreadsheet, one text for a terminal."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

from tapekeeper.quality.report.words import moment, percent, plain, series_name
from tapekeeper.store.report_queries import ReportedGap, SeriesAccount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from tapekeeper.model.quality import CheckResult

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ROW_COLUMNS: Final = ("series", "expected", "held", "explained", "missing", "complete", "red days", "first", "last")


def gap_report(gaps: Sequence[ReportedGap]) -> str:
    """Return gaps as CSV, with what became of them and their receipts."""
    columns = [field.name for field in fields(ReportedGap)]
    return _csv(columns, (asdict(gap) for gap in gaps))


def sanity_report(results: Sequence[CheckResult]) -> str:
    """Return what the checks found as CSV: a line for each finding of the samples, one for a check without any."""
    told = ["dataset", "check", "severity", "status", "checked", "found", "error"]
    keys = {key: None for result in results for finding in result.sample for key in finding}
    return _csv([*told, *(f"sample_{key}" for key in keys)], _findings(results, told))


def row_counts(accounts: Sequence[SeriesAccount], first: date, last: date) -> str:
    """Return the account of each series over the closed days of a window as aligned text."""
    parts = [f"Row counts from {first} to {last}, UTC days that are over"]
    for dataset, members in groupby(accounts, key=lambda account: account.dataset):
        lines = [_ROW_COLUMNS, *(_row(account) for account in members)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(_ROW_COLUMNS))]
        parts.append(f"\n{dataset}")
        parts.extend(
            "  " + "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines
        )
    if not accounts:
        parts.append("\nNothing was followed on these days.")
    return "\n".join(parts) + "\n"


def _findings(results: Sequence[CheckResult], told: Sequence[str]) -> Iterable[dict[str, object]]:
    for result in results:
        known = result.as_json()
        line = {name: known[name] for name in told}
        for finding in result.sample or ({},):
            yield line | {f"sample_{key}": value for key, value in finding.items()}


def _row(account: SeriesAccount) -> tuple[str, ...]:
    return (
        series_name(account.instrument, account.resolution_seconds),
        f"{account.expected:,}",
        f"{account.held:,}",
        f"{account.explained:,}",
        f"{account.missing:,}",
        percent(account.expected - account.missing, account.expected),
        f"{account.days_red:,}",
        moment(account.first_event_time),
        moment(account.last_event_time),
    )


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _value(value) for name, value in row.items()})
    return text.getvalue()


def _value(value: object) -> object:
    """Return a value that a spreadsheet takes as what it is: names come from outside, and a formula would be run."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
