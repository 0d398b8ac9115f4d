"""Streaming clients that other people wrote for the real venue, unchanged but for the address, limits on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.simulator import Simulator, running_simulator
from tests.support.stream import options, truth, websocket_url

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_WAIT = 60.0


@pytest.fixture(scope="module")
def simulator_process() -> Iterator[Simulator]:
    """A simulator with the limits of the venue, and full buckets."""
    with running_simulator("--quote-changes-per-second", "4") as running:
        yield running


def test_ccxt_pro_watches_books_tickers_trades_and_candles(simulator: Simulator) -> None:
    ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed: pip install ccxt")

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
            trades = await exchange.watch_trades("BTC/USD:BTC")
            told = truth(
                simulator, "trades", instrument="BTC-PERPETUAL", start=trades[0]["timestamp"], end=2_000_000_000_000
            )
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
