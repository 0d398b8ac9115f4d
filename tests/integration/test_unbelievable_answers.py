"""An answer of which no row can be believed tells nothing, not even that a window without a grid is empty."""

from __future__ import annotations

from typing import Final

import orjson
from pydantic import SecretStr

from tapekeeper.backfill.job import BackfillJob
from tapekeeper.clock import now_microseconds
from tapekeeper.model.backfill import BackfillRequest
from tapekeeper.model.gap import Cause
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import CRYPTODATADOWNLOAD_OPTION_CANDLES
from tapekeeper.repair.job import RepairJob
from tapekeeper.settings import BackfillSettings, CryptoDataDownloadSettings, DatabaseSettings, HttpSettings, Settings
from tapekeeper.store.database import Database
from tapekeeper.store.trade_gaps import open_untold_gap
from tests.support.cryptodatadownload_answers import CALL, DAY, PUT, page, row
from tests.support.scripted_server import ScriptedServer, http_answer
from tests.support.truth import one_value, query

LATER: Final = "ETH-27DEC99-2500-C"
AVAILABLE: Final = http_answer(200, orjson.dumps({"result": [CALL, PUT, LATER]}))
UNBELIEVABLE: Final = http_answer(200, orjson.dumps(page(row(open="x"), row(PUT, open="y"))))
GOOD: Final = http_answer(200, orjson.dumps(page(row(), row(PUT))))
ASKED: Final = BackfillRequest(CRYPTODATADOWNLOAD_OPTION_CANDLES, ("ETH",), DAY, Resolution(0))


def settings(database_url: str, server: ScriptedServer) -> Settings:
    return Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        cryptodatadownload=CryptoDataDownloadSettings(url=server.base_url, api_key=SecretStr("a-key")),
        # The server talks over one connection at a time.
        backfill=BackfillSettings(workers=1),
        http=HttpSettings(timeout_seconds=5, attempts_maximum=2),
    )


def backfill(database_url: str, *script: bytes) -> str:
    with ScriptedServer(AVAILABLE, *script) as server, BackfillJob(settings(database_url, server)) as job:
        run_id = job.start(job.plan(ASKED), f"test/{now_microseconds()}")
        job.work(run_id)
        return job.finish(run_id).state


def test_a_day_of_which_nothing_can_be_believed_is_not_told_and_asked_for_again(database_url: str) -> None:
    assert backfill(database_url, UNBELIEVABLE) == "failed"
    assert one_value(database_url, "SELECT count(*) FROM quarantine") > 0
    assert query(database_url, "SELECT window_start FROM told_windows") == []
    assert query(database_url, "SELECT state FROM series_days WHERE resolution_seconds = 0") == [("red",)]
    assert backfill(database_url, GOOD) == "done"
    assert one_value(database_url, "SELECT count(*) FROM option_candles") == 2
    assert set(query(database_url, "SELECT state FROM series_days")) == {("complete",)}


def test_a_repair_does_not_take_it_for_told_either(database_url: str) -> None:
    assert backfill(database_url, UNBELIEVABLE) == "failed"
    database = Database(database_url)
    gap = database.run(
        lambda cursor: open_untold_gap(
            cursor,
            one_value(database_url, "SELECT series_id FROM series"),
            DAY,
            cause=Cause.UNKNOWN,
            by="test",
            evidence={},
        )
    )
    database.close()
    assert gap is not None
    with ScriptedServer(UNBELIEVABLE) as server, RepairJob(settings(database_url, server)) as job:
        assert job.repair(gap.gap_id, by="test").postponed == 1
    assert query(database_url, "SELECT window_start FROM told_windows") == []
