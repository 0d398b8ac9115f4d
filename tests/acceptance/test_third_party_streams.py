"""Streaming clients that other people wrote for the real venue, unchanged but for the address, limits on."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import itertools
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.simulator import Simulator, running_simulator
from tests.support.stream import control, options, truth, websocket_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_WAIT: Final = 60.0
TARDIS: Final = """
const { stream } = require("tardis-dev");
(async () => {
    const filters = [
        { channel: "book", symbols: ["BTC-PERPETUAL"] },
        { channel: "ticker", symbols: ["BTC-PERPETUAL", "ETH-PERPETUAL"] },
        { channel: "trades", symbols: ["BTC-PERPETUAL"] },
    ];
    const seen = {};
    const onError = (error) => { console.error(error.message); process.exit(1); };
    for await (const { message } of stream({ exchange: "deribit", filters, timeoutIntervalMS: 20000, onError })) {
        const channel = message.params && message.params.channel;
        if (channel) seen[channel] = (seen[channel] || 0) + 1;
        if (Object.keys(seen).length >= 3 && seen["book.BTC-PERPETUAL.100ms"] > 5) process.exit(0);
    }
})();
"""
CRYPTOFEED: Final = """
import os, sys
from cryptofeed import FeedHandler, connection
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L1_BOOK, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Deribit

def without_tls(self, address, conn_id, subscription=None, **options):
    self.address, self.ws_kwargs = address, options
    connection.AsyncConnection.__init__(self, f"{conn_id}.ws.{self.conn_count}", subscription=subscription)

connection.WSAsyncConn.__init__ = without_tls
rest, stream = sys.argv[1:]
routes = Routes([f"/api/v2/public/get_instruments?currency={currency}" for currency in ("BTC", "ETH")])
Deribit.rest_endpoints = [RestEndpoint(rest, routes=routes)]
Deribit.websocket_endpoints = [WebsocketEndpoint(stream)]
seen = {}

async def take(data, _):
    seen[type(data).__name__] = seen.get(type(data).__name__, 0) + 1
    if len(seen) == 4 and seen["OrderBook"] > 5:
        os._exit(0)

channels = [L1_BOOK, L2_BOOK, TICKER, TRADES]
handler = FeedHandler()
handler.add_feed(Deribit(symbols=["BTC-USD-PERP"], channels=channels, callbacks={one: take for one in channels}))
handler.run()
"""


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator with the limits of the venue, and full buckets."""
    with running_simulator("--quote-changes-per-second", "4") as running:
        yield running


def test_ccxt_pro_watches_books_tickers_trades_and_candles(simulator: Simulator) -> None:
    ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed: pip install ccxt")

    # The perpetual trades three times a minute; an instrument that trades every second is there at once.
    busy = "BTC-27DEC30-123456-C"
    control(simulator, "list", instrument_name=busy, trades_per_day=100_000)

    async def watch() -> None:
        exchange = ccxt.deribit({"newUpdates": True})
        exchange.urls["api"] = {"rest": simulator.base_url, "ws": websocket_url(simulator)}
        try:
            await exchange.load_markets()
            for _ in range(5):
                book = await exchange.watch_order_book("BTC/USD:BTC")
                assert book["bids"][0][0] < book["asks"][0][0]
                assert min(len(book["bids"]), len(book["asks"])) >= 15
            ticker = await exchange.watch_ticker("BTC/USD:BTC")
            assert ticker["bid"] < ticker["ask"]
            trades = await exchange.watch_trades(exchange.markets_by_id[busy][0]["symbol"])
            told = truth(simulator, "trades", instrument=busy, start=trades[0]["timestamp"], end=2_000_000_000_000)
            ids = [trade["id"] for trade in trades]
            assert told["trade_id"][: len(ids)] == ids
            candles = await exchange.watch_ohlcv("BTC/USD:BTC", "1m")
            assert candles[-1][0] % 60_000 == 0
            market = exchange.markets_by_id[options(simulator, 1)[0]][0]
            quote = await exchange.watch_ticker(market["symbol"])
            assert quote["info"]["greeks"]
            many = await exchange.watch_tickers([market["symbol"], "ETH/USD:ETH"])
            assert many
        finally:
            await exchange.close()

    asyncio.run(asyncio.wait_for(watch(), LONGEST_WAIT))


