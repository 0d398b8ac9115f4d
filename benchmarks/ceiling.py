"""The case `ceiling`: the venue's most for 830 options, ten notifications a second on each of three channels."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import requests

from benchmarks.collector import FLUSH_SECONDS, CollectorProcess, Samples, running_collector
from benchmarks.frames import OPTIONS
from benchmarks.report import Bound, Report, Say, thousands
from benchmarks.server import query
from benchmarks.venue import running_venue

if TYPE_CHECKING:
    from benchmarks.server import Server
    from benchmarks.venue import Venue

FRAMES_PER_SECOND: Final = 25_000
LONGEST_P99_MILLISECONDS: Final = 500.0
MOST_MEGABYTES: Final = 300.0
MOST_GROWTH: Final = 0.05
"""Of the memory, between the second quarter of the time and the last."""
LONGEST_SCRAPE_MILLISECONDS: Final = 20.0
_WARM_SECONDS: Final = 10
_DRAIN_SECONDS: Final = 30.0
_DROPPED: Final = "tapekeeper_collector_rows_dropped_total"
_LATENCY: Final = "tapekeeper_ingest_latency_seconds_bucket"
_ROWS: Final = "SELECT (SELECT count(*) FROM option_quotes), (SELECT count(*) FROM option_trades)"


@dataclass(slots=True)
class Watched:
    """What was seen of a collector, once a second."""

    memory: list[int] = field(default_factory=list)
    """Bytes."""
    scrapes: list[float] = field(default_factory=list)
    """Milliseconds."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    before: Samples = field(default_factory=dict)
    after: Samples = field(default_factory=dict)


def measure_ceiling(server: Server, *, seconds: int, seed: int, say: Say) -> Report:
    """Return latency, memory and losses of a collector that gets as many frames as the venue ever sends."""
    options = ("--load", str(FRAMES_PER_SECOND), "--load-options", str(OPTIONS))
    with running_venue(seed, *options) as venue, server.database() as url, running_collector(venue, url) as collector:
        say(f"ceiling: {thousands(FRAMES_PER_SECOND)} frames/s for {seconds} s")
        collector.wait_until_subscribed(OPTIONS)
        time.sleep(_WARM_SECONDS)
        _set_pace(venue, FRAMES_PER_SECOND)
        watched = _watch(collector, seconds)
        sender = _set_pace(venue, 0)
        _wait_until_written(collector, sender)
        final = collector.samples()
        landed = query(url, _ROWS)[0]
    _check(landed, sender)
    return _report(server, watched, sender, final)


def _watch(collector: CollectorProcess, seconds: int) -> Watched:
    watched = Watched(before=collector.samples())
    cpu, began_at = collector.cpu_seconds(), time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, began_at + second - time.monotonic()))
        watched.memory.append(collector.memory())
        started = time.perf_counter()
        collector.scrape()
        watched.scrapes.append((time.perf_counter() - started) * 1_000)
    watched.seconds = time.monotonic() - began_at
    watched.cpu_seconds = collector.cpu_seconds() - cpu
    watched.after = collector.samples()
    return watched


def _set_pace(venue: Venue, frames_per_second: int) -> dict[str, Any]:
    """Change the sender's pace, and return what it sent so far at the last one."""
    told = requests.get(f"{venue.url}/control/state", timeout=30).json()["load"]
    pace = {"frames_per_second": frames_per_second, "options": OPTIONS}
    answer = requests.post(f"{venue.url}/control/load", json=pace, timeout=30)
    answer.raise_for_status()
    return {**told, "frames": answer.json()["frames"]}


def _wait_until_written(collector: CollectorProcess, sender: dict[str, Any]) -> None:
    wanted = sum(_expected(sender))
    name = "tapekeeper_collector_rows_written_total"

    def is_written() -> bool:
        samples = collector.samples()
        return sum(samples[name, (table,)] for table in ("option_quotes", "option_trades")) >= wanted

    collector.wait_for(is_written, _DRAIN_SECONDS, f"it wrote no {wanted} rows")


def _expected(sender: dict[str, Any]) -> tuple[int, int]:
    """Return how many quotes and trades were sent: every change is a new best, every book is told once before."""
    return sender["frames"]["book"] + OPTIONS, sender["frames"]["trades"]


def _check(landed: tuple[int, int], sender: dict[str, Any]) -> None:
    if landed != _expected(sender):
        raise AssertionError(f"{landed} quotes and trades landed, {_expected(sender)} were sent")


def _gain(watched: Watched, name: str) -> float:
    """Return by how much a counter grew, all labels together."""
    return sum(value - watched.before[key] for key, value in watched.after.items() if key[0] == name)


def _quantile(watched: Watched, share: float) -> float:
    """Return a quantile in milliseconds as Prometheus reckons it: even within a bucket."""
    counts = sorted(
        (float(labels[0]), count - watched.before[name, labels])
        for (name, labels), count in watched.after.items()
        if name == _LATENCY
    )
    wanted, lower, below = share * counts[-1][1], 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            return 1_000 * (lower + (min(bound, 1e3) - lower) * (wanted - below) / max(count - below, 1.0))
        lower, below = bound, count
    return 1_000 * lower


def _figures(watched: Watched, sender: dict[str, Any], final: Samples) -> dict[str, float]:
    quarter = max(1, len(watched.memory) // 4)
    scrapes = statistics.quantiles(watched.scrapes, n=20, method="inclusive")
    return {
        "frames/s received": _gain(watched, "tapekeeper_collector_messages_total") / watched.seconds,
        "rows/s committed": _gain(watched, "tapekeeper_collector_rows_written_total") / watched.seconds,
        "frames skipped by the sender": sender["frames_skipped"],
        "rows dropped": sum(count for (name, _), count in final.items() if name == _DROPPED),
        "breaks of sequence": final["tapekeeper_collector_sequence_breaks_total", ()],
        "event to commit, p50 ms": _quantile(watched, 0.50),
        "event to commit, p99 ms": _quantile(watched, 0.99),
        "memory, most MB": max(watched.memory) / 1e6,
        "memory, growth": max(watched.memory[-quarter:]) / max(watched.memory[quarter : 2 * quarter]) - 1,
        "scrape, p50 ms": scrapes[9],
        "scrape, p95 ms": scrapes[18],
        "CPU of the collector": watched.cpu_seconds / watched.seconds,
        "CPU of the sender": sender["process_cpu_share"],
    }


def _report(server: Server, watched: Watched, sender: dict[str, Any], final: Samples) -> Report:
    figures = _figures(watched, sender, final)
    report = Report(
        "ceiling",
        f"{OPTIONS} options on three channels, {thousands(FRAMES_PER_SECOND)} frames/s for {watched.seconds:.0f} s, "
        f"committed every {FLUSH_SECONDS:g} s; sender, collector and database share the machine. "
        f"On {server.description()}.",
        ("what", "figure"),
        lines=[(name, f"{value:,.2f}") for name, value in figures.items()],
        figures={name: round(value, 4) for name, value in figures.items()},
    )
    for name, limit, unit in (
        ("rows dropped", 0.0, ""),
        ("event to commit, p99 ms", LONGEST_P99_MILLISECONDS, " ms"),
        ("memory, most MB", MOST_MEGABYTES, " MB"),
        ("memory, growth", MOST_GROWTH, ""),
        ("scrape, p50 ms", LONGEST_SCRAPE_MILLISECONDS, " ms"),
    ):
        report.bounds.append(Bound(f"ceiling: {name}", figures[name], limit, at_least=False, unit=unit))
    return report
