"""Options, their ticks, and the checks that every account of ticks has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapekeeper.clock import MICROSECONDS_PER_SECOND
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.quote import Quote
from tapekeeper.model.trade import Trade

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.database import Database

SECOND = MICROSECONDS_PER_SECOND
MIDNIGHT = 1_732_147_200_000_000
"""2024-11-21 00:00 UTC in microseconds."""


def option(number: int, *, currency: str = "ETH") -> Instrument:
    """Return an option."""
    return Instrument(
        venue="deribit",
        name=f"{currency}-27DEC24-{3_000 + number}-C",
        kind="option",
        currency=currency,
        listed_at=MIDNIGHT - 30 * 86_400 * SECOND,
        expires_at=MIDNIGHT + 36 * 86_400 * SECOND,
        tick_size=0.0001,
        strike=3_000.0 + number,
        option_type="call",
    )


def quote(instrument_id: int, event_time: int, change_id: int, **changes: Any) -> Quote:
    """Return a quote of which nobody bids."""
    values = Quote(
        instrument_id=instrument_id,
        event_time=event_time,
        received_at=event_time + 140_000,
        change_id=change_id,
        bid_price=None,
        bid_size=None,
        ask_price=0.0515,
        ask_size=112.0,
        mark_price=0.0509,
        underlying_price=3_130.25,
        mark_iv=61.7,
        bid_iv=None,
        ask_iv=62.3,
        open_interest=1_054.0,
        from_ticker=False,
    )
    return values._replace(**changes)


def trade(instrument_id: int, event_time: int, trade_seq: int, **changes: Any) -> Trade:
    """Return a trade that is no leg of anything."""
    values = Trade(
        instrument_id=instrument_id,
        event_time=event_time,
        received_at=event_time + 140_000,
        trade_seq=trade_seq,
        trade_id=f"ETH-{trade_seq}",
        price=0.0515,
        size=3.0,
        side="buy",
        iv=62.3,
        index_price=3_130.25,
        mark_price=0.0509,
        liquidation=None,
        combo_id=None,
        block_trade_id=None,
    )
    return values._replace(**changes)


def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Return what a query returns."""

    def fetch(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(sql)
        return list(cursor.fetchall())

    return database.run(fetch)


def check_account(cursor: Cursor) -> None:
    """Fail unless coverage, totals and tables agree with each other."""
    cursor.execute("SELECT * FROM coverage WHERE held + explained > expected OR explained > lost")
    assert cursor.fetchall() == []
    cursor.execute(
        """
        SELECT total.*, day.*
        FROM series_totals AS total
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(expected), 0) AS expected, coalesce(sum(held), 0) AS held,
                coalesce(sum(explained), 0) AS explained,
                min(first_event_time) AS first_event_time, max(last_event_time) AS last_event_time
            FROM coverage WHERE coverage.series_id = total.series_id
        ) AS day
        WHERE (total.expected, total.held, total.explained, total.first_event_time, total.last_event_time)
            IS DISTINCT FROM (day.expected, day.held, day.explained, day.first_event_time, day.last_event_time)
        """
    )
    assert cursor.fetchall() == []
    cursor.execute(
        """
        SELECT dataset, instrument_id, rows_held, total.last_sequence, found.rows, found.last_sequence
        FROM series_totals AS total
        JOIN series USING (series_id)
        JOIN (
            SELECT 'deribit.option_quotes' AS dataset, instrument_id, count(*) AS rows, NULL AS last_sequence
            FROM option_quotes GROUP BY 2
            UNION ALL
            SELECT 'deribit.option_trades', instrument_id, count(*), max(trade_seq) FROM option_trades GROUP BY 2
        ) AS found USING (dataset, instrument_id)
        WHERE rows_held <> found.rows OR total.last_sequence IS DISTINCT FROM found.last_sequence
        """
    )
    assert cursor.fetchall() == []
