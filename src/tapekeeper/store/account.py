"""The account of ticks: what is expected, held and explained, per series and UTC day and in total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekeeper.clock import from_microseconds, to_microseconds
from tapekeeper.errors import InvariantBroken
from tapekeeper.store.arrays import array_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from psycopg2.extensions import cursor as Cursor

# A statement of its own, so that the next one finds a row for every day, whoever made it.
_ADD_DAYS: Final = """
    INSERT INTO coverage (series_id, day)
    SELECT DISTINCT series_id, day
    FROM unnest(%(series)s::integer[], %(days)s::date[]) AS change (series_id, day)
    ORDER BY series_id, day
    ON CONFLICT (series_id, day) DO NOTHING
"""
# What is explained follows from the other three whatever comes first: a loss may be recorded before the seconds that
# it belongs to are expected. The rows are locked in order before they are read, so that the totals get the difference.
_CHANGE: Final = """
    WITH change AS (
        SELECT series_id, day, sum(expected)::bigint AS expected, sum(held)::bigint AS held, sum(lost)::bigint AS lost
        FROM unnest(
            %(series)s::integer[], %(days)s::date[], %(expected)s::bigint[], %(held)s::bigint[], %(lost)s::bigint[]
        ) AS change (series_id, day, expected, held, lost)
        GROUP BY series_id, day
    ), before AS MATERIALIZED (
        SELECT
            account.series_id, account.day, account.explained,
            account.expected + change.expected AS expected, account.held + change.held AS held,
            account.lost + change.lost AS lost, change.expected AS more_expected, change.held AS more_held
        FROM coverage AS account
        JOIN change USING (series_id, day)
        ORDER BY account.series_id, account.day
        FOR UPDATE OF account
    ), after AS (
        UPDATE coverage AS account SET
            expected = before.expected,
            held = before.held,
            lost = before.lost,
            explained = greatest(0, least(before.lost, before.expected - before.held))
        FROM before
        WHERE account.series_id = before.series_id AND account.day = before.day
        RETURNING
            account.series_id, before.more_expected AS expected, before.more_held AS held,
            account.explained - before.explained AS explained
    ), growth AS (
        SELECT series_id, sum(expected) AS expected, sum(held) AS held, sum(explained) AS explained
        FROM after
        GROUP BY series_id
    ), locked AS MATERIALIZED (
        SELECT growth.*
        FROM series_totals
        JOIN growth USING (series_id)
        ORDER BY series_id
        FOR UPDATE OF series_totals
    )
    UPDATE series_totals AS total SET
        expected = total.expected + locked.expected,
        held = total.held + locked.held,
        explained = total.explained + locked.explained,
        accounted_until = greatest(total.accounted_until, %(until)s)
    FROM locked
    WHERE total.series_id = locked.series_id
"""


class Change(NamedTuple):
    """What is added to the account of a day, in the unit of the dataset; below zero takes away."""

    series_id: int
    day: date
    expected: int = 0
    held: int = 0
    lost: int = 0
    """What will never come. As much of it as is expected and not held counts as explained."""


class Seconds(NamedTuple):
    """How many seconds of a UTC day a series was followed, and how many of these its feed was whole.

    A second that a recorded gap touches is not verified, and no other second is left out.
    """

    series_id: int
    day: date
    followed: int
    verified: int


def change_account(cursor: Cursor, changes: Sequence[Change], *, until: int | None = None) -> None:
    """Add to coverage and to the totals of its series, which exist; `until` is as in `account_seconds`."""
    if not changes:
        return
    columns = ("series", "days", "expected", "held", "lost")
    values = dict(zip(columns, map(array_of, zip(*changes, strict=True)), strict=True))
    cursor.execute(_ADD_DAYS, values)
    cursor.execute(_CHANGE, {**values, "until": None if until is None else from_microseconds(until)})


def accounted_until(cursor: Cursor, series_ids: Sequence[int]) -> dict[int, int]:
    """Return up to which moment the seconds of series are accounted, in microseconds since 1970, where any are."""
    cursor.execute(
        """
        SELECT series_id, accounted_until FROM series_totals
        WHERE series_id = ANY(%s::integer[]) AND accounted_until IS NOT NULL
        """,
        (array_of(series_ids),),
    )
    return {series_id: to_microseconds(until) for series_id, until in cursor.fetchall()}


def account_seconds(cursor: Cursor, seconds: Sequence[Seconds], *, until: int) -> None:
    """Add seconds to what is expected and held of quotes, and note up to which moment that is done.

    `until` is in microseconds since 1970; after a restart `stream_positions` tells it, so that no second is counted
    twice and none is forgotten.

    Raises:
        InvariantBroken: more seconds are verified than were followed.
    """
    for counted in seconds:
        if not 0 <= counted.verified <= counted.followed:
            raise InvariantBroken(f"{counted.verified} of {counted.followed} followed seconds cannot be verified")
    change_account(cursor, [Change(*counted) for counted in seconds], until=until)
