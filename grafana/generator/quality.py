"""Quality: what the checks say, what they found, and how complete the data are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN, with_datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.links import leads_to
from grafana.generator.objectives import ratio_steps
from grafana.generator.panels import COLOURED, MINUTE, SHADED, alert_line, column, graph, named, stat, states, table
from grafana.generator.queries import now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_GAPS: Final = leads_to("tapekeeper-gaps", "Gaps & incidents")
TO_FRESHNESS: Final = leads_to("tapekeeper-freshness", "Freshness & SLO")
LEVELS: Final = {
    0: ("ok", "dark-green"),
    1: ("warning", "orange"),
    2: ("RED", "red"),
    3: ("not done", "purple"),
}
_NOTHING: Final = {"type": "special", "options": {"match": "null", "result": {"text": " ", "color": "transparent"}}}
_QUARANTINED: Final = """
SELECT count(quarantine_id) AS rows FROM quarantined_rows
WHERE $__timeFilter(last_seen_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
"""
_GRID: Final = """
SELECT check_name AS "check", dataset, level
FROM quality_history
WHERE is_newest AND $__timeFilter(finished_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
ORDER BY check_name, dataset
"""
_HISTORY: Final = """
WITH result AS (
    SELECT finished_at, check_name AS metric, max(level) AS level
    FROM quality_history
    WHERE $__timeFilter(finished_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
    GROUP BY finished_at, check_name
),
-- A run need not do every check: what it left out is as it was.
known AS (
    SELECT run.finished_at, checks.metric, result.level,
        count(result.level) OVER (PARTITION BY checks.metric ORDER BY run.finished_at) AS results
    FROM (SELECT DISTINCT finished_at FROM result) AS run
    CROSS JOIN (SELECT DISTINCT metric FROM result) AS checks
    LEFT JOIN result USING (finished_at, metric)
)
SELECT finished_at AS time, metric, max(level) OVER (PARTITION BY metric, results) AS level
FROM known
ORDER BY finished_at, metric
"""
_FINDINGS: Final = """
SELECT
    newest.finished_at AS "Checked",
    newest.dataset AS "Dataset",
    newest.check_name AS "Check",
    newest.level AS "Result",
    newest.found || ' of ' || newest.checked AS "Found",
    coalesce(finding.content ->> 'instrument', '') AS "Instrument",
    coalesce(newest.error, told.text, '') AS "Such as"
FROM quality_history AS newest
LEFT JOIN LATERAL (
    SELECT content FROM jsonb_array_elements(newest.sample) AS content LIMIT 3
) AS finding ON true
LEFT JOIN LATERAL (
    SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) AS text
    FROM jsonb_each_text(finding.content)
    WHERE key NOT IN ('series_id', 'instrument')
) AS told ON true
WHERE newest.is_newest AND newest.level > 0
    AND $__timeFilter(newest.finished_at) AND newest.dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
ORDER BY newest.level DESC, newest.dataset, newest.check_name
LIMIT 100
"""
_COMPLETENESS: Final = """
SELECT day_start AS time, dataset AS metric,
    (held + explained)::double precision / nullif(expected, 0) AS ratio
FROM dataset_days
WHERE $__timeFilter(day) AND state <> 'running' AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
ORDER BY day_start
"""
_QUARANTINE: Final = """
SELECT
    dataset AS "Dataset",
    kind AS "Reason",
    count(quarantine_id) AS "Rows",
    count(DISTINCT instrument) AS "Instruments",
    max(last_seen_at) AS "Last"
FROM quarantined_rows
WHERE $__timeFilter(last_seen_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
GROUP BY dataset, kind
ORDER BY "Rows" DESC, kind
LIMIT 50
"""


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "quality",
        "Quality",
        "What do the checks say, what did they find, and how complete are the data?",
        time_from="now-7d",
        refresh="5m",
    )
    with_datasets(dashboard)
    dashboard.row(None, *_now())
    dashboard.row(None, _grid())
    dashboard.row(None, _history())
    dashboard.row(None, _findings())
    dashboard.row(None, _completeness(), _quarantine())
    return dashboard


def _now() -> tuple[Panel, ...]:
    return (
        _not_green(
            "Critical checks",
            "How many critical checks are red or could not be done?",
            severity="critical",
            nothing="all green",
            colour="red",
        ),
        _not_green(
            "Warnings",
            "How many other checks found something?",
            severity="warning",
            nothing="none",
            colour="orange",
        ),
        stat(
            "Last run",
            "How long ago was the dataset checked that was not checked for the longest time?",
            now(f"max(dataset:tapekeeper_quality_age:seconds{{{CHOSEN}}})"),
            unit="s",
            steps=((None, "green"), (threshold("quality_age_seconds"), "orange")),
            alerts=("QualityRunOverdue",),
            no_value="NEVER",
        ),
        _complete("Complete, last day", "24h"),
        _complete("Complete, 30 days", "30d"),
        stat(
            "In quarantine",
            "How many rows came in this time that cannot be believed?",
            sql(_QUARANTINED),
            unit="none",
            mappings=named({0: ("none", "dark-green")}),
            steps=((None, "green"), (1, "orange")),
            alerts=("QualityCheckFailed",),
        ),
    )


def _not_green(title: str, question: str, *, severity: str, nothing: str, colour: str) -> Panel:
    status = f'tapekeeper_quality_check_status{{severity="{severity}", {CHOSEN}}}'
    return stat(
        title,
        question,
        # Without any check there is no 0: what nobody checked is not green.
        now(f"count({status} == 0) or 0 * count({status})"),
        unit="none",
        mappings=named({0: (nothing, "dark-green")}),
        steps=((None, "green"), (1, colour)),
        alerts=("QualityCheckFailed",),
        no_value="NEVER",
    )


def _complete(title: str, window: str) -> Panel:
    return stat(
        title,
        "How much of what is expected is held or explained, in the dataset that lacks the most?",
        now(f'min(tapekeeper_completeness_ratio{{window="{window}", {CHOSEN}}})'),
        unit="percentunit",
        decimals=2,
        steps=ratio_steps("completeness_ratio"),
        alerts=("CompletenessBudgetBurn",),
        more=TO_FRESHNESS,
        no_value="UNKNOWN",
    )


def _grid() -> Panel:
    return table(
        "Checks",
        "What did each check say the last time, of each dataset?",
        sql(_GRID),
        height=15,
        custom={
            "align": "center",
            "cellOptions": SHADED,
        },
        # A check that does not look at a dataset says nothing about it.
        mappings=[*named(LEVELS), _NOTHING],
        transformations=(
            {
                "id": "groupingToMatrix",
                "options": {
                    "rowField": "check",
                    "columnField": "dataset",
                    "valueField": "level",
                    "emptyValue": "null",
                },
            },
        ),
        overrides=(
            column(
                "check\\dataset",
                custom__width=170,
                custom__align="left",
                custom__cellOptions={"type": "auto"},
            ),
        ),
        alerts=("QualityCheckFailed",),
    )


def _history() -> Panel:
    return states(
        "Runs",
        "Since when is a check red, of whichever dataset, and which one comes and goes?",
        sql(_HISTORY, time_series=True),
        height=12,
        mappings=named(LEVELS),
        alerts=("QualityCheckFailed",),
    )


def _findings() -> Panel:
    return table(
        "What was found, by checks that are not green",
        "Of which instrument, and what exactly?",
        sql(_FINDINGS),
        height=8,
        overrides=(
            column("Checked", unit=MINUTE, custom__width=140),
            column("Dataset", custom__width=190),
            column("Check", custom__width=170),
            column("Result", custom__width=90, mappings=named(LEVELS), custom__cellOptions=COLOURED),
            column("Found", custom__width=110),
            column("Instrument", custom__width=190),
            column("Such as", custom__wrapText=True, custom__inspect=True),
        ),
        nothing="Every check is green.",
        alerts=("QualityCheckFailed",),
        more=TO_GAPS,
    )


def _completeness() -> Panel:
    return graph(
        "Complete, day by day",
        "How much of what was expected of a day is held or explained?",
        sql(_COMPLETENESS, time_series=True),
        height=7,
        unit="percentunit",
        legend="names",
        steps=alert_line(threshold("completeness_ratio")),
        custom={"showPoints": "always", "pointSize": 7, "axisSoftMin": 0.9, "axisSoftMax": 1},
        alerts=("CompletenessBudgetBurn",),
        more=TO_GAPS,
    )


def _quarantine() -> Panel:
    return table(
        "In quarantine, by reason",
        "Which rows cannot be believed, and why?",
        sql(_QUARANTINE),
        width=12,
        height=7,
        overrides=(
            column("Dataset", custom__width=190),
            column("Reason", custom__wrapText=True),
            column("Rows", custom__width=60),
            column("Instruments", custom__width=100),
            column("Last", unit=MINUTE, custom__width=140),
        ),
        nothing="Nothing is in quarantine.",
        alerts=("QualityCheckFailed",),
    )
