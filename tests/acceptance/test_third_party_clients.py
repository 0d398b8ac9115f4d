"""Clients that other people wrote for the real venue, unchanged but for the address, limits on."""

from __future__ import annotations

import asyncio
import importlib
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.simulator import Simulator, running_simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE: Final = 60_000
START: Final = 1_709_251_200_000
"""2024-03-01 00:00 UTC."""


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator with the limits of the venue, and full buckets."""
    with running_simulator() as running:
        yield running


@pytest.fixture
def exchange(simulator: Simulator) -> Any:
    """The Deribit client of ccxt."""
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: pip install ccxt")
    client = ccxt.deribit()
    client.urls["api"]["rest"] = simulator.base_url
    return client


def truth(simulator: Simulator, instrument: str, start: int, end: int) -> Any:
    return simulator.truth_candles(instrument=instrument, start=str(start), end=str(end))


def test_ccxt_loads_the_markets(exchange: Any, simulator: Simulator) -> None:
    markets = exchange.load_markets()
    assert markets["BTC/USD:BTC"]["id"] == "BTC-PERPETUAL"
    assert markets["BTC/USD:BTC"]["inverse"]
    assert markets["SOL/USDC:USDC"]["linear"]
    assert sum(market["option"] for market in markets.values()) > 600
    assert {"swap", "future", "option", "spot"} <= {market["type"] for market in markets.values()}
    assert all(market["strike"] > 0 for market in markets.values() if market["option"] and "-CS-" not in market["id"])
    assert exchange.market("ETH/USD:ETH")["created"] == 1_552_568_454_000


def test_ccxt_fetches_candles(exchange: Any, simulator: Simulator) -> None:
    rows = exchange.fetch_ohlcv("BTC/USD:BTC", "1m", since=START, limit=500)
    expected = truth(simulator, "BTC-PERPETUAL", START, START + 500 * MINUTE)
    columns = ("ticks", "open", "high", "low", "close", "volume")
    assert rows == [list(row) for row in zip(*(expected[column] for column in columns), strict=True)]


def test_ccxt_pages_through_candles(exchange: Any, simulator: Simulator) -> None:
    now = simulator.state()["now"] // MINUTE * MINUTE
    rows = exchange.fetch_ohlcv("ETH/USD:ETH", "1m", since=now - 12_000 * MINUTE, params={"paginate": True})
    ticks = [row[0] for row in rows if row[0] < now]
    assert ticks == truth(simulator, "ETH-PERPETUAL", now - 12_000 * MINUTE, now)["ticks"]


def test_ccxt_fetches_trades(exchange: Any) -> None:
    trades = exchange.fetch_trades("ETH/USD:ETH", limit=100)
    sequence = [int(trade["info"]["trade_seq"]) for trade in trades]
    assert sorted(sequence) == list(range(min(sequence), min(sequence) + 100))
    old = exchange.fetch_trades("ETH/USD:ETH", since=START, limit=20)
    assert len(old) == 20
    assert old[0]["timestamp"] >= START
    assert all(trade["price"] > 0 and trade["side"] in ("buy", "sell") for trade in trades + old)


def test_ccxt_fetches_tickers(exchange: Any) -> None:
    tickers = exchange.fetch_tickers(params={"code": "BTC"})
    assert tickers["BTC/USD:BTC"]["bid"] < tickers["BTC/USD:BTC"]["ask"]
    assert len(tickers) > 300
    assert exchange.fetch_ticker("BTC/USD:BTC")["last"] == pytest.approx(tickers["BTC/USD:BTC"]["last"], rel=0.05)


def test_ccxt_understands_the_errors(exchange: Any, simulator: Simulator) -> None:
    exchange.load_markets()
    expected = {"too_many_requests": "DDoSProtection", "maintenance": "ExchangeNotAvailable"}
    for kind, name in expected.items():
        simulator.set_faults([{"kind": kind}])
        with pytest.raises(Exception, match="deribit") as caught:
            exchange.fetch_ticker("BTC/USD:BTC")
        assert name in {error.__name__ for error in type(caught.value).__mro__}


@pytest.fixture(scope="module")
def binance(simulator_process: Simulator) -> Any:
    """The client of ccxt for Binance USD-M, which has loaded its markets."""
    ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed: pip install ccxt")
    client = ccxt.binanceusdm()
    client.urls["api"]["fapiPublic"] = f"{simulator_process.base_url}/fapi/v1"
    client.urls["api"]["fapiData"] = f"{simulator_process.base_url}/futures/data"
    client.load_markets()
    return client


def test_ccxt_loads_the_markets_of_binance(binance: Any) -> None:
    market = binance.markets["BTC/USDT:USDT"]
    assert (market["id"], market["type"], market["linear"], market["active"]) == ("BTCUSDT", "swap", True, True)
    assert market["created"] == 1_567_965_420_000
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 0.001)
    assert not binance.markets["SRM/USDT:USDT"]["active"]


def test_ccxt_fetches_candles_of_binance(binance: Any, simulator: Simulator) -> None:
    rows = binance.fetch_ohlcv("BTC/USDT:USDT", "1m", since=START, limit=1_000)
    expected = simulator.truth("binance_um/klines", symbol="BTCUSDT", start=START, end=START + 1_000 * MINUTE)
    columns = ("open_time", "open", "high", "low", "close", "volume")
    assert rows == [list(row) for row in zip(*(expected[column] for column in columns), strict=True)]


def test_ccxt_fetches_funding_and_open_interest_of_binance(binance: Any, simulator: Simulator) -> None:
    rates = binance.fetch_funding_rate_history("TRB/USDT:USDT", since=START, limit=50)
    assert len(rates) == 50
    assert rates[0]["timestamp"] // MINUTE * MINUTE == START
    assert {round((second["timestamp"] - first["timestamp"]) / 3_600_000) for first, second in pairwise(rates)} == {4}
    now = simulator.state()["now"]
    interest = binance.fetch_open_interest_history("BTC/USDT:USDT", "1h", since=now - 86_400_000, limit=20)
    assert len(interest) == 20
    assert all(row["openInterestAmount"] > 0 for row in interest)


def test_ccxt_understands_a_refusal_of_binance(binance: Any, simulator: Simulator) -> None:
    simulator.set_faults([{"kind": "too_many_requests", "service": "binance_um"}])
    with pytest.raises(Exception, match="1003") as caught:
        binance.fetch_ohlcv("BTC/USDT:USDT", "1m", since=START, limit=10)
    assert "DDoSProtection" in {error.__name__ for error in type(caught.value).__mro__}


def test_deribit_py_asks_for_everything_public(simulator: Simulator) -> None:
    rest = pytest.importorskip("deribit.rest", reason="deribit-py is not installed: pip install deribit-py")

    async def ask() -> None:
        client = rest.DeribitREST()
        client.BASE_URL = f"{simulator.base_url}/api/v2"
        try:
            assert await client.get_time() == pytest.approx(simulator.state()["now"], abs=60_000)
            options = await client.get_instruments("ETH")
            assert {option["kind"] for option in options} == {"option"}
            assert await client.get_instruments("ETH", expired=True)
            summaries = await client.get_book_summary_by_currency("ETH")
            assert {row["instrument_name"] for row in summaries} == {option["instrument_name"] for option in options}
            book = await client.get_order_book("BTC-PERPETUAL", 10)
            assert len(book["bids"]) == len(book["asks"]) == 10
            trades = await client.get_last_trades_by_instrument("BTC-PERPETUAL", start_seq=100, end_seq=104)
            assert [trade["trade_seq"] for trade in trades["trades"]] == [100, 101, 102, 103, 104]
            assert len((await client.get_last_trades_by_currency("ETH", count=20))["trades"]) == 20
            assert (await client.get_ticker(options[0]["instrument_name"]))["greeks"]
            assert await client.get_historical_volatility("BTC")
            with pytest.raises(Exception, match="instrument not found"):
                await client.get_ticker("ETH-NOTHING")
        finally:
            await client.close()

    asyncio.run(ask())


def nautilus_pyo3() -> Any:
    """Return nautilus_trader's core, or None where it has no Deribit adapter."""
    try:
        core = importlib.import_module("nautilus_trader.core.nautilus_pyo3")
    except ImportError:
        return None
    return core if hasattr(core, "DeribitHttpClient") else None


