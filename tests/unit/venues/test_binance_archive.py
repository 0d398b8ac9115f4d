"""Files of Binance's archive: nothing is believed without its checksum, and no row without its rules."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import format_moment, parse_moment
from tapekeeper.errors import (
    ArchiveDefect,
    AuthRejected,
    ConfigInvalid,
    FileAbsent,
    RateLimited,
    RequestRejected,
    VenueUnavailable,
)
from tapekeeper.http.client import HttpClient
from tapekeeper.http.decision import GiveUp, Ok, RetryAfter
from tapekeeper.http.rate_budget import Priority
from tapekeeper.model.agg_trade import AggTrades
from tapekeeper.model.candle import Candles
from tapekeeper.model.funding_rate import FundingRates
from tapekeeper.model.open_interest import OpenInterest
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    Dataset,
)
from tapekeeper.model.window import Window
from tapekeeper.settings import HttpSettings
from tapekeeper.venues.binance_um import archive_content
from tapekeeper.venues.binance_um.archive import BinanceArchive, decide
from tapekeeper.venues.binance_um.archive_content import FetchedFile
from tapekeeper.venues.binance_um.archive_names import archive_file
from tests.support.granting import Budget, NoLog
from tests.support.payloads import recorded
from tests.support.scripted_server import ScriptedServer, http_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekeeper.model.answer import RejectedRow
    from tapekeeper.model.archive import ArchiveFile

DAY_MS = 1_720_051_200_000
"""2024-07-04 00:00 UTC."""
SETTINGS = HttpSettings(timeout_seconds=10, attempts_maximum=1)
KLINES_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
METRICS_HEADER = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)


def file_of(
    dataset: Dataset = BINANCE_UM_AGG_TRADES, seconds: int = 0, day: str = "2024-07-04", name: str = "BTCUSDT"
) -> ArchiveFile:
    return archive_file(dataset, name, parse_moment(f"{day}T12:00Z", now=0), Resolution(seconds))


def packed(file: ArchiveFile, table: bytes, *, member: str | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip as the archive makes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(member or file.name.rpartition("/")[2].replace(".zip", ".csv"), table)
    return buffer.getvalue()


def fetched(file: ArchiveFile, content: bytes) -> FetchedFile:
    return FetchedFile(file, io.BytesIO(content), hashlib.sha256(content).hexdigest(), len(content))


def read(file: ArchiveFile, table: str | bytes, window: Window | None = None) -> tuple[list[Any], list[RejectedRow]]:
    """Return the rows of each batch, and what was rejected."""
    text = table.encode() if isinstance(table, str) else table
    answers = list(fetched(file, packed(file, text)).batches(window or file.window))
    return [answer.rows for answer in answers], [row for answer in answers for row in answer.rejected]


def trade(number: int, milliseconds: int = 0, **changed: str) -> str:
    row = {
        "agg_trade_id": f"{number}",
        "price": "60276.3",
        "quantity": "0.029",
        "first": f"{2 * number}",
        "last": f"{2 * number + 1}",
        "time": f"{DAY_MS + milliseconds}",
        "maker": "false",
    }
    return ",".join({**row, **changed}.values()) + "\n"


def candle(minute: int, close: str = "101") -> str:
    opened = DAY_MS + minute * 60_000
    return f"{opened},100,103,99,{close},12.5,{opened + 59_999},1250.25,42,6,600,0\n"


def metric(time: str, interest: str = "10.5", value: str = "100", symbol: str = "BTCUSDT") -> str:
    return f"{time},{symbol},{interest},{value},1.0,1.0,1.0,1.0\n"


def test_recorded_trades_without_a_header() -> None:
    [trades], rejected = read(
        file_of(), recorded("binance_vision/aggTrades_BTCUSDT_2024-07-04_excerpt.csv").read_bytes()
    )
    assert isinstance(trades, AggTrades)
    assert trades.agg_trade_id.tolist() == [2228503268, 2228503269, 2228503270, 2228503271]
    assert trades.event_time.tolist()[0] == 1_720_055_357_510_000
    assert trades.price.tolist() == [60276.3, 60276.2, 60276.2, 60276.3]
    assert trades.quantity.tolist() == [0.029, 0.049, 0.008, 0.009]
    assert (trades.first_trade_id.tolist()[1], trades.last_trade_id.tolist()[1]) == (5129698197, 5129698198)
    assert trades.is_buyer_maker.tolist() == [False, True, True, False]
    assert rejected == []


def test_recorded_funding_rates_are_due_on_the_hour() -> None:
    text = recorded("binance_vision/fundingRate_ETHUSDT_2025-07_excerpt.csv").read_bytes()
    [rates], rejected = read(file_of(BINANCE_UM_FUNDING_RATES, 28_800, "2025-07-01", "ETHUSDT"), text)
    assert isinstance(rates, FundingRates)
    assert (format_moment(int(rates.due_at[0])), int(rates.paid_at[0])) == (
        "2025-07-01T00:00:00Z",
        1_751_328_000_007_000,
    )
    assert (float(rates.funding_rate[0]), bool(np.isnan(rates.mark_price[0])), rejected) == (0.00008191, True, [])


def test_recorded_metrics() -> None:
    text = recorded("binance_vision/metrics_ETHUSDT_2025-07-01_excerpt.csv").read_bytes()
    [rows], rejected = read(file_of(BINANCE_UM_OPEN_INTEREST, 300, "2025-07-01", "ETHUSDT"), text)
    assert isinstance(rows, OpenInterest)
    assert [format_moment(moment) for moment in rows.event_time.tolist()] == ["2025-07-01T00:05:00Z"]
    assert (rows.open_interest.tolist(), rows.open_interest_value.tolist()) == ([1893129.089], [4706583953.32646])
    assert rejected == []


@pytest.mark.parametrize("header", ["", KLINES_HEADER + "\n", KLINES_HEADER + "\r\n"])
def test_candles_of_a_window_with_and_without_a_header(header: str) -> None:
    file = file_of(BINANCE_UM_CANDLES, 60)
    start = DAY_MS * 1_000 + 60_000_000
    table = header + candle(0) + candle(1) + candle(2) + candle(3)
    [candles], rejected = read(file, table, Window(start, start + 120_000_000))
    assert isinstance(candles, Candles)
    assert candles.open_time.tolist() == [start, start + 60_000_000]
    assert (candles.open.tolist(), candles.high.tolist(), candles.low.tolist()) == ([100] * 2, [103] * 2, [99] * 2)
    assert (candles.close.tolist(), candles.volume.tolist(), candles.cost.tolist()) == (
        [101] * 2, [12.5] * 2, [1250.25] * 2,
    )  # fmt: skip
    assert candles.trade_count is not None
    assert candles.trade_count.tolist() == [42, 42]
    assert rejected == []


def test_a_candle_that_contradicts_itself_is_put_aside_as_it_came() -> None:
    file = file_of(BINANCE_UM_CANDLES, 60)
    off_grid = candle(3).replace(f"{DAY_MS + 180_000},", f"{DAY_MS + 180_001},", 1)
    other_month = candle(-5 * 1_440)
    [candles], rejected = read(file, other_month + candle(0) + candle(1, "104") + candle(2, "nan") + off_grid)
    assert candles.open_time.tolist() == [DAY_MS * 1_000]
    assert [row.reason for row in rejected] == [
        "2024-06-29T00:00:00Z is not in the file's window [2024-07-01T00:00:00Z, 2024-08-01T00:00:00Z)",
        "close 104.0 is outside low 99.0 and high 103.0",
        "close 'nan' is no finite number",
        "2024-07-04T00:03:00.001000Z does not lie on a multiple of 1m",
    ]
    assert rejected[2].row["close"] == "nan"
    assert rejected[2].event_time == (DAY_MS + 120_000) * 1_000


def test_a_candle_that_is_not_over_is_left_out() -> None:
    now = int(parse_moment("2024-07-04T12:00Z", now=0)) // 1_000
    file = archive_file(BINANCE_UM_CANDLES, "BTCUSDT", 4_000_000_000_000_000, Resolution(60))
    opened = file.window.start // 1_000
    assert opened > now
    assert (
        read(file, f"{opened},100,103,99,101,12.5,{opened + 59_999},1250.25,42,6,600,0\n")[0][0].open_time.tolist()
        == []
    )


def test_metrics_come_in_order_each_moment_once() -> None:
    file = file_of(BINANCE_UM_OPEN_INTEREST, 300)
    [rows], rejected = read(
        file,
        METRICS_HEADER + "\n"
        + metric("2024-07-04 00:15:00") + metric("2024-07-04 00:05:00", "1") + metric("2024-07-04 00:05:00", "1.0")
        + metric("2024-07-04 00:10:00", "-1") + metric("2024-07-04 00:10:00", "2") + metric("2024-07-05 00:00:00", "4")
        + metric("2024-07-04 00:15:00", "3") + metric("2024-07-04 00:16:00") + metric("2024-07-04 25:00:00")
        + metric("2024-07-04 00:00:00"),
    )  # fmt: skip
    assert [format_moment(moment)[8:16] for moment in rows.event_time.tolist()] == [
        "04T00:05", "04T00:10", "04T00:15", "05T00:00",
    ]  # fmt: skip
    assert rows.open_interest.tolist() == [1.0, 2.0, 10.5, 4.0]
    assert [row.reason for row in rejected] == [
        "create_time '2024-07-04 25:00:00' is no time",
        "2024-07-04T00:00:00Z is not in the file's window [2024-07-04T00:05:00Z, 2024-07-05T00:05:00Z)",
        "open_interest -1.0 is below zero",
        "an earlier row of 2024-07-04T00:15:00Z says (10.5, 100.0)",
        "2024-07-04T00:16:00Z does not lie on a multiple of 5m",
    ]


def test_only_the_funding_rates_of_the_own_interval_are_taken() -> None:
    file = file_of(BINANCE_UM_FUNDING_RATES, 28_800)
    [rates], rejected = read(
        file,
        "calc_time,funding_interval_hours,last_funding_rate\n"
        f"{DAY_MS},8,0.0001\n{DAY_MS + 28_800_003},8,-0.00012345\n{DAY_MS + 43_200_000},4,0.5\n"
        f"{DAY_MS + 45_000_000},8,0.1\n{DAY_MS + 57_600_000},8,x\n",
    )
    assert rates.due_at.tolist() == [DAY_MS * 1_000, (DAY_MS + 28_800_000) * 1_000]
    assert rates.paid_at.tolist() == [DAY_MS * 1_000, (DAY_MS + 28_800_003) * 1_000]
    assert rates.funding_rate.tolist() == [0.0001, -0.00012345]
    assert [row.reason for row in rejected] == [
        "paid at 2024-07-04T12:30:00Z, which is not near to a multiple of its interval",
        "last_funding_rate 'x' is no finite number",
    ]
    assert [row.event_time for row in rejected] == [(DAY_MS + 45_000_000) * 1_000, (DAY_MS + 57_600_000) * 1_000]


def test_trades_that_cannot_be_are_put_aside() -> None:
    rows = [
        trade(1), trade(2, price="0"), trade(3, quantity="-1"), trade(4, first="9", last="8"), trade(5, maker="yes"),
        trade(6, agg_trade_id="x"), trade(7, 86_400_000), trade(8, 5),
    ]  # fmt: skip
    [trades], rejected = read(file_of(), "".join(rows))
    assert trades.agg_trade_id.tolist() == [1, 8]
    assert [row.row["agg_trade_id"] for row in rejected] == ["2", "3", "4", "5", "x", "7"]
    # A row of another window is told with that one.
    start = DAY_MS * 1_000
    [later], others = read(file_of(), "".join(rows), Window(start + 5_000, start + 6_000))
    assert later.agg_trade_id.tolist() == [8]
    assert [row.row["agg_trade_id"] for row in others] == ["7"]


@pytest.mark.parametrize(
    ("dataset", "seconds", "table", "words"),
    [
        (BINANCE_UM_AGG_TRADES, 0, trade(1) + trade(1), "the numbers do not ascend: 1 comes after 1"),
        (BINANCE_UM_AGG_TRADES, 0, trade(1, 5) + trade(2, 4), "the moments descend"),
        (BINANCE_UM_AGG_TRADES, 0, trade(1) + "2,3\n", "a line has 2 fields where 7 should be: 2,3"),
        (BINANCE_UM_AGG_TRADES, 0, KLINES_HEADER + "\n", "its header is 'open_time,open,"),
        (BINANCE_UM_AGG_TRADES, 0, "".join(map(str, range(20_000))), "it has a line of more than 65,536 bytes: 0123"),
        (BINANCE_UM_CANDLES, 60, candle(1) + candle(1), "the rows do not ascend: 2024-07-04T00:01:00Z comes after"),
        (
            BINANCE_UM_CANDLES, 60, KLINES_HEADER.replace("open,high", "high,open") + "\n" + candle(1),
            "its header is 'open_time,high,open",
        ),
        (BINANCE_UM_OPEN_INTEREST, 300, metric("2024-07-04 00:05:00", symbol="ETHUSDT"), "it holds a row of 'ETHUSDT'"),
        (
            BINANCE_UM_AGG_TRADES, 0, "".join(trade(number, price="0") for number in range(1_001)),
            "more than 1,000 of its rows cannot be believed",
        ),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_a_defect(dataset: Dataset, seconds: int, table: str, words: str) -> None:
    file = file_of(dataset, seconds)
    with pytest.raises(ArchiveDefect) as raised:
        read(file, table)
    assert str(raised.value).startswith(f"{file.name} is what its checksum says, but {words}")
    assert {"file", "sha256", "size_bytes", "defect"} == raised.value.evidence.keys()


def test_columns_that_nobody_reads_may_have_other_names() -> None:
    header = KLINES_HEADER.replace("taker_buy_volume", "taker_buy_base_asset_volume")
    assert len(read(file_of(BINANCE_UM_CANDLES, 60), header + "\n" + candle(1))[0][0]) == 1


@pytest.mark.parametrize("stretch_bytes", [1, 7, 64, 1_000, 10_000])
def test_a_table_may_be_cut_anywhere(stretch_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of()
    table = "".join(trade(number, number // 3) for number in range(100))
    monkeypatch.setattr(archive_content, "STRETCH_BYTES", stretch_bytes)
    # The last line may have no end.
    parts, rejected = read(file, table.rstrip("\n"))
    assert [number for part in parts for number in part.agg_trade_id.tolist()] == list(range(100))
    assert [time for part in parts for time in part.event_time.tolist()] == [
        (DAY_MS + number // 3) * 1_000 for number in range(100)
    ]
    assert rejected == []
    if stretch_bytes < 1_000:
        assert len(parts) > 1
        with pytest.raises(ArchiveDefect, match="do not ascend: 7 at"):
            read(file, table + trade(7, 1_000))


def test_a_long_file_takes_no_more_memory_than_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_content, "STRETCH_BYTES", 65_536)
    file, peaks = file_of(), []
    for count in (5_000, 50_000):
        verified = fetched(file, packed(file, "".join(trade(number, number) for number in range(count)).encode()))
        tracemalloc.start()
        assert sum(len(answer.rows) for answer in verified.batches(file.window)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_the_whole_file_is_checked_and_can_be_read_again() -> None:
    file = file_of()
    verified = fetched(file, packed(file, trade(1).encode()))
    for _ in range(2):
        assert [len(answer.rows) for answer in verified.batches(file.window)] == [1]
    assert (len(verified.sha256), verified.size_bytes) == (64, len(packed(file, trade(1).encode())))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            packed(file_of(), b"", member="other.csv"),
            "it should hold BTCUSDT-aggTrades-2024-07-04.csv alone, and holds",
        ),
        (packed(file_of(), b"1", method=zipfile.ZIP_BZIP2), "it is packed in a way that the archive does not use"),
        (packed(file_of(), b"0" * 10_000_000), "it would grow to 10,000,000 bytes, more than 200 times its size"),
        (packed(file_of(), trade(1).encode())[:100], "it cannot be read: File is not a zip file"),
        (b"", "it cannot be read: File is not a zip file"),
    ],
)
def test_a_zip_that_is_none_is_a_defect(content: bytes, words: str) -> None:
    with pytest.raises(ArchiveDefect, match=words):
        list(fetched(file_of(), content).batches(file_of().window))


@given(st.data())
def test_a_damaged_zip_is_a_defect_and_nothing_else(data: st.DataObject) -> None:
    file = file_of()
    rows = [trade(number, number) for number in range(50)]
    content = bytearray(packed(file, "".join(rows).encode()))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) // 2, 4 * len(content))) :]
    try:
        answers = list(fetched(file, bytes(content)).batches(file.window))
    except ArchiveDefect:
        return
    # What was damaged means nothing: its time, its attributes.
    assert [len(answer.rows) for answer in answers] == [len(rows)]


@contextmanager
def archive(*script: bytes, folder: Path | None = None) -> Iterator[tuple[BinanceArchive, ScriptedServer]]:
    with (
        ScriptedServer(*script) as server,
        HttpClient(SETTINGS, "binance_archive", server.base_url, Budget(), NoLog(), Priority.BACKFILL) as client,
    ):
        yield BinanceArchive(client, folder), server


def checksum_of(content: bytes, name: str = "BTCUSDT-aggTrades-2024-07-04.zip") -> bytes:
    return http_answer(200, f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())


GOOD = packed(file_of(), trade(1).encode())


def test_a_file_is_fetched_after_its_checksum_and_gone_afterwards(tmp_path: Path) -> None:
    with archive(checksum_of(GOOD), http_answer(200, GOOD), folder=tmp_path) as (binance, server):
        with binance.fetch(file_of()) as verified:
            assert (verified.sha256, verified.size_bytes) == (hashlib.sha256(GOOD).hexdigest(), len(GOOD))
            assert [len(answer.rows) for answer in verified.batches(file_of().window)] == [1]
        assert list(tmp_path.iterdir()) == []
    path = f"/{file_of().name}"
    assert [head.split()[1] for head in server.requests] == [f"{path}.CHECKSUM", path]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_is_raised_while_a_file_is_read_leaves_nothing_behind(tmp_path: Path) -> None:
    opened = open_files()
    with (
        archive(checksum_of(GOOD), http_answer(200, GOOD), folder=tmp_path) as (binance, _),
        pytest.raises(KeyError),
        binance.fetch(file_of()),
    ):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    assert open_files() == opened


def test_names_of_other_letters_are_encoded() -> None:
    name = "币USDT-aggTrades-2024-07-04.zip"
    with archive(checksum_of(GOOD, name)) as (binance, server):
        assert binance.checksum(file_of(name="币USDT")) == hashlib.sha256(GOOD).hexdigest()
    encoded = "%E5%B8%81USDT"
    assert server.requests[0].split()[1] == (
        f"/data/futures/um/daily/aggTrades/{encoded}/{encoded}-aggTrades-2024-07-04.zip.CHECKSUM"
    )


def test_a_file_that_was_replaced_in_between_is_fetched_again() -> None:
    older = packed(file_of(), trade(2).encode())
    script = (checksum_of(older), http_answer(200, GOOD), checksum_of(GOOD), http_answer(200, GOOD))
    with archive(*script) as (binance, server), binance.fetch(file_of()) as verified:
        assert verified.sha256 == hashlib.sha256(GOOD).hexdigest()
    assert len(server.requests) == 4


def test_a_wrong_checksum_is_a_defect_with_its_evidence() -> None:
    script = (checksum_of(b""), http_answer(200, GOOD), checksum_of(b""), http_answer(200, GOOD))
    with (
        archive(*script) as (binance, server),
        pytest.raises(ArchiveDefect, match="is not what its checksum") as raised,
        binance.fetch(file_of()),
    ):
        raise AssertionError("it was believed")
    assert len(server.requests) == 4
    assert raised.value.evidence == {
        "file": file_of().name,
        "sha256_published": hashlib.sha256(b"").hexdigest(),
        "sha256_received": hashlib.sha256(GOOD).hexdigest(),
        "size_bytes": len(GOOD),
    }


@pytest.mark.parametrize("script", [(http_answer(404),), (checksum_of(GOOD), http_answer(404))])
def test_a_file_that_is_not_there_says_so(script: tuple[bytes, ...]) -> None:
    with (
        archive(*script) as (binance, _),
        pytest.raises(FileAbsent, match="there is no") as raised,
        binance.fetch(file_of()),
    ):
        raise AssertionError("it was believed")
    assert (raised.value.evidence["file"], raised.value.evidence["status"]) == (file_of().name, 404)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"0" * 64 + b"  other.zip\n", b"0" * 63 + b"  BTCUSDT.zip\n", b"\xff"]
)
def test_a_checksum_that_is_none_is_a_defect(body: bytes) -> None:
    with (
        archive(http_answer(200, body)) as (binance, _),
        pytest.raises(ArchiveDefect, match="is no checksum of the file"),
    ):
        binance.checksum(file_of())


@pytest.mark.parametrize("form", ["{}  {}\n", "{} *{}", "{}  {}\r\n"])
def test_checksums_as_sha256sum_writes_them(form: str) -> None:
    line = form.format("A" * 64, "BTCUSDT-aggTrades-2024-07-04.zip").encode()
    with archive(http_answer(200, line)) as (binance, _):
        assert binance.checksum(file_of()) == "a" * 64


def test_a_folder_that_cannot_be_used_is_a_setting_to_change(tmp_path: Path) -> None:
    with (
        archive(checksum_of(GOOD), folder=tmp_path / "absent") as (binance, _),
        pytest.raises(ConfigInvalid, match="choose a folder for temporary files"),
        binance.fetch(file_of()),
    ):
        raise AssertionError("it was believed")


@pytest.mark.parametrize(
    ("status", "headers", "seconds", "limited"),
    [
        (403, {}, 60.0, True),
        (429, {"Retry-After": "7"}, 7.0, True),
        (503, {"Retry-After": "3"}, 3.0, True),
        (503, {}, None, True),
        (500, {}, None, False),
        (408, {}, None, False),
    ],
)
def test_what_is_asked_again(status: int, headers: dict[str, str], seconds: float | None, limited: bool) -> None:
    decision = decide(status, headers, b"<Error>")
    assert isinstance(decision, RetryAfter)
    assert (decision.seconds, decision.limited) == (seconds, limited)


@pytest.mark.parametrize(
    ("status", "error"), [(301, RequestRejected), (400, RequestRejected), (401, AuthRejected), (451, AuthRejected)]
)
def test_what_is_given_up(status: int, error: type[Exception]) -> None:
    decision = decide(status, {}, b"")
    assert isinstance(decision, GiveUp)
    assert decision.error is error
    assert decide(404, {}, b"<Error>") == Ok(None)


def test_refusals_are_raised_as_what_to_do_about_them() -> None:
    with (
        archive(http_answer(500)) as (binance, _),
        pytest.raises(VenueUnavailable, match="archive/agg_trades/checksum"),
    ):
        binance.checksum(file_of())
    with (
        ScriptedServer(http_answer(429, b"", "Retry-After: 100\r\n")) as server,
        HttpClient(SETTINGS, "binance_archive", server.base_url, Slowing(), NoLog(), Priority.BACKFILL) as client,
        pytest.raises(RateLimited, match="did not serve archive/agg_trades/checksum in 1 try"),
    ):
        BinanceArchive(client).checksum(file_of())


class Slowing(Budget):
    """May be slowed down."""

    def slow_down(self, retry_after_seconds: float | None) -> None:
        assert retry_after_seconds == 100
