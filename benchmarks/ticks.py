"""The case `ticks`: frames of 830 options as fast as a process takes them, until their rows are committed."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.collector import FLUSH_SECONDS, running_collector
from benchmarks.command import run_module
from benchmarks.frames import FIRST_RECORDED_CHANGE_ID, OPTIONS, WARM_SHARE, record
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.server import query
from benchmarks.venue import Venue, running_venue
from tapekeeper.store.database import connect

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from benchmarks.frames import Recording
    from benchmarks.server import Server

FASTER_THAN_NAIVE: Final = 2.0
OURS: Final = "tapekeeper: sequences checked, account kept"
NAIVE: Final = "naive: json, a dict per tick, deque, asyncpg executemany"
_ALL_CHANNELS: Final = 4_000
_LONGEST_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.05
_FIRST_RECEIVED: Final = """
    SELECT extract(epoch FROM min(received_at))::float8 FROM option_quotes WHERE event_time >= to_timestamp(%s / 1e3)
"""
_ROWS: Final = "SELECT (SELECT count(*) FROM option_quotes WHERE change_id >= %s), (SELECT count(*) FROM option_trades)"
_ACCOUNTED: Final = """
    SELECT coalesce(sum(rows_held) FILTER (WHERE dataset = 'deribit.option_quotes'), 0)::bigint,
        coalesce(sum(rows_held) FILTER (WHERE dataset = 'deribit.option_trades'), 0)::bigint
    FROM series_totals JOIN series USING (series_id)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One turn of a way."""

    seconds: float
    """From the first of the measured frames that was received to the last commit."""
    cpu_seconds: float
    """Of the process since its start; the database and the sender are beside it."""


def measure_ticks(server: Server, *, frames: int, repetitions: int, seed: int, say: Say) -> Report:
    """Return how many rows a second both ways commit; they take turns."""
    found: dict[str, list[Run]] = {OURS: [], NAIVE: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repetitions):
            say(f"ticks: recording {thousands(frames)} frames, turn {turn + 1} of {repetitions}")
            recording = record(frames, seed)
            file = Path(folder) / "frames.jsonl"
            recording.write(file)
            with running_venue(seed, "--load", "0", "--load-options", str(OPTIONS), "--replay", str(file)) as venue:
                for name, way in ((OURS, _ours), (NAIVE, _naive)):
                    say(f"ticks: {name}")
                    with server.database() as url:
                        found[name].append(way(venue, url, recording))
                        _check(url, recording, name)
    return _report(server, found, recording)


def _ours(venue: Venue, url: str, recording: Recording) -> Run:
    # What waits in memory is bounded; here nothing may be dropped, however far the database lags behind.
    settings = {
        "BUFFER_SIZE_QUOTES": recording.rows,
        "TAPEKEEPER_COLLECTOR_CHANNELS_PER_CONNECTION": _ALL_CHANNELS,
    }
    with running_collector(venue, url, **settings) as collector, closing(connect(url)) as connection:
        connection.autocommit = True
        expected = (len(recording.names) + recording.books, recording.trades)
        deadline = time.monotonic() + _LONGEST_SECONDS
        while (accounted := _accounted(connection)) != expected:
            collector.require_alive(f"{accounted} rows of {expected} are accounted")
            if time.monotonic() > deadline:
                raise AssertionError(f"{accounted} rows of {expected} are accounted after {_LONGEST_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
        done_at = time.time()
        breaks = collector.sample("tapekeeper_collector_sequence_breaks_total")
        cpu_seconds = collector.cpu_seconds()
    if breaks:
        raise AssertionError(f"{breaks:.0f} breaks of sequence where there are none")
    return Run(done_at - _warm_at(url, recording), cpu_seconds)


def _accounted(connection: Connection) -> tuple[int, ...]:
    """Return how many quotes and trades the collector's account tells."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTED)
        return tuple(cursor.fetchall()[0])


def _warm_at(url: str, recording: Recording) -> float:
    """Return when the first frame of those that are measured came, in seconds since 1970."""
    return float(query(url, _FIRST_RECEIVED, recording.warm_at)[0][0])


def _naive(venue: Venue, url: str, recording: Recording) -> Run:
    arguments = [venue.url, venue.websocket_url, url, str(recording.rows)]
    result = run_module("benchmarks.naive_collector", arguments, {}).result
    return Run(result["last_commit_at"] - _warm_at(url, recording), result["cpu_seconds"])


def _check(url: str, recording: Recording, name: str) -> None:
    quotes, trades = query(url, _ROWS, FIRST_RECORDED_CHANGE_ID)[0]
    if quotes + trades != recording.rows:
        raise AssertionError(f"{name}: {quotes} quotes and {trades} trades landed, {recording.rows} rows were sent")


def _report(server: Server, found: dict[str, list[Run]], recording: Recording) -> Report:
    report = Report(
        "ticks",
        f"{thousands(len(recording.frames))} frames of {OPTIONS} options become {thousands(recording.rows)} rows; sent "
        f"as fast as they are taken, committed every {FLUSH_SECONDS:g} s or 10,000 rows. From the frame after the "
        f"first {WARM_SHARE:.0%} to the last commit; sender, collector and database share the machine. "
        f"On {server.description()}.",
        ("way", "rows/s", "frames/s", "seconds of each turn", "CPU s", "tapekeeper is"),
    )
    measured_frames = len(recording.frames) * (1 - WARM_SHARE)
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in found.items()}
    for name, runs in found.items():
        seconds = medians[name]
        rates = {"rows_per_second": recording.warm_rows / seconds, "frames_per_second": measured_frames / seconds}
        cpu = statistics.median(run.cpu_seconds for run in runs)
        report.lines.append(
            (
                name,
                *(thousands(rate) for rate in rates.values()),
                " ".join(f"{run.seconds:.1f}" for run in runs),
                f"{cpu:.1f}",
                "" if name == OURS else f"{seconds / medians[OURS]:.1f}x",
            )
        )
        report.figures[name] = {key: round(rate) for key, rate in rates.items()} | {"cpu_seconds": round(cpu, 2)}
    faster = medians[NAIVE] / medians[OURS]
    report.bounds.append(Bound("ticks: rows/s, of naive", faster, FASTER_THAN_NAIVE, at_least=True, unit="x"))
    return report
