"""Instruments, their series, and the windows that somebody asked us to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg2.extras import execute_values

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.model.instrument import Instrument, Listing
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset
    from tapekeeper.model.window import Window

LOOK_BACK_DAYS: Final = 2
"""How far before the newest row holes are looked for: two days of one-minute candles still are one request."""

_PAGE: Final = 1_000
_SAVE_INSTRUMENTS: Final = """
    INSERT INTO instruments AS known
        (venue, name, kind, currency, strike, option_type, tick_size, listed_at, expires_at)
    VALUES %s
    ON CONFLICT (venue, name) DO UPDATE SET
        kind = excluded.kind, currency = excluded.currency, strike = excluded.strike,
        option_type = excluded.option_type, tick_size = excluded.tick_size,
        listed_at = excluded.listed_at, expires_at = excluded.expires_at, updated_at = clock_timestamp()
    WHERE (known.kind, known.currency, known.strike, known.option_type, known.tick_size, known.listed_at,
            known.expires_at)
        IS DISTINCT FROM (excluded.kind, excluded.currency, excluded.strike, excluded.option_type,
            excluded.tick_size, excluded.listed_at, excluded.expires_at)
"""


_LIVES: Final = "delisted_at IS NULL AND coalesce(expires_at, 'infinity') > %(now)s"
_LIVING: Final = f"""
    SELECT
        count(*) FILTER (WHERE {_LIVES}),
        count(*) FILTER (WHERE {_LIVES} AND name <> ALL(%(names)s)),
        count(*) FILTER (WHERE name = ANY(%(described)s))
    FROM instruments WHERE venue = %(venue)s
"""  # noqa: S608 (made of constants of this module)
_DELIST: Final = f"""
    UPDATE instruments SET delisted_at = %(now)s WHERE venue = %(venue)s AND {_LIVES} AND name <> ALL(%(names)s)
"""  # noqa: S608 (made of constants of this module)
_LIST_AGAIN: Final = """
    UPDATE instruments SET delisted_at = NULL
    WHERE venue = %(venue)s AND delisted_at IS NOT NULL AND name = ANY(%(names)s)
"""


class ListingChange(NamedTuple):
    """What a new list of a venue's instruments changed."""

    listed: int
    """How many names the list has."""
    new: int
    """Of those that it describes."""
    delisted: int
    back: int
    """Delisted before, and listed again."""


def save_instruments(cursor: Cursor, instruments: Iterable[Instrument]) -> None:
    """Bring the rows of instruments up to date, in the order of their names, so that two writers cannot deadlock."""
    rows = [_row(instrument) for instrument in sorted(instruments, key=lambda each: (each.venue, each.name))]
    execute_values(cursor, _SAVE_INSTRUMENTS, rows, page_size=_PAGE)


def replace_listing(cursor: Cursor, venue: str, listing: Listing, *, now: int) -> ListingChange:
    """Bring the instruments of a venue up to date by the whole list of those that live.

    One that is listed no more before its expiry is delisted from now on; one that is back is not.

    Args:
        cursor: of the writer.
        venue: whose list it is.
        listing: all instruments that live.
        now: in microseconds since 1970.

    Raises:
        InvariantBroken: the list lacks more than half of those that should live: it cannot be whole.
    """
    described = [instrument.name for instrument in listing.instruments]
    asked = {"venue": venue, "names": sorted(listing.names), "described": described, "now": from_microseconds(now)}
    cursor.execute(_LIVING, asked)
    ((living, gone, known),) = cursor.fetchall()
    if gone > living / 2:
        raise InvariantBroken(
            f"the list of {venue} lacks {gone} of {living} instruments that should live, so it is not believed: "
            "look at what the venue answers"
        )
    save_instruments(cursor, listing.instruments)
    cursor.execute(_DELIST, asked)
    delisted = cursor.rowcount
    cursor.execute(_LIST_AGAIN, asked)
    return ListingChange(len(listing.names), len(described) - known, delisted, cursor.rowcount)


def ensure_series(cursor: Cursor, dataset: Dataset, instrument: Instrument, resolution: Resolution) -> Series:
    """Return the series, made if it is new, with the instrument's row brought up to date."""
    save_instruments(cursor, [instrument])
    cursor.execute(
        "SELECT instrument_id FROM instruments WHERE venue = %s AND name = %s", (instrument.venue, instrument.name)
    )
    instrument_id = _only_value(cursor)
    cursor.execute(
        """
        INSERT INTO series (dataset, instrument_id, resolution_seconds) VALUES (%s, %s, %s)
        ON CONFLICT (dataset, instrument_id, resolution_seconds) DO UPDATE SET dataset = excluded.dataset
        RETURNING series_id
        """,
        (dataset.name, instrument_id, resolution.seconds),
    )
    series_id = _only_value(cursor)
    cursor.execute("INSERT INTO series_totals (series_id) VALUES (%s) ON CONFLICT DO NOTHING", (series_id,))
    return Series(series_id, dataset, instrument, resolution)


