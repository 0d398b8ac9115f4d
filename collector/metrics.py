"""The collector's metrics: read from plain numbers when somebody scrapes, so that counting costs nothing."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as MetricSource

from collector.counters import VENUE
from tapekeeper.clock import MICROSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from collector.buffer import Buffer
    from collector.counters import Counters, Histogram

PREFIX = "tapekeeper_collector_"


@dataclass(frozen=True, slots=True)
class Levels:
    """What stands at this moment."""

    connected: int
    """Connections that are open."""
    subscriptions: int
    """Channels that the venue accepted."""
    not_accepted: int
    """Channels that it would not take when it was asked twice; they are asked for again later."""
    instruments_expected: int
    instruments_fresh: int
    """Those whose connection lives and whose book is whole; a quiet one is fresh."""
    spool_bytes: int
    spool_capacity: int


class CollectorMetrics(MetricSource):
    """Publishes counters and levels in the names of the interface; every label set is there from the start."""

    def __init__(
        self, counters: Counters, buffer: Buffer, levels: Callable[[], Levels], disk: Path, version: str
    ) -> None:
        self._counters = counters
        self._buffer = buffer
        self._levels = levels
        self._disk = disk
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        yield from self._counts()
        yield from self._levels_now()
        yield from self._times()
        yield InfoMetricFamily(
            "tapekeeper_build",
            "The program that runs.",
            {"version": self._version, "python": platform.python_version()},
        )

    def _counts(self) -> Iterator[Metric]:
        counters = self._counters
        yield _by_channel("messages", "Frames received, by what they are about.", counters.messages)
        yield _by_channel("decode_errors", "Frames that could not be understood.", counters.decode_errors)
        yield _counted("rows_written", "Rows that were new and are committed.", "table", counters.rows_written)
        yield _counted(
            "rows_dropped", "Rows that found no room; every one lies in a gap.", "table", counters.rows_dropped
        )
        yield _counted("reconnects", "Connections that had to be made again.", "reason", counters.reconnects)
        yield _counted("gaps_recorded", "Holes recorded, by cause.", "cause", counters.gaps_recorded)
        yield CounterMetricFamily(
            f"{PREFIX}sequence_breaks", "Breaks in the chain of a book or of trades.", value=counters.sequence_breaks
        )
        yield CounterMetricFamily(
            f"{PREFIX}repaired_trades", "Trades fetched after they were missed.", value=counters.repaired_trades
        )

    def _levels_now(self) -> Iterator[Metric]:
        levels, buffer = self._levels(), self._buffer
        yield _gauge(f"{PREFIX}connected", "Connections that are open.", levels.connected)
        yield _gauge(f"{PREFIX}subscriptions", "Channels that the venue accepted.", levels.subscriptions)
        yield _gauge(
            f"{PREFIX}channels_not_accepted", "Channels that the venue would not take, for now.", levels.not_accepted
        )
        depth = GaugeMetricFamily(f"{PREFIX}queue_depth", "Rows that wait in memory.", labels=["queue"])
        depth.add_metric(["quotes"], buffer.quotes_waiting)
        depth.add_metric(["trades"], buffer.trades_waiting)
        yield depth
        capacity = GaugeMetricFamily(f"{PREFIX}queue_capacity", "Rows that may wait in memory.", labels=["queue"])
        capacity.add_metric(["quotes"], buffer.quotes_capacity)
        capacity.add_metric(["trades"], buffer.trades_capacity)
        yield capacity
        yield _gauge(f"{PREFIX}spool_bytes", "Batches that wait on disk.", levels.spool_bytes)
        yield _gauge(f"{PREFIX}spool_capacity_bytes", "Room for batches on disk.", levels.spool_capacity)
        yield _gauge("tapekeeper_instruments_expected", "Instruments to follow.", levels.instruments_expected)
        yield _gauge("tapekeeper_instruments_fresh", "Instruments with a verified feed.", levels.instruments_fresh)
        yield _gauge("tapekeeper_disk_free_bytes", "Free room where the spool is.", shutil.disk_usage(self._disk).free)

    def _times(self) -> Iterator[Metric]:
        counters = self._counters
        yield _histogram(
            "tapekeeper_ingest_latency_seconds", "From the event at the venue to its commit.", counters.ingest_latency
        )
        yield _histogram(
            "tapekeeper_db_write_duration_seconds", "Transactions that wrote rows.", counters.write_duration
        )
        yield _gauge(
            "tapekeeper_last_tick_timestamp_seconds",
            "Event time of the newest quote or trade; 0 before the first.",
            counters.last_tick_at / MICROSECONDS_PER_SECOND,
        )
        yield _gauge(
            "tapekeeper_last_commit_timestamp_seconds",
            "Time of the last commit; 0 before the first.",
            counters.last_commit_at / MICROSECONDS_PER_SECOND,
        )


def _by_channel(name: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=["venue", "channel"])
    for channel, count in counts.items():
        family.add_metric([VENUE, str(channel)], count)
    return family


def _counted(name: str, meaning: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=[label])
    for value, count in counts.items():
        family.add_metric([str(value)], count)
    return family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _histogram(name: str, meaning: str, histogram: Histogram) -> Metric:
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=histogram.sum)
