"""Holes in trades: ranges of sequence numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekeeper.errors import InvariantBroken
from tapekeeper.model.gap import Cause, Gap, Sequences, uncovered
from tapekeeper.model.series import DERIBIT_OPTION_TRADES
from tapekeeper.store.account import Change, change_account
from tapekeeper.store.gap_counts import lack
from tapekeeper.store.gap_rows import insert_gap
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import Mapping

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.window import Window

# A repaired gap claims nothing: what it brought is held.
_CLAIMED: Final = """
    SELECT first_sequence, last_sequence + 1 FROM data_gaps
    WHERE series_id = %s AND state <> 'repaired' AND first_sequence <= %s AND last_sequence >= %s
"""
_FILLED: Final = """
    SELECT gap_id
    FROM data_gaps AS gap
    JOIN series USING (series_id)
    WHERE series_id = ANY(%s) AND closed_at IS NULL AND state IN ('open', 'classified')
        AND (
            SELECT count(DISTINCT trade_seq) FROM option_trades
            WHERE option_trades.instrument_id = series.instrument_id
                AND trade_seq BETWEEN gap.first_sequence AND gap.last_sequence
        ) > gap.last_sequence - gap.first_sequence
    ORDER BY series_id, gap_id
"""


def open_gap(
    cursor: Cursor,
    series_id: int,
    window: Window,
    sequences: Sequences,
    *,
    cause: Cause,
    by: str,
    evidence: Mapping[str, object],
) -> list[Gap]:
    """Record that trades are missing, and return the gaps that are new: none if all is held or recorded already.

    There can be several, because a sequence number belongs to one gap. The window reaches from the event before the
    hole to the one after it. What is missing is expected from now on, on the day of the window's end. A gap with a
    cause is classified at once, one whose cause is unknown stays open.

    Raises:
        InvariantBroken: the series is not one of trades, which alone count their rows.
    """
    _require_trades(cursor, series_id)
    lock_series(cursor, series_id)
    cursor.execute(_CLAIMED, (series_id, sequences.last, sequences.first))
    opened = []
    for first, end in uncovered(sequences.first, sequences.last + 1, cursor.fetchall()):
        part = Sequences(first, end - 1)
        lacking = lack(cursor, series_id, window, part)
        if lacking.missing:
            gap = insert_gap(cursor, series_id, window, part, lacking, cause=cause, by=by, evidence=evidence)
            change_account(cursor, [Change(series_id, gap.account_day, expected=gap.missing)])
            opened.append(gap)
    return opened


def filled_trade_gaps(cursor: Cursor, series_ids: abc.Sequence[int]) -> list[int]:
    """Return the gaps in the trades of series that nobody repairs and whose numbers are all held."""
    cursor.execute(_FILLED, (list(series_ids),))
    return [gap_id for (gap_id,) in cursor.fetchall()]


def _require_trades(cursor: Cursor, series_id: int) -> None:
    cursor.execute("SELECT dataset FROM series WHERE series_id = %s", (series_id,))
    row = cursor.fetchone()
    if row != (DERIBIT_OPTION_TRADES.name,):
        raise InvariantBroken(f"series {series_id} is {row[0] if row else 'unknown'}, which counts no trades")
