"""One thing wrong with the candles: it is found, by the check whose question it is, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import from_microseconds
from tapekeeper.model.answer import RejectedRow
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import BadRow
from tapekeeper.store.quarantine import quarantine
from tests.support.candles import MINUTE, START
from tests.support.market import ALL_DAYS, DAY, NOW, alarms, ask, minutes_after

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

CANDLES = DERIBIT_PERPETUAL_CANDLES
BAD = START + 5 * DAY + 733 * MINUTE


@pytest.fixture
def bitcoin(market_ids: dict[str, int]) -> int:
    return market_ids["bitcoin"]


def spoil(cursor: Cursor, series_id: int, change: str, at: int = BAD, minutes: int = 1) -> None:
    """Change held candles behind the back of the account."""
    start, end = minutes_after(at, minutes).as_datetimes()
    cursor.execute(
        f"UPDATE candles SET {change} WHERE series_id = %s AND open_time >= %s AND open_time < %s",
        (series_id, start, end),
    )
    assert cursor.rowcount == minutes


def found(cursor: Cursor, *, is_everything: bool = True) -> dict[str, int]:
    return alarms(cursor, CANDLES, ALL_DAYS, now=NOW, is_everything=is_everything)


IMPOSSIBLE = {
    "high = low - 0.5": "high is below low",
    "open = high + 0.5": "open is outside low and high",
    "close = low - 0.5": "close is outside low and high",
    "open = 0, low = 0": "a price is not above zero",
    "open = -9999, low = -9999": "a price is not above zero",
    "volume = -1": "volume is below zero",
    "cost = -0.01": "cost is below zero",
    "high = 'infinity'": "a value is no finite number",
    "open = 'nan'": "a value is no finite number",
    "volume = 'infinity'": "a value is no finite number",
    "cost = 'nan'": "a value is no finite number",
    "open_time = open_time + interval '1 second'": "the open time is not on the grid",
}


@pytest.mark.parametrize(("change", "reason"), IMPOSSIBLE.items())
def test_a_candle_that_cannot_be(cursor: Cursor, bitcoin: int, change: str, reason: str) -> None:
    # Without a wick, whatever makes one candle impossible leaves it near its neighbours.
    spoil(cursor, bitcoin, "high = greatest(open, close), low = least(open, close), volume = 1, cost = 1")
    spoil(cursor, bitcoin, change)
    assert found(cursor) == {"ohlcv_sanity": 1}
    told = ask(cursor, "ohlcv_sanity", CANDLES, ALL_DAYS, now=NOW)
    moment = BAD + (1_000_000 if "open_time" in change else 0)
    assert told.bad_rows == (BadRow(bitcoin, moment, reason),)
    assert (told.sample[0]["instrument"], told.sample[0]["reason"]) == ("BTC-PERPETUAL", reason)


def test_a_quiet_candle_and_one_without_cost_are_sound(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "cost = NULL", minutes=60)
    assert found(cursor) == {}


@pytest.mark.parametrize("change", ["high = high + 0.1", "open = open + 0.3, high = high + 0.5", "low = low - 0.001"])
def test_a_price_between_two_ticks(cursor: Cursor, bitcoin: int, change: str) -> None:
    spoil(cursor, bitcoin, change)
    assert found(cursor) == {"tick_grid": 1}
    told = ask(cursor, "tick_grid", CANDLES, ALL_DAYS, now=NOW)
    assert (told.sample[0]["open_time"], told.sample[0]["tick_size"]) == ("2020-09-19T12:13:00Z", 0.5)


def test_a_day_with_another_tick_is_none_between_two_ticks(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "high = high + 0.25", at=START + 5 * DAY, minutes=1_440)
    assert found(cursor) == {}
    assert ask(cursor, "tick_grid", CANDLES, ALL_DAYS, now=NOW).figures == {"days_with_another_tick": 1}


def test_the_last_digit_of_a_double_is_no_price_between_two_ticks(cursor: Cursor, bitcoin: int) -> None:
    cursor.execute("UPDATE instruments SET tick_size = 0.1")
    spoil(cursor, bitcoin, "high = high * (1 + 2e-16), low = low * (1 - 2e-16)", minutes=60)
    assert found(cursor) == {}


JUMPS = {
    "all prices": "open = 2 * open, high = 2 * high, low = 2 * low, close = 2 * close",
    "all prices down": "open = open / 2, high = high / 2, low = low / 2, close = close / 2, volume = 1, cost = 1",
    "the high alone": "high = 1.5 * high",
    "the low alone": "low = 0.5 * low",
}


@pytest.mark.parametrize("change", JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("volume", [7.0, 0.0])
def test_a_candle_far_from_its_neighbours(cursor: Cursor, bitcoin: int, change: str, volume: float) -> None:
    cursor.execute("UPDATE instruments SET tick_size = NULL")
    spoil(cursor, bitcoin, f"volume = {volume}")
    spoil(cursor, bitcoin, change.replace(", volume = 1, cost = 1", ""))
    assert found(cursor) == {"price_jump": 1}
    told = ask(cursor, "price_jump", CANDLES, minutes_after(BAD, 1), now=NOW)
    assert [row["open_time"] for row in told.sample] == ["2020-09-19T12:13:00Z"]


@pytest.mark.parametrize("at", [0, 59, 60, 1_439])
def test_a_jump_is_seen_wherever_it_lies(cursor: Cursor, bitcoin: int, at: int) -> None:
    spoil(cursor, bitcoin, JUMPS["all prices"], at=START + 5 * DAY + at * MINUTE)
    assert found(cursor) == {"price_jump": 1}


def test_a_market_that_moves_and_stays_jumps_not(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, JUMPS["all prices"], at=BAD, minutes=30)
    assert found(cursor) == {}


def test_a_trade_far_from_an_old_price_is_what_an_illiquid_market_does(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "volume = 0, cost = 0", at=BAD - 5 * MINUTE, minutes=5)
    spoil(cursor, bitcoin, "volume = 1, cost = 1", at=BAD, minutes=2)
    spoil(cursor, bitcoin, JUMPS["all prices"])
    assert found(cursor) == {}
    # Had the candle after it no trade, it would have to repeat the price.
    spoil(cursor, bitcoin, "volume = 0, cost = 0", at=BAD + MINUTE)
    assert found(cursor) == {"price_jump": 1}


def lose(cursor: Cursor, series_id: int, minutes: int) -> None:
    """Take candles out, off the account too."""
    start, end = minutes_after(BAD, minutes).as_datetimes()
    cursor.execute(
        "DELETE FROM candles WHERE series_id = %s AND open_time >= %s AND open_time < %s", (series_id, start, end)
    )
    day = from_microseconds(BAD).date()
    cursor.execute("UPDATE coverage SET held = held - %s WHERE series_id = %s AND day = %s", (minutes, series_id, day))
    cursor.execute("UPDATE series_totals SET held = held - %s WHERE series_id = %s", (minutes, series_id))


@pytest.mark.parametrize(("minutes", "is_long"), [(1, False), (5, False), (6, True)])
def test_a_hole(cursor: Cursor, bitcoin: int, minutes: int, is_long: bool) -> None:
    lose(cursor, bitcoin, minutes)
    assert found(cursor) == {"gap_detection": 1, "row_counts": 1, **({"long_gaps": 1} if is_long else {})}
    told = ask(cursor, "long_gaps", CANDLES, ALL_DAYS, now=NOW)
    assert (told.checked, told.figures["missing"]) == (1, minutes if is_long else 0)


def test_a_long_hole_that_is_explained_is_told_and_alarms_nobody(cursor: Cursor, bitcoin: int) -> None:
    lose(cursor, bitcoin, 10)
    cursor.execute(
        """
        INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence, closed_at)
        VALUES (%s, %s, %s, 10, 'unknown', 'permanent', '{}', now())
        """,
        (bitcoin, *minutes_after(BAD, 10).as_datetimes()),
    )
    day = from_microseconds(BAD).date()
    cursor.execute("UPDATE coverage SET explained = 10 WHERE series_id = %s AND day = %s", (bitcoin, day))
    cursor.execute("UPDATE series_totals SET explained = 10 WHERE series_id = %s", (bitcoin,))
    assert found(cursor) == {}
    told = ask(cursor, "long_gaps", CANDLES, ALL_DAYS, now=NOW)
    assert (told.checked, told.figures["explained_or_under_way"]) == (1, 1)


def test_a_row_in_quarantine_is_told_until_a_better_one_came(cursor: Cursor, bitcoin: int) -> None:
    held = RejectedRow(BAD, "high 1.0 is below low 2.0", {"tick": 1})
    quarantine(cursor, bitcoin, [held])
    assert found(cursor) == {}
    lose(cursor, bitcoin, 1)
    quarantine(cursor, bitcoin, [held, RejectedRow(BAD, "close is none", {"tick": 1})])
    assert found(cursor) == {"ohlcv_sanity": 1, "gap_detection": 1, "row_counts": 1}
    told = ask(cursor, "ohlcv_sanity", CANDLES, ALL_DAYS, now=NOW)
    assert told.bad_rows == ()
    assert [(row["open_time"], row["reason"], row["times_seen"]) for row in told.sample] == [
        ("2020-09-19T12:13:00Z", "in quarantine: close is none", 3)
    ]
    # What is asked for again today may still come in; what has no time shows as a hole.
    assert ask(cursor, "ohlcv_sanity", CANDLES, ALL_DAYS, now=BAD + MINUTE).found == 0
    quarantine(cursor, bitcoin, [RejectedRow(None, "no time", {})])
    assert found(cursor)["ohlcv_sanity"] == 1


def test_a_row_that_vanished_behind_the_account(cursor: Cursor, bitcoin: int) -> None:
    cursor.execute("DELETE FROM candles WHERE series_id = %s AND open_time = %s", (bitcoin, from_microseconds(BAD)))
    assert found(cursor) == {"exact_count": 1}
    told = ask(cursor, "exact_count", CANDLES, ALL_DAYS, now=NOW, is_everything=True)
    assert [(row["what"], row["account"], row["counted"]) for row in told.sample] == [("2020-09-19", 1_440, 1_439)]


def test_a_day_that_no_account_knows(cursor: Cursor, bitcoin: int) -> None:
    cursor.execute("DELETE FROM coverage WHERE series_id = %s AND day = '2020-09-19'", (bitcoin,))
    told = ask(cursor, "exact_count", CANDLES, ALL_DAYS, now=NOW, is_everything=True)
    assert [(row["what"], row["account"], row["counted"]) for row in told.sample] == [
        ("2020-09-19", 0, 1_440),
        ("total expected", 16 * 1_440 + 720, 15 * 1_440 + 720),
        ("total held", 16 * 1_440 + 720, 15 * 1_440 + 720),
    ]


def test_days_are_drawn_by_the_key_of_the_run(cursor: Cursor, bitcoin: int) -> None:
    cursor.execute("UPDATE coverage SET held = held + 1")
    first = ask(cursor, "exact_count", CANDLES, ALL_DAYS, now=NOW)
    again = ask(cursor, "exact_count", CANDLES, ALL_DAYS, now=NOW)
    assert first == again
    days = [row for row in first.sample if not str(row["what"]).startswith("total")]
    assert len(days) == 20
    assert (len(first.sample), first.checked) == (25, 25)


def test_a_total_that_is_not_the_sum_of_its_days(cursor: Cursor, bitcoin: int) -> None:
    cursor.execute("UPDATE series_totals SET explained = 3 WHERE series_id = %s", (bitcoin,))
    assert found(cursor, is_everything=False) == {"exact_count": 1}


def test_a_series_that_stays_behind(cursor: Cursor, bitcoin: int) -> None:
    moment = from_microseconds(NOW - 11 * MINUTE - 1)
    cursor.execute("UPDATE series_totals SET last_event_time = %s WHERE series_id = %s", (moment, bitcoin))
    assert found(cursor) == {"freshness": 1}
    told = ask(cursor, "freshness", CANDLES, ALL_DAYS, now=NOW)
    assert (told.checked, told.figures["followed"], told.sample[0]["instrument"]) == (2, 2, "BTC-PERPETUAL")
    assert told.sample[0]["age_seconds"] == pytest.approx(600.000001)
    # Whoever asks about last week does not ask for news.
    past = Window(START, START + 7 * DAY)
    assert ask(cursor, "freshness", CANDLES, past, now=NOW).checked == 0


def test_a_candle_is_stale_after_two_of_its_lengths(cursor: Cursor, market_ids: dict[str, int]) -> None:
    hours = market_ids["hours"]
    cursor.execute("UPDATE followed SET window_end = NULL WHERE series_id = %s", (hours,))
    assert found(cursor) == {}
    cursor.execute(
        "UPDATE series_totals SET last_event_time = last_event_time - interval '1 hour' WHERE series_id = %s", (hours,)
    )
    for minutes, is_stale in ((59, False), (61, True)):
        now = NOW + minutes * MINUTE
        stale = ask(cursor, "freshness", CANDLES, Window(START, now), now=now).sample
        assert (hours in [row["series_id"] for row in stale]) == is_stale


def test_what_lives_no_more_and_what_just_began_is_not_stale(cursor: Cursor, market_ids: dict[str, int]) -> None:
    cursor.execute("UPDATE followed SET window_end = NULL WHERE series_id = %s", (market_ids["expired"],))
    assert found(cursor) == {}
    cursor.execute("UPDATE series_totals SET last_event_time = NULL WHERE series_id = %s", (market_ids["bitcoin"],))
    cursor.execute(
        "UPDATE followed SET window_start = %s WHERE series_id = %s",
        (from_microseconds(NOW - 5 * MINUTE), market_ids["bitcoin"]),
    )
    assert ask(cursor, "freshness", CANDLES, ALL_DAYS, now=NOW).found == 0
    assert ask(cursor, "freshness", CANDLES, ALL_DAYS, now=NOW + 5 * MINUTE + 1).found == 1


LATE = START + 10 * DAY + 720 * MINUTE
"""There is enough history before it to tell what is usual."""


@pytest.mark.parametrize("factor", [100, 0])
def test_an_hour_with_another_volume_than_usual(cursor: Cursor, bitcoin: int, factor: int) -> None:
    spoil(cursor, bitcoin, f"volume = {factor} * volume, cost = {factor} * cost", at=LATE, minutes=60)
    assert found(cursor) == {"anomaly": 1}
    told = ask(cursor, "anomaly", CANDLES, Window(LATE, NOW), now=NOW).sample[0]
    assert (told["instrument"], told["hour"]) == ("BTC-PERPETUAL", "2020-09-24T12:00:00Z")
    assert told["usual"] == pytest.approx(540, rel=0.2)


def test_twice_the_volume_is_nothing_unusual(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "volume = 2 * volume, cost = 2 * cost", at=LATE, minutes=600)
    assert found(cursor) == {}


def test_one_huge_trade_makes_no_hour_unusual(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "volume = 1000 * volume, cost = 1000 * cost", at=LATE)
    assert found(cursor) == {}


def test_without_a_week_of_history_nothing_is_unusual(cursor: Cursor, bitcoin: int) -> None:
    early = START + 6 * DAY + 720 * MINUTE
    spoil(cursor, bitcoin, "volume = 100 * volume, cost = 100 * cost", at=early, minutes=60)
    assert found(cursor) == {}


def test_an_instrument_that_hardly_trades_has_no_usual_volume(cursor: Cursor, bitcoin: int) -> None:
    """Nine of ten minutes are quiet, always; then there is an hour with a trade every minute."""
    spoil(cursor, bitcoin, "volume = 0, cost = 0", at=START, minutes=12 * 1_440)
    cursor.execute(
        "UPDATE candles SET volume = 1, cost = 1 WHERE series_id = %s AND extract(minute FROM open_time) < 6 "
        "AND open_time < %s",
        (bitcoin, from_microseconds(LATE)),
    )
    spoil(cursor, bitcoin, "volume = 1000, cost = 1000", at=LATE, minutes=60)
    found_before = ask(cursor, "anomaly", CANDLES, Window(START, LATE + 60 * MINUTE), now=NOW)
    assert found_before.found == 0


def test_an_hour_that_is_not_over_is_not_judged(cursor: Cursor, bitcoin: int) -> None:
    spoil(cursor, bitcoin, "volume = 0, cost = 0", at=LATE, minutes=60)
    for asked, now in ((Window(START, LATE + 59 * MINUTE), NOW), (ALL_DAYS, LATE + 59 * MINUTE)):
        assert ask(cursor, "anomaly", CANDLES, asked, now=now).found == 0


LONG = {
    "open = open + 0.5": ["open"],
    "high = high + 0.5": ["high"],
    "low = low - 0.5": ["low"],
    "close = close - 0.5": ["close"],
    "volume = volume + 0.1": ["volume"],
}


@pytest.mark.parametrize(("change", "differs"), LONG.items())
def test_a_long_candle_that_is_not_the_sum_of_short_ones(
    cursor: Cursor, market_ids: dict[str, int], change: str, differs: list[str]
) -> None:
    at = START + 14 * DAY + 60 * MINUTE
    spoil(cursor, market_ids["hours"], change, at=at)
    assert found(cursor) == {"resolution_agreement": 1}
    told = ask(cursor, "resolution_agreement", CANDLES, ALL_DAYS, now=NOW)
    assert told.checked == 3 * 24 + 12
    assert (told.sample[0]["open_time"], told.sample[0]["differs"]) == ("2020-09-28T01:00:00Z", differs)


def test_a_long_candle_may_leave_quiet_minutes_out(cursor: Cursor, market_ids: dict[str, int]) -> None:
    """The venue may open an hour with its first trade instead of with the price before it."""
    at = START + 14 * DAY + 60 * MINUTE
    spoil(cursor, market_ids["bitcoin"], "volume = 0, high = open + 90, low = open - 90, close = open", at=at)
    cursor.execute(
        """
        UPDATE candles AS hour SET open = traded.open, high = traded.high, low = traded.low, volume = traded.volume
        FROM (
            SELECT
                (array_agg(open ORDER BY open_time))[1] AS open,
                max(high) AS high, min(low) AS low, sum(volume) AS volume
            FROM candles WHERE series_id = %s AND open_time >= %s AND open_time < %s AND volume > 0
        ) AS traded
        WHERE series_id = %s AND open_time = %s
        """,
        (market_ids["bitcoin"], *minutes_after(at, 60).as_datetimes(), market_ids["hours"], from_microseconds(at)),
    )
    assert ask(cursor, "resolution_agreement", CANDLES, ALL_DAYS, now=NOW).found == 0


def test_what_is_not_held_whole_is_not_added_up(cursor: Cursor, market_ids: dict[str, int]) -> None:
    at = START + 14 * DAY + 60 * MINUTE
    cursor.execute(
        "DELETE FROM candles WHERE series_id = %s AND open_time = %s", (market_ids["bitcoin"], from_microseconds(at))
    )
    told = ask(cursor, "resolution_agreement", CANDLES, ALL_DAYS, now=NOW)
    assert (told.found, told.checked) == (0, 3 * 24 + 11)
