"""A collector as one writes it first: json, a dict per tick, a deque, executemany of 10,000 with asyncpg.

It writes the same rows as ours, checks no sequence and keeps no account.
`python -m benchmarks.naive_collector VENUE_URL WEBSOCKET_URL DATABASE_URL ROWS` ends after so many rows and prints
`{"last_commit_at": seconds since 1970, "cpu_seconds": seconds}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
import requests
from websockets.asyncio.client import connect

from benchmarks.collector import FLUSH_SECONDS

_ROWS_PER_TRANSACTION: Final = 10_000
_CHANNELS_PER_CALL: Final = 500
_TICKER: Final = ("mark_price", "underlying_price", "mark_iv", "bid_iv", "ask_iv", "open_interest")
_QUOTE: Final = ("instrument_id", "event_time", "received_at", "change_id", "bid_price", "bid_size", "ask_price",
    "ask_size", *_TICKER, "from_ticker")  # fmt: skip
_TRADE: Final = ("instrument_id", "event_time", "received_at", "trade_seq", "trade_id", "price", "size", "side", "iv",
    "index_price", "mark_price", "liquidation", "combo_id", "block_trade_id")  # fmt: skip


class NaiveCollector:
    """Reads, and writes every now and then, in one event loop."""

    def __init__(self, names: list[str]) -> None:
        self.quotes: deque[dict[str, Any]] = deque()
        self.trades: deque[dict[str, Any]] = deque()
        self.written = 0
        self.last_commit_at = 0.0
        self._ids = {name: number for number, name in enumerate(names, 1)}
        self._books: dict[str, dict[str, dict[float, float]]] = {name: {"bids": {}, "asks": {}} for name in names}
        self._tickers: dict[str, dict[str, Any]] = {name: {} for name in names}

    async def read(self, url: str) -> None:
        """Read until cancelled."""
        channels = [f"{kind}.{name}.100ms" for kind in ("book", "ticker", "trades") for name in self._ids]
        async with connect(url, compression=None, max_size=None) as websocket:
            for first in range(0, len(channels), _CHANNELS_PER_CALL):
                asked = {"channels": channels[first : first + _CHANNELS_PER_CALL]}
                call = {"jsonrpc": "2.0", "id": first, "method": "public/subscribe", "params": asked}
                await websocket.send(json.dumps(call))
            async for frame in websocket:
                message = json.loads(frame)
                if message.get("method") == "subscription":
                    self._take(message["params"]["channel"].split(".")[0], message["params"]["data"])

    async def write(self, url: str, rows: int) -> None:
        """Write until so many rows are committed."""
        connection = await asyncpg.connect(url)
        for table in ("option_quotes", "option_trades"):
            await connection.execute("SELECT ensure_day_partition($1, (now() AT TIME ZONE 'UTC')::date)", table)
        while self.written < rows:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._flush(connection, "option_quotes", _QUOTE, self.quotes)
            await self._flush(connection, "option_trades", _TRADE, self.trades)
        await connection.close()

    async def _flush(
        self, connection: Any, table: str, columns: tuple[str, ...], waiting: deque[dict[str, Any]]
    ) -> None:
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING"
        while waiting:
            batch = [waiting.popleft() for _ in range(min(len(waiting), _ROWS_PER_TRANSACTION))]
            await connection.executemany(insert, [tuple(row[column] for column in columns) for row in batch])
            self.written += len(batch)
            self.last_commit_at = time.time()

    def _take(self, kind: str, data: Any) -> None:
        if kind == "ticker":
            self._tickers[data["instrument_name"]] = data
        elif kind == "book":
            self._take_book(data)
        else:
            self.trades.extend(self._trade(row) for row in data)

    def _take_book(self, data: dict[str, Any]) -> None:
        name = data["instrument_name"]
        book, ticker = self._books[name], self._tickers[name]
        if data["type"] == "snapshot":
            book = self._books[name] = {"bids": {}, "asks": {}}
        for side, levels in book.items():
            for action, price, amount in data[side]:
                if action == "delete":
                    levels.pop(price, None)
                else:
                    levels[price] = amount
        bid, ask = max(book["bids"], default=None), min(book["asks"], default=None)
        row = {"instrument_id": self._ids[name], "change_id": data["change_id"], "from_ticker": False}
        row |= {"bid_price": bid, "bid_size": book["bids"].get(bid), "ask_price": ask}  # type: ignore[arg-type]
        row |= {"ask_size": book["asks"].get(ask), **_moments(data)}  # type: ignore[arg-type]
        self.quotes.append(row | {column: ticker.get(column) for column in _TICKER})

    def _trade(self, data: dict[str, Any]) -> dict[str, Any]:
        row = {column: data.get(column) for column in _TRADE}
        row |= {"instrument_id": self._ids[data["instrument_name"]], "size": data["amount"], "side": data["direction"]}
        return row | _moments(data)


def _moments(data: dict[str, Any]) -> dict[str, datetime]:
    return {"event_time": datetime.fromtimestamp(data["timestamp"] / 1_000, UTC), "received_at": datetime.now(UTC)}


async def collect(venue_url: str, websocket_url: str, database_url: str, rows: int) -> NaiveCollector:
    """Follow all options of ETH until so many rows are committed."""
    asked = {"currency": "ETH", "kind": "option"}
    listed = requests.get(f"{venue_url}/api/v2/public/get_instruments", params=asked, timeout=60).json()["result"]
    collector = NaiveCollector([row["instrument_name"] for row in listed])
    reading = asyncio.create_task(collector.read(websocket_url))
    writing = asyncio.create_task(collector.write(database_url, rows))
    done, _ = await asyncio.wait([reading, writing], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    reading.cancel()
    await asyncio.wait([reading])
    return collector


def main() -> None:
    """Run with the arguments of the command line."""
    venue_url, websocket_url, database_url, rows = sys.argv[1:]
    found = asyncio.run(collect(venue_url, websocket_url, database_url, int(rows)))
    print(json.dumps({"last_commit_at": found.last_commit_at, "cpu_seconds": time.process_time()}))


if __name__ == "__main__":
    main()
