"""One thing wrong with trades or quotes: it is found, by the check whose question it is, and nothing else is."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import from_microseconds
from tapekeeper.model.gap import Cause, Sequences
from tapekeeper.model.quality import Hole
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES, DERIBIT_OPTION_TRADES
from tapekeeper.model.window import Window
from tapekeeper.store import option_series, ticks
from tapekeeper.store.database import Database, connect
from tapekeeper.store.ticks import write_ticks
from tapekeeper.store.trade_gaps import open_gap
from tests.support.market import alarms, ask
from tests.support.option_market import (
    ALL_DAYS,
    DAY,
    EVERY,
    FIRST_NUMBER,
    HOUR,
    NOW,
    account,
    healthy_options,
)
from tests.support.ticks import MIDNIGHT, SECOND, trade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.trade import Trade
    from tapekeeper.store.option_series import OptionSeries

TRADES, QUOTES = DERIBIT_OPTION_TRADES, DERIBIT_OPTION_QUOTES


@pytest.fixture(scope="module")
def options(module_database_url: str) -> dict[str, OptionSeries]:
    with closing(Database(module_database_url, prepare=ticks.INCOMING_TABLES)) as database:
        return database.run(healthy_options)


@pytest.fixture
def cursor(module_database_url: str, options: dict[str, OptionSeries]) -> Iterator[Cursor]:
    """A transaction on healthy options that is rolled back."""
    with closing(connect(module_database_url)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(ticks.INCOMING_TABLES)
            yield cursor
        connection.rollback()


@pytest.fixture
def living(options: dict[str, OptionSeries]) -> OptionSeries:
    return options["living"]


def of_trades(cursor: Cursor, window: Window = ALL_DAYS) -> dict[str, int]:
    return alarms(cursor, TRADES, window, now=NOW, is_everything=window == ALL_DAYS)


def of_quotes(cursor: Cursor) -> dict[str, int]:
    return alarms(cursor, QUOTES, ALL_DAYS, now=NOW)


def moment_of(number: int) -> int:
    """Return when a trade of the option that lives happened."""
    return MIDNIGHT + HOUR + (number - FIRST_NUMBER) // 2 * EVERY


def numbers_of(day: int) -> range:
    """Return the numbers of the trades of a day that is not the first."""
    first = FIRST_NUMBER + (day * DAY - HOUR) // EVERY * 2
    return range(first, first + DAY // EVERY * 2)


def never_had(cursor: Cursor, known: OptionSeries, first: int, last: int) -> None:
    """Take trades out as if nobody had ever heard of them."""
    cursor.execute(
        """
        DELETE FROM option_trades WHERE instrument_id = %s AND trade_seq BETWEEN %s AND %s
        RETURNING (event_time AT TIME ZONE 'UTC')::date
        """,
        (known.instrument_id, first, last),
    )
    days = [day for (day,) in cursor.fetchall()]
    assert len(days) == last - first + 1
    for day in days:
        for statement in (
            "UPDATE coverage SET held = held - 1, expected = expected - 1 WHERE series_id = %s AND day = %s",
            "UPDATE series_totals SET held = held - 1, expected = expected - 1, rows_held = rows_held - 1 "
            "WHERE series_id = %s AND %s IS NOT NULL",
        ):
            cursor.execute(statement, (known.trades_series_id, day))


def insert(cursor: Cursor, *rows: Trade) -> None:
    write_ticks(cursor, [], rows)


def test_numbers_that_nobody_heard_of(cursor: Cursor, living: OptionSeries) -> None:
    first = numbers_of(1).start + 40
    never_had(cursor, living, first, first + 2)
    assert of_trades(cursor) == {"trade_sequence": 1}
    told = ask(cursor, "trade_sequence", TRADES, ALL_DAYS, now=NOW)
    window = Window(moment_of(first - 1), moment_of(first + 3) + 1)
    assert told.holes == (Hole(living.trades_series_id, window, 3, Sequences(first, first + 2)),)
    assert (told.sample[0]["first_sequence"], told.sample[0]["missing"]) == (first, 3)


def test_what_the_ledger_knows_is_told_by_the_account_alone(cursor: Cursor, living: OptionSeries) -> None:
    first = numbers_of(1).start + 40
    never_had(cursor, living, first, first + 9)
    window = Window(moment_of(first - 1), moment_of(first + 10) + 1)
    known = Sequences(first + 2, first + 7)
    open_gap(cursor, living.trades_series_id, window, known, cause=Cause.UNKNOWN, by="test", evidence={})
    assert of_trades(cursor) == {"trade_sequence": 2, "row_counts": 1}
    told = ask(cursor, "trade_sequence", TRADES, ALL_DAYS, now=NOW)
    assert [hole.sequences for hole in told.holes] == [
        Sequences(first, first + 1),
        Sequences(first + 8, first + 9),
    ]


@pytest.mark.parametrize("day", [1, 2])
def test_a_hole_over_midnight_is_seen_from_the_day_after(cursor: Cursor, living: OptionSeries, day: int) -> None:
    midnight = numbers_of(day).start
    never_had(cursor, living, midnight - 1, midnight)
    last_day = Window(MIDNIGHT + day * DAY, MIDNIGHT + (day + 1) * DAY)
    assert of_trades(cursor, last_day) == {"trade_sequence": 1}
    # A whole day without any is bridged as well.
    never_had(cursor, living, numbers_of(1).start + 1, numbers_of(1).stop - 2)
    two_days = ask(cursor, "trade_sequence", TRADES, Window(MIDNIGHT + 2 * DAY, NOW), now=NOW)
    assert two_days.found == (1 if day == 2 else 0)


def test_a_day_without_trades_is_bridged(cursor: Cursor, living: OptionSeries) -> None:
    gone = numbers_of(1)
    never_had(cursor, living, gone.start, gone.stop - 1)
    told = ask(cursor, "trade_sequence", TRADES, Window(MIDNIGHT + 2 * DAY, NOW), now=NOW)
    assert [hole.missing for hole in told.holes] == [len(gone)]


def test_numbers_of_the_running_day_may_still_come(cursor: Cursor, living: OptionSeries) -> None:
    first = numbers_of(3).start + 4
    never_had(cursor, living, first, first)
    assert of_trades(cursor) == {}


def test_a_hole_is_not_made_up_for_by_a_trade_that_came_twice(cursor: Cursor, living: OptionSeries) -> None:
    number = numbers_of(1).start
    never_had(cursor, living, number + 1, number + 1)
    insert(cursor, trade(living.instrument_id, moment_of(number + 10) + SECOND, number + 10))
    assert of_trades(cursor) == {"trade_sequence": 1, "duplicates": 1}


def test_a_number_that_is_held_twice(cursor: Cursor, living: OptionSeries) -> None:
    number = numbers_of(1).start
    insert(cursor, trade(living.instrument_id, moment_of(number) + 2 * EVERY, number))
    assert of_trades(cursor) == {"duplicates": 1}
    told = ask(cursor, "duplicates", TRADES, ALL_DAYS, now=NOW)
    assert told.figures == {"same_number": 1, "same_id": 0, "out_of_order": 0}
    assert (told.sample[0]["trade_seq"], told.sample[0]["event_time"]) == (number, "2024-11-22T00:00:00Z")


def test_an_id_that_two_trades_have(cursor: Cursor, options: dict[str, OptionSeries], living: OptionSeries) -> None:
    cursor.execute(
        "UPDATE option_trades SET trade_id = (SELECT trade_id FROM option_trades WHERE instrument_id = %s LIMIT 1) "
        "WHERE instrument_id = %s AND trade_seq = %s",
        (options["expired"].instrument_id, living.instrument_id, numbers_of(1).start),
    )
    assert of_trades(cursor) == {"duplicates": 1}
    assert ask(cursor, "duplicates", TRADES, ALL_DAYS, now=NOW).figures["same_id"] == 1
    # Ids are unique within a currency.
    cursor.execute(
        "UPDATE instruments SET currency = 'BTC' WHERE instrument_id = %s", (options["expired"].instrument_id,)
    )
    assert of_trades(cursor) == {}


def test_a_trade_before_the_one_that_it_follows(cursor: Cursor, living: OptionSeries) -> None:
    number = numbers_of(1).start + 10
    cursor.execute(
        "UPDATE option_trades SET event_time = event_time - interval '11 minutes' "
        "WHERE instrument_id = %s AND trade_seq = %s",
        (living.instrument_id, number),
    )
    assert of_trades(cursor) == {"duplicates": 1}
    assert ask(cursor, "duplicates", TRADES, ALL_DAYS, now=NOW).figures["out_of_order"] == 1


def test_trades_that_vanished_behind_the_account(cursor: Cursor, living: OptionSeries) -> None:
    cursor.execute(
        "DELETE FROM option_trades WHERE instrument_id = %s AND trade_seq < %s",
        (living.instrument_id, FIRST_NUMBER + 2),
    )
    # The first that is held is nobody's promise, so the chain is whole.
    assert of_trades(cursor) == {"exact_count": 1}


def test_quotes_that_vanished_behind_the_account(cursor: Cursor, living: OptionSeries) -> None:
    cursor.execute("DELETE FROM option_quotes WHERE instrument_id = %s", (living.instrument_id,))
    assert of_quotes(cursor) == {"exact_count": 1}


def test_no_trade_anywhere_for_half_an_hour_is_a_quiet_market_while_the_feed_is_whole(cursor: Cursor) -> None:
    cursor.execute("UPDATE series_totals SET last_event_time = last_event_time - interval '31 minutes'")
    assert of_trades(cursor) == {}
    cursor.execute("UPDATE series_totals SET accounted_until = accounted_until - interval '31 minutes'")
    assert of_trades(cursor) == {"freshness": 1}


def test_quotes_are_as_new_as_what_is_accounted(cursor: Cursor) -> None:
    cursor.execute("UPDATE series_totals SET accounted_until = accounted_until - interval '2 minutes'")
    assert of_quotes(cursor) == {}
    cursor.execute("UPDATE series_totals SET accounted_until = accounted_until - interval '1 second'")
    assert of_quotes(cursor) == {"freshness": 1}


def test_what_nobody_follows_is_not_stale(cursor: Cursor) -> None:
    cursor.execute("UPDATE series_totals SET accounted_until = accounted_until - interval '1 day'")
    cursor.execute("UPDATE followed SET window_end = %s WHERE window_end IS NULL", (from_microseconds(NOW),))
    assert of_quotes(cursor) == {}


def test_followed_seconds_that_nobody_accounted_for(cursor: Cursor, options: dict[str, OptionSeries]) -> None:
    quiet = options["quiet"]
    cursor.execute(
        "UPDATE followed SET window_start = %s WHERE series_id = %s AND window_end IS NULL",
        (from_microseconds(MIDNIGHT + 29 * HOUR), quiet.quotes_series_id),
    )
    assert of_quotes(cursor) == {"row_counts": 1}
    told = ask(cursor, "row_counts", QUOTES, ALL_DAYS, now=NOW)
    assert told.figures["days_not_accounted"] == 1
    assert [(row["day"], row["followed_seconds"], row["missing"]) for row in told.sample] == [
        ("2024-11-22", 19 * 3_600, 3_600)
    ]


def test_a_collector_that_died_days_ago_is_seen(cursor: Cursor, options: dict[str, OptionSeries]) -> None:
    """Its options are followed still; of one that expired since, seconds are missing up to the expiry."""
    expired = options["expired"]
    cursor.execute("UPDATE followed SET window_end = NULL WHERE series_id = %s", (expired.quotes_series_id,))
    assert of_quotes(cursor) == {}
    later = NOW + 2 * DAY
    told = ask(cursor, "row_counts", QUOTES, Window(MIDNIGHT, later), now=later)
    assert sorted((row["instrument"], row["day"], row["missing"]) for row in told.sample) == [
        ("ETH-27DEC24-3000-C", "2024-11-24", 12 * 3_600),
        ("ETH-27DEC24-3000-C", "2024-11-25", 24 * 3_600),
        ("ETH-27DEC24-3002-C", "2024-11-24", 12 * 3_600),
        ("ETH-27DEC24-3002-C", "2024-11-25", 24 * 3_600),
    ]


def test_seconds_that_were_not_whole_and_that_no_gap_tells_of(cursor: Cursor, options: dict[str, OptionSeries]) -> None:
    quiet = options["quiet"].quotes_series_id
    cursor.execute("UPDATE coverage SET held = held - 60 WHERE series_id = %s AND day = '2024-11-23'", (quiet,))
    cursor.execute("UPDATE series_totals SET held = held - 60 WHERE series_id = %s", (quiet,))
    assert of_quotes(cursor) == {"row_counts": 1}


def test_fractions_of_seconds_at_the_ends_are_nobodys(cursor: Cursor, options: dict[str, OptionSeries]) -> None:
    quiet = options["quiet"]
    option_series.unfollow(cursor, [quiet.quotes_series_id], NOW)
    account(cursor, quiet.quotes_series_id, Window(NOW + HOUR, NOW + 2 * HOUR))
    option_series.follow_from(cursor, [quiet.quotes_series_id], NOW + HOUR)
    option_series.unfollow(cursor, [quiet.quotes_series_id], NOW + 2 * HOUR + 999_999)
    later = Window(NOW, NOW + DAY)
    assert ask(cursor, "row_counts", QUOTES, later, now=later.end).figures["days_not_accounted"] == 1
    cursor.execute("DELETE FROM followed WHERE window_end IS NULL")
    assert ask(cursor, "row_counts", QUOTES, later, now=later.end).found == 0
