"""The case `store`: parsed candles until they are committed, our way against the usual ones."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.sample import CHUNK_ROWS, sample_chunks
from benchmarks.server import only_value
from benchmarks.writers import (
    AsyncpgExecuteMany,
    Ours,
    Psycopg2ExecuteMany,
    Psycopg2ExecuteValues,
    ServerSideCopy,
    Writer,
    export_for_copy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.server import Server
    from tapekeeper.model.candle import Candles

OURS: Final = "tapekeeper"
EXECUTE_MANY: Final = "psycopg2 executemany"
ASYNCPG: Final = "asyncpg executemany"
COPY: Final = "server-side COPY, no client"
WRITERS: Final[dict[str, Callable[[str], Writer]]] = {
    OURS: Ours,
    EXECUTE_MANY: Psycopg2ExecuteMany,
    "psycopg2 execute_values": Psycopg2ExecuteValues,
    ASYNCPG: AsyncpgExecuteMany,
}
LEAST_OVER_EXECUTE_MANY: Final = 10.0
LEAST_OVER_ASYNCPG: Final = 1.7


@dataclass(slots=True)
class _Passes:
    """Rows per second of each repetition: into an empty table, and with every row held."""

    new: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)


def measure_store(server: Server, *, rows: int, repetitions: int, seed: int, say: Say) -> Report:
    """Return how fast each way writes; the ways take turns, so that a busy moment hits no one alone."""
    chunks = sample_chunks(rows, seed)
    found = {name: _Passes() for name in [*WRITERS, COPY]}
    for repetition in range(repetitions):
        for name, make_writer in WRITERS.items():
            say(f"store, repetition {repetition + 1} of {repetitions}: {name}")
            with server.database() as url:
                _write_twice(make_writer, url, chunks, rows, found[name])
                if name == OURS:
                    found[COPY].new.append(rows / _copy_seconds(server, url, rows))
    return _report(server, found, rows, repetitions)


def _write_twice(
    make_writer: Callable[[str], Writer], url: str, chunks: Sequence[Candles], rows: int, found: _Passes
) -> None:
    with closing(make_writer(url)) as writer:
        for passes in (found.new, found.again):
            writer.prepare(chunks)
            started = time.perf_counter()
            for position in range(len(chunks)):
                writer.write(position)
            passes.append(rows / (time.perf_counter() - started))
            _check_rows(url, rows)
        if isinstance(writer, Ours) and only_value(url, "SELECT sum(held) FROM coverage") != rows:
            raise AssertionError("coverage does not count the rows that were written")


def _copy_seconds(server: Server, source_url: str, rows: int) -> float:
    path = export_for_copy(source_url, rows)
    with server.database() as url, closing(ServerSideCopy(url, path)) as copy:
        started = time.perf_counter()
        copy.write()
        seconds = time.perf_counter() - started
        _check_rows(url, rows)
    return seconds


def _check_rows(url: str, rows: int) -> None:
    held = only_value(url, "SELECT count(*) FROM candles")
    if held != rows:
        raise AssertionError(f"{held} rows were written instead of {rows}")


def _report(server: Server, found: dict[str, _Passes], rows: int, repetitions: int) -> Report:
    ours = found[OURS]
    report = Report(
        "store",
        f"{rows:,} parsed one-minute candles, in chunks of {CHUNK_ROWS:,}, each committed on its own, one process, one "
        f"connection, {repetitions} repetitions taking turns, median. Ours writes rows, coverage, totals and the "
        "settled chunk; the others write rows alone (INSERT ... ON CONFLICT DO UPDATE), from tuples made beforehand. "
        f"On {server.description()}.",
        ("way", "rows/s", "slowest", "fastest", "ours is", "rows/s when all is held", "ours is"),
    )
    for name, passes in found.items():
        again = ("", "")
        if passes.again:
            again = (thousands(median(passes.again)), _times(median(ours.again) / median(passes.again)))
        speed = median(passes.new)
        ratio = median(ours.new) / speed
        report.lines.append(
            (name, thousands(speed), thousands(min(passes.new)), thousands(max(passes.new)), _times(ratio), *again)
        )
        report.figures[name] = {"new_rows_per_second": passes.new, "again_rows_per_second": passes.again}
    for name, limit in ((EXECUTE_MANY, LEAST_OVER_EXECUTE_MANY), (ASYNCPG, LEAST_OVER_ASYNCPG)):
        ratio = median(ours.new) / median(found[name].new)
        report.bounds.append(Bound(f"store: ours over {name}", ratio, limit, at_least=True, unit="x"))
    return report


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x"
