"""The archive of Binance: the same rows as over REST, in files with checksums that belong to them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest

from simulator.binance_archive.shelf import Packed
from simulator.moments import DAY, HOUR, MINUTE
from tests.unit.simulator.archive import Reader
from tests.unit.simulator.binance import START
from tests.unit.simulator.venue import NOW

TRADES: Final = "daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2026-01-01.zip"
METRICS: Final = "daily/metrics/ETHUSDT/ETHUSDT-metrics-2026-05-12.zip"
KLINES: Final = "daily/klines/ETHUSDT/1m/ETHUSDT-1m-2026-01-01.zip"
MONTH: Final = "monthly/klines/ETHUSDT/1h/ETHUSDT-1h-2026-01.zip"
FUNDING: Final = "monthly/fundingRate/LPTUSDT/LPTUSDT-fundingRate-2026-01.zip"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp() * 1_000)


def numbers(rows: list[Any]) -> list[list[Decimal]]:
    return [[Decimal(str(field)) for field in row] for row in rows]


def test_klines_are_those_of_rest(reader: Reader) -> None:
    header, *rows = reader.rows(KLINES)
    assert header[0] == "open_time"
    assert header[-1] == "ignore"
    assert rows == [
        [str(field) for field in row] for row in reader.binance.klines("ETHUSDT", "1m", startTime=START, limit=1_440)
    ]
    assert len(rows) == 1_440
    month = reader.rows(MONTH)[1:]
    assert numbers(month) == numbers(reader.binance.klines("ETHUSDT", "1h", startTime=START, limit=31 * 24))


def test_trades_are_those_of_rest_without_zeros_at_their_ends(reader: Reader) -> None:
    path = "daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2026-05-19.zip"
    header, *rows = reader.rows(path)
    assert header == [
        "agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
    ]  # fmt: skip
    start = at(5, 19)
    told = [
        row
        for hour in range(24)
        for row in reader.binance.ask(
            "fapi/v1/aggTrades",
            symbol="ETHUSDT",
            startTime=start + hour * HOUR,
            endTime=start + hour * HOUR + HOUR - 1,
            limit=1_000,
        )
    ]
    assert len(rows) > 2_000
    assert numbers([row[:6] for row in rows]) == numbers([[row[name] for name in "apqflT"] for row in told])
    assert [row[6] for row in rows] == [str(row["m"]).lower() for row in told]
    assert not any(field.endswith("0") for row in rows for field in row[1:3] if "." in field)


def test_metrics_are_the_open_interest_of_rest_and_some_come_twice(reader: Reader) -> None:
    header, *rows = reader.rows(METRICS)
    assert header[:4] == ["create_time", "symbol", "sum_open_interest", "sum_open_interest_value"]
    assert len(header) == len(rows[0]) == 8
    start = at(5, 12)
    told = reader.binance.ask(
        "futures/data/openInterestHist",
        symbol="ETHUSDT", period="5m", startTime=start + 1, endTime=start + DAY, limit=500,
    )  # fmt: skip
    found = {row[0]: [Decimal(row[2]), Decimal(row[3])] for row in rows}
    expected = {
        f"{datetime.fromtimestamp(row['timestamp'] / 1_000, UTC):%Y-%m-%d %H:%M:%S}": [
            Decimal(row["sumOpenInterest"]),
            Decimal(row["sumOpenInterestValue"]),
        ]
        for row in told
    }
    assert found == expected
    assert rows[0][0] == "2026-05-12 00:05:00"
    assert rows[-1][0] == "2026-05-13 00:00:00"
    days = [f"daily/metrics/ETHUSDT/ETHUSDT-metrics-2026-05-{day:02}.zip" for day in range(1, 11)]
    assert sum(len(rows) - len({row[0] for row in rows}) for rows in map(reader.rows, days)) > 0


def test_funding_is_that_of_rest_without_a_mark_price(reader: Reader) -> None:
    header, *rows = reader.rows(FUNDING)
    assert header == ["calc_time", "funding_interval_hours", "last_funding_rate"]
    told = reader.binance.ask(
        "fapi/v1/fundingRate", symbol="LPTUSDT", startTime=START, endTime=START + 31 * DAY - MINUTE, limit=1_000
    )
    assert rows == [[str(row["fundingTime"]), "4", row["fundingRate"]] for row in told]


def test_a_file_is_the_same_bytes_whenever_it_is_made(reader: Reader) -> None:
    assert reader.packed(KLINES) == Reader().packed(KLINES, now=NOW + DAY)


def test_a_header_is_a_matter_of_the_date(reader: Reader) -> None:
    old = "daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2021-12-31.zip"
    assert reader.rows(old)[0][0].isdecimal()
    assert reader.rows(old.replace("2021-12-31", "2022-01-01"))[0][0] == "agg_trade_id"
    assert reader.rows(old, faults=[{"kind": "archive_header", "present": True}])[0][0] == "agg_trade_id"
    assert reader.rows(KLINES, faults=[{"kind": "archive_header", "present": False}])[0][0].isdecimal()
    assert reader.rows("daily/metrics/BTCUSDT/BTCUSDT-metrics-2021-12-31.zip")[0][0] == "create_time"


def test_files_come_the_next_day_and_on_the_first_monday(reader: Reader) -> None:
    path = KLINES.replace("2026-01-01", "2026-05-19")
    assert reader.packed(path, now=at(5, 20, 2, 59)) is None
    assert reader.packed(path, now=at(5, 20, 3)) is not None
    month = MONTH.replace("2026-01.", "2026-04.")
    assert reader.packed(month, now=at(5, 4, 2)) is None
    assert reader.packed(month, now=at(5, 4, 3)) is not None, "2026-05-04 is a Monday"


@pytest.mark.parametrize(
    "path",
    [
        "monthly/metrics/ETHUSDT/ETHUSDT-metrics-2026-01.zip",
        "daily/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2026-01-01.zip",
        "daily/klines/ETHUSDT/3d/ETHUSDT-3d-2026-01-01.zip",
        "daily/klines/ETHUSDT/1m/ETHUSDT-5m-2026-01-01.zip",
        "daily/klines/ETHUSDT/1m/ETHUSDT-1m-2026-02-30.zip",
        "daily/klines/ETHUSDT/1m/ETHUSDT-1m-2026-01.zip",
        "daily/klines/NOPE/1m/NOPE-1m-2026-01-01.zip",
        "daily/klines/ETHUSDT/1m/ETHUSDT-1m-2019-11-26.zip",
        "daily/klines/SRMUSDT/1m/SRMUSDT-1m-2022-11-29.zip",
        "daily/metrics/BTCUSDT/BTCUSDT-metrics-2020-08-31.zip",
    ],
)
def test_what_the_archive_does_not_have(reader: Reader, path: str) -> None:
    assert reader.packed(path) is None


def test_the_edges_of_a_life_are_there(reader: Reader) -> None:
    assert reader.rows("daily/klines/ETHUSDT/1m/ETHUSDT-1m-2019-11-27.zip")
    assert reader.rows("daily/klines/SRMUSDT/1m/SRMUSDT-1m-2022-11-28.zip")
    assert reader.rows("monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2019-09.zip")
    assert reader.rows("daily/metrics/BTCUSDT/BTCUSDT-metrics-2020-09-01.zip")


def test_a_checksum_can_be_wrong_and_a_file_half(reader: Reader) -> None:
    right = reader.packed(TRADES)
    assert right is not None
    wrong = reader.packed(TRADES, faults=[{"kind": "archive_wrong_checksum", "dates": ["2026-01-01"]}])
    assert wrong is not None
    assert wrong.body == right.body
    assert wrong.checksum != right.checksum
    half = reader.packed(TRADES, faults=[{"kind": "archive_truncated"}])
    assert half == Packed(right.body[: len(right.body) // 2], right.checksum)
    fits = reader.packed(TRADES, faults=[{"kind": "archive_truncated", "checksum_fits": True}])
    assert fits == Packed(half.body, hashlib.sha256(half.body).hexdigest())
    other: list[dict[str, Any]] = [
        {"kind": "archive_wrong_checksum", "dates": ["2026-01-02"]},
        {"kind": "archive_missing_file", "period": "monthly"},
    ]
    assert reader.packed(TRADES, faults=other) == right


def test_a_file_can_be_missing(reader: Reader) -> None:
    faults = [{"kind": "archive_missing_file", "dataset": "aggTrades", "instrument": "ETHUSDT"}]
    assert reader.packed(TRADES, faults=faults) is None
    assert reader.packed(KLINES, faults=faults) is not None
    assert reader.packed(TRADES) is not None


def test_a_file_can_lack_rows(reader: Reader) -> None:
    whole = reader.rows(TRADES)
    hole = {"kind": "archive_left_out_rows", "fraction": 1, "start": START + HOUR, "end": START + 2 * HOUR}
    less = reader.rows(TRADES, faults=[hole])
    assert less == [
        row for row in whole if not row[5].isdecimal() or not START + HOUR <= int(row[5]) < START + 2 * HOUR
    ]
    some = reader.rows(TRADES, faults=[{"kind": "archive_left_out_rows", "fraction": 0.1}])
    assert 0.85 < len(some) / len(whole) < 0.95


@pytest.mark.parametrize(("path", "column"), [(TRADES, 2), (KLINES, 5), (METRICS, 2), (FUNDING, 2)])
def test_a_file_is_replaced_by_the_clock_and_by_hand(reader: Reader, path: str, column: int) -> None:
    fault = {"kind": "archive_altered_rows", "fraction": 0.2, "to_moment": NOW, "factor": 3}
    before, after = reader.rows(path, now=NOW - 1, faults=[fault]), reader.rows(path, faults=[fault])
    assert after == reader.rows(path)
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 0.1 < len(changed) / len(after) < 0.3
    for old, new in changed:
        assert abs(Decimal(old[column]) - 3 * Decimal(new[column])) <= Decimal("0.000001")


def test_holes_of_the_venue_are_holes_of_the_archive(reader: Reader) -> None:
    gone = [START + 5 * MINUTE]
    rows = reader.rows(KLINES, faults=[{"kind": "missing_minutes", "open_times": gone}])
    assert [row[0] for row in rows] == [row[0] for row in reader.rows(KLINES) if row[0] != str(gone[0])]
    number = int(reader.rows(TRADES)[7][0])
    rows = reader.rows(TRADES, faults=[{"kind": "missing_trades", "trade_seqs": [number]}])
    assert [row[0] for row in rows] == [row[0] for row in reader.rows(TRADES) if row[0] != str(number)]
