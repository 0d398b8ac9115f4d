"""Holes in candles: every one is found where it is, and nothing that is no hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, from_microseconds
from tapekeeper.model.quality import Hole
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.expectation import expect_closed_days
from tests.support.candles import MINUTE, START
from tests.support.market import ALL_DAYS, DAY, EXPIRED, LISTED_LATE, NOW, TODAY, ask, follow, minutes_after, perpetual

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

CANDLES = DERIBIT_PERPETUAL_CANDLES
NOON = START + 5 * DAY + 720 * MINUTE


def lose(cursor: Cursor, series_id: int, *windows: Window) -> None:
    """Delete candles, and take them off the account."""
    for window in windows:
        for day, part in window.days():
            cursor.execute(
                "DELETE FROM candles WHERE series_id = %s AND open_time >= %s AND open_time < %s",
                (series_id, *part.as_datetimes()),
            )
            cursor.execute(
                "UPDATE coverage SET held = held - %s WHERE series_id = %s AND day = %s",
                (cursor.rowcount, series_id, day),
            )


def holes(cursor: Cursor, window: Window = ALL_DAYS) -> list[Hole]:
    return list(ask(cursor, "gap_detection", CANDLES, window, now=NOW).holes)


@pytest.mark.parametrize("window", [ALL_DAYS, Window(NOW - DAY, NOW), minutes_after(NOON, 1)])
def test_a_whole_market_has_no_hole(cursor: Cursor, window: Window) -> None:
    found = ask(cursor, "gap_detection", CANDLES, window, now=NOW)
    assert found.found == 0
    assert found.checked > 0
    counted = ask(cursor, "row_counts", CANDLES, window, now=NOW)
    assert (counted.found, counted.figures["percent"]) == (0, 100)


def test_every_hole_is_found_where_it_is(cursor: Cursor, market_ids: dict[str, int]) -> None:
    bitcoin = market_ids["bitcoin"]
    planted = [
        minutes_after(NOON, 1),
        minutes_after(NOON + 2 * MINUTE, 1),
        minutes_after(START, 3),
        minutes_after(START + 2 * DAY - 5 * MINUTE, 10),
        Window(START + 7 * DAY, START + 9 * DAY),
        Window(TODAY - MINUTE, TODAY),
    ]
    lose(cursor, bitcoin, *planted)
    assert {(hole.window, hole.missing) for hole in holes(cursor)} == {
        (window, (window.end - window.start) // MINUTE) for window in planted
    }
    found = ask(cursor, "gap_detection", CANDLES, ALL_DAYS, now=NOW)
    missing = 1 + 1 + 3 + 10 + 2_880 + 1
    assert (found.found, found.figures) == (
        6,
        {"missing": missing, "explained": 0, "under_way": 0, "longest_seconds": 2 * 86_400},
    )
    assert found.sample[0] == {
        "series_id": bitcoin,
        "instrument": "BTC-PERPETUAL",
        "resolution": "1m",
        "window_start": "2020-09-21T00:00:00Z",
        "window_end": "2020-09-23T00:00:00Z",
        "missing": 2_880,
    }
    assert holes(cursor, minutes_after(NOON, 1)) == [Hole(bitcoin, window, 1) for window in planted[:2]]


def test_holes_are_seen_at_the_ends_of_a_life_and_of_what_is_followed(
    cursor: Cursor, market_ids: dict[str, int]
) -> None:
    listed = LISTED_LATE.listed_at // MINUTE * MINUTE
    planted = {
        "late": minutes_after(listed, 2),
        "expired": minutes_after((EXPIRED.expires_at or 0) - MINUTE, 1),
        "twice": minutes_after(START + 9 * DAY + 100 * MINUTE, 1),
        "hours": Window(START + 14 * DAY + 60 * MINUTE, START + 14 * DAY + 180 * MINUTE),
    }
    for name, window in planted.items():
        lose(cursor, market_ids[name], window)
    assert {(hole.series_id, hole.window) for hole in holes(cursor)} == {
        (market_ids[name], window) for name, window in planted.items()
    }
    assert sum(hole.missing for hole in holes(cursor)) == 2 + 1 + 1 + 2


def test_what_is_missing_on_the_running_day_is_no_hole_yet(cursor: Cursor, market_ids: dict[str, int]) -> None:
    lose(cursor, market_ids["bitcoin"], minutes_after(TODAY, 60))
    assert holes(cursor) == []
    assert ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW).found == 0
    tomorrow = ask(cursor, "gap_detection", CANDLES, Window(START, NOW + DAY), now=NOW + DAY)
    assert minutes_after(TODAY, 60) in [hole.window for hole in tomorrow.holes]


@pytest.mark.parametrize("state", ["permanent", "accepted"])
def test_what_a_closed_gap_explains_is_found_no_more(cursor: Cursor, market_ids: dict[str, int], state: str) -> None:
    bitcoin = market_ids["bitcoin"]
    lose(cursor, bitcoin, minutes_after(NOON, 10))
    explain(cursor, bitcoin, minutes_after(NOON, 7), state)
    assert holes(cursor) == [Hole(bitcoin, minutes_after(NOON + 7 * MINUTE, 3), 3)]
    counted = ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW)
    assert (counted.found, counted.figures["explained"], counted.sample[0]["missing"]) == (1, 7, 3)
    explain(cursor, bitcoin, minutes_after(NOON + 7 * MINUTE, 3), state)
    found = ask(cursor, "gap_detection", CANDLES, ALL_DAYS, now=NOW)
    assert (found.found, found.figures["explained"]) == (0, 10)
    assert ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW).found == 0


def explain(cursor: Cursor, series_id: int, window: Window, state: str) -> None:
    """Record a gap of one day that is closed, as the ledger does."""
    missing = (window.end - window.start) // MINUTE
    cursor.execute(
        """
        INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence, closed_at)
        VALUES (%s, %s, %s, %s, 'unknown', %s, '{}', now())
        """,
        (series_id, *window.as_datetimes(), missing, state),
    )
    cursor.execute(
        "UPDATE coverage SET lost = lost + %s, explained = explained + %s WHERE series_id = %s AND day = %s",
        (missing, missing, series_id, from_microseconds(window.start).date()),
    )


def test_an_open_gap_explains_nothing(cursor: Cursor, market_ids: dict[str, int]) -> None:
    lose(cursor, market_ids["bitcoin"], minutes_after(NOON, 2))
    cursor.execute(
        """
        INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence)
        VALUES (%s, %s, %s, 2, 'unknown', 'open', '{}')
        """,
        (market_ids["bitcoin"], *minutes_after(NOON, 2).as_datetimes()),
    )
    assert [hole.window for hole in holes(cursor)] == [minutes_after(NOON, 2)]


@pytest.mark.parametrize(
    ("run_state", "chunk_state", "is_under_way"),
    [
        ("running", "pending", True),
        ("running", "running", True),
        ("running", "failed", False),
        ("failed", "pending", False),
    ],
)
def test_what_a_backfill_is_about_to_fetch_is_no_hole_yet(
    cursor: Cursor, market_ids: dict[str, int], run_state: str, chunk_state: str, is_under_way: bool
) -> None:
    bitcoin = market_ids["bitcoin"]
    lose(cursor, bitcoin, minutes_after(NOON, 10))
    cursor.execute(
        """
        WITH run AS (
            INSERT INTO backfill_runs (run_key, dataset, instruments, resolution_seconds, window_start, window_end,
                direction, mode, state)
            VALUES ('run', %s, '{}', 60, %s, %s, 'newest first', 'missing only', %s)
            RETURNING run_id, window_start, window_end
        )
        INSERT INTO backfill_chunks (run_id, series_id, window_start, window_end, position, state)
        SELECT run_id, %s, window_start, window_end, 1, %s FROM run
        """,
        (CANDLES.name, *minutes_after(NOON, 8).as_datetimes(), run_state, bitcoin, chunk_state),
    )
    found = ask(cursor, "gap_detection", CANDLES, ALL_DAYS, now=NOW)
    assert (found.figures["missing"], found.figures["under_way"]) == ((2, 8) if is_under_way else (10, 0))
    assert ask(cursor, "long_gaps", CANDLES, ALL_DAYS, now=NOW).found == (0 if is_under_way else 1)
    assert ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW).found == 1


def test_a_followed_day_that_nobody_planned_is_red(cursor: Cursor) -> None:
    forgotten = perpetual("SOL-PERPETUAL")
    start = START + 13 * DAY + 30 * MINUTE
    series_id = follow(cursor, forgotten, minutes_after(start, 60), keep_fresh=True)
    # The day that was begun is looked at to its end; what nobody planned is not seen before it is expected.
    assert sum(hole.missing for hole in holes(cursor)) == 1_410
    expect_closed_days(cursor, CANDLES, Window(START, TODAY), now=NOW)
    assert holes(cursor) == [Hole(series_id, Window(start, TODAY), (TODAY - start) // MINUTE)]
    counted = ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW)
    assert [(row["instrument"], row["day"], row["missing"]) for row in counted.sample] == [
        ("SOL-PERPETUAL", "2020-09-29", 1_440),
        ("SOL-PERPETUAL", "2020-09-28", 1_440),
        ("SOL-PERPETUAL", "2020-09-27", 1_410),
    ]


def test_nothing_is_expected_of_what_the_venue_lists_no_more(cursor: Cursor) -> None:
    gone = perpetual("LUNA-PERPETUAL")
    start = START + 13 * DAY + 30 * MINUTE
    series_id = follow(cursor, gone, minutes_after(start, 60), keep_fresh=True)
    end = START + 14 * DAY + 600 * MINUTE
    delisted_at = from_microseconds(end + 30_000_000)
    cursor.execute("UPDATE instruments SET delisted_at = %s WHERE name = %s", (delisted_at, gone.name))
    expect_closed_days(cursor, CANDLES, Window(START, TODAY), now=NOW)
    assert holes(cursor) == [Hole(series_id, Window(start, end), (end - start) // MINUTE)]
    counted = ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW)
    assert [(row["day"], row["missing"]) for row in counted.sample] == [("2020-09-27", 1_410), ("2020-09-28", 600)]


def test_to_expect_again_what_is_expected_changes_nothing(cursor: Cursor) -> None:
    cursor.execute("SELECT series_id, day, expected FROM coverage ORDER BY 1, 2")
    before = cursor.fetchall()
    expect_closed_days(cursor, CANDLES, Window(START - DAY, NOW // MICROSECONDS_PER_DAY * DAY), now=NOW)
    cursor.execute("SELECT series_id, day, expected FROM coverage ORDER BY 1, 2")
    assert cursor.fetchall() == before


def test_more_held_than_expected_is_told(cursor: Cursor, market_ids: dict[str, int]) -> None:
    cursor.execute(
        "UPDATE coverage SET held = held + 1 WHERE series_id = %s AND day = '2020-09-20'", (market_ids["bitcoin"],)
    )
    counted = ask(cursor, "row_counts", CANDLES, ALL_DAYS, now=NOW)
    assert (counted.found, counted.figures["days_with_surplus"]) == (1, 1)
    assert ask(cursor, "gap_detection", CANDLES, ALL_DAYS, now=NOW).found == 0
