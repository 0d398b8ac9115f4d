"""The simulator's answers beside recorded ones: every recorded field is there, with the same type."""

from __future__ import annotations

import asyncio
import csv
import json
import re
from typing import Any

import pytest

from simulator.conditions import Conditions
from simulator.cryptodatadownload.answers import DailiesRequest, ohlc
from simulator.cryptodatadownload.dailies import OptionDailies
from simulator.market import Market
from simulator.moments import MINUTE
from tests.support import payloads
from tests.unit.simulator.archive import Reader
from tests.unit.simulator.binance import Binance
from tests.unit.simulator.listener import Studio
from tests.unit.simulator.venue import NOW, SEED, Venue


def recorded(name: str) -> Any:
    return json.loads(payloads.recorded(name).read_text())


def assert_same_shape(ours: Any, theirs: Any, path: str = "result") -> None:
    """Every field of theirs is in ours; numbers match numbers, null matches anything."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), path
        for name, value in theirs.items():
            assert name in ours, f"{path}.{name} is missing"
            assert_same_shape(ours[name], value, f"{path}.{name}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), path
        if theirs and ours:
            assert_same_shape(ours[0], theirs[0], f"{path}[0]")
    elif theirs is not None and ours is not None:
        same = isinstance(ours, bool) == isinstance(theirs, bool)
        is_number = isinstance(ours, int | float) and isinstance(theirs, int | float)
        same = same and (is_number or type(ours) is type(theirs))
        assert same, f"{path}: {ours!r} beside {theirs!r}"


def an_option(venue: Venue, settlement: str = "BTC") -> str:
    live = venue.world.catalogue.live(NOW)
    middle = [one for one in live if one.kind == "option" and one.settlement == settlement]
    return max(middle, key=lambda one: one.trades_per_hundred_days).name


def test_chart(venue: Venue) -> None:
    ours = venue.candles("BTC-PERPETUAL", NOW - 5 * MINUTE, NOW)
    assert_same_shape(ours, recorded("deribit_nautilus/http_get_tradingview_chart_data.json")["result"])
    assert_same_shape(ours, recorded("deribit_ccxt/tradingview_chart_2020-03-11_open_candle.json")["result"])


def test_trades(venue: Venue) -> None:
    ours = venue.ask("get_last_trades_by_instrument", instrument_name="ETH-PERPETUAL")
    assert_same_shape(ours, recorded("deribit_nautilus/http_get_last_trades.json")["result"])


def test_order_book(venue: Venue) -> None:
    ours = venue.ask("get_order_book", instrument_name="BTC-PERPETUAL", depth=20)
    assert_same_shape(ours, recorded("deribit_nautilus/http_get_order_book.json")["result"])


def test_ticker_of_a_perpetual(venue: Venue) -> None:
    ours = venue.ask("ticker", instrument_name="BTC-PERPETUAL")
    assert_same_shape(ours, recorded("deribit_nautilus/ws_ticker.json")["params"]["data"])


def test_tickers_of_options(venue: Venue) -> None:
    lines = payloads.recorded("deribit_tardis/deribit_messages.jsonl").read_text().splitlines()
    messages = [json.loads(line)["params"] for line in lines]
    tickers = [one["data"] for one in messages if one["channel"].startswith("ticker.") and "greeks" in one["data"]]
    tickers = [one for one in tickers if "implied_bid" not in one]
    living = [one for one in tickers if one["estimated_delivery_price"] != "expired"]
    over = [one for one in tickers if one["estimated_delivery_price"] == "expired"]
    assert living
    assert over
    for theirs in living:
        assert_same_shape(venue.ask("ticker", instrument_name=an_option(venue)), theirs)
    expired = next(one for one in venue.world.catalogue.expired(NOW) if one.kind == "option")
    for theirs in over:
        assert_same_shape(venue.ask("ticker", instrument_name=expired.name), theirs)


def test_book_summary_of_an_option(venue: Venue) -> None:
    [ours] = venue.ask("get_book_summary_by_instrument", instrument_name=an_option(venue))
    assert_same_shape(ours, recorded("deribit_ccxt/book_summary_option_2024-03-22.json"))


def test_instruments_of_combos(venue: Venue) -> None:
    ours = venue.ask("get_instruments", currency="BTC", kind="option_combo")
    assert_same_shape(ours, recorded("deribit_nautilus/http_get_instruments_option_combo.json")["result"])


def test_expirations(venue: Venue) -> None:
    ours = venue.ask("get_expirations", currency="BTC", kind="option")
    assert_same_shape(ours, recorded("deribit_nautilus/http_get_expirations_btc_option.json")["result"])


def test_binance_klines() -> None:
    theirs = recorded("binance_nautilus/http_futures_market_klines.json")
    assert_same_shape(Binance().klines("BTCUSDT", "1m", limit=2), theirs)
    [ours] = Binance().klines("BTCUSDT", "1m", limit=1)
    assert [type(field) for field in ours] == [type(field) for field in theirs[0]]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("fapi/v1/aggTrades", ["binance_nautilus/http_futures_market_agg_trades.json"]),
        ("fapi/v1/fundingRate", ["binance_nautilus/http_futures_market_funding_rate.json"]),
        ("futures/data/openInterestHist", ["binance_vision/openInterestHist_BTCUSDT_5m_2021-03-22.json"]),
    ],
)
def test_binance_rows(path: str, names: list[str]) -> None:
    ours = Binance().ask(path, symbol="BTCUSDT", period="5m")
    for name in names:
        assert_same_shape(ours, recorded(name))


def test_tables_of_the_archive() -> None:
    reader = Reader()
    for path, name in [
        ("daily/metrics/ETHUSDT/ETHUSDT-metrics-2025-07-01.zip", "metrics_ETHUSDT_2025-07-01_excerpt.csv"),
        ("monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2025-07.zip", "fundingRate_ETHUSDT_2025-07_excerpt.csv"),
        ("daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2021-07-04.zip", "aggTrades_BTCUSDT_2024-07-04_excerpt.csv"),
    ]:
        theirs = list(csv.reader(payloads.recorded(f"binance_vision/{name}").read_text().splitlines()))
        ours = reader.rows(path)
        assert len(ours[-1]) == len(theirs[-1])
        if theirs[0][0].isalpha() or "_" in theirs[0][0]:
            assert ours[0] == theirs[0]
        forms = [[re.sub(r"\d+", "9", field) for field in rows[-1]] for rows in (ours, theirs)]
        assert forms[0][0] == forms[1][0]


def test_option_dailies() -> None:
    theirs = recorded("cdd/ohlc_row_2024-06-16.json")
    request = DailiesRequest(OptionDailies(Market(SEED)), {"currency": "ETH", "date": "2024-06-16"}, Conditions(SEED))
    rows = asyncio.run(ohlc(request))["result"]
    assert isinstance(rows, list)
    assert_same_shape(rows[0], theirs)
    assert rows[0]["unix"] == theirs["unix"]


def streamed(*channels: str) -> dict[str, Any]:
    """Return the last notification of each channel."""
    studio = Studio()
    heard = studio.listen(*channels)
    studio.publisher.publish_until(NOW + 5 * MINUTE)
    return {channel: heard.heard(channel)[-1] for channel in channels}


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("ticker.BTC-PERPETUAL.100ms", "ws_ticker"),
        ("quote.BTC-PERPETUAL", "ws_quote"),
        ("chart.trades.BTC-PERPETUAL.1", "ws_chart"),
    ],
)
def test_notifications(channel: str, name: str) -> None:
    theirs = recorded(f"deribit_nautilus/{name}.json")["params"]
    assert theirs["channel"] == channel
    assert_same_shape(streamed(channel)[channel], theirs["data"])


def test_notifications_of_trades() -> None:
    theirs = [
        row for row in recorded("deribit_nautilus/ws_trades.json")["params"]["data"] if "combo_trade_id" not in row
    ]
    ours = streamed("trades.BTC-PERPETUAL.100ms")["trades.BTC-PERPETUAL.100ms"]
    assert_same_shape(ours, theirs)


def test_notifications_of_books() -> None:
    lines = payloads.recorded("deribit_tardis/deribit_messages.jsonl").read_text().splitlines()
    messages = [json.loads(line)["params"] for line in lines]
    books = [one["data"] for one in messages if one["channel"].startswith("book.") and "type" in one["data"]]
    ours = streamed("book.ETH-PERPETUAL.100ms")["book.ETH-PERPETUAL.100ms"]
    for theirs in books:
        assert_same_shape(ours, theirs)
    assert {one["type"] for one in books} == {"snapshot", "change"}
