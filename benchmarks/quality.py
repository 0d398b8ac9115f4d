"""The case `quality`: the checks over years of candles with holes in them, beside LAG over all rows."""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.sample import ONE_MINUTE
from benchmarks.server import query
from benchmarks.status import fill_coverage
from tapekeeper.clock import MICROSECONDS_PER_DAY, now_microseconds
from tapekeeper.model.candle import Candles
from tapekeeper.model.instrument import Instrument
from tapekeeper.model.series import DERIBIT_PERPETUAL_CANDLES
from tapekeeper.model.window import Window
from tapekeeper.quality.checks import CHECKS
from tapekeeper.quality.checks.check import Scope, only_row
from tapekeeper.quality.checks.gap_detection import GapDetection
from tapekeeper.quality.job import CHECK_SESSION, QualityJob
from tapekeeper.settings import read_settings
from tapekeeper.store import catalogue, coverage
from tapekeeper.store.completeness import dataset_completeness
from tapekeeper.store.database import Database, connect
from tapekeeper.store.grid_rows import CANDLES, INCOMING_GRID_TABLES, write_rows
from tapekeeper.store.series_lock import lock_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from psycopg2.extensions import cursor as Cursor

    from benchmarks.server import Server
    from tapekeeper.model.quality import QualitySummary

HOLES: Final = 130
LONGEST_HOLE: Final = 600
CHUNK_ROWS: Final = 50_000
LOOKS: Final = 200
"""How often the completeness views are read."""
GAPS_SECONDS: Final = 1.0
FASTER_THAN_LAG: Final = 20.0
EVERYTHING_SECONDS: Final = 20.0
LAST_DAY_SECONDS: Final = 0.3
VIEWS_SECONDS: Final = 0.05
Result = TypeVar("Result")
OURS: Final = "gap detection, by the account and the flagged days"
NAIVE: Final = "LAG over all rows"
ALL: Final = "all checks over everything, ledger and results kept"
LAST_DAY: Final = "all checks over the last day, the same"
DATASETS_VIEW: Final = "completeness per dataset, 600 k series-days"
SERIES_VIEW: Final = "completeness per series, 600 k series-days"
_STEP: Final = ONE_MINUTE.microseconds
_NAMES: Final = ("BTC-PERPETUAL", "ETH-PERPETUAL")
_WITHOUT_VENUE: Final = [name for name in CHECKS if name != "refetch"]
_LAG: Final = """
    SELECT count(*) FROM (
        SELECT open_time - lag(open_time) OVER (PARTITION BY series_id ORDER BY open_time) AS distance FROM candles
    ) AS neighbours
    WHERE distance > interval '1 minute'
"""


class _Found(NamedTuple):
    """How long each way took, in seconds, turn by turn, and what the run over everything found."""

    seconds: dict[str, list[float]]
    everything: QualitySummary


