"""The reports of a quality run: a page, two CSV files and a text, in a folder of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, from_microseconds, now_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.quality.report.calendar import read_calendar
from tapekeeper.quality.report.page import Page, render
from tapekeeper.quality.report.tables import gap_report, row_counts, sanity_report
from tapekeeper.quality.report.trend import read_trends
from tapekeeper.store.report_queries import (
    count_open_gaps,
    largest_gaps,
    largest_open_gaps,
    newly_closed_gaps,
    run_origin,
    series_accounts,
)

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.quality import QualitySummary

PAGE: Final = "report.html"
GAPS: Final = "gap-report.csv"
SANITY: Final = "sanity-report.csv"
COUNTS: Final = "row-counts.txt"
FILES: Final = (PAGE, GAPS, SANITY, COUNTS)
"""What a run's folder holds."""
GAPS_IN_FILE: Final = 100
GAPS_ON_PAGE: Final = 20
CLOSED_DAYS: Final = 7
"""Gaps that were closed so many days ago at most are on the page."""


def write_reports(cursor: Cursor, summary: QualitySummary, folder: Path) -> Path:
    """Write the reports of a run into `folder/<run_id>`, in place of those that it wrote before, and return that path.

    Raises:
        ConfigInvalid: the folder cannot be written to.
    """
    now = now_microseconds()
    today = day_of(now)
    datasets = [dataset.name for dataset in summary.request.datasets]
    window = summary.request.window
    first, last = day_of(window.start), min(day_of(window.end - 1), day_of(now - MICROSECONDS_PER_DAY))
    closed_since = from_microseconds(now - CLOSED_DAYS * MICROSECONDS_PER_DAY)
    page = Page(
        summary=summary,
        origin=run_origin(cursor, summary.run_id),
        written_at=from_microseconds(now),
        trends=read_trends(cursor, datasets, today),
        calendar=read_calendar(cursor, datasets, today),
        open_gaps=largest_open_gaps(cursor, datasets, limit=GAPS_ON_PAGE),
        open_gaps_in_all=count_open_gaps(cursor, datasets),
        closed_gaps=newly_closed_gaps(cursor, datasets, closed_since, limit=GAPS_ON_PAGE),
    )
    texts = {
        PAGE: render(page),
        GAPS: gap_report(largest_gaps(cursor, datasets, *window.as_datetimes(), limit=GAPS_IN_FILE)),
        SANITY: sanity_report(summary.results),
        COUNTS: row_counts(series_accounts(cursor, datasets, first, last), first, last),
    }
    return _written(folder / str(summary.run_id), texts)


def _written(folder: Path, texts: dict[str, str]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            # Whole or not at all: somebody may be reading it.
            draft = folder / f".{name}.{os.getpid()}"
            draft.write_text(text, encoding="utf-8")
            draft.replace(folder / name)
    except OSError as error:
        raise ConfigInvalid(
            f"the reports cannot be written to {folder} ({error.strerror}): "
            "make it writable, or set TAPEKEEPER_QUALITY_REPORT_FOLDER to a folder that is"
        ) from None
    return folder
