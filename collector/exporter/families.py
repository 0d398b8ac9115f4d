"""The families of metrics that follow from the database; `metric_queries` tells why their counters never fall.

Labels are datasets, causes, states, checks and the like: closed sets, some hundred series in all. What is told of one
instrument, expiry or run is a question for SQL. A label set whose value is known to be nothing is 0 from the start;
a moment that never came and a ratio of nothing are absent. When the oldest open gap was recorded is 0 while none is
open: it is read with a memory, which would keep an age alive that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tapekeeper.http.request_log import Outcome
from tapekeeper.model.gap import Cause
from tapekeeper.model.series import DATASETS
from tapekeeper.store.completeness import dataset_completeness
from tapekeeper.store.metric_queries import (
    Backfilled,
    GapCounts,
    OpenGaps,
    backfilled,
    check_states,
    chunk_counts,
    gap_counts,
    last_quality_runs,
    open_gaps_by_cause,
    request_counts,
    worst_open_gaps,
)
from tapekeeper.store.rate_budgets import used_ratios
from tapekeeper.store.status_queries import DatasetTotals, dataset_totals, table_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor as Cursor

PREFIX: Final = "tapekeeper_"
CHUNK_STATES: Final = ("pending", "running", "done", "failed")
Labels = TypeVar("Labels", bound=tuple[str, ...])


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics that are read together, in one transaction, or not at all."""

    name: str
    """The value of the label `family`."""
    read: Callable[[Cursor], list[Metric]]


def _chunks(cursor: Cursor) -> list[Metric]:
    counts = chunk_counts(cursor)
    states = {(dataset, state): counts.get((dataset, state), 0) for dataset in DATASETS for state in CHUNK_STATES}
    meaning = "Chunks of the backfills that go on or ended within a day."
    return [_gauge("backfill_chunks", meaning, ("dataset", "state"), states)]


def _backfilled(cursor: Cursor) -> list[Metric]:
    done = backfilled(cursor)
    rows = {(dataset,): done.get(dataset, Backfilled(0, None)).rows for dataset in DATASETS}
    ended = {dataset: told.last_success_at for dataset, told in done.items()}
    return [
        _counter("backfill_rows_written", "Rows that backfills inserted or updated.", ("dataset",), rows),
        _moments("backfill_last_success_timestamp_seconds", "When the newest chunk was done.", ended),
    ]


def _requests(cursor: Cursor) -> list[Metric]:
    counts = request_counts(cursor)
    outcomes = {
        (method, outcome.replace(" ", "_")): counts.get((method, outcome), 0)
        for method, _ in counts
        for outcome in get_args(Outcome)
    }
    meaning = "Requests to venues, answered or not."
    return [_counter("backfill_api_requests", meaning, ("endpoint", "outcome"), outcomes)]


def _budgets(cursor: Cursor) -> list[Metric]:
    used = {(name,): ratio for name, ratio in used_ratios(cursor).items()}
    meaning = "Share of a rate budget's burst that is taken; 1 while the venue has us wait."
    return [_gauge("rate_budget_used_ratio", meaning, ("budget",), used)]


def _gaps(cursor: Cursor) -> list[Metric]:
    found, counts = open_gaps_by_cause(cursor), gap_counts(cursor)
    labels = [(dataset, cause.value) for dataset in DATASETS for cause in Cause]
    still_open = {label: found.get(label, OpenGaps(0, 0.0)) for label in labels}
    worst = worst_open_gaps(cursor)
    ever = {(dataset,): counts.get(dataset, GapCounts(0, 0)) for dataset in DATASETS}
    return [
        _gauge(
            "gaps_open",
            "Gaps that are not closed.",
            ("dataset", "cause"),
            {label: told.gaps for label, told in still_open.items()},
        ),
        _gauge(
            "gap_seconds_missing",
            "Seconds inside gaps that are not closed, added up over series.",
            ("dataset", "cause"),
            {label: told.seconds for label, told in still_open.items()},
        ),
        _gauge(
            "gap_oldest_open_timestamp_seconds",
            "When the oldest gap that is not closed was recorded; 0 while none is open.",
            ("dataset",),
            {(name,): worst[name].oldest_opened_at.timestamp() if name in worst else 0 for name in DATASETS},
        ),
        _gauge(
            "gap_longest_open_seconds",
            "Seconds inside the longest gap that is not closed.",
            ("dataset",),
            {(name,): worst[name].longest_seconds if name in worst else 0 for name in DATASETS},
        ),
        _counter(
            "gaps_detected",
            "Gaps that were recorded.",
            ("dataset",),
            {label: told.detected for label, told in ever.items()},
        ),
        _counter(
            "gaps_repaired",
            "Gaps whose rows were all found.",
            ("dataset",),
            {label: told.repaired for label, told in ever.items()},
        ),
    ]


def _completeness(cursor: Cursor) -> list[Metric]:
    found = dataset_completeness(cursor)
    ratios = {
        (dataset, window): ratio
        for dataset in DATASETS
        for window, ratio in found.get(dataset, {}).items()
        if ratio is not None
    }
    meaning = "Held and explained of expected, over the UTC days that are over."
    return [_gauge("completeness_ratio", meaning, ("dataset", "window"), ratios)]


def _quality(cursor: Cursor) -> list[Metric]:
    green = {
        (state.dataset, state.check, state.severity): float(state.status == "green")
        for state in check_states(cursor, DATASETS)
    }
    meaning = "1 where the check was green the last time, 0 where it was red or could not be done."
    return [
        _gauge("quality_check_status", meaning, ("dataset", "check", "severity"), green),
        _moments(
            "quality_last_run_timestamp_seconds",
            "When the newest quality run ended, green or red.",
            last_quality_runs(cursor),
        ),
    ]


def _datasets(cursor: Cursor) -> list[Metric]:
    totals = dataset_totals(cursor)
    rows = {(dataset,): totals.get(dataset, DatasetTotals()).rows_held for dataset in DATASETS}
    tables = {dataset.table: table_bytes(cursor, dataset.table) for dataset in DATASETS.values()}
    newest = {dataset: told.last_event_time for dataset, told in totals.items()}
    return [
        _gauge("dataset_rows", "Rows in the database.", ("dataset",), rows),
        _gauge(
            "dataset_bytes",
            "Bytes of the table with its indexes.",
            ("dataset",),
            {(name,): tables[dataset.table] for name, dataset in DATASETS.items()},
        ),
        _moments("dataset_last_event_timestamp_seconds", "Event time of the newest row.", newest),
    ]


FAMILIES: Final = (
    Family("chunks", _chunks),
    Family("backfilled", _backfilled),
    Family("requests", _requests),
    Family("budgets", _budgets),
    Family("gaps", _gaps),
    Family("completeness", _completeness),
    Family("quality", _quality),
    Family("datasets", _datasets),
)


def _gauge(name: str, meaning: str, labels: Iterable[str], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=tuple(labels))
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _counter(name: str, meaning: str, labels: Iterable[str], values: Mapping[Labels, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=tuple(labels))
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family


def _moments(name: str, meaning: str, moments: Mapping[str, datetime | None]) -> Metric:
    seconds = {(dataset,): moment.timestamp() for dataset, moment in moments.items() if dataset in DATASETS and moment}
    return _gauge(name, meaning, ("dataset",), seconds)
