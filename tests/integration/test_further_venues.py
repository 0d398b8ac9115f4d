"""Aggregate trades, funding rates and chains of options, as they were fetched: explained, and told the same again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.cli.explain_words import words_of_lineage
from tapekeeper.clock import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    format_moment,
    from_microseconds,
    now_microseconds,
    parse_moment,
    to_microseconds,
)
from tapekeeper.errors import ConfigInvalid
from tapekeeper.model.backfill import BackfillRequest
from tapekeeper.model.gap import Cause
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    CRYPTODATADOWNLOAD_OPTION_CANDLES,
)
from tapekeeper.model.window import Window
from tapekeeper.quality.checks.check import Scope
from tapekeeper.quality.checks.refetch import Refetch
from tapekeeper.quality.job import QualityJob
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import (
    BinanceArchiveSettings,
    BinanceUmSettings,
    CryptoDataDownloadSettings,
    DatabaseSettings,
    HttpSettings,
    QualitySettings,
    Settings,
)
from tapekeeper.store.database import Database, connect
from tapekeeper.store.explanation import SeriesLineage, Verdict
from tapekeeper.store.lineage import explain
from tapekeeper.store.origins import Effect
from tapekeeper.store.told import recount
from tapekeeper.store.trade_gaps import open_untold_gap
from tests.support.market import alarms, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

DAY, HOUR, SECOND = MICROSECONDS_PER_DAY, MICROSECONDS_PER_DAY // 24, MICROSECONDS_PER_SECOND
NOW = now_microseconds()
TODAY = NOW // DAY * DAY
IN_A_FILE = Window(TODAY - 3 * DAY, TODAY - 2 * DAY)
"""Its file is published at any time of today."""
YESTERDAY = Window(TODAY - DAY, TODAY)
OPTION_DAY = parse_moment("2024-05-06", now=NOW)
TWO_OPTION_DAYS = Window(OPTION_DAY, OPTION_DAY + 2 * DAY)
TRADES, FUNDING, OPTIONS = BINANCE_UM_AGG_TRADES, BINANCE_UM_FUNDING_RATES, CRYPTODATADOWNLOAD_OPTION_CANDLES
NAME = "BTCUSDT"


@pytest.fixture(scope="module")
def settings(module_database_url: str, simulator_process: Simulator) -> Settings:
    url = simulator_process.base_url
    return Settings(
        database=DatabaseSettings(url=SecretStr(module_database_url)),
        binance_um=BinanceUmSettings(rest_url=url, weight_per_minute=1_000_000),
        binance_archive=BinanceArchiveSettings(url=url, requests_per_second=1_000),
        cryptodatadownload=CryptoDataDownloadSettings(
            url=url, api_key=SecretStr("simulated-key"), calls_per_hour=100_000
        ),
        http=HttpSettings(attempts_maximum=2, backoff_first_seconds=0.01),
        quality=QualitySettings(refetch_windows=2),
    )


@pytest.fixture(scope="module")
def _fetched(settings: Settings) -> None:
    """Everything that the tests look at, fetched as a person fetches it."""
    for number, (dataset, name, window, seconds) in enumerate(
        (
            (TRADES, NAME, IN_A_FILE, 0),
            (TRADES, NAME, YESTERDAY, 0),
            (BINANCE_UM_CANDLES, NAME, IN_A_FILE, 60),
            (BINANCE_UM_OPEN_INTEREST, NAME, YESTERDAY, 300),
            (FUNDING, NAME, Window(TODAY - 5 * DAY, TODAY), 0),
            (OPTIONS, "ETH", TWO_OPTION_DAYS, 0),
        )
    ):
        with BackfillJob(settings) as job:
            run_id = job.start(
                job.plan(BackfillRequest(dataset, (name,), window, Resolution(seconds))), f"run {number}"
            )
            job.work(run_id)
            assert job.finish(run_id).state == "done"


@pytest.fixture
def cursor(module_database_url: str, _fetched: None) -> Iterator[Cursor]:
    with closing(connect(module_database_url)) as connection:
        with connection.cursor() as cursor:
            yield cursor
        connection.rollback()


def known(cursor: Cursor, name: str, moment: int, dataset: Dataset) -> SeriesLineage:
    """Return what is known of the only series that is meant."""
    (lineage,) = explain(cursor, name, moment, dataset=dataset).series
    return lineage


def words(lineage: SeriesLineage) -> str:
    return "\n".join(line for _, line in words_of_lineage(lineage))


def test_a_trade_leads_to_the_file_that_it_came_in(cursor: Cursor) -> None:
    cursor.execute("SELECT event_time, agg_trade_id FROM agg_trades ORDER BY event_time LIMIT 1 OFFSET 50")
    ((event_time, number),) = cursor.fetchall()
    lineage = known(cursor, NAME, to_microseconds(event_time) + 1, TRADES)
    assert (lineage.verdict, lineage.was_told, (lineage.row or {})["agg_trade_id"]) == (Verdict.HELD, True, number)
    (chunk,) = lineage.chunks
    assert (chunk.source, chunk.effect, lineage.is_first_change_certain) == ("archive", Effect.BROUGHT, True)
    (file,) = lineage.files
    assert (file.window_start, file.window_end) == IN_A_FILE.as_datetimes()
    assert len(file.sha256) == 64
    assert f"{from_microseconds(IN_A_FILE.start):%Y-%m-%d}" in file.name
    told = words(lineage)
    assert "chunk of a file" in told
    assert file.sha256 in told
    assert "live connection" not in told


def test_a_trade_that_was_corrected_tells_what_it_was(cursor: Cursor) -> None:
    cursor.execute(
        """
        INSERT INTO corrections (series_id, event_time, before, after, source)
        SELECT series_id, event_time - shift, jsonb_build_object('agg_trade_id', agg_trade_id, 'price', 1.5),
            jsonb_build_object('agg_trade_id', agg_trade_id + other), 'a file abc'
        FROM (SELECT * FROM agg_trades ORDER BY event_time LIMIT 1 OFFSET 50) AS trade
        JOIN series USING (instrument_id), (VALUES (interval '1 hour', 0), (interval '0', 1)) AS change (shift, other)
        WHERE dataset = %s
        """,
        (TRADES.name,),
    )
    cursor.execute("SELECT event_time FROM agg_trades ORDER BY event_time LIMIT 1 OFFSET 50")
    ((event_time,),) = cursor.fetchall()
    lineage = known(cursor, NAME, to_microseconds(event_time), TRADES)
    (changed,) = lineage.corrections
    assert (changed.source, changed.before["price"]) == ("a file abc", 1.5)
    assert "as told by a file abc" in words(lineage)


def test_a_moment_without_a_trade_is_quiet_untold_or_in_a_gap(cursor: Cursor) -> None:
    cursor.execute("DELETE FROM agg_trades")
    cursor.execute("UPDATE coverage SET first_event_time = NULL, last_event_time = NULL")
    moment = IN_A_FILE.start + HOUR
    assert known(cursor, NAME, moment, TRADES).verdict is Verdict.QUIET
    assert known(cursor, NAME, IN_A_FILE.end + HOUR, TRADES).verdict is Verdict.NOT_FOLLOWED
    cursor.execute("DELETE FROM told_windows")
    lineage = known(cursor, NAME, moment, TRADES)
    assert lineage.verdict is Verdict.MISSING
    assert "followed and was never told" in words(lineage)
    window = Window(moment - HOUR, moment + HOUR)
    open_untold_gap(
        cursor, lineage.series.series_id, window, cause=Cause.ARCHIVE_DEFECT, by="test", evidence={"file": "bad"}
    )
    assert known(cursor, NAME, moment, TRADES).verdict is Verdict.GAP


def test_a_rate_is_found_by_when_it_was_due(cursor: Cursor) -> None:
    due_at = TODAY - 2 * DAY + 8 * HOUR
    lineage = known(cursor, NAME, due_at + 3 * HOUR, FUNDING)
    assert (lineage.verdict, (lineage.row or {})["due_at"]) == (Verdict.HELD, from_microseconds(due_at))
    assert lineage.chunks[0].effect is Effect.BROUGHT
    assert "one of every 8h" in words(lineage)
    assert known(cursor, NAME, due_at + 8 * HOUR, FUNDING).verdict is Verdict.HELD


def test_open_interest_is_found_in_its_own_table(cursor: Cursor) -> None:
    lineage = known(cursor, NAME, YESTERDAY.start + HOUR + SECOND, BINANCE_UM_OPEN_INTEREST)
    assert "open_interest_value" in (lineage.row or {})
    assert lineage.chunks != ()


def test_a_day_of_an_option_leads_to_the_chunk_of_its_chain(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT name FROM option_candles JOIN series USING (series_id) JOIN instruments USING (instrument_id)"
        " WHERE day = %s ORDER BY name LIMIT 1",
        (from_microseconds(OPTION_DAY),),
    )
    ((name,),) = cursor.fetchall()
    lineage = known(cursor, name, OPTION_DAY + HOUR, OPTIONS)
    assert (lineage.verdict, (lineage.row or {})["day"]) == (Verdict.HELD, from_microseconds(OPTION_DAY))
    (chunk,) = lineage.chunks
    assert (chunk.effect, chunk.window_start) == (Effect.BROUGHT, from_microseconds(OPTION_DAY))
    assert [request.parameters["currency"] for request in chunk.requests[:1]] == ["ETH"]
    chain = known(cursor, "ETH", OPTION_DAY + 5 * HOUR, OPTIONS)
    cursor.execute("SELECT count(*) FROM option_candles WHERE day = %s", (from_microseconds(OPTION_DAY),))
    assert (chain.verdict, chain.was_told, ((chain.row or {})["candles"],)) == (Verdict.HELD, True, cursor.fetchone())
    assert "the options' candles of the day 2024-05-06" in words(chain)
    assert known(cursor, "ETH", OPTION_DAY + 3 * DAY, OPTIONS).verdict is Verdict.NOT_FOLLOWED


def test_what_was_fetched_is_green(cursor: Cursor) -> None:
    for dataset, window in (
        (TRADES, Window(IN_A_FILE.start, TODAY)),
        (BINANCE_UM_CANDLES, IN_A_FILE),
        (FUNDING, Window(TODAY - 5 * DAY, TODAY)),
        (OPTIONS, TWO_OPTION_DAYS),
    ):
        assert alarms(cursor, dataset, window, now=NOW) == {}, dataset.name
    volumes = ask(cursor, "volume_agreement", TRADES, IN_A_FILE, now=NOW)
    assert (volumes.checked, volumes.found) == (1_440, 0)


@pytest.mark.usefixtures("_fetched")
@pytest.mark.parametrize(
    ("dataset", "window"),
    [(TRADES, Window(YESTERDAY.start + 5 * HOUR, YESTERDAY.start + 6 * HOUR)), (OPTIONS, TWO_OPTION_DAYS)],
    ids=[TRADES.name, OPTIONS.name],
)
def test_what_was_never_told_is_found_by_a_check_and_fetched_by_a_repair(
    settings: Settings, dataset: Dataset, window: Window
) -> None:
    def forget(cursor: Cursor) -> None:
        cursor.execute(
            "SELECT series_id FROM series WHERE dataset = %s AND resolution_seconds = 0 ORDER BY 1", (dataset.name,)
        )
        ((series_id,),) = cursor.fetchall()
        cursor.execute(
            """
            WITH known AS (DELETE FROM told_windows WHERE series_id = %(series_id)s RETURNING window_start, window_end)
            INSERT INTO told_windows
            SELECT %(series_id)s, lower(piece), upper(piece)
            FROM known CROSS JOIN LATERAL unnest(
                tstzmultirange(tstzrange(window_start, window_end)) - tstzmultirange(tstzrange(%(start)s, %(end)s))
            ) AS piece
            """,
            {"series_id": series_id, "start": window.as_datetimes()[0], "end": window.as_datetimes()[1]},
        )
        recount(cursor, series_id, window)

    with closing(Database(settings.database.url.get_secret_value())) as database:
        database.run(forget)
    with QualityJob(settings) as checks:
        typed = "/".join(map(format_moment, (window.start, window.end)))
        request = checks.request([dataset.name], typed, ["untold", "row_counts"])
        found = checks.run(request, f"untold {dataset.name}", by="test")
        assert (found.gaps_opened, [result.found > 0 for result in found.results]) == (1, [True, True])
        with RepairJob(settings) as repair:
            assert repair.repair_open(by="test").repaired == 1
        assert checks.run(request, f"told {dataset.name}", by="test").is_green


REFETCHED = {
    TRADES: (YESTERDAY, "agg_trades", "quantity = quantity + 1"),
    FUNDING: (Window(TODAY - 5 * DAY, TODAY), "funding_rates", "paid_at = paid_at + interval '1 ms'"),
    OPTIONS: (TWO_OPTION_DAYS, "option_candles", "high = high + 1"),
}


@pytest.mark.parametrize("dataset", REFETCHED, ids=[dataset.name for dataset in REFETCHED])
def test_what_the_venue_tells_again_is_compared(cursor: Cursor, settings: Settings, dataset: Dataset) -> None:
    window, table, change = REFETCHED[dataset]
    scope = Scope(dataset, window, NOW, settings, seed="test")
    found = Refetch().run(cursor, scope)
    assert (found.found, found.figures["windows_not_told"]) == (0, 0)
    assert found.checked > 0
    cursor.execute(f"UPDATE {table} SET {change}")
    changed = Refetch().run(cursor, scope)
    assert changed.found == changed.checked == found.checked
    assert {row["differs"] for row in changed.sample} == {change.split(" = ")[0]}


def test_what_was_never_asked_for_is_told(cursor: Cursor) -> None:
    with pytest.raises(ConfigInvalid, match="nobody ever asked to hold"):
        explain(cursor, NAME, NOW, dataset=OPTIONS)
