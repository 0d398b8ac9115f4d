"""The case `archive`: files of the past beside the same rows over REST, and how much memory they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import requests

from benchmarks.command import run_module
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.venue import running_venue
from tapekeeper.clock import MICROSECONDS_PER_DAY, day_of, format_moment, now_microseconds, parse_moment
from tapekeeper.model.resolution import Resolution
from tapekeeper.model.series import BINANCE_UM_AGG_TRADES, BINANCE_UM_CANDLES
from tapekeeper.venues.binance_um.archive_names import archive_file

if TYPE_CHECKING:
    from benchmarks.server import Server
    from tapekeeper.model.series import Dataset

SYMBOL: Final = "BTCUSDT"
FEW_TRADES: Final = 1_000_000
MANY_TRADES: Final = 5_000_000
"""Aggregate trades of one day."""
LEAST_RATIO: Final = 10.0
MOST_MEGABYTES: Final = 500.0
MOST_GROWTH: Final = 1.1
"""Of the memory, from few trades to many."""
MONTH: Final = ("2024-03-01", "2024-04-01")
REST_HOURS: Final = 2
_MAKING_SECONDS: Final = 300.0


def measure_archive(server: Server, *, seed: int, say: Say) -> Report:
    """Return how much faster rows come from files than over REST, and the memory of a small file and of a large one."""
    report = Report(
        "archive",
        f"Candles of one month and aggregate trades of {SYMBOL} from the files of the simulated venue, and over REST "
        f"with the venue's limits; the whole way into the database. On {server.description()}.",
        ("rows", "from", "rows/s", "memory, MB"),
    )
    yesterday = (now_microseconds() // MICROSECONDS_PER_DAY - 2) * MICROSECONDS_PER_DAY
    day = (str(day_of(yesterday)), str(day_of(yesterday + MICROSECONDS_PER_DAY)))
    with running_venue(seed) as venue:
        _have_made(venue.url, BINANCE_UM_CANDLES, MONTH[0])
        files = _run(report, server, venue.url, BINANCE_UM_CANDLES, MONTH, "a file", say)
        rest = _run(report, server, venue.url, BINANCE_UM_CANDLES, MONTH, "REST", say)
    with running_venue(seed, "--binance-trades-per-day", str(FEW_TRADES)) as venue:
        _have_made(venue.url, BINANCE_UM_AGG_TRADES, day[0])
        small = _run(report, server, venue.url, BINANCE_UM_AGG_TRADES, day, "a file", say)
        now = now_microseconds()
        hours = tuple(format_moment(now - back * 3_600_000_000) for back in (REST_HOURS + 1, 1))
        trades_rest = _run(report, server, venue.url, BINANCE_UM_AGG_TRADES, hours, "REST", say)
    with running_venue(seed, "--binance-trades-per-day", str(MANY_TRADES)) as venue:
        _have_made(venue.url, BINANCE_UM_AGG_TRADES, day[0])
        large = _run(report, server, venue.url, BINANCE_UM_AGG_TRADES, day, "a file", say)
    report.bounds += [
        Bound("archive: candles from a file, times REST per row", files[0] / rest[0], LEAST_RATIO, at_least=True),
        Bound("archive: trades from a file, times REST per row", small[0] / trades_rest[0], LEAST_RATIO, at_least=True),
        Bound(f"archive: memory at {MANY_TRADES:,} trades", large[1], MOST_MEGABYTES, at_least=False, unit=" MB"),
        Bound("archive: that memory, times that of a fifth", large[1] / small[1], MOST_GROWTH, at_least=False),
    ]
    return report


def _have_made(url: str, dataset: Dataset, day: str) -> None:
    """Let the simulator make a file beforehand: the real archive holds it ready."""
    resolution = Resolution(60 if dataset == BINANCE_UM_CANDLES else 0)
    file = archive_file(dataset, SYMBOL, parse_moment(day, now=now_microseconds()), resolution)
    requests.get(f"{url}/{file.name}", timeout=_MAKING_SECONDS).raise_for_status()


def _run(
    report: Report, server: Server, url: str, dataset: Dataset, window: tuple[str, ...], by: str, say: Say
) -> tuple[float, float]:
    """Fetch a window into a database of its own, and return rows per second and megabytes."""
    say(f"archive: {dataset.name} from {window[0]} to {window[1]} by {by}")
    with server.database() as database_url:
        settings = {
            "TAPEKEEPER_DATABASE_URL": database_url,
            "TAPEKEEPER_BINANCE_UM_REST_URL": url,
            "TAPEKEEPER_BINANCE_ARCHIVE_URL": "" if by == "REST" else url,
            "TAPEKEEPER_HTTP_TIMEOUT_SECONDS": "60",
        }
        resolution = ["--resolution", "1m"] if dataset == BINANCE_UM_CANDLES else []
        arguments = [dataset.name, SYMBOL, *window, *resolution]
        result = run_module("benchmarks.one_backfill", arguments, settings).result
    pace = result["rows"] / result["seconds"]
    report.lines.append(
        (f"{thousands(result['rows'])} {dataset.name}", by, thousands(pace), thousands(result["megabytes"]))
    )
    report.figures[f"{dataset.name} by {by}, {result['rows']} rows"] = result
    return pace, result["megabytes"]
