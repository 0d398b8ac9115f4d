"""Overview, the home: is everything as it should be, and if not, where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator import datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.feed import frames_received, rows_written
from grafana.generator.incidents import with_incidents
from grafana.generator.links import leads_to
from grafana.generator.numbers import NONE_IS_WELL, budget_left, instruments_fresh, newest_tick
from grafana.generator.objectives import ratio_steps, worst_budget_left
from grafana.generator.panels import COLOURED, SHADED, column, named, stat, states, table
from grafana.generator.queries import metric, now
from grafana.generator.rules import threshold
from grafana.generator.transformations import MERGED, organised, value_columns

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

_WATCHDOG: Final = 'ALERTS{alertname="Watchdog", alertstate="firing"}'
_SEVERITIES: Final = ("critical", "warning")
_WARNINGS_IN_ORANGE: Final = [
    column(
        "warning",
        thresholds={
            "mode": "absolute",
            "steps": [{"color": "dark-green", "value": None}, {"color": "orange", "value": 1}],
        },
    )
]
_OF_WHAT: Final = ("dataset", "check", "job", "instance", "channel", "queue", "table", "endpoint", "family", "speed")
"""Labels that tell what an alert is about."""


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "overview",
        "Overview",
        "Is everything as it should be, and if not, where do I look?",
        time_from="now-24h",
        refresh="30s",
    )
    return (
        with_incidents(dashboard)
        .row(
            None,
            _alerts_firing(),
            newest_tick(width=3, more=leads_to("tapekeeper-collector", "Collector")),
            instruments_fresh(width=3, more=leads_to("tapekeeper-freshness", "Freshness & SLO")),
            _gaps_open(),
            _complete_yesterday(),
            _checks_red(),
            _chunks_failed(),
            budget_left(
                "Error budget left",
                "How much of the errors that the objectives allow over 30 days is left, where least is left?",
                worst_budget_left(),
                alerts=("FreshnessBudgetBurn", "CompletenessBudgetBurn"),
                width=3,
                more=leads_to("tapekeeper-freshness", "Freshness & SLO"),
            ),
        )
        .row(None, _states())
        .row(None, _alerts(), _datasets())
        .row(
            None,
            frames_received(more=leads_to("tapekeeper-collector", "Collector")),
            rows_written(more=leads_to("tapekeeper-collector", "Collector")),
        )
    )


def _alerts_firing() -> Panel:
    firing = 'ALERTS{{alertstate="firing", severity="{severity}"}}'
    return stat(
        "Alerts firing",
        "How many alerts fire that call somebody, and how many that can wait?",
        *(
            now(f"count({firing.format(severity=severity)}) or on () 0 * {_WATCHDOG}", severity)
            for severity in _SEVERITIES
        ),
        width=3,
        unit="short",
        steps=NONE_IS_WELL,
        overrides=_WARNINGS_IN_ORANGE,
        alerts=("Watchdog",),
        no_value="NO RULES",
    )


def _gaps_open() -> Panel:
    return stat(
        "Gaps open",
        "How many recorded holes are not closed? A few that wait for repair are usual.",
        now("sum(dataset:tapekeeper_gaps_open:sum)", "gaps"),
        width=3,
        unit="short",
        steps=((None, "green"), (threshold("gaps_more_in_6h"), "orange")),
        alerts=("GapOpenMajor", "GapsGrowing", "GapNotRepairedIn24h"),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
        no_value="UNKNOWN",
    )


def _complete_yesterday() -> Panel:
    return stat(
        "Complete yesterday",
        "How much of what was expected of the last UTC day is held or explained, in the dataset that has least?",
        now('min(tapekeeper_completeness_ratio{window="24h"})', "complete"),
        width=3,
        unit="percentunit",
        decimals=2,
        steps=ratio_steps("completeness_ratio"),
        alerts=("CompletenessBudgetBurn",),
        more=leads_to("tapekeeper-freshness", "Freshness & SLO"),
        no_value="NOT YET",
        unknown="orange",
    )


def _checks_red() -> Panel:
    red = 'sum(1 - tapekeeper_quality_check_status{{severity="{severity}"}})'
    return stat(
        "Checks red",
        "How many quality checks found something the last time or could not be done: critical ones, and warnings?",
        *(now(red.format(severity=severity), severity) for severity in _SEVERITIES),
        width=3,
        unit="short",
        steps=NONE_IS_WELL,
        overrides=_WARNINGS_IN_ORANGE,
        alerts=("QualityCheckFailed", "QualityRunOverdue"),
        more=leads_to("tapekeeper-quality", "Quality"),
        no_value="NONE RAN",
        unknown="orange",
    )


def _chunks_failed() -> Panel:
    return stat(
        "Chunks failed",
        "How many chunks of the backfills of the last day were given up?",
        now('sum(tapekeeper_backfill_chunks{state="failed"})', "chunks"),
        width=3,
        unit="short",
        steps=((None, "green"), (1, "orange")),
        alerts=("BackfillFailedChunks", "BackfillStalled"),
        more=leads_to("tapekeeper-backfill", "Backfill"),
        no_value="UNKNOWN",
    )


def _states() -> Panel:
    return states(
        "Datasets",
        "Was each dataset fresh, late (1.5 times as old as the interval of new rows) or stale (twice)? "
        "Where there is no colour, nobody told.",
        metric(datasets.states(), "{{dataset}}"),
        height=5,
        unit="short",
        mappings=datasets.STATES,
        steps=((None, "green"), (1, "orange"), (2, "red")),
        more=leads_to("tapekeeper-freshness", "Freshness & SLO"),
    )


def _alerts() -> Panel:
    about = 'ALERTS{alertname!="Watchdog"} * ignoring (alertstate) group_left () (time() - ALERTS_FOR_STATE)'
    for label in ("job", "instance"):  # Who told it does not matter where it is about a dataset.
        about = f'label_replace({about}, "{label}", "", "dataset", ".+")'
    labels = ", ".join(f'"{label}"' for label in _OF_WHAT)
    calm = f'label_replace(0 * {_WATCHDOG}, "alertname", "None", "", "")'
    return table(
        "Alerts",
        "Which alerts fire or are about to, about what, and for how long? 'None' is told only while the rules run.",
        metric(
            f"""
            max by (alertname, severity, alertstate, what) (label_join({about}, "what", " ", {labels}))
            or on () max by (alertname) ({calm})
            """,
            instant=True,
        ),
        width=12,
        unit="short",
        sorted_by=[{"displayName": "State", "desc": False}, {"displayName": "Severity", "desc": False}],
        transformations=[
            organised(
                {"alertname": "Alert", "what": "What", "severity": "Severity", "alertstate": "State", "Value": "For"}
            )
        ],
        overrides=[
            column("Alert", mappings=named({"None": ("No alert", "green")}), custom__width=215),
            column(
                "Severity",
                mappings=named({"critical": ("critical", "red"), "warning": ("warning", "orange")}),
                custom__cellOptions=COLOURED,
                custom__width=90,
            ),
            column("State", custom__width=75),
            column("For", mappings=named({0: ("", "text")}), unit="s", decimals=0, custom__width=85),
        ],
        alerts=("TargetDown", "RuleEvaluationFailing", "StatusQueryFailing"),
        no_value="No rule runs: neither an alert nor the watchdog is told.",
    )


def _datasets() -> Panel:
    """Build the table of datasets; one that nobody ever asked for has no rows and no line."""
    rows = "max by (dataset) (tapekeeper_dataset_rows) > 0"
    asked = {
        "State": datasets.states(),
        "Age": datasets.AGES,
        "Rows": rows,
        "Size": f"max by (dataset) (tapekeeper_dataset_bytes) and on (dataset) {rows}",
        "Yesterday": 'max by (dataset) (tapekeeper_completeness_ratio{window="24h"})',
        "Gaps": f"sum by (dataset) (tapekeeper_gaps_open) and on (dataset) {rows}",
    }
    return table(
        "What is kept",
        "How much of each dataset is in the database, how old is its newest event, and how complete was yesterday? The "
        "size is that of its table, which datasets may share.",
        *(metric(expression, instant=True) for expression in asked.values()),
        width=12,
        unit="short",
        sorted_by=[{"displayName": "Dataset", "desc": False}],
        transformations=[MERGED, organised({"dataset": "Dataset"} | value_columns(list(asked)))],
        overrides=[
            column(
                "State",
                mappings=datasets.STATES,
                thresholds={"mode": "absolute", "steps": [{"color": "transparent", "value": None}]},
                custom__cellOptions=SHADED,
                custom__width=70,
            ),
            column("Age", unit="s", decimals=0, custom__width=80),
            column("Rows", unit="short", custom__width=90),
            column("Size", unit="decbytes", custom__width=90),
            column("Yesterday", unit="percentunit", decimals=2, custom__width=90),
            column("Gaps", custom__width=60),
        ],
        more=leads_to("tapekeeper-airflow-database", "Airflow & database"),
    )
