"""Files of Binance's archive over a socket: what they tell equals the truth, and what is wrong with them is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from tapekeeper.clock import parse_moment
from tapekeeper.errors import ArchiveDefect, FileAbsent
from tapekeeper.http.client import HttpClient
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    Dataset,
)
from tapekeeper.settings import HttpSettings
from tapekeeper.venues.binance_um.archive import BinanceArchive
from tapekeeper.venues.binance_um.archive_names import archive_file
from tests.support.granting import Budget, NoLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.model.archive import ArchiveFile
    from tests.support.simulator import Simulator

SETTINGS: Final = HttpSettings(timeout_seconds=30, attempts_maximum=20, backoff_first_seconds=0.01)
EIGHT_HOURS: Final = 28_800
FILES: Final = [
    pytest.param("BTCUSDT", dataset, seconds, day, id=f"{dataset.name} {seconds} {day}")
    for dataset, seconds, days in (
        (BINANCE_UM_CANDLES, 60, ("2021-02-11", "2024-02-11")),
        (BINANCE_UM_CANDLES, 14_400, ("2019-09-20",)),
        (BINANCE_UM_AGG_TRADES, 0, ("2021-12-31", "2022-01-01")),
        (BINANCE_UM_OPEN_INTEREST, 300, ("2021-12-31", "2024-03-01")),
        (BINANCE_UM_FUNDING_RATES, EIGHT_HOURS, ("2021-02-11", "2024-02-11")),
    )
    for day in days
]
"""Since 2022 files of candles and trades have a header."""
COLUMNS: Final = {
    BINANCE_UM_CANDLES: (
        "binance_um/klines",
        {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "cost": "quote_volume",
         "trade_count": "count", "open_time": "open_time"},
    ),
    BINANCE_UM_AGG_TRADES: (
        "binance_um/agg_trades",
        {"agg_trade_id": "agg_trade_id", "price": "price", "quantity": "quantity", "first_trade_id": "first_trade_id",
         "last_trade_id": "last_trade_id", "is_buyer_maker": "is_buyer_maker", "event_time": "time"},
    ),
    BINANCE_UM_OPEN_INTEREST: (
        "binance_um/open_interest",
        {"open_interest": "open_interest", "open_interest_value": "open_interest_value", "event_time": "time"},
    ),
    BINANCE_UM_FUNDING_RATES: (
        "binance_um/funding_rates", {"funding_rate": "funding_rate", "due_at": "due", "paid_at": "time"}
    ),
}  # fmt: skip
"""By dataset: what the truth is called, and what it calls our columns."""
TIMES: Final = frozenset({"open_time", "event_time", "due_at", "paid_at"})


@pytest.fixture
def archive(simulator: Simulator) -> Iterator[BinanceArchive]:
    with HttpClient(SETTINGS, "binance_archive", simulator.base_url, Budget(), NoLog(), Priority.BACKFILL) as client:
        yield BinanceArchive(client)


def file_of(dataset: Dataset, seconds: int, day: str, symbol: str = "BTCUSDT") -> ArchiveFile:
    return archive_file(dataset, symbol, parse_moment(f"{day}T12:00Z", now=0), Resolution(seconds))


def told(archive: BinanceArchive, file: ArchiveFile) -> dict[str, list[Any]]:
    """Return all columns of a file of which no row is rejected."""
    columns = COLUMNS[file.dataset][1]
    rows: dict[str, list[Any]] = {name: [] for name in columns}
    with archive.fetch(file) as verified:
        for batch in verified.batches(file.window):
            assert batch.rejected == ()
            for name in columns:
                column = np.asarray(getattr(batch.rows, name))
                rows[name] += (column // 1_000 if name in TIMES else column).tolist()
    return rows


def truth(simulator: Simulator, file: ArchiveFile) -> dict[str, list[Any]]:
    what, columns = COLUMNS[file.dataset]
    query: dict[str, Any] = {"start": file.window.start // 1_000, "end": file.window.end // 1_000}
    if file.dataset == BINANCE_UM_CANDLES:
        query["interval"] = str(file.resolution)
    answer = simulator.truth(what, symbol=file.instrument_name, **query)
    kept = [row for row, missing in enumerate(answer["missing"]) if not missing]
    if file.dataset == BINANCE_UM_FUNDING_RATES:
        kept = [row for row in kept if answer["interval_hours"][row] * 3_600 == file.resolution.seconds]
    return {name: [answer[theirs][row] for row in kept] for name, theirs in columns.items()}


@pytest.mark.parametrize(("symbol", "dataset", "seconds", "day"), FILES)
def test_a_file_tells_the_truth(
    simulator: Simulator, archive: BinanceArchive, symbol: str, dataset: Dataset, seconds: int, day: str
) -> None:
    file = file_of(dataset, seconds, day, symbol)
    rows = told(archive, file)
    assert rows == truth(simulator, file)
    assert min(map(len, rows.values())) >= 80


def test_a_header_where_there_is_none_and_none_where_there_is_one(
    simulator: Simulator, archive: BinanceArchive
) -> None:
    for present, day in ((True, "2021-12-30"), (False, "2022-01-02")):
        simulator.set_faults([{"kind": "archive_header", "present": present}])
        for dataset, seconds in (
            (BINANCE_UM_AGG_TRADES, 0),
            (BINANCE_UM_OPEN_INTEREST, 300),
            (BINANCE_UM_CANDLES, 3_600),
        ):
            file = file_of(dataset, seconds, day)
            assert told(archive, file) == truth(simulator, file)


def test_an_instrument_whose_interval_changed_has_a_series_for_each(
    simulator: Simulator, archive: BinanceArchive
) -> None:
    counts = []
    for hours in (8, 4):
        file = file_of(BINANCE_UM_FUNDING_RATES, hours * 3_600, "2023-10-01", "TRBUSDT")
        rows = told(archive, file)
        assert rows == truth(simulator, file)
        counts.append(len(rows["due_at"]))
    assert min(counts) > 40


def test_faults_of_the_network_are_got_over(simulator: Simulator, archive: BinanceArchive) -> None:
    simulator.set_faults(
        [{"kind": kind, "service": "binance_archive", "probability": 0.2} for kind in ("cut", "server_error")]
        + [{"kind": "cut", "where": "middle", "service": "binance_archive", "probability": 0.2}]
    )
    file = file_of(BINANCE_UM_AGG_TRADES, 0, "2022-01-03")
    assert told(archive, file) == truth(simulator, file)
    assert sum(fired for fired in simulator.state()["faults_fired"].values()) > 0


def test_what_is_wrong_with_a_file_is_told_with_its_evidence(simulator: Simulator, archive: BinanceArchive) -> None:
    file = file_of(BINANCE_UM_AGG_TRADES, 0, "2022-01-04")
    for fault in ({"kind": "archive_wrong_checksum"}, {"kind": "archive_truncated"}):
        simulator.set_faults([fault])
        with pytest.raises(ArchiveDefect, match="is not what its checksum says") as raised:
            told(archive, file)
        evidence = raised.value.evidence
        assert evidence["file"] == file.name
        assert evidence["sha256_published"] != evidence["sha256_received"]
    simulator.set_faults([{"kind": "archive_truncated", "checksum_fits": True}])
    with pytest.raises(ArchiveDefect, match="is what its checksum says, but it cannot be read"):
        told(archive, file)
    simulator.set_faults([{"kind": "archive_missing_file"}])
    with pytest.raises(FileAbsent) as absent:
        archive.checksum(file)
    assert absent.value.evidence["status"] == 404


def test_a_replaced_file_has_another_checksum_and_other_rows(simulator: Simulator, archive: BinanceArchive) -> None:
    file = file_of(BINANCE_UM_OPEN_INTEREST, 300, "2024-03-02")
    simulator.set_faults([{"kind": "archive_altered_rows", "fraction": 0.1}])
    altered, before = told(archive, file), archive.checksum(file)
    simulator.clear_faults()
    assert archive.checksum(file) != before
    healed = told(archive, file)
    assert healed == truth(simulator, file)
    assert altered["event_time"] == healed["event_time"]
    assert altered["open_interest"] != healed["open_interest"]
