"""Files of an archive, where something goes wrong between two steps: with the database, REST, or the archive."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tapekeeper.backfill.file_load import FileLoad, write_file
from tapekeeper.backfill.job import BackfillJob
from tapekeeper.backfill.tools import tools_for
from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds, parse_moment
from tapekeeper.errors import ArchiveDefect, RetryLater
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.answer import Answer, RejectedRow
from tapekeeper.model.backfill import BackfillRequest, PlannedChunk, Source
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_CANDLES, BINANCE_UM_OPEN_INTEREST
from tapekeeper.model.window import Window
from tapekeeper.settings import (
    BinanceArchiveSettings,
    BinanceUmSettings,
    DatabaseSettings,
    HttpSettings,
    Settings,
)
from tapekeeper.store import catalogue, runs
from tapekeeper.store.agg_trades import INCOMING_AGG_TRADES
from tapekeeper.store.database import Database
from tapekeeper.store.told import untold_windows
from tapekeeper.venues.binance_um.archive_names import archive_file
from tests.support.truth import one_value, query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor as Cursor

    from tapekeeper.model.answer import Rows
    from tapekeeper.model.series import Dataset
    from tests.support.simulator import Simulator

NAME: Final = "BTCUSDT"
HOUR: Final = 3_600_000_000
DAY: Final = MICROSECONDS_PER_DAY
FIVE_MINUTES: Final = Resolution(300)
START: Final = parse_moment("2024-03-01", now=0)


@pytest.fixture
def settings(database_url: str, simulator: Simulator) -> Settings:
    simulator.set_binance_limits(weight=100_000)
    return Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        binance_um=BinanceUmSettings(rest_url=simulator.base_url, weight_per_minute=100_000),
        binance_archive=BinanceArchiveSettings(url=simulator.base_url, recheck_hours=0),
        http=HttpSettings(attempts_maximum=1),
    )


def asked(dataset: Dataset, window: Window, resolution: Resolution, *, keep_fresh: bool = False) -> BackfillRequest:
    return BackfillRequest(dataset, (NAME,), window, resolution, keep_fresh=keep_fresh)


def backfill(job: BackfillJob, request: BackfillRequest) -> None:
    run_id = job.start(job.plan(request), f"test/{now_microseconds()}")
    job.work(run_id)
    assert job.finish(run_id).state == "done"


class _Lost(Exception):
    """The database went away before the commit."""


def test_what_is_done_again_after_a_lost_transaction_remembers_no_gap_of_it(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    left_out = {"kind": "archive_left_out_rows", "instrument": NAME, "dataset": "metrics", "fraction": 0.02}
    simulator.set_faults([left_out])
    with (
        BackfillJob(settings) as job,
        closing(tools_for(BINANCE_UM_OPEN_INTEREST, settings, Priority.BACKFILL)()) as tools,
    ):
        # The file of a day begins five minutes after midnight.
        day = Window(START + FIVE_MINUTES.microseconds, START + DAY)
        run_id, owner = job.start(job.plan(asked(BINANCE_UM_OPEN_INTEREST, day, FIVE_MINUTES)), "test"), uuid4()

        def patiently(work: Callable[[Cursor], Any]) -> Any:
            def lose(cursor: Cursor) -> None:
                work(cursor)
                raise _Lost

            with pytest.raises(_Lost):
                tools.database.run(lose)
            return tools.database.run(work)

        chunk = tools.database.run(lambda cursor: runs.claim(cursor, run_id, None, owner, 60))
        assert chunk is not None
        FileLoad(
            tools,
            BINANCE_UM_OPEN_INTEREST,
            chunk,
            settings,
            patiently,
            renew=lambda cursor: runs.renew(cursor, chunk, owner, 60),
            count=lambda cursor, rows: runs.count(cursor, chunk, owner, rows),
            finish=lambda cursor, rows: runs.finish(cursor, chunk, owner, rows),
        ).run()
        assert job.finish(run_id).state == "done"
    lacking = one_value(database_url, "SELECT sum(expected - held) FROM coverage")
    assert one_value(database_url, "SELECT sum(missing) FROM data_gaps") == lacking > 0


def test_another_part_of_a_file_that_was_replaced_brings_what_changed_in_the_first(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    simulator.set_faults(
        [{"kind": "archive_altered_rows", "instrument": NAME, "dataset": "aggTrades", "fraction": 0.01}]
    )
    noon, midnight = START + 12 * HOUR, START + 24 * HOUR
    with BackfillJob(settings) as job:
        backfill(job, asked(BINANCE_UM_AGG_TRADES, Window(noon, midnight), Resolution(0)))
        simulator.clear_faults()
        backfill(job, asked(BINANCE_UM_AGG_TRADES, Window(START, noon), Resolution(0)))
    truth = simulator.truth("binance_um/agg_trades", symbol=NAME, start=START // 1_000, end=midnight // 1_000)
    held = query(database_url, "SELECT agg_trade_id, price, quantity FROM agg_trades ORDER BY 1")
    assert held == list(zip(*(truth[name] for name in ("agg_trade_id", "price", "quantity")), strict=True))
    assert one_value(database_url, "SELECT count(*) FROM corrections") > 0


def test_rows_of_a_file_are_counted_once_it_is_written_whatever_rest_does_then(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    where = {"service": "binance_um", "method": "fapi/v1/klines"}
    refused = {"kind": "too_many_requests", "retry_after": 100, **where, "from_request": 1, "to_request": 1}
    left_out = {"kind": "archive_left_out_rows", "instrument": NAME, "dataset": "klines", "fraction": 0.02}
    simulator.set_faults([left_out, refused])
    month = Window(START, START + 31 * DAY)
    with BackfillJob(settings) as job:
        run_id = job.start(job.plan(asked(BINANCE_UM_CANDLES, month, FIVE_MINUTES)), "test")
        with pytest.raises(RetryLater):
            job.work(run_id)
        held = one_value(database_url, "SELECT count(*) FROM candles")
        assert held > 0
        assert job.finish(run_id).rows.inserted == held
        assert one_value(database_url, "SELECT sum(rows_backfilled) FROM series_totals") == held


def test_an_archive_that_is_away_keeps_nothing_from_being_fresh(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    now = now_microseconds()
    with BackfillJob(settings) as job:
        backfill(job, asked(BINANCE_UM_AGG_TRADES, Window(START, START + HOUR), Resolution(0)))
        recent = Window(now - 2 * HOUR, now - HOUR)
        backfill(job, asked(BINANCE_UM_AGG_TRADES, recent, Resolution(0), keep_fresh=True))
        away = {"kind": "server_error", "service": "binance_archive", "method": "archive/daily/aggTrades"}
        simulator.set_faults([{**away, "from_request": 1, "to_request": 1_000}])
        for turn in ("first", "second"):
            job.take_turn(BINANCE_UM_AGG_TRADES, "live", turn)
    told_until = "SELECT extract(epoch FROM max(window_end)) * 1000000 FROM told_windows"
    assert one_value(database_url, told_until) > now - 5 * 60_000_000


def test_what_rest_tells_too_does_not_wait_for_an_archive_that_refuses_us(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    today = now_microseconds() // DAY * DAY
    hour = Window(today - 6 * HOUR, today - 5 * HOUR)
    with BackfillJob(settings) as job:
        planned = job.plan(asked(BINANCE_UM_AGG_TRADES, hour, Resolution(0)))
        run_id = job.start(planned, "test")
        # As it is planned from six o'clock on, when the file is published.
        with closing(Database(database_url)) as database:
            database.run(lambda cursor: cursor.execute("DELETE FROM backfill_chunks"))
            series_id = one_value(database_url, "SELECT series_id FROM series")
            chunk = PlannedChunk(hour, Source.ARCHIVE)
            database.run(lambda cursor: runs.add_chunks(cursor, run_id, series_id, [chunk]))
        refused = {"kind": "too_many_requests", "service": "binance_archive", "retry_after": 900}
        simulator.set_faults([{**refused, "from_request": 1, "to_request": 1_000}])
        job.work(run_id)
        assert job.finish(run_id).state == "done"
    truth = simulator.truth("binance_um/agg_trades", symbol=NAME, start=hour.start // 1_000, end=hour.end // 1_000)
    held = query(database_url, "SELECT agg_trade_id FROM agg_trades ORDER BY 1")
    assert [number for (number,) in held] == truth["agg_trade_id"]
    assert query(database_url, "SELECT window_start, window_end FROM told_windows") == [hour.as_datetimes()]
    assert query(database_url, "SELECT cause FROM data_gaps") == []


def test_a_replaced_file_that_cannot_be_loaded_is_looked_at_again_tomorrow_and_not_every_turn(
    settings: Settings, simulator: Simulator, database_url: str
) -> None:
    daily = settings.model_copy(
        update={"binance_archive": BinanceArchiveSettings(url=simulator.base_url, recheck_hours=24)}
    )
    with BackfillJob(daily) as job:
        backfill(job, asked(BINANCE_UM_AGG_TRADES, Window(START, START + DAY), Resolution(0)))
        rows = one_value(database_url, "SELECT count(*) FROM agg_trades")
        half = {"kind": "archive_truncated", "instrument": NAME, "dataset": "aggTrades", "checksum_fits": True}
        simulator.set_faults([half])
        with closing(Database(database_url)) as database:
            old = "UPDATE archive_files SET checked_at = now() - interval '25 hours'"
            database.run(lambda cursor: cursor.execute(old))
        assert len(job.reload_replaced(BINANCE_UM_AGG_TRADES, "live", "first")) == 1
        assert job.reload_replaced(BINANCE_UM_AGG_TRADES, "live", "second") == []
    assert one_value(database_url, "SELECT count(*) FROM agg_trades") == rows


class _Unbelievable:
    """A file that is what its checksum says, and of which no row can be believed."""

    sha256 = "0" * 64
    size_bytes = 1

    def batches(self, window: Window) -> Iterator[Answer[Rows]]:
        yield Answer(AggTrades.empty(), (RejectedRow(window.start, "price 'x' is no finite number", {"price": "x"}),))


def test_a_file_of_which_nothing_can_be_believed_does_not_make_a_day_told(database_url: str) -> None:
    day = Window(START, START + DAY)
    file = archive_file(BINANCE_UM_AGG_TRADES, NAME, START, Resolution(0))
    bitcoin = Instrument("binance_um", NAME, "perpetual", "BTC", START - DAY)
    with closing(Database(database_url, prepare=INCOMING_AGG_TRADES)) as database:
        series_id = database.run(
            lambda cursor: catalogue.ensure_series(cursor, BINANCE_UM_AGG_TRADES, bitcoin, Resolution(0)).series_id
        )
        with pytest.raises(ArchiveDefect, match="none of the 1 rows"):
            database.run(
                lambda cursor: write_file(cursor, BINANCE_UM_AGG_TRADES, series_id, day, file, _Unbelievable())
            )
        assert database.run(lambda cursor: untold_windows(cursor, series_id, day)) == [day]
    assert one_value(database_url, "SELECT count(*) FROM archive_files") == 0