def measure_quality(server: Server, *, candles: int, repetitions: int, seed: int, say: Say) -> Report:
    """Return how long the checks take on two instruments' candles, and the completeness views on much coverage."""
    with server.database() as url:
        say(f"quality: writing {thousands(candles)} candles")
        end = now_microseconds() // _STEP * _STEP
        start = (end - candles // len(_NAMES) * _STEP) // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
        _fill(url, Window(start, end), seed)
        rows = query(url, "SELECT count(*) FROM candles")[0][0]
        found = _checked(url, Window(start, end), repetitions, say)
    with server.database() as url:
        say("quality: reading the completeness views")
        fill_coverage(url)
        found.seconds.update(_viewed(url))
        series_days = query(url, "SELECT count(*) FROM coverage")[0][0]
    return _report(server, found, rows, series_days)


def _fill(url: str, window: Window, seed: int) -> None:
    random = np.random.default_rng(seed)
    with closing(Database(url, prepare=INCOMING_GRID_TABLES)) as database:
        for position, name in enumerate(_NAMES):
            series_id = database.run(partial(_follow, name=name, window=window))
            gone = _holes(random, window, HOLES // 2 + HOLES % 2 * position)
            for chunk in _market(random, window):
                held = chunk.select(~gone[(chunk.open_time - window.start) // _STEP])
                database.run(partial(write_rows, table=CANDLES, series_id=series_id, rows=held))
    with closing(connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _follow(cursor: Cursor, name: str, window: Window) -> int:
    listed = Instrument("deribit", name, "perpetual", name[:3], listed_at=window.start, tick_size=0.5)
    series_id = catalogue.ensure_series(cursor, DERIBIT_PERPETUAL_CANDLES, listed, ONE_MINUTE).series_id
    lock_series(cursor, series_id)
    catalogue.follow(cursor, series_id, window, keep_fresh=True, reason="benchmark")
    coverage.expect(cursor, series_id, window, ONE_MINUTE, life_start=window.start, horizon=window.end)
    return series_id


def _holes(random: np.random.Generator, window: Window, count: int) -> npt.NDArray[np.bool_]:
    """Return which minutes are missing: so many runs that do not touch, each some days from the next."""
    minutes = (window.end - window.start) // _STEP
    gone = np.zeros(minutes, dtype=np.bool_)
    room = minutes // (count + 1)
    for number in range(count):
        first = number * room + int(random.integers(1, room - LONGEST_HOLE))
        gone[first : first + int(random.integers(1, LONGEST_HOLE))] = True
    return gone


def _market(random: np.random.Generator, window: Window) -> Iterator[Candles]:
    """Yield candles whose prices move by a few ticks a minute, between far ends."""
    open_times = np.arange(window.start, window.end, _STEP, dtype=np.int64)
    price = 60_000.0
    for first in range(0, len(open_times), CHUNK_ROWS):
        open_time = open_times[first : first + CHUNK_ROWS]
        close = np.abs(price - 5_000 + np.cumsum(random.integers(-20, 21, len(open_time))) * 0.5) + 5_000
        opened = np.append(price, close[:-1])
        high = np.maximum(opened, close) + random.integers(0, 10, len(open_time)) * 0.5
        low = np.minimum(opened, close) - random.integers(0, 10, len(open_time)) * 0.5
        volume = np.round(random.uniform(0.1, 40, len(open_time)), 8)
        price = float(close[-1])
        yield Candles(open_time, opened, high, low, close, volume, volume * close)


def _checked(url: str, window: Window, repetitions: int, say: Say) -> _Found:
    settings = read_settings({"TAPEKEEPER_DATABASE_URL": url})
    scope = Scope(DERIBIT_PERPETUAL_CANDLES, window, now_microseconds(), settings)
    seconds: dict[str, list[float]] = {name: [] for name in (OURS, NAIVE, LAST_DAY, ALL)}
    with closing(Database(url, prepare=CHECK_SESSION)) as database, QualityJob(settings) as job:
        for turn in range(repetitions):
            say(f"quality: gap detection and LAG, turn {turn + 1} of {repetitions}")
            ours = _timed(seconds[OURS], lambda: database.run(partial(GapDetection().run, scope=scope)).found)
            naive = _timed(seconds[NAIVE], lambda: database.run(_lag))
            if (ours, naive) != (HOLES, HOLES):
                raise AssertionError(f"{HOLES} holes were planted, ours found {ours} and LAG found {naive}")
        for turn in range(repetitions):
            say(f"quality: all checks, turn {turn + 1} of {repetitions}")
            _timed(seconds[LAST_DAY], partial(_run, job, "24h", turn))
            summary = _timed(seconds[ALL], partial(_run, job, "all", turn))
    return _Found(seconds, summary)


def _lag(cursor: Cursor) -> int:
    cursor.execute(_LAG)
    return int(only_row(cursor)[0])


def _run(job: QualityJob, window: str, turn: int) -> QualitySummary:
    return job.run(job.request(None, window, _WITHOUT_VENUE), f"{window} {turn}", by="benchmark")


def _viewed(url: str) -> dict[str, list[float]]:
    """Return how long the views take, each on a connection that was used before."""
    found: dict[str, list[float]] = {DATASETS_VIEW: [], SERIES_VIEW: []}
    with closing(Database(url)) as database:
        for _ in range(LOOKS):
            _timed(found[DATASETS_VIEW], lambda: database.run(dataset_completeness))
            _timed(found[SERIES_VIEW], lambda: database.run(_every_series))
    return found


def _every_series(cursor: Cursor) -> int:
    cursor.execute("SELECT * FROM completeness")
    return len(cursor.fetchall())


def _timed(durations: list[float], work: Callable[[], Result]) -> Result:
    started = time.perf_counter()
    result = work()
    durations.append(time.perf_counter() - started)
    return result


def _report(server: Server, found: _Found, rows: int, series_days: int) -> Report:
    report = Report(
        "quality",
        f"{thousands(rows)} candles of {len(_NAMES)} instruments, {HOLES} holes; all checks but the one that asks the "
        f"venue again, of all datasets, as `tapekeeper check` runs them; the views on {thousands(series_days)} rows of "
        f"coverage. On {server.description()}.",
        ("what", "median ms", "longest ms", "gap detection is"),
    )
    medians = {name: statistics.median(seconds) for name, seconds in found.seconds.items()}
    for name, seconds in found.seconds.items():
        ratio = f"{medians[name] / medians[OURS]:.0f}x" if name == NAIVE else ""
        report.lines.append((name, *(f"{1_000 * value:,.1f}" for value in (medians[name], max(seconds))), ratio))
        report.figures[name] = {"median_seconds": round(medians[name], 4), "longest_seconds": round(max(seconds), 4)}
    report.notes += [
        f"{result.check} of {result.dataset}: {1_000 * result.seconds:,.0f} ms of the last run over everything"
        for result in found.everything.results
        if result.dataset == DERIBIT_PERPETUAL_CANDLES.name
    ]
    bounds = ((OURS, GAPS_SECONDS), (ALL, EVERYTHING_SECONDS), (LAST_DAY, LAST_DAY_SECONDS))
    views = ((DATASETS_VIEW, VIEWS_SECONDS), (SERIES_VIEW, VIEWS_SECONDS))
    report.bounds = [
        Bound(f"quality: {name}", medians[name], limit, at_least=False, unit=" s") for name, limit in (*bounds, *views)
    ]
    faster = medians[NAIVE] / medians[OURS]
    report.bounds.append(Bound("quality: gap detection, of LAG", faster, FASTER_THAN_LAG, at_least=True, unit="x"))
    return report