@pytest.mark.xfail(
    nautilus_pyo3() is None,
    reason="nautilus-trader has a Deribit adapter in versions that need Python 3.12 or later",
    run=False,
)
def test_nautilus_trader_asks_for_instruments_trades_bars_and_books(simulator: Simulator) -> None:
    nautilus = nautilus_pyo3()

    async def ask() -> None:
        client = nautilus.DeribitHttpClient(base_url=f"{simulator.base_url}/api/v2")
        currency, product = nautilus.DeribitCurrency, nautilus.DeribitProductType
        options = await client.request_instruments(currency.BTC, product.OPTION)
        assert len(options) > 300
        perpetual = await client.request_instrument(nautilus.InstrumentId.from_str("BTC-PERPETUAL.DERIBIT"))
        client.cache_instrument(perpetual)
        start = datetime.fromtimestamp(START / 1_000, UTC)
        trades = await client.request_trades(perpetual.id, start, start + timedelta(minutes=30), 50)
        assert len(trades) == 50
        bar_type = nautilus.BarType.from_str("BTC-PERPETUAL.DERIBIT-1-MINUTE-LAST-EXTERNAL")
        bars = await client.request_bars(bar_type, start, start + timedelta(minutes=99), None)
        expected = truth(simulator, "BTC-PERPETUAL", START, START + 100 * MINUTE)
        assert [float(str(bar.close)) for bar in bars] == expected["close"]
        assert all(math.isfinite(float(str(bar.volume))) for bar in bars)
        assert await client.request_book_snapshot(perpetual.id, 10)

    asyncio.run(ask())
