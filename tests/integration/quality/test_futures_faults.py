"""One thing wrong with aggregate trades, funding rates or chains of options: its check finds it, and no other does."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import from_microseconds
from tapekeeper.model.gap import Sequences
from tapekeeper.model.quality import Hole
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
)
from tapekeeper.model.window import Window
from tapekeeper.quality import ledger
from tapekeeper.quality.checks.check import BadRow
from tapekeeper.quality.expectation import expect_closed_days
from tapekeeper.store.database import Database, connect
from tapekeeper.store.told import mark_told, recount
from tests.support.candles import MINUTE, START
from tests.support.futures_market import (
    EIGHT_HOURS,
    PREPARE,
    TRADES_FROM,
    healthy_agg_trades,
    healthy_funding_rates,
    healthy_option_candles,
    trades_within,
)
from tests.support.market import ALL_DAYS, DAY, NOW, TODAY, alarms, ask, healthy_market, minutes_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset

TRADES, FUNDING, OPTIONS = BINANCE_UM_AGG_TRADES, BINANCE_UM_FUNDING_RATES, CRYPTODATADOWNLOAD_OPTION_CANDLES
NOON = START + 14 * DAY + 720 * MINUTE


@pytest.fixture(scope="module")
def ids(module_database_url: str) -> dict[str, int]:
    """The ids of the series of a healthy market, committed once for the module."""
    with closing(Database(module_database_url, prepare=PREPARE)) as database:
        candles = database.run(lambda cursor: healthy_market(cursor, BINANCE_UM_CANDLES))
        trades = database.run(healthy_agg_trades)
        funding = database.run(healthy_funding_rates)
        chain = database.run(healthy_option_candles)
    return {"candles": candles["bitcoin"], "trades": trades, "funding": funding["bitcoin"], "chain": chain}


@pytest.fixture
def cursor(module_database_url: str, ids: dict[str, int]) -> Iterator[Cursor]:
    """A transaction on the healthy market that is rolled back."""
    with closing(connect(module_database_url)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(PREPARE)
            yield cursor
        connection.rollback()


def found(cursor: Cursor, dataset: Dataset) -> dict[str, int]:
    return alarms(cursor, dataset, ALL_DAYS, now=NOW)


def ids_within(window: Window) -> list[int]:
    """Return the ids of the trades of a window."""
    trades = trades_within(Window(TRADES_FROM, NOW))
    within = (trades.event_time >= window.start) & (trades.event_time < window.end)
    return [int(number) for number in trades.agg_trade_id[within]]


def never_had(cursor: Cursor, series_id: int, first: int, last: int) -> None:
    """Take trades out as if the venue had left them out of what it told."""
    cursor.execute(
        "DELETE FROM agg_trades WHERE agg_trade_id BETWEEN %s AND %s RETURNING (event_time AT TIME ZONE 'UTC')::date",
        (first, last),
    )
    days = [day for (day,) in cursor.fetchall()]
    assert len(days) == last - first + 1
    for day in days:
        cursor.execute(
            "UPDATE coverage SET held = held - 1, expected = expected - 1 WHERE series_id = %s AND day = %s",
            (series_id, day),
        )
    cursor.execute(
        "UPDATE series_totals SET"
        " held = held - %(gone)s, expected = expected - %(gone)s, rows_held = rows_held - %(gone)s"
        " WHERE series_id = %(series_id)s",
        {"gone": len(days), "series_id": series_id},
    )


@pytest.mark.parametrize("over_midnight", [False, True])
def test_ids_that_were_left_out_of_what_was_told(cursor: Cursor, ids: dict[str, int], over_midnight: bool) -> None:
    around = START + 15 * DAY if over_midnight else NOON
    before, after = ids_within(Window(around - DAY, around)), ids_within(Window(around, around + DAY))
    first, last = before[-1], after[0]
    never_had(cursor, ids["trades"], first, last)
    # Their volume is lacking as well, so the candles tell the same.
    assert found(cursor, TRADES) == {"trade_sequence": 1, "volume_agreement": 2}
    told = ask(cursor, "trade_sequence", TRADES, ALL_DAYS, now=NOW)
    (hole,) = told.holes
    assert (hole.series_id, hole.sequences, hole.missing) == (ids["trades"], Sequences(first, last), 2)
    day_after = Window(START + 15 * DAY, START + 16 * DAY)
    assert ask(cursor, "trade_sequence", TRADES, day_after, now=NOW).found == int(over_midnight)
    (gap,) = ledger.record_holes(cursor, told.holes, by="test")
    assert (gap.sequences, gap.missing) == (Sequences(first, last), 2)
    # What the ledger knows is told by the account alone, and a day that lacks something is not compared.
    assert found(cursor, TRADES) == {"row_counts": 1, **({"volume_agreement": 1} if over_midnight else {})}


def test_ids_between_two_windows_that_were_told_are_nobodys_promise(cursor: Cursor, ids: dict[str, int]) -> None:
    untold = Window(NOON, NOON + 10 * MINUTE)
    numbers = ids_within(untold)
    never_had(cursor, ids["trades"], numbers[0], numbers[-1])
    tell_no_more(cursor, ids["trades"], untold)
    assert ask(cursor, "trade_sequence", TRADES, ALL_DAYS, now=NOW).found == 0
    assert found(cursor, TRADES) == {"untold": 1, "row_counts": 1}


def test_an_id_that_stands_for_two_trades(cursor: Cursor, ids: dict[str, int]) -> None:
    (number, *_) = ids_within(Window(NOON, NOW))
    cursor.execute(
        "INSERT INTO agg_trades SELECT event_time + interval '1 second', agg_trade_id, price, 0, first_trade_id,"
        " last_trade_id, instrument_id, is_buyer_maker FROM agg_trades WHERE agg_trade_id = %s",
        (number,),
    )
    assert found(cursor, TRADES) == {"duplicates": 1, "exact_count": 1}
    told = ask(cursor, "duplicates", TRADES, ALL_DAYS, now=NOW)
    assert (told.sample[0]["trade_seq"], told.figures) == (number, {"same_number": 1})


def test_a_quantity_that_the_candle_does_not_have(cursor: Cursor) -> None:
    (number, *_) = ids_within(Window(NOON, NOW))
    cursor.execute("UPDATE agg_trades SET quantity = quantity + 2 WHERE agg_trade_id = %s", (number,))
    assert cursor.rowcount == 1
    assert found(cursor, TRADES) == {"volume_agreement": 1}
    told = ask(cursor, "volume_agreement", TRADES, ALL_DAYS, now=NOW, is_everything=True)
    assert (told.checked, told.figures["instrument_days"]) == (2 * 1_440, 2)
    assert told.figures["largest_difference"] == pytest.approx(2)
    assert told.sample[0]["instrument"] == "BTC-PERPETUAL"


def test_only_days_that_are_held_whole_on_both_sides_are_compared(cursor: Cursor, ids: dict[str, int]) -> None:
    cursor.execute("UPDATE agg_trades SET quantity = quantity + 2")
    cursor.execute(
        "UPDATE coverage SET held = held - 1 FROM series"
        " WHERE series.series_id = coverage.series_id AND dataset = %s AND day = '2020-09-28'",
        (BINANCE_UM_CANDLES.name,),
    )
    told = ask(cursor, "volume_agreement", TRADES, ALL_DAYS, now=NOW)
    assert told.figures["instrument_days"] == 1
    tell_no_more(cursor, ids["trades"], minutes_after(START + 15 * DAY, 10))
    assert ask(cursor, "volume_agreement", TRADES, ALL_DAYS, now=NOW).checked == 0


def tell_no_more(cursor: Cursor, series_id: int, window: Window) -> None:
    """Forget that a window was told, as if nobody had asked for it."""
    cursor.execute("SELECT min(window_start), max(window_end) FROM told_windows WHERE series_id = %s", (series_id,))
    ((start, end),) = cursor.fetchall()
    cursor.execute("DELETE FROM told_windows WHERE series_id = %s", (series_id,))
    first, last = window.as_datetimes()
    cursor.execute(
        "INSERT INTO told_windows SELECT %s, lower(piece), upper(piece) FROM unnest("
        " tstzmultirange(tstzrange(%s, %s)) - tstzmultirange(tstzrange(%s, %s))) AS piece",
        (series_id, start, end, first, last),
    )
    recount(cursor, series_id, window)


@pytest.mark.parametrize("name", ["trades", "chain"])
def test_what_was_never_told(cursor: Cursor, ids: dict[str, int], name: str) -> None:
    dataset = TRADES if name == "trades" else OPTIONS
    window = minutes_after(NOON, 10) if name == "trades" else Window(START + 6 * DAY, START + 7 * DAY)
    tell_no_more(cursor, ids[name], window)
    assert found(cursor, dataset) == {"untold": 1, "row_counts": 1}
    told = ask(cursor, "untold", dataset, ALL_DAYS, now=NOW)
    assert told.holes == (Hole(ids[name], window, 1),)
    seconds = (window.end - window.start) // 1_000_000
    assert told.figures == {"seconds": seconds, "explained_seconds": 0, "under_way_seconds": 0}
    (gap,) = ledger.record_holes(cursor, told.holes, by="test")
    assert (gap.window, gap.sequences, gap.missing) == (window, None, 1)
    # Told again it closes by itself.
    assert ledger.close_filled(cursor, [ids[name]], by="test") == 0
    mark_told(cursor, ids[name], window)
    assert ledger.close_filled(cursor, [ids[name]], by="test") == 1
    assert found(cursor, dataset) == {}


def test_what_is_explained_or_under_way_is_told_among_the_figures(cursor: Cursor, ids: dict[str, int]) -> None:
    tell_no_more(cursor, ids["trades"], minutes_after(NOON, 10))
    cursor.execute(
        "INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence, closed_at)"
        " VALUES (%s, %s, %s, 1, 'archive_defect', 'permanent', '{}', now())",
        (ids["trades"], *minutes_after(NOON, 4).as_datetimes()),
    )
    cursor.execute(
        """
        WITH run AS (
            INSERT INTO backfill_runs (run_key, dataset, instruments, resolution_seconds, window_start, window_end,
                direction, mode, state)
            VALUES ('run', %s, '{}', 0, %s, %s, 'newest first', 'missing only', 'running')
            RETURNING run_id, window_start, window_end
        )
        INSERT INTO backfill_chunks (run_id, series_id, window_start, window_end, position, state)
        SELECT run_id, %s, window_start, window_end, 1, 'pending' FROM run
        """,
        (TRADES.name, *minutes_after(NOON + 4 * MINUTE, 5).as_datetimes(), ids["trades"]),
    )
    told = ask(cursor, "untold", TRADES, ALL_DAYS, now=NOW)
    assert [hole.window for hole in told.holes] == [minutes_after(NOON + 9 * MINUTE, 1)]
    assert told.figures == {"seconds": 60, "explained_seconds": 240, "under_way_seconds": 300}


def test_a_day_that_nobody_planned_is_expected_to_be_told(cursor: Cursor, ids: dict[str, int]) -> None:
    later = NOW + 3 * DAY
    closed = Window(START, later - later % DAY)
    for dataset, missing in ((TRADES, Window(NOW, closed.end)), (OPTIONS, Window(TODAY - DAY, TODAY + DAY))):
        expect_closed_days(cursor, dataset, closed, now=later)
        told = ask(cursor, "untold", dataset, closed, now=later)
        assert [hole.window for hole in told.holes] == [missing]
        assert told.holes[0].missing == len(list(missing.days()))
        expect_closed_days(cursor, dataset, closed, now=later)
        assert ask(cursor, "untold", dataset, closed, now=later) == told
    assert ids["trades"] != ids["chain"]


@pytest.mark.parametrize(
    ("dataset", "late", "is_stale"),
    [(TRADES, 31, False), (TRADES, 33, True), (OPTIONS, 2 * 1_440, False), (OPTIONS, 2 * 1_440 + 2, True)],
)
def test_what_is_told_in_windows_is_as_new_as_the_last_of_them(
    cursor: Cursor, dataset: Dataset, late: int, is_stale: bool
) -> None:
    # Trades may be half an hour old after they can be asked for; chains two days after a day of settling.
    now = (NOW + MINUTE if dataset is TRADES else TODAY) + late * MINUTE - MINUTE
    told = ask(cursor, "freshness", dataset, Window(START, now), now=now)
    assert (told.checked, told.found > 0) == (1, is_stale)


FUNDING_FAULTS = {
    "funding_rate = 0.11": "the rate is beyond what can be",
    "funding_rate = -0.11": "the rate is beyond what can be",
    "funding_rate = 'nan'": "the rate is beyond what can be",
    "paid_at = due_at + interval '61 seconds'": "it was not paid when it was due",
    "paid_at = due_at - interval '1 hour'": "it was not paid when it was due",
    "mark_price = 0": "the mark price is not above zero",
    "mark_price = 'infinity'": "the mark price is not above zero",
}


@pytest.mark.parametrize(("change", "reason"), FUNDING_FAULTS.items())
def test_a_funding_rate_that_cannot_be(cursor: Cursor, ids: dict[str, int], change: str, reason: str) -> None:
    due_at = START + 5 * DAY + EIGHT_HOURS.microseconds
    cursor.execute(
        f"UPDATE funding_rates SET {change} WHERE series_id = %s AND due_at = %s",
        (ids["funding"], from_microseconds(due_at)),
    )
    assert found(cursor, FUNDING) == {"funding_sanity": 1}
    told = ask(cursor, "funding_sanity", FUNDING, ALL_DAYS, now=NOW)
    assert (told.sample[0]["due_at"], told.sample[0]["reason"]) == ("2020-09-19T08:00:00Z", reason)


def test_a_funding_rate_that_is_missing(cursor: Cursor, ids: dict[str, int]) -> None:
    due_at = START + 5 * DAY + EIGHT_HOURS.microseconds
    lose(cursor, "funding_rates", "due_at", ids["funding"], due_at)
    assert found(cursor, FUNDING) == {"gap_detection": 1, "row_counts": 1, "long_gaps": 1}
    (hole,) = ask(cursor, "gap_detection", FUNDING, ALL_DAYS, now=NOW).holes
    assert hole == Hole(ids["funding"], Window(due_at, due_at + EIGHT_HOURS.microseconds), 1)


def lose(cursor: Cursor, table: str, time: str, series_id: int, moment: int) -> None:
    """Take a row out, off the account too."""
    key = (series_id, from_microseconds(moment))
    cursor.execute(f"DELETE FROM {table} WHERE series_id = %s AND {time} = %s", key)
    assert cursor.rowcount == 1
    cursor.execute(
        "UPDATE coverage SET held = held - 1 WHERE series_id = %s AND day = (%s AT TIME ZONE 'UTC')::date", key
    )
    cursor.execute("UPDATE series_totals SET held = held - 1, rows_held = rows_held - 1 WHERE series_id = %s", key[:1])


def option_series(cursor: Cursor) -> int:
    cursor.execute(
        "SELECT series_id FROM series JOIN instruments USING (instrument_id) WHERE name = 'ETH-16OCT20-300-C'"
    )
    ((series_id,),) = cursor.fetchall()
    return int(series_id)


OPTION_FAULTS = {
    "high = low - 0.5": "high is below low",
    "low = -0.1": "a price is below zero",
    "open = high + 0.5": "open is outside low and high",
    "volume = -1": "volume is below zero",
    "close = 'nan'": "a value is no finite number",
    "open_time = day + interval '1 day'": "the open time is not on the grid",
}


@pytest.mark.parametrize(("change", "reason"), OPTION_FAULTS.items())
def test_a_daily_candle_that_cannot_be_goes_to_quarantine(cursor: Cursor, change: str, reason: str) -> None:
    series_id, day = option_series(cursor), START + 5 * DAY
    cursor.execute(
        f"UPDATE option_candles SET {change} WHERE series_id = %s AND day = %s", (series_id, from_microseconds(day))
    )
    assert found(cursor, OPTIONS) == {"ohlcv_sanity": 1}
    told = ask(cursor, "ohlcv_sanity", OPTIONS, ALL_DAYS, now=NOW)
    assert told.bad_rows == (BadRow(series_id, day, reason),)
    taken = ledger.quarantine_rows(cursor, series_id, [day], reason=reason, by="test")
    assert (taken.rows, [gap.window for gap in taken.gaps]) == (1, [Window(day, day + DAY)])
    cursor.execute("SELECT content ->> 'day', reason FROM quarantine WHERE series_id = %s", (series_id,))
    assert cursor.fetchall() == [("2020-09-19T00:00:00+00:00", reason)]
    assert found(cursor, OPTIONS) == {"ohlcv_sanity": 1, "gap_detection": 1, "long_gaps": 1, "row_counts": 1}


def test_a_day_of_an_option_that_is_missing(cursor: Cursor) -> None:
    series_id, day = option_series(cursor), START + 5 * DAY
    lose(cursor, "option_candles", "day", series_id, day)
    assert found(cursor, OPTIONS) == {"gap_detection": 1, "row_counts": 1, "long_gaps": 1}


@pytest.mark.parametrize("table", ["agg_trades", "funding_rates", "option_candles"])
def test_rows_that_vanished_behind_the_account(cursor: Cursor, table: str) -> None:
    dataset = next(each for each in (TRADES, FUNDING, OPTIONS) if each.table == table)
    time = {"agg_trades": "event_time", "funding_rates": "due_at", "option_candles": "day"}[table]
    cursor.execute(
        f"DELETE FROM {table} WHERE {time} = (SELECT min({time}) FROM {table} WHERE {time} >= %s)",
        (from_microseconds(TRADES_FROM),),
    )
    assert found(cursor, dataset).get("exact_count", 0) >= 1
