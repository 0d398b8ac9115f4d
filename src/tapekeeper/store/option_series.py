"""The two series of an option, quotes and trades: made, followed, and how far each is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES
from tapekeeper.store.catalogue import save_instruments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.instrument import Instrument

_DATASETS: Final = {"quotes": DERIBIT_OPTION_QUOTES.name, "trades": DERIBIT_OPTION_TRADES.name}

_ADD_SERIES: Final = """
    WITH wanted AS (
        SELECT dataset, instrument_id
        FROM instruments
        CROSS JOIN unnest(%(datasets)s::text[]) AS dataset
        WHERE venue = 'deribit' AND name = ANY(%(names)s)
    )
    INSERT INTO series (dataset, instrument_id)
    SELECT dataset, instrument_id FROM wanted WHERE NOT EXISTS (
        SELECT FROM series
        WHERE series.dataset = wanted.dataset AND series.instrument_id = wanted.instrument_id
            AND series.resolution_seconds = 0
    )
    ORDER BY dataset, instrument_id
    ON CONFLICT (dataset, instrument_id, resolution_seconds) DO NOTHING
"""
_ADD_TOTALS: Final = """
    INSERT INTO series_totals (series_id)
    SELECT series_id FROM series JOIN instruments USING (instrument_id)
    WHERE dataset = ANY(%(datasets)s) AND venue = 'deribit' AND name = ANY(%(names)s)
    ORDER BY series_id
    ON CONFLICT (series_id) DO NOTHING
"""
_FIND: Final = """
    SELECT instruments.name, instruments.instrument_id, quotes.series_id, trades.series_id
    FROM instruments
    JOIN series AS quotes ON quotes.instrument_id = instruments.instrument_id
        AND quotes.dataset = %(quotes)s AND quotes.resolution_seconds = 0
    JOIN series AS trades ON trades.instrument_id = instruments.instrument_id
        AND trades.dataset = %(trades)s AND trades.resolution_seconds = 0
    WHERE instruments.venue = 'deribit'
"""
_NAMED: Final = " AND instruments.name = ANY(%(names)s)"
_FOLLOWED: Final = """ AND EXISTS (
    SELECT FROM followed
    WHERE followed.series_id IN (quotes.series_id, trades.series_id) AND followed.window_end IS NULL
)"""
# A window that ended at this very moment goes on; one that is open, such as after a crash, stays as it is.
# Seconds are accounted from where a window opens.
_FOLLOW: Final = """
    WITH opened AS (
        INSERT INTO followed (series_id, window_start, reason)
        SELECT wanted.series_id, %(moment)s, %(reason)s
        FROM unnest(%(series)s::integer[]) AS wanted (series_id)
        WHERE NOT EXISTS (
            SELECT FROM followed WHERE followed.series_id = wanted.series_id AND followed.window_end IS NULL
        )
        ON CONFLICT (series_id, window_start) DO UPDATE SET window_end = NULL
        RETURNING series_id
    )
    UPDATE series_totals SET accounted_until = greatest(accounted_until, %(moment)s)
    FROM opened
    WHERE series_totals.series_id = opened.series_id
"""
_DROP_EMPTY: Final = """
    DELETE FROM followed WHERE series_id = ANY(%(series)s) AND window_end IS NULL AND window_start >= %(moment)s
"""
_UNFOLLOW: Final = """
    UPDATE followed SET window_end = %(moment)s WHERE series_id = ANY(%(series)s) AND window_end IS NULL
"""
_POSITIONS: Final = """
    SELECT instrument_id, stream, last_trade_seq, last_event_time, accounted_until
    FROM stream_positions
    WHERE instrument_id = ANY(%s)
"""


class OptionSeries(NamedTuple):
    """The ids of an option and of what is kept of it."""

    instrument_id: int
    quotes_series_id: int
    trades_series_id: int


class Position(NamedTuple):
    """How far an instrument is written; moments in microseconds since 1970, None where there is nothing yet."""

    last_trade_seq: int | None = None
    """The greatest that is held; what is missing below it is in the recorded gaps."""
    last_trade_time: int | None = None
    last_quote_time: int | None = None
    accounted_until: int | None = None
    """Up to where the seconds of quotes are accounted."""


def ensure_option_series(cursor: Cursor, instruments: Iterable[Instrument]) -> dict[str, OptionSeries]:
    """Return the ids of options by name, made where they are new, with the instruments' rows brought up to date."""
    by_name = {instrument.name: instrument for instrument in instruments}
    if not by_name:
        return {}
    save_instruments(cursor, by_name.values())
    wanted = {"datasets": sorted(_DATASETS.values()), "names": list(by_name)}
    cursor.execute(_ADD_SERIES, wanted)
    cursor.execute(_ADD_TOTALS, wanted)
    cursor.execute(_FIND + _NAMED, {**_DATASETS, "names": list(by_name)})
    return {name: OptionSeries(*ids) for name, *ids in cursor.fetchall()}


def followed_options(cursor: Cursor) -> dict[str, OptionSeries]:
    """Return the options that are followed without an end: after a crash also those that expired meanwhile."""
    cursor.execute(_FIND + _FOLLOWED, _DATASETS)
    return {name: OptionSeries(*ids) for name, *ids in cursor.fetchall()}


def follow_from(cursor: Cursor, series_ids: Iterable[int], moment: int, *, reason: str = "live") -> None:
    """Note that series are followed from a moment on; those that are followed already stay as they are."""
    values = {"series": sorted(series_ids), "moment": from_microseconds(moment), "reason": reason}
    cursor.execute(_FOLLOW, values)


def unfollow(cursor: Cursor, series_ids: Iterable[int], moment: int) -> None:
    """Note that series are followed no longer than to a moment."""
    values = {"series": sorted(series_ids), "moment": from_microseconds(moment)}
    cursor.execute(_DROP_EMPTY, values)
    cursor.execute(_UNFOLLOW, values)


def positions(cursor: Cursor, instrument_ids: Sequence[int]) -> dict[int, Position]:
    """Return how far each instrument is written; one that has no series is left out."""
    cursor.execute(_POSITIONS, (list(instrument_ids),))
    found: dict[int, Position] = {}
    for instrument_id, stream, last_trade_seq, last_event_time, accounted_until in cursor.fetchall():
        known = found.get(instrument_id, Position())
        if stream == "trades":
            known = known._replace(last_trade_seq=last_trade_seq, last_trade_time=_moment(last_event_time))
        else:
            known = known._replace(last_quote_time=_moment(last_event_time), accounted_until=_moment(accounted_until))
        found[instrument_id] = known
    return found


def _moment(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)
