"""Candles and other rows on a grid that a gap lacks: fetched chunk by chunk, as a backfill does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tapekeeper.backfill.cut import cut
from tapekeeper.model.window import Window
from tapekeeper.repair.fetched import Fetched, RepairPurpose
from tapekeeper.store.grid_rows import GridTable, table_named, write_rows
from tapekeeper.store.quarantine import quarantine

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.backfill.runner import WorkerTools
    from tapekeeper.model.answer import Answer, Rows
    from tapekeeper.store.repair_claims import Claim


def fetch_rows(tools: WorkerTools, claim: Claim, rows_per_chunk: int, *, kept_from: int) -> Fetched:
    """Ask the venue for all of a gap; each chunk but the last is written before the next one is asked for.

    Nothing is asked for that lies before `kept_from`, in microseconds since 1970: the venue tells it no more, and an
    answer that refuses the question would leave the gap open for ever.

    Raises:
        RetryLater: the venue cannot be asked now; what came before is kept.
        BadData: an answer cannot be believed as a whole.
        RequestRejected: the venue refuses for good.
    """
    series_id, is_clean = claim.gap.series_id, True
    table = table_named(claim.dataset.table)
    written: Answer[Rows] | None = None
    gap = claim.gap.window
    kept = [Window(max(gap.start, kept_from), gap.end)] if gap.end > kept_from else []
    for window in cut(kept, claim.resolution.microseconds, rows_per_chunk):
        if written is not None:
            tools.database.run(partial(_write, table=table, series_id=series_id, answer=written))
        tools.about_to_fetch(RepairPurpose(series_id, window))
        written = tools.venue.rows(claim.dataset, claim.instrument_name, window, claim.resolution)
        is_clean = is_clean and not written.rejected
    return Fetched(is_clean, partial(_write, table=table, series_id=series_id, answer=written))


def _write(cursor: Cursor, table: GridTable, series_id: int, answer: Answer[Rows] | None) -> None:
    if answer is not None:
        write_rows(cursor, table, series_id, answer.rows)
        quarantine(cursor, series_id, answer.rejected)
