"""What the checks found, brought into the ledger of gaps and into quarantine."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.model.gap import Cause
from tapekeeper.model.window import Window
from tapekeeper.store import gaps, outages
from tapekeeper.store.bad_candles import take_out
from tapekeeper.store.candle_gaps import filled_candle_gaps, open_candle_gaps
from tapekeeper.store.catalogue import resolution_of
from tapekeeper.store.late_rows import settle_late_rows
from tapekeeper.store.trade_gaps import filled_trade_gaps, filled_untold_gaps, open_gap, open_untold_gap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.gap import Gap
    from tapekeeper.model.quality import Hole

_FOUND_BY_A_CHECK: Final = {"found_by": "a check"}


class Quarantined(NamedTuple):
    """What was taken out of a table."""

    rows: int
    gaps: list[Gap]
    """The holes that the rows leave, those that are new."""


def record_holes(cursor: Cursor, holes: Sequence[Hole], *, by: str) -> list[Gap]:
    """Make gaps of holes, and return those that are new; what is recorded or held meanwhile makes none.

    Nobody knows yet why they are there: they stay open until an outage, a person or a repair says more.
    """
    opened: list[Gap] = []
    # In the order of the series, whose locks are taken one after the other.
    ordered = sorted(holes, key=lambda hole: (hole.series_id, hole.window))
    for series_id, same in groupby(ordered, key=lambda hole: hole.series_id):
        opened += _record(cursor, series_id, list(same), by)
    return opened


def close_filled(cursor: Cursor, series_ids: Sequence[int], *, by: str) -> int:
    """Close the gaps of series that wait for a repair and of which nothing is missing any more; return how many.

    What came of gaps that were given up explains nothing any more.
    """
    settle_late_rows(cursor, series_ids)
    filled = [
        *filled_candle_gaps(cursor, series_ids),
        *filled_trade_gaps(cursor, series_ids),
        *filled_untold_gaps(cursor, series_ids),
    ]
    return sum(gaps.close_filled(cursor, gap_id, by=by) is not None for gap_id in filled)


def classify_by_outages(cursor: Cursor, *, by: str) -> int:
    """Tell gaps of unknown cause from the outages that they lie in, and return how many."""
    explained = outages.gaps_explained(cursor)
    for gap_id, kind, source in explained:
        gaps.learn_cause(cursor, gap_id, kind, by=by, why=f"the venue was away: {source}")
    return len(explained)


def quarantine_rows(cursor: Cursor, series_id: int, open_times: Sequence[int], *, reason: str, by: str) -> Quarantined:
    """Take candles that contradict themselves out of their table, and return what that was.

    Open times are in microseconds since 1970. The holes that the candles leave are in the ledger at once.
    """
    taken = take_out(cursor, series_id, open_times, reason=reason)
    if not taken:
        return Quarantined(0, [])
    runs, evidence = _runs(taken, resolution_of(cursor, series_id).microseconds), {"quarantined": reason}
    opened = open_candle_gaps(cursor, series_id, runs, cause=Cause.UNKNOWN, by=by, evidence=evidence)
    return Quarantined(len(taken), opened)


def _record(cursor: Cursor, series_id: int, holes: Sequence[Hole], by: str) -> list[Gap]:
    windows = [hole.window for hole in holes if hole.sequences is None]
    opened = _record_windows(cursor, series_id, windows, by) if windows else []
    for hole in holes:
        if hole.sequences is not None:
            opened += open_gap(
                cursor, series_id, hole.window, hole.sequences, cause=Cause.UNKNOWN, by=by, evidence=_FOUND_BY_A_CHECK
            )
    return opened


def _record_windows(cursor: Cursor, series_id: int, windows: Sequence[Window], by: str) -> list[Gap]:
    if resolution_of(cursor, series_id).seconds:
        return open_candle_gaps(cursor, series_id, windows, cause=Cause.UNKNOWN, by=by, evidence=_FOUND_BY_A_CHECK)
    opened = [
        open_untold_gap(cursor, series_id, window, cause=Cause.UNKNOWN, by=by, evidence=_FOUND_BY_A_CHECK)
        for window in windows
    ]
    return [gap for gap in opened if gap is not None]


def _runs(open_times: Sequence[int], step: int) -> list[Window]:
    """Return the windows of ascending open times that follow each other."""
    runs: list[Window] = []
    for moment in open_times:
        if runs and runs[-1].end == moment:
            runs[-1] = Window(runs[-1].start, moment + step)
        else:
            runs.append(Window(moment, moment + step))
    return runs
