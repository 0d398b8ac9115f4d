"""docs/prune.sql: what it deletes is gone from the account too, so that no check misses it."""

from __future__ import annotations

import re
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tapekeeper.clock import MICROSECONDS_PER_DAY, from_microseconds
from tapekeeper.local.binaries import find_binaries
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
    DATASETS,
    DERIBIT_OPTION_QUOTES,
    DERIBIT_OPTION_TRADES,
    DERIBIT_PERPETUAL_CANDLES,
    dataset_named,
)
from tapekeeper.model.window import Window
from tapekeeper.store import ticks
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import INCOMING_GRID_TABLES
from tests.support import futures_market, market, option_market
from tests.support.candles import START
from tests.support.ticks import MIDNIGHT, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT: Final = Path(__file__).parents[2] / "docs" / "prune.sql"
CASES: Final = {
    DERIBIT_PERPETUAL_CANDLES.name: (market.ALL_DAYS, market.NOW, "candles", "open_time"),
    BINANCE_UM_OPEN_INTEREST.name: (market.ALL_DAYS, market.NOW, "open_interest", "event_time"),
    BINANCE_UM_AGG_TRADES.name: (market.ALL_DAYS, market.NOW, "agg_trades", "event_time"),
    BINANCE_UM_FUNDING_RATES.name: (market.ALL_DAYS, market.NOW, "funding_rates", "due_at"),
    CRYPTODATADOWNLOAD_OPTION_CANDLES.name: (market.ALL_DAYS, market.NOW, "option_candles", "day"),
    DERIBIT_OPTION_QUOTES.name: (option_market.ALL_DAYS, option_market.NOW, "option_quotes", "event_time"),
    DERIBIT_OPTION_TRADES.name: (option_market.ALL_DAYS, option_market.NOW, "option_trades", "event_time"),
}

FIRST_DAY_KEPT: Final = {BINANCE_UM_AGG_TRADES.name: 15, CRYPTODATADOWNLOAD_OPTION_CANDLES.name: 5}
"""Counted from the start of the market; of the others the first day goes."""


@pytest.fixture(scope="module")
def database(module_database_url: str) -> Iterator[Database]:
    """A healthy market of everything that there is a table for."""
    with closing(Database(module_database_url, prepare=INCOMING_GRID_TABLES)) as database:
        database.run(market.healthy_market)
        database.run(market.healthy_open_interest)
    with closing(Database(module_database_url, prepare=futures_market.PREPARE)) as database:
        database.run(futures_market.healthy_agg_trades)
        database.run(futures_market.healthy_funding_rates)
        database.run(futures_market.healthy_option_candles)
    with closing(Database(module_database_url, prepare=ticks.INCOMING_TABLES)) as database:
        database.run(option_market.healthy_options)
        yield database


def test_the_script_knows_the_table_of_every_dataset() -> None:
    # It takes what has no table of its own name to be candles.
    tables = {dataset.table for dataset in DATASETS.values()}
    for dataset in DATASETS.values():
        own = dataset.name.split(".")[1]
        assert dataset.table == (own if own in tables else "candles")
        assert own in tables or own.endswith("candles")


def prune(url: str, dataset: str, before: datetime) -> subprocess.CompletedProcess[str]:
    """Run the script as its first lines tell."""
    psql = find_binaries().program("psql")
    values = ["-v", f"dataset={dataset}", "-v", f"before={before:%Y-%m-%d}"]
    return subprocess.run([psql, "-X", url, *values, "-f", SCRIPT], capture_output=True, text=True, check=False)


