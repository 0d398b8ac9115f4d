"""Aggregate trades of one instrument, made from lists, and the check that their account has to pass."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, to_microseconds
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES
from tapekeeper.store import catalogue, told
from tapekeeper.store.series_lock import lock_series
from tests.support.candles import MINUTE, START

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.window import Window

BITCOIN = Instrument("binance_um", "BTCUSDT", "perpetual", "BTC", START)

_HELD: Final = """
    SELECT (event_time AT TIME ZONE 'UTC')::date, count(DISTINCT agg_trade_id), min(event_time), max(event_time)
    FROM agg_trades JOIN series USING (instrument_id)
    WHERE series_id = %s
    GROUP BY 1
"""
_MISSING: Final = """
    SELECT ((window_end - interval '1 microsecond') AT TIME ZONE 'UTC')::date, count(*)
    FROM data_gaps
    CROSS JOIN LATERAL generate_series(first_sequence, last_sequence) AS wanted
    WHERE series_id = %s AND state = ANY(%s) AND NOT EXISTS (
        SELECT FROM agg_trades JOIN series USING (instrument_id)
        WHERE series_id = data_gaps.series_id AND agg_trade_id = wanted
    )
    GROUP BY 1
"""
_GIVEN_UP: Final = """
    SELECT window_start, window_end FROM data_gaps
    WHERE series_id = %s AND first_sequence IS NULL AND state IN ('permanent', 'accepted')
"""
_ACCOUNT: Final = """
    SELECT day, expected, held, untold, untold_lost, lost, explained, first_event_time, last_event_time
    FROM coverage WHERE series_id = %s ORDER BY day
"""
_EXTENT: Final = """
    SELECT min(event_time), max(event_time), max(agg_trade_id)
    FROM agg_trades JOIN series USING (instrument_id) WHERE series_id = %s
"""


def followed_trades(cursor: Cursor, window: Window, instrument: Instrument = BITCOIN) -> int:
    """Make a series of aggregate trades of which a window is followed, and return its id."""
    series_id = catalogue.ensure_series(cursor, BINANCE_UM_AGG_TRADES, instrument, Resolution(0)).series_id
    lock_series(cursor, series_id)
    catalogue.follow(cursor, series_id, window, keep_fresh=False, reason="test")
    told.expect_untold(cursor, series_id, window, horizon=window.end)
    return series_id


def some_trades(ids: Sequence[int], moments: Sequence[int], *, price: float = 100.0) -> AggTrades:
    """Return trades of which nothing but the price can be chosen; moments in microseconds since 1970."""
    numbers = np.array(ids, dtype=np.int64)
    return AggTrades(
        agg_trade_id=numbers,
        event_time=np.array(moments, dtype=np.int64),
        price=np.full(len(numbers), price),
        quantity=numbers / 8,
        first_trade_id=numbers * 3,
        last_trade_id=numbers * 3 + 1,
        is_buyer_maker=numbers % 2 == 0,
    )


def pieces(minutes: set[int]) -> list[set[int]]:
    """Part minutes into those that follow each other on one UTC day."""
    parts: list[set[int]] = []
    for minute in sorted(minutes):
        if minute - MINUTE not in minutes or minute % MICROSECONDS_PER_DAY == 0:
            parts.append(set())
        parts[-1].add(minute)
    return parts


def by_day(parts: Iterable[set[int]]) -> dict[date, int]:
    """Count pieces by the day that they are on."""
    return dict(Counter(day_of(min(part)) for part in parts))


def check_days(cursor: Cursor, series_id: int, untold: set[int]) -> None:
    """Fail unless the account says what is found in the tables: of trades, of gaps, and of minutes never told."""
    held = _counted(cursor, _HELD, series_id)
    missing = _counted(cursor, _MISSING, series_id, ["open", "classified", "repairing", "permanent", "accepted"])
    given_up = _counted(cursor, _MISSING, series_id, ["permanent", "accepted"])
    cursor.execute(_GIVEN_UP, (series_id,))
    gone = {m for start, end in cursor.fetchall() for m in range(to_microseconds(start), to_microseconds(end), MINUTE)}
    pieces_by_day = by_day(pieces(untold))
    pieces_lost = by_day(part for part in pieces(untold) if part <= gone)
    cursor.execute(_ACCOUNT, (series_id,))
    account = {day: figures for day, *figures in cursor.fetchall()}
    for day in {*account, *held, *missing, *pieces_by_day}:
        rows, first, last = held.get(day, (0, None, None))
        (missed,), (lost,) = missing.get(day, (0,)), given_up.get(day, (0,))
        not_told, never_told = pieces_by_day.get(day, 0), pieces_lost.get(day, 0)
        given = lost + never_told
        assert account[day] == [rows + missed + not_told, rows, not_told, never_told, given, given, first, last], day
    cursor.execute(
        """
        SELECT expected, held, explained, rows_held, first_event_time, last_event_time, last_sequence
        FROM series_totals WHERE series_id = %s
        """,
        (series_id,),
    )
    (totals,) = cursor.fetchall()
    sums = [sum(figures[position] for figures in account.values()) for position in (0, 1, 4, 1)]
    cursor.execute(_EXTENT, (series_id,))
    assert totals == (*sums, *cursor.fetchall()[0])


def _counted(cursor: Cursor, query: str, *values: object) -> dict[date, tuple[Any, ...]]:
    cursor.execute(query, values)
    return {day: tuple(rest) for day, *rest in cursor.fetchall()}
