"""The view of what is followed now: what cannot be behind is not in it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import psycopg2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

_SERIES: Final = """
    WITH instrument AS (
        INSERT INTO instruments (venue, name, kind, currency, listed_at, expires_at, delisted_at)
        VALUES (
            'deribit', %(name)s, 'option', 'ETH', now() - interval '9 days',
            now() + %(expires_in)s::interval, now() + %(delisted_in)s::interval
        )
        RETURNING instrument_id
    )
    INSERT INTO series (dataset, instrument_id) SELECT %(dataset)s, instrument_id FROM instrument
    RETURNING series_id
"""
_FOLLOWED: Final = """
    INSERT INTO followed (series_id, window_start, window_end, reason)
    VALUES (%s, now() - %s::interval, now() + %s::interval, 'test')
"""
_TOTALS: Final = """
    INSERT INTO series_totals (series_id, last_event_time, accounted_until)
    VALUES (%s, now() - interval '2 hours', now() - interval '1 minute')
"""
_SHOWN: Final = """
    SELECT followed_since = now() - interval '3 days', now() - last_event_time, now() - accounted_until
    FROM live_series WHERE instrument = %s
"""


@pytest.fixture
def cursor(module_database_url: str) -> Iterator[Cursor]:
    with closing(psycopg2.connect(module_database_url)) as connection, connection.cursor() as opened:
        yield opened


def followed(
    cursor: Cursor,
    name: str,
    *,
    dataset: str = "deribit.option_quotes",
    expires_in: str | None = "1 day",
    delisted_in: str | None = None,
    followed_for: str | None = None,
) -> None:
    """Make a series that is followed for three days, and longer from now on, or without an end."""
    asked = {"name": name, "dataset": dataset, "expires_in": expires_in, "delisted_in": delisted_in}
    cursor.execute(_SERIES, asked)
    (series_id,) = cursor.fetchone() or (None,)
    cursor.execute(_FOLLOWED, (series_id, "3 days", followed_for))
    cursor.execute(_FOLLOWED, (series_id, "2 days", followed_for))
    cursor.execute(_TOTALS, (series_id,))


def shown(cursor: Cursor, name: str) -> list[tuple[bool, str, str | None]]:
    """Return whether it is told since when it is followed, and what is told of its age."""
    cursor.execute("SET LOCAL ROLE tapekeeper_reader")
    cursor.execute(_SHOWN, (name,))
    return [(since, str(newest), known and str(known)) for since, newest, known in cursor.fetchall()]


def test_what_is_followed_is_there_once_since_the_first_of_its_windows(cursor: Cursor) -> None:
    followed(cursor, "ETH-LIVE")
    assert shown(cursor, "ETH-LIVE") == [(True, "2:00:00", "0:01:00")]


def test_a_perpetual_never_expires(cursor: Cursor) -> None:
    followed(cursor, "ETH-PERPETUAL", expires_in=None)
    assert len(shown(cursor, "ETH-PERPETUAL")) == 1


def test_only_quotes_are_known_beyond_their_newest_row(cursor: Cursor) -> None:
    followed(cursor, "ETH-TRADES", dataset="deribit.option_trades")
    assert shown(cursor, "ETH-TRADES") == [(True, "2:00:00", None)]


def test_what_a_venue_is_asked_for_is_known_up_to_where_it_was_told(cursor: Cursor) -> None:
    followed(cursor, "BTCUSDT", dataset="binance_um.agg_trades", expires_in=None)
    told = "SELECT now() - told_until FROM live_series WHERE instrument = 'BTCUSDT'"
    cursor.execute(told)
    assert cursor.fetchall() == [(None,)]
    cursor.execute(
        """
        INSERT INTO told_windows
        SELECT series_id, now() - age * interval '1 hour', now() - age * interval '30 minutes'
        FROM live_series, generate_series(1, 2) AS age
        WHERE instrument = 'BTCUSDT'
        """
    )
    cursor.execute("SET LOCAL ROLE tapekeeper_reader")
    cursor.execute(told)
    assert [str(age) for (age,) in cursor.fetchall()] == ["0:30:00"]


@pytest.mark.parametrize(
    "ended", [{"expires_in": "-1 second"}, {"delisted_in": "-1 second"}, {"followed_for": "-1 second"}]
)
def test_what_has_ended_is_not_behind(cursor: Cursor, ended: dict[str, str]) -> None:
    followed(cursor, "ETH-GONE", **ended)
    assert shown(cursor, "ETH-GONE") == []