def test_deribit_py_subscribes_and_asks(simulator: Simulator) -> None:
    ws = pytest.importorskip("deribit.ws", reason="deribit-py is not installed: pip install deribit-py")

    async def listen() -> None:
        client, heard, enough = ws.DeribitWS(), [], asyncio.Event()
        client.url = websocket_url(simulator)
        before = asyncio.all_tasks()

        async def keep(data: Any) -> None:
            heard.append(data)
            if len(heard) >= 8:
                enough.set()

        await client.connect()
        try:
            channels = ["book.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.100ms"]
            assert sorted(await client.subscribe(channels, keep)) == channels
            await enough.wait()
            assert await client.get_time() == pytest.approx(simulator.state()["now"], abs=60_000)
            assert {option["kind"] for option in await client.get_instruments("ETH")} == {"option"}
            assert (await client.get_order_book("BTC-PERPETUAL", 5))["bids"]
            assert sorted(await client.unsubscribe(channels)) == channels
            assert await client.unsubscribe_all() == "ok"
        finally:
            await client.close()
            for task in asyncio.all_tasks() - before:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        chain = [data for data in heard if "change_id" in data]
        assert chain[0]["type"] == "snapshot"
        assert all(later["prev_change_id"] == earlier["change_id"] for earlier, later in itertools.pairwise(chain))

    asyncio.run(asyncio.wait_for(listen(), LONGEST_WAIT))


def nautilus_pyo3() -> Any:
    """Return nautilus_trader's core, or None where it has no Deribit adapter."""
    try:
        core = importlib.import_module("nautilus_trader.core.nautilus_pyo3")
    except ImportError:
        return None
    return core if hasattr(core, "DeribitWebSocketClient") else None


@pytest.mark.xfail(
    nautilus_pyo3() is None,
    reason="nautilus-trader has a Deribit adapter in versions that need Python 3.12 or later",
    run=False,
)
def test_nautilus_trader_subscribes(simulator: Simulator) -> None:
    nautilus = nautilus_pyo3()

    async def listen() -> None:
        http = nautilus.DeribitHttpClient(base_url=f"{simulator.base_url}/api/v2")
        perpetual = await http.request_instrument(nautilus.InstrumentId.from_str("BTC-PERPETUAL.DERIBIT"))
        client = nautilus.DeribitWebSocketClient(url=websocket_url(simulator), heartbeat_interval=10)
        heard, enough = [], asyncio.Event()

        def keep(data: Any) -> None:
            heard.append(data)
            if len(heard) >= 40:
                enough.set()

        await client.connect(asyncio.get_running_loop(), [perpetual], keep)
        try:
            await client.wait_until_active(LONGEST_WAIT)
            await client.subscribe_book(perpetual.id, None, None)
            await client.subscribe_quotes(perpetual.id)
            await client.subscribe_trades(perpetual.id, None)
            await enough.wait()
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(listen(), LONGEST_WAIT))


@pytest.mark.xfail(shutil.which("npm") is None, reason="tardis-dev needs node and npm", run=False)
def test_tardis_dev_streams(simulator: Simulator, tmp_path: Path) -> None:
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "tardis-dev@13.35.3"]
    subprocess.run(install, cwd=tmp_path, check=True, timeout=300)
    environment = {**os.environ, "WSS_URL_DERIBIT": websocket_url(simulator)}
    subprocess.run(["node", "-e", TARDIS], cwd=tmp_path, env=environment, check=True, timeout=LONGEST_WAIT)


def newer_python() -> str | None:
    """Return a Python that cryptofeed can be installed for, or None."""
    if sys.version_info >= (3, 13):
        return sys.executable
    found = shutil.which("python3.13")
    works = found is not None and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0
    return found if works else None


@pytest.mark.xfail(newer_python() is None, reason="cryptofeed needs Python 3.13 or later", run=False)
def test_cryptofeed_follows_books_tickers_and_trades(simulator: Simulator, tmp_path: Path) -> None:
    subprocess.run([str(newer_python()), "-m", "venv", str(tmp_path)], check=True, timeout=120)
    python = str(tmp_path / "bin" / "python")
    install = [python, "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check", "cryptofeed==3.0.1"]
    subprocess.run(install, check=True, timeout=300, capture_output=True)
    command = [python, "-c", CRYPTOFEED, simulator.base_url, websocket_url(simulator)]
    # It follows the perpetual alone, which trades three times a minute.
    subprocess.run(command, check=True, timeout=5 * LONGEST_WAIT)
