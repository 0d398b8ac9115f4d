"""Rules about PromQL: it asks for what exists, as it should be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.observability.lint.promql import COUNTS, RANGE, RATE_INTERVAL, Use, parse, uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.observability.lint.dashboard import Dashboard
    from tests.observability.lint.project import Project

OF_PROMETHEUS: Final = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE", "prometheus_rule_evaluation_failures_total"})
"""That Prometheus makes itself."""
_OF_EVERY_TARGET: Final = frozenset({"job", "instance"})
_OF_COUNTERS: Final = ("_total", "_count", "_sum", "_bucket")


def promql_can_be_read(dashboard: Dashboard, _: Project) -> Iterator[str]:
    """Prometheus would refuse it, and the panel stay empty."""
    for where, text in _expressions(dashboard):
        try:
            parse(text)
        except ValueError as refused:
            yield f"{where}: {refused}: {text}"


def rates_follow_the_resolution(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """A fixed window leaves out samples in a long range, and has too few in a short one.

    All of the range is a window too, and so is the one over which an alert counts: the panel shows what it compares.
    """
    for where, use in _uses(dashboard):
        is_fixed = use.counted_by and use.window not in {RATE_INTERVAL, RANGE, None}
        if is_fixed and (use.metric, use.window) not in project.windows:
            yield f"{where}: {use.metric} is counted over {use.window:.0f} s instead of $__rate_interval"


def counters_are_counted(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """A counter alone tells how long its process has run."""
    for where, use in _uses(dashboard):
        told = project.metrics.get(use.metric)
        is_counter = told.kind == "counter" if told else use.metric.endswith(_OF_COUNTERS)
        if is_counter and not COUNTS & set(use.functions):
            yield f"{where}: {use.metric} is a counter; it needs rate or increase"


def metrics_exist(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """In the catalogue, among the recording rules, or among those of Airflow that are kept."""
    known = project.metrics.keys() | project.records | project.airflow | OF_PROMETHEUS
    for where, use in _uses(dashboard):
        if use.metric not in known:
            yield f"{where}: {use.metric or 'a metric without a name'} is in no catalogue and no recording rule"


def labels_exist(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """A selector that asks for another label finds nothing."""
    for where, use in _uses(dashboard):
        if told := project.metrics.get(use.metric):
            for label in sorted(use.labels - told.labels - _OF_EVERY_TARGET):
                yield f"{where}: {use.metric} has no label {label!r}"


def _expressions(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    yield from ((query.where, query.text) for query in dashboard.queries if query.language == "promql")


def _uses(dashboard: Dashboard) -> Iterator[tuple[str, Use]]:
    for where, text in _expressions(dashboard):
        try:
            parsed = parse(text)
        except ValueError:
            continue  # promql_can_be_read tells it
        yield from ((where, use) for use in uses(parsed))
