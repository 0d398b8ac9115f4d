"""Lineage: from a row back to the chunk and the requests that brought it, or from a hole to its cause."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tapekeeper.clock import day_of, from_microseconds, now_microseconds, to_microseconds
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
    DERIBIT_OPTION_QUOTES,
    Dataset,
    Series,
    dataset_named,
)
from tapekeeper.store.explanation import (
    DayAccount,
    Explanation,
    FollowedWindow,
    GapStory,
    QuarantinedRow,
    SeriesLineage,
)
from tapekeeper.store.gaps import events_of, listed_gap, receipt_of
from tapekeeper.store.meant_row import is_chain, looked_at, meant_row, number_of
from tapekeeper.store.origins import (
    chunks_over,
    corrections_of,
    files_over,
    sessions_at,
)
from tapekeeper.store.request_origins import requests_before_arrival, requests_of_repairs

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.store.request_origins import ApiRequest

_SERIES: Final = """
    SELECT series_id, dataset, resolution_seconds, venue, name, kind, currency, listed_at,
        least(expires_at, delisted_at), tick_size, strike, option_type
    FROM series
    JOIN instruments USING (instrument_id)
    WHERE name = %(name)s AND (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
    ORDER BY dataset, resolution_seconds
"""
_CHAIN_OF: Final = """
    SELECT series_id
    FROM series
    JOIN instruments USING (instrument_id)
    WHERE dataset = %s AND resolution_seconds = 0 AND currency = %s
    ORDER BY series_id
    LIMIT 1
"""
_WAS_TOLD: Final = """
    SELECT EXISTS (
        SELECT FROM told_windows WHERE series_id = %(series_id)s AND window_start <= %(start)s AND window_end >= %(end)s
    )
"""
_FOLLOWED: Final = "SELECT window_start, window_end, reason FROM followed WHERE series_id = %s ORDER BY window_start"
_DAY: Final = "SELECT day, expected, held, explained, state FROM series_days WHERE series_id = %s AND day = %s"
_GAPS: Final = """
    SELECT gap_id
    FROM data_gaps
    WHERE series_id = %(series_id)s AND (
        (window_start <= %(moment)s AND window_end > %(moment)s)
        OR (first_sequence <= %(sequence)s AND last_sequence >= %(sequence)s)
    )
    ORDER BY gap_id
"""
_QUARANTINED: Final = """
    SELECT event_time, reason, content, first_seen_at, times_seen
    FROM quarantine
    WHERE series_id = %(series_id)s AND event_time >= %(start)s AND event_time < %(end)s
    ORDER BY event_time, quarantine_id
"""
_POSITION: Final = """
    SELECT
        max(accounted_until) FILTER (WHERE stream = 'quotes'),
        max(last_trade_seq) FILTER (WHERE stream = 'trades')
    FROM stream_positions
    WHERE instrument_id = (SELECT instrument_id FROM series WHERE series_id = %(series_id)s)
"""
_NEAR_NAMES: Final = 3


def explain(cursor: Cursor, instrument: str, moment: int, *, dataset: Dataset | None = None) -> Explanation:
    """Tell where the rows of an instrument at a moment come from, or why there are none.

    `moment` is in microseconds since 1970. On a grid the row whose step holds the moment is meant, of ticks
    the last up to it, of a chain of options its day. Every dataset and resolution of the instrument is told of, unless
    one dataset is named.

    Raises:
        ConfigInvalid: nobody ever asked to hold anything of the instrument, or of this dataset.
    """
    found = _series(cursor, instrument, dataset)
    if not found:
        raise ConfigInvalid(_why_unknown(cursor, instrument, dataset))
    now = now_microseconds()
    lineages = tuple(_lineage(cursor, series, moment, now) for series in found)
    return Explanation(instrument, from_microseconds(moment), lineages)


def gap_story(cursor: Cursor, gap_id: int) -> GapStory:
    """Return a gap with all that became of it.

    Raises:
        ConfigInvalid: there is none of this id.
    """
    return GapStory(listed_gap(cursor, gap_id), tuple(events_of(cursor, gap_id)), receipt_of(cursor, gap_id))


def _series(cursor: Cursor, instrument: str, dataset: Dataset | None) -> list[Series]:
    cursor.execute(_SERIES, {"name": instrument, "dataset": dataset.name if dataset else None})
    return [
        Series(
            series_id=series_id,
            dataset=dataset_named(dataset_name),
            instrument=Instrument(
                venue=venue,
                name=name,
                kind=kind,
                currency=currency,
                listed_at=to_microseconds(listed_at),
                expires_at=None if expires_at is None else to_microseconds(expires_at),
                tick_size=tick_size,
                strike=strike,
                option_type=option_type,
            ),
            resolution=Resolution(seconds),
        )
        for (
            series_id, dataset_name, seconds, venue, name, kind, currency, listed_at, expires_at, tick_size, strike,
            option_type,
        ) in cursor.fetchall()
    ]  # fmt: skip


def _why_unknown(cursor: Cursor, instrument: str, dataset: Dataset | None) -> str:
    cursor.execute("SELECT DISTINCT name FROM instruments JOIN series USING (instrument_id)")
    names = [name for (name,) in cursor.fetchall()]
    if dataset is not None and instrument in names:
        return f"nobody ever asked to hold {dataset.name} of {instrument}: leave the dataset out to see what is held"
    near = difflib.get_close_matches(instrument.upper(), names, n=_NEAR_NAMES)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else "type the name as the venue writes it, such as BTC-PERPETUAL"
    )
    return f"nobody ever asked to hold anything of {instrument!r}: {hint}"


def _lineage(cursor: Cursor, series: Series, moment: int, now: int) -> SeriesLineage:
    window = looked_at(series, moment)
    start, end = window.as_datetimes()
    row = meant_row(cursor, series, start)
    known = SeriesLineage(series, start, end, from_microseconds(now), row, day=_day(cursor, series, window.start))
    key = {"series_id": series.series_id, "moment": start}
    cursor.execute(_FOLLOWED, (series.series_id,))
    followed = tuple(FollowedWindow(*each) for each in cursor.fetchall())
    cursor.execute(_GAPS, {**key, "sequence": number_of(row)})
    gap_ids = [gap_id for (gap_id,) in cursor.fetchall()]
    gaps = tuple(gap_story(cursor, gap_id) for gap_id in gap_ids)
    known = replace(known, followed=followed, gaps=gaps, quarantined=_quarantined(cursor, known))
    return _with_work(cursor, known) if known.has_candles or known.is_asked_for else _with_tick_work(cursor, known)


def _day(cursor: Cursor, series: Series, moment: int) -> DayAccount | None:
    cursor.execute(_DAY, (series.series_id, day_of(moment)))
    found = cursor.fetchone()
    return DayAccount(*found) if found else None


def _quarantined(cursor: Cursor, known: SeriesLineage) -> tuple[QuarantinedRow, ...]:
    """Return the rows that cannot be believed: of the candle, or after the last tick up to the moment."""
    is_tick = known.row is not None and not known.has_candles
    start = known.row["event_time"] if is_tick and known.row is not None else known.window_start
    cursor.execute(_QUARANTINED, {"series_id": known.series.series_id, "start": start, "end": known.window_end})
    return tuple(QuarantinedRow(*each) for each in cursor.fetchall())


def _with_work(cursor: Cursor, known: SeriesLineage) -> SeriesLineage:
    """Return what is known of what the venue is asked for, with the work that brought it."""
    own, asked = known.series.series_id, _series_asked_for(cursor, known.series)
    # Of what has no grid the row is older than the moment that is meant.
    moment = known.row["event_time"] if known.is_asked_for and known.row is not None else known.window_start
    missing_at = max((story.events[0].happened_at for story in known.gaps if story.events), default=None)
    number = number_of(known.row)
    cursor.execute(_WAS_TOLD, {"series_id": own, "start": known.window_start, "end": known.window_end})
    ((was_told,),) = cursor.fetchall()
    return replace(
        known,
        chunks=chunks_over(cursor, asked, moment, missing_at=missing_at),
        requests=requests_of_repairs(cursor, own, known.series.instrument, moment, sequence=number),
        files=files_over(cursor, asked, moment),
        corrections=() if known.row is None else corrections_of(cursor, own, moment, sequence=number),
        was_told=was_told,
    )


def _series_asked_for(cursor: Cursor, series: Series) -> int:
    """Return the series that a backfill asks for: of an option in a chain that of the chain."""
    if series.dataset is not CRYPTODATADOWNLOAD_OPTION_CANDLES or is_chain(series):
        return series.series_id
    cursor.execute(_CHAIN_OF, (series.dataset.name, series.instrument.currency))
    row = cursor.fetchone()
    return series.series_id if row is None else int(row[0])


def _with_tick_work(cursor: Cursor, known: SeriesLineage) -> SeriesLineage:
    row, is_of_quotes = known.row, known.series.dataset == DERIBIT_OPTION_QUOTES
    came = known.window_start if row is None else row["received_at"]
    requests: tuple[ApiRequest, ...] = ()
    if row is not None and not is_of_quotes:
        requests = requests_before_arrival(
            cursor, known.series.instrument, sequence=row["trade_seq"], event_time=row["event_time"], received_at=came
        )
    cursor.execute(_POSITION, {"series_id": known.series.series_id})
    accounted_until, newest = cursor.fetchone() or (None, None)
    # The number of a newer trade proves that none is missing before it, and so does somebody who listens.
    is_newest = row is None or row.get("trade_seq") == newest
    if not is_of_quotes and (not is_newest or sessions_at(cursor, known.window_start)):
        accounted_until = None
    return replace(known, sessions=sessions_at(cursor, came), requests=requests, accounted_until=accounted_until)