def alarms(url: str, dataset: str, window: Window) -> dict[str, int]:
    """Return what the checks find in all that there is of a dataset."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        return market.alarms(cursor, dataset_named(dataset), window, now=CASES[dataset][1])


def count(database: Database, table: str, time: str, comparison: str, day: datetime) -> int:
    return int(rows(database, f"SELECT count(*) FROM {table} WHERE {time} {comparison} '{day.isoformat()}'")[0][0])


@pytest.mark.parametrize("dataset", CASES)
def test_rows_and_account_of_the_days_before_are_gone_and_the_checks_stay_green(
    dataset: str, database: Database, module_database_url: str
) -> None:
    window, _, table, time = CASES[dataset]
    start = window.start + FIRST_DAY_KEPT.get(dataset, 1) * MICROSECONDS_PER_DAY
    day = from_microseconds(start)
    kept, gone = (count(database, table, time, comparison, day) for comparison in (">=", "<"))
    assert gone > 0
    for expected in (gone, 0):
        done = prune(module_database_url, dataset, day)
        assert done.returncode == 0, done.stderr
        assert f"{expected} rows of {dataset} before" in done.stderr
    assert (count(database, table, time, ">=", day), count(database, table, time, "<", day)) == (kept, 0)
    of_dataset = f"series_id IN (SELECT series_id FROM series WHERE dataset = '{dataset}')"
    assert rows(database, f"SELECT count(*) FROM coverage WHERE {of_dataset} AND day < '{day.date()}'") == [(0,)]
    assert rows(database, f"SELECT min(window_start) >= '{day.isoformat()}' FROM followed WHERE {of_dataset}") == [
        (True,)
    ]
    assert rows(database, f"SELECT sum(rows_held)::bigint FROM series_totals WHERE {of_dataset}") == [(kept,)]
    told_before = f"FROM told_windows WHERE {of_dataset} AND window_start < '{day.isoformat()}'"
    assert rows(database, f"SELECT count(*) {told_before}") == [(0,)]
    assert alarms(module_database_url, dataset, Window(start, window.end)) == {}


def test_what_was_loaded_and_corrected_before_is_forgotten(database: Database, module_database_url: str) -> None:
    """A file that is replaced later must not bring back what is gone."""
    dataset = BINANCE_UM_AGG_TRADES.name
    cut = from_microseconds(START + 14 * MICROSECONDS_PER_DAY)
    rows(
        database,
        f"""
        WITH chosen AS (SELECT min(series_id) AS series_id FROM series WHERE dataset = '{dataset}'), files AS (
            INSERT INTO archive_files
            SELECT series_id, name, '{cut.isoformat()}'::timestamptz + first, '{cut.isoformat()}'::timestamptz + last,
                'sum', 1, 1, now(), now()
            FROM chosen, (VALUES
                ('before', interval '-1 day', interval '0'),
                ('around', interval '-1 day', interval '1 hour'),
                ('after', interval '0', interval '1 day')
            ) AS file (name, first, last)
        )
        INSERT INTO corrections (series_id, event_time, before, after, source)
        SELECT series_id, '{cut.isoformat()}'::timestamptz + shift, '{{}}', '{{}}', 'rest'
        FROM chosen, (VALUES (interval '-1 second'), (interval '0')) AS moment (shift)
        RETURNING 1
        """,
    )
    done = prune(module_database_url, dataset, cut)
    assert done.returncode == 0, done.stderr
    kept = f"SELECT name, window_start >= '{cut.isoformat()}' FROM archive_files ORDER BY name"
    assert rows(database, kept) == [("after", True), ("around", True)]
    assert rows(database, "SELECT event_time FROM corrections") == [(cut,)]


def test_days_that_are_worked_on_and_datasets_that_there_are_not_are_refused(
    database: Database, module_database_url: str
) -> None:
    today = datetime.now(UTC)
    for dataset, before, told in (
        (DERIBIT_OPTION_QUOTES.name, today, "is too late"),
        ("deribit.option_quote", today - timedelta(days=9), "nothing is held of a dataset deribit.option_quote"),
    ):
        done = prune(module_database_url, dataset, before)
        assert done.returncode != 0
        assert told in done.stderr


def test_a_gap_that_is_open_is_neither_lost_nor_filled_again(database: Database, module_database_url: str) -> None:
    day = from_microseconds(MIDNIGHT + 3 * MICROSECONDS_PER_DAY)
    gap: list[Any] = rows(
        database,
        f"""
        INSERT INTO data_gaps (series_id, window_start, window_end, missing, cause, state, evidence)
        SELECT min(series_id), moment - interval '1 hour', moment, 1, 'unknown', 'open', '{{}}'
        FROM (SELECT '{day.isoformat()}'::timestamptz AS moment) AS midnight, series
        WHERE dataset = '{DERIBIT_OPTION_TRADES.name}'
        GROUP BY moment
        RETURNING gap_id
        """,
    )
    held = count(database, "option_trades", "event_time", "<", day)
    done = prune(module_database_url, DERIBIT_OPTION_TRADES.name, day)
    assert done.returncode != 0
    assert f"repair or accept them first: {gap[0][0]}" in done.stderr
    assert count(database, "option_trades", "event_time", "<", day) == held > 0


def test_the_books_of_the_work_are_made_smaller_as_it_is_documented(
    database: Database, module_database_url: str
) -> None:
    document = (SCRIPT.parent / "operations.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```sql\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    rows(
        database,
        "SELECT ensure_day_partition('api_requests', day::date) FROM unnest(ARRAY[now(), '2020-01-01']) AS day",
    )
    command = [find_binaries().program("psql"), "-X", "-v", "ON_ERROR_STOP=1", module_database_url]
    done = subprocess.run(
        command, input=f"SET ROLE tapekeeper_owner;\n{block}", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1:] == ["DROP TABLE", *["DELETE 0"] * 3, ""]
    assert rows(database, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'api_requests'::regclass") == [(1,)]
