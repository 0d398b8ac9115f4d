"""Queries of panels, variables and annotations, as classic dashboards hold them."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRESQL: Final[Json] = {"type": "grafana-postgresql-datasource", "uid": "${postgresql}"}


def metric(expression: str, legend: str = "", *, instant: bool = False, heatmap: bool = False) -> Json:
    """Ask Prometheus.

    Args:
        expression: PromQL; white space is made single.
        legend: such as `{{dataset}}`; empty lets Grafana name the series.
        instant: only the newest value instead of the range; a table then gets a row per series.
        heatmap: the series are the buckets of a histogram, by their label `le`.
    """
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": " ".join(expression.split()),
        "format": "heatmap" if heatmap else "table" if instant else "time_series",
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
    }


def now(expression: str, legend: str = "") -> Json:
    """Ask Prometheus for the newest value alone, for a number: what was told hours ago is no answer."""
    return metric(expression, legend, instant=True) | {"format": "time_series"}


def happened(counts: str, label: str, legend: str = "") -> Json:
    """Ask for counts by a label, leaving out what did not happen; where nothing did, one line says `none`.

    Args:
        counts: such as `increase(name_total[15m])`, without the sum.
        label: by which it is added up.
        legend: as for `metric`; the label's value where it is left out.
    """
    none = f'label_replace(sum({counts}) == 0, "{label}", "none", "", "")'
    return metric(f"(sum by ({label}) ({counts}) > 0) or {none}", legend or f"{{{{{label}}}}}")


def sql(text: str, *, time_series: bool = False) -> Json:
    """Ask PostgreSQL as the reader.

    Args:
        text: one SELECT with `$__timeFilter(column)` or LIMIT.
        time_series: the answer has a column `time`, one text column that names the series, and numbers; otherwise it
            is a table.
    """
    return {
        "datasource": POSTGRESQL,
        "editorMode": "code",
        "format": "time_series" if time_series else "table",
        "rawQuery": True,
        "rawSql": text.strip(),
    }