def find_series(cursor: Cursor, dataset: Dataset, instrument_name: str, resolution: Resolution) -> int | None:
    """Return the id of a series, or None if nobody ever asked for it."""
    cursor.execute(
        """
        SELECT series_id FROM series JOIN instruments USING (instrument_id)
        WHERE dataset = %s AND venue = %s AND name = %s AND resolution_seconds = %s
        """,
        (dataset.name, dataset.venue, instrument_name, resolution.seconds),
    )
    row = cursor.fetchone()
    return int(row[0]) if row else None


def resolution_of(cursor: Cursor, series_id: int) -> Resolution:
    """Return how long a candle of a series lasts."""
    cursor.execute("SELECT resolution_seconds FROM series WHERE series_id = %s", (series_id,))
    return Resolution(_only_value(cursor))


def follow(cursor: Cursor, series_id: int, window: Window, *, keep_fresh: bool, reason: str) -> None:
    """Note that somebody wants this window held, or everything from its start on if `keep_fresh`.

    A window that begins inside, or right at the end of, one that is followed already makes that one longer.
    The caller holds the lock of the series.
    """
    start, end = window.as_datetimes()
    cursor.execute(
        """
        WITH touching AS (
            SELECT window_start FROM followed
            WHERE series_id = %(series_id)s AND window_start <= %(start)s
                AND (window_end IS NULL OR window_end >= %(start)s)
            ORDER BY window_end DESC NULLS FIRST
            LIMIT 1
        ), extended AS (
            UPDATE followed SET window_end = CASE
                WHEN %(keep_fresh)s OR window_end IS NULL THEN NULL
                ELSE greatest(window_end, %(end)s)
            END
            FROM touching
            WHERE followed.series_id = %(series_id)s AND followed.window_start = touching.window_start
        )
        INSERT INTO followed (series_id, window_start, window_end, reason)
        SELECT %(series_id)s, %(start)s, CASE WHEN %(keep_fresh)s THEN NULL ELSE %(end)s::timestamptz END, %(reason)s
        WHERE NOT EXISTS (SELECT FROM touching)
        """,
        {"series_id": series_id, "start": start, "end": end, "keep_fresh": keep_fresh, "reason": reason},
    )


def end_following(cursor: Cursor, series_id: int, moment: int) -> None:
    """Let what was followed without an end be followed until a moment, in microseconds since 1970.

    Where it began only then or later, nothing of it is followed. The caller holds the lock of the series.
    """
    end = from_microseconds(moment)
    cursor.execute(
        "DELETE FROM followed WHERE series_id = %s AND window_end IS NULL AND window_start >= %s", (series_id, end)
    )
    cursor.execute("UPDATE followed SET window_end = %s WHERE series_id = %s AND window_end IS NULL", (end, series_id))


def kept_fresh(cursor: Cursor, dataset: Dataset) -> list[tuple[str, Resolution, int]]:
    """Return the instrument, the resolution and the start, in microseconds since 1970, of what has to be looked at to
    keep the series fresh that are followed without an end.

    The start lies `LOOK_BACK_DAYS` before the newest row, or a day before the first followed one that was never
    planned: rows that another backfill brought are no reason to forget what lies before them, and the day on which
    planning ended may have gone on. What is delisted, or expired more than a day ago, is left out: the venue knows it
    no more.
    """
    cursor.execute(
        """
        WITH fresh AS (
            SELECT series_id, min(window_start) AS followed_from
            FROM followed
            WHERE window_end IS NULL
            GROUP BY series_id
        )
        SELECT name, resolution_seconds, greatest(followed_from, least(
            coalesce(last_event_time, followed_from) - make_interval(days => %(look_back_days)s),
            (
                SELECT (min(followed_day) - interval '1 day') AT TIME ZONE 'UTC'
                FROM generate_series(
                    date_trunc('day', followed_from AT TIME ZONE 'UTC'),
                    clock_timestamp() AT TIME ZONE 'UTC',
                    interval '1 day'
                ) AS followed_day
                WHERE NOT EXISTS (
                    SELECT FROM coverage
                    WHERE coverage.series_id = fresh.series_id AND coverage.day = followed_day::date
                )
            )
        ))
        FROM fresh
        JOIN series USING (series_id)
        JOIN instruments USING (instrument_id)
        JOIN series_totals USING (series_id)
        WHERE dataset = %(dataset)s
            AND least(delisted_at, expires_at + interval '1 day', 'infinity') > clock_timestamp()
        ORDER BY name, resolution_seconds
        """,
        {"dataset": dataset.name, "look_back_days": LOOK_BACK_DAYS},
    )
    return [(name, Resolution(seconds), to_microseconds(moment)) for name, seconds, moment in cursor.fetchall()]


def _only_value(cursor: Cursor) -> Any:
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("a statement that returns exactly one row returned none")
    return row[0]


def _row(instrument: Instrument) -> tuple[object, ...]:
    return (
        instrument.venue,
        instrument.name,
        instrument.kind,
        instrument.currency,
        instrument.strike,
        instrument.option_type,
        instrument.tick_size,
        from_microseconds(instrument.listed_at),
        None if instrument.expires_at is None else from_microseconds(instrument.expires_at),
    )
