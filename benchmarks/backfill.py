"""The case `backfill`: the whole command `tapekeeper backfill perpetuals`, simulator to PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.command import Finished, run_module
from benchmarks.first_way import PAUSE_SECONDS
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.sample import CHUNK_ROWS
from benchmarks.server import only_value
from benchmarks.venue import running_venue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.server import Server
    from benchmarks.venue import Venue

INSTRUMENT: Final = "BTC-PERPETUAL"
FIRST_YEAR: Final = 2018
"""The venue's history begins on 2018-08-14."""
REQUESTS_PER_SECOND: Final = 20
CEILING: Final = REQUESTS_PER_SECOND * CHUNK_ROWS
LEAST_SHARE_OF_CEILING: Final = 0.9
UNLIMITED: Final = 1_000
"""The highest pace that can be set, far above what one process reaches."""
FIRST_WAY_WINDOW: Final = ("2018-09-01", "2019-01-01")
"""It is too slow for more."""
PACED: Final = f"tapekeeper, {REQUESTS_PER_SECOND} requests/s"
FREE: Final = "tapekeeper, limiter off"
AGAIN: Final = "the same again, finished"
REFRESHED: Final = "the same again, full refresh"
FIRST_WAY: Final = "the first way"
_WRITTEN: Final = """
    SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables
    WHERE relname IN ('candles', 'coverage', 'series_totals')
"""


@dataclass(slots=True)
class _Found:
    commands: dict[str, Finished]
    rows_written_again: int = 0
    simulator_cpu_seconds: float = 0.0
    answer_milliseconds: float = 0.0
    places: dict[str, float] | None = None


def measure_backfill(server: Server, *, years: int, seed: int, say: Say) -> Report:
    """Return how long the command takes with and without a limit, again, and beside the first way."""
    found = _Found({})
    with running_venue(seed) as venue, server.database() as url:
        say(f"backfill: {years} year(s) at {REQUESTS_PER_SECOND} requests/s")
        found.commands[PACED] = _backfill(venue, url, years, REQUESTS_PER_SECOND)
    with running_venue(seed, "--limits", "off") as venue:
        with server.database() as url:
            _without_limit(venue, url, years, found, say)
        with server.database() as url:
            say("backfill: where the time goes")
            settings = _settings(venue, url, UNLIMITED)
            found.places = run_module("benchmarks.sampled", _arguments(min(years, 2)), settings).result
        with server.database() as url:
            say("backfill: the first way")
            arguments = [venue.url, url, INSTRUMENT, *FIRST_WAY_WINDOW]
            found.commands[FIRST_WAY] = run_module("benchmarks.first_way", arguments, {})
    return _report(server, found, years)


def _without_limit(venue: Venue, url: str, years: int, found: _Found, say: Say) -> None:
    say(f"backfill: {years} year(s) without a limit")
    before = venue.cpu_seconds()
    found.commands[FREE] = _backfill(venue, url, years, UNLIMITED)
    found.simulator_cpu_seconds = venue.cpu_seconds() - before
    found.answer_milliseconds = 1_000 * float(only_value(url, "SELECT avg(latency_seconds) FROM api_requests"))
    written = only_value(url, _WRITTEN)
    say("backfill: again")
    found.commands[AGAIN] = _backfill(venue, url, years, UNLIMITED)
    found.commands[REFRESHED] = _backfill(venue, url, years, UNLIMITED, "--mode", "full refresh")
    found.rows_written_again = only_value(url, _WRITTEN) - written


def _backfill(venue: Venue, url: str, years: int, requests_per_second: int, *more: str) -> Finished:
    settings = _settings(venue, url, requests_per_second)
    finished = run_module("tapekeeper", [*_arguments(years), *more], settings)
    if finished.result["state"] != "done":
        raise AssertionError(f"the backfill ended {finished.result['state']}: {finished.result['errors']}")
    if only_value(url, "SELECT count(*) FROM candles") != only_value(url, "SELECT sum(expected) FROM series_totals"):
        raise AssertionError("there are rows missing")
    return finished


def _arguments(years: int) -> list[str]:
    window = ["--start", f"{FIRST_YEAR}-08-15", "--end", f"{FIRST_YEAR + years}-08-15"]
    return ["backfill", "perpetuals", "--instruments", INSTRUMENT, *window, "--json"]


def _settings(venue: Venue, url: str, requests_per_second: int) -> dict[str, str]:
    return {
        "TAPEKEEPER_DATABASE_URL": url,
        "TAPEKEEPER_DERIBIT_REST_URL": venue.url,
        "TAPEKEEPER_DERIBIT_REQUESTS_PER_SECOND": str(requests_per_second),
    }


def _report(server: Server, found: _Found, years: int) -> Report:
    report = Report(
        "backfill",
        f"One-minute candles of {INSTRUMENT} over {years} year(s) ({FIRST_WAY}: four months) from the "
        "simulated venue on this machine; whole processes, from their start to their end. "
        f"{FIRST_WAY.capitalize()}: one request at a time, {PAUSE_SECONDS} s pause, executemany, a commit per chunk. "
        f"On {server.description()}.",
        ("job", "rows fetched", "requests", "seconds", "rows/s", "times the first way", "CPU s of the process"),
    )
    slowest = _speed(found.commands[FIRST_WAY])
    for name, finished in found.commands.items():
        rows, speed = finished.result["fetched"], _speed(finished)
        # A finished backfill asks for nothing: it has seconds, and no speed.
        speeds = (thousands(speed), f"{speed / slowest:.1f}x") if rows else ("", "")
        requests = str(finished.result.get("requests", ""))
        cells = (name, thousands(rows), requests, f"{finished.seconds:.1f}", *speeds, f"{finished.cpu_seconds:.1f}")
        report.lines.append(cells)
        report.figures[name] = {"rows": rows, "seconds": finished.seconds, "cpu_seconds": finished.cpu_seconds}
    report.notes += _notes(found)
    report.figures["shares_of_worker_time"] = found.places
    share = _speed(found.commands[PACED]) / CEILING
    figure = f"backfill: share of the ceiling of {CEILING:,} rows/s at {REQUESTS_PER_SECOND} requests/s"
    report.bounds.append(Bound(figure, share, LEAST_SHARE_OF_CEILING, at_least=True))
    figure = "backfill: data rows written by running it again"
    report.bounds.append(Bound(figure, found.rows_written_again, 0, at_least=False))
    return report


def _notes(found: _Found) -> Iterator[str]:
    free = found.commands[FREE]
    yield (
        f"without a limit: {free.seconds:.1f} s on the wall, {free.cpu_seconds:.1f} s of CPU in the command and "
        f"{found.simulator_cpu_seconds:.1f} s in the simulator; an answer took {found.answer_milliseconds:.1f} ms"
    )
    yield "where the time of its workers goes, sampled in a run of its own:"
    for place, share in (found.places or {}).items():
        yield f"  {share:6.1%}  {place}"


def _speed(finished: Finished) -> float:
    rows: Any = finished.result["fetched"]
    return float(rows) / finished.seconds
