"""Which file of Binance's archive holds what, and since when it should be there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekeeper.clock import MICROSECONDS_PER_DAY, format_moment, parse_moment
from tapekeeper.errors import ConfigInvalid, RequestRejected
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import (
    BINANCE_UM_AGG_TRADES,
    BINANCE_UM_CANDLES,
    BINANCE_UM_FUNDING_RATES,
    BINANCE_UM_OPEN_INTEREST,
    DERIBIT_PERPETUAL_CANDLES,
    Dataset,
)
from tapekeeper.settings import BinanceArchiveSettings
from tapekeeper.venues.binance_um.archive_limits import archive_limit
from tapekeeper.venues.binance_um.archive_names import archive_file, published_at

FOLDER = "data/futures/um"
OFFERED = (
    (BINANCE_UM_CANDLES, 60),
    (BINANCE_UM_CANDLES, 43_200),
    (BINANCE_UM_AGG_TRADES, 0),
    (BINANCE_UM_OPEN_INTEREST, 300),
    (BINANCE_UM_FUNDING_RATES, 28_800),
)


def moment(text: str) -> int:
    return parse_moment(text, now=0)


@pytest.mark.parametrize(
    ("dataset", "seconds", "at", "name", "start", "end", "published"),
    [
        (
            BINANCE_UM_CANDLES, 60, "2024-02-29T23:59Z", "monthly/klines/ETHUSDT/1m/ETHUSDT-1m-2024-02",
            "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z", "2024-03-05T00:00:00Z",
        ),
        (
            BINANCE_UM_CANDLES, 14_400, "2024-12-01", "monthly/klines/ETHUSDT/4h/ETHUSDT-4h-2024-12",
            "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z", "2025-01-07T00:00:00Z",
        ),
        (
            BINANCE_UM_AGG_TRADES, 0, "2024-03-01T00:00Z", "daily/aggTrades/ETHUSDT/ETHUSDT-aggTrades-2024-03-01",
            "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z", "2024-03-02T06:00:00Z",
        ),
        (
            BINANCE_UM_OPEN_INTEREST, 300, "2024-03-01T00:05Z", "daily/metrics/ETHUSDT/ETHUSDT-metrics-2024-03-01",
            "2024-03-01T00:05:00Z", "2024-03-02T00:05:00Z", "2024-03-02T06:00:00Z",
        ),
        (
            BINANCE_UM_OPEN_INTEREST, 300, "2024-03-01T00:00Z", "daily/metrics/ETHUSDT/ETHUSDT-metrics-2024-02-29",
            "2024-02-29T00:05:00Z", "2024-03-01T00:05:00Z", "2024-03-01T06:00:00Z",
        ),
        # The month after ends on a Monday.
        (
            BINANCE_UM_FUNDING_RATES, 3_600, "2024-03-31T23:00Z",
            "monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2024-03",
            "2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z", "2024-04-02T00:00:00Z",
        ),
    ],
)  # fmt: skip
def test_each_moment_has_a_file(
    dataset: Dataset, seconds: int, at: str, name: str, start: str, end: str, published: str
) -> None:
    file = archive_file(dataset, "ETHUSDT", moment(at), Resolution(seconds))
    assert file.name == f"{FOLDER}/{name}.zip"
    assert (format_moment(file.window.start), format_moment(file.window.end)) == (start, end)
    assert format_moment(published_at(file)) == published
    assert (file.dataset, file.instrument_name, file.resolution) == (dataset, "ETHUSDT", Resolution(seconds))


@given(st.sampled_from(OFFERED), st.integers(moment("2019-09-01"), moment("2030-01-01")))
def test_files_hold_their_moment_and_follow_each_other(offered: tuple[Dataset, int], at: int) -> None:
    dataset, seconds = offered
    file = archive_file(dataset, "BTCUSDT", at, Resolution(seconds))
    assert file.window.start <= at < file.window.end
    assert archive_file(dataset, "BTCUSDT", file.window.start, Resolution(seconds)) == file
    following = archive_file(dataset, "BTCUSDT", file.window.end, Resolution(seconds))
    assert following.window.start == file.window.end
    assert following.name > file.name
    assert 0 < published_at(file) - file.window.end + 300_000_000 < 9 * MICROSECONDS_PER_DAY


@pytest.mark.parametrize(
    ("dataset", "seconds"),
    [(BINANCE_UM_OPEN_INTEREST, 900), (BINANCE_UM_CANDLES, 7), (DERIBIT_PERPETUAL_CANDLES, 60)],
)
def test_what_the_archive_does_not_have_is_refused(dataset: Dataset, seconds: int) -> None:
    with pytest.raises(ConfigInvalid):
        archive_file(dataset, "BTCUSDT", 0, Resolution(seconds))


@pytest.mark.parametrize("name", ["", ".", "..", "../BTCUSDT", "A/B", "A B", "A%2FB", "A?b", "A#b", "-A", "A\n"])
def test_a_name_that_could_be_another_path_is_refused(name: str) -> None:
    with pytest.raises(RequestRejected, match="type the name as Binance writes it"):
        archive_file(BINANCE_UM_AGG_TRADES, name, 0, Resolution(0))


@pytest.mark.parametrize("name", ["1000PEPEUSDT", "BTCUSDT_240329", "币安人生USDT", "A.B-C"])
def test_names_of_the_venue_are_taken(name: str) -> None:
    assert f"/{name}-aggTrades-1970-01-01.zip" in archive_file(BINANCE_UM_AGG_TRADES, name, 0, Resolution(0)).name


@pytest.mark.parametrize(("pace", "burst"), [(0.5, 1), (10.0, 10), (2.9, 2)])
def test_the_pace_is_the_setting(pace: float, burst: int) -> None:
    limit = archive_limit(BinanceArchiveSettings(requests_per_second=pace))
    assert (limit.name, limit.permits_per_second, limit.burst) == ("binance_archive.requests", pace, burst)
