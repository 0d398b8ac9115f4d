"""A backfill as one writes it first: one request at a time, a pause, executemany, a commit per chunk.

`python -m benchmarks.first_way VENUE_URL DATABASE_URL INSTRUMENT START END` prints `{"fetched": rows}`.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import psycopg2
import requests

PAUSE_SECONDS: Final = 0.05
_ROWS_PER_REQUEST: Final = 5_000
_MINUTE: Final = 60_000
_SERIES_ID: Final = 1
_COLUMNS: Final = ("open", "high", "low", "close", "volume", "cost")
_UPSERT: Final = """
    INSERT INTO candles (series_id, open_time, open, high, low, close, volume, cost)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (series_id, open_time) DO UPDATE SET
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, cost = excluded.cost
"""


def backfill(venue_url: str, database_url: str, instrument: str, start: datetime, end: datetime) -> int:
    """Fetch one-minute candles of [start, end) and return how many were written."""
    rows_written = 0
    first, last = (int(moment.timestamp() * 1_000) for moment in (start, end))
    with requests.Session() as session, closing(psycopg2.connect(database_url)) as connection:
        for at in range(first, last, _ROWS_PER_REQUEST * _MINUTE):
            rows = _fetch(session, venue_url, instrument, at, min(last, at + _ROWS_PER_REQUEST * _MINUTE) - 1)
            with connection, connection.cursor() as cursor:
                cursor.executemany(_UPSERT, rows)
            rows_written += len(rows)
            time.sleep(PAUSE_SECONDS)
    return rows_written


def _fetch(session: requests.Session, url: str, instrument: str, start: int, end: int) -> list[tuple[object, ...]]:
    asked: dict[str, str | int] = {
        "instrument_name": instrument,
        "start_timestamp": start,
        "end_timestamp": end,
        "resolution": "1",
    }
    answer = session.get(f"{url}/api/v2/public/get_tradingview_chart_data", params=asked, timeout=60)
    answer.raise_for_status()
    found = answer.json()["result"]
    times = [datetime.fromtimestamp(tick / 1_000, UTC) for tick in found["ticks"]]
    return [(_SERIES_ID, *row) for row in zip(times, *(found[name] for name in _COLUMNS), strict=True)]


def main() -> None:
    """Run with the arguments of the command line."""
    venue_url, database_url, instrument, start, end = sys.argv[1:]
    window = (datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (start, end))
    print(json.dumps({"fetched": backfill(venue_url, database_url, instrument, *window)}))


if __name__ == "__main__":
    main()
