"""Backfill: how far it is, how fast it goes, and what it could not fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN, with_datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.links import leads_to
from grafana.generator.panels import (
    COLOURED,
    MINUTE,
    WARNING,
    alert_line,
    bars,
    coloured,
    column,
    graph,
    named,
    stat,
    table,
)
from grafana.generator.queries import metric, now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel
    from grafana.generator.queries import Json

TO_GAPS: Final = leads_to("tapekeeper-gaps", "Gaps & incidents")
TO_QUALITY: Final = leads_to("tapekeeper-quality", "Quality")
GREY: Final = "#5c6370"
NEARLY_ALL: Final = 0.9
"""Of a budget: from here on requests wait for each other."""
RUN_STATES: Final = {"running": ("running", "blue"), "done": ("done", "green"), "failed": ("failed", "red")}


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "backfill",
        "Backfill",
        "How far are the backfills, how fast do they go, and what could they not fetch?",
        time_from="now-24h",
    )
    with_datasets(dashboard)
    dashboard.row(None, *_now())
    dashboard.row(None, _done(), _chunks(), _age())
    dashboard.row(None, _rows(), _requests(), _budgets())
    dashboard.row(None, _runs())
    dashboard.row(None, _failed_chunks())
    return dashboard


def _now() -> tuple[Panel, ...]:
    waiting = f"dataset:tapekeeper_backfill_chunks_left:sum{{{CHOSEN}}}"
    age = f"dataset:tapekeeper_backfill_age:seconds{{{CHOSEN}}}"
    refused = "sum(increase(tapekeeper_backfill_api_requests_total{outcome='retry'}[15m]))"
    return (
        stat(
            "Chunks left",
            "How much is still to be fetched?",
            now(f"sum({waiting})"),
            unit="none",
            no_value="UNKNOWN",
            steps=((None, "text"),),
            color_mode="none",
        ),
        stat(
            "Since the last chunk",
            "Where chunks wait, how long ago was the newest one done?",
            now(f"max({age} and {waiting} > 0) or 0 * sum({waiting})"),
            unit="s",
            no_value="UNKNOWN",
            mappings=named({0: ("idle", "dark-green")}),
            steps=((None, "green"), (threshold("backfill_age_seconds"), "orange")),
            alerts=("BackfillStalled",),
        ),
        stat(
            "Chunks failed",
            "How many chunks were given up, of the runs that go on or ended within a day?",
            now(f"sum(tapekeeper_backfill_chunks{{state='failed', {CHOSEN}}})"),
            unit="none",
            no_value="UNKNOWN",
            steps=((None, "green"), (threshold("chunks_failed_in_6h") + 1, "orange")),
            alerts=("BackfillFailedChunks",),
            more=TO_GAPS,
        ),
        stat(
            "Requests repeated",
            "How many requests of the last 15 minutes did the venue refuse or not answer?",
            now(refused),
            unit="none",
            decimals=0,
            steps=((None, "green"), (threshold("requests_refused_in_15m"), "orange")),
            alerts=("RateLimited",),
        ),
        stat(
            "Budget used",
            "How much of the rate budget that is used most is taken?",
            now("max(tapekeeper_rate_budget_used_ratio)"),
            unit="percentunit",
            no_value="UNKNOWN",
            decimals=0,
            steps=((None, "green"), (NEARLY_ALL, "orange")),
            alerts=("RateLimited",),
        ),
        stat(
            "Rows written",
            "How many rows did backfills write in the time that is shown?",
            now(f"sum(increase(tapekeeper_backfill_rows_written_total{{{CHOSEN}}}[$__range]))"),
            unit="short",
            steps=((None, "text"),),
            color_mode="none",
        ),
    )


def _done() -> Panel:
    return bars(
        "Done",
        "Which share of the chunks is done, of the runs that go on or ended within a day?",
        now(f"dataset:tapekeeper_backfill_done:ratio{{{CHOSEN}}}", "{{dataset}}"),
        width=8,
        height=7,
        unit="percentunit",
        minimum=0,
        maximum=1,
        names="top",
        steps=((None, "blue"), (1, "green")),
    )


def _chunks() -> Panel:
    return graph(
        "Chunks by state",
        "Is work going on, and does any of it fail?",
        *(
            metric(f"sum(tapekeeper_backfill_chunks{{state='{state}', {CHOSEN}}})", state)
            for state in ("failed", "running", "pending", "done")
        ),
        width=8,
        height=7,
        unit="none",
        stacked=True,
        minimum=0,
        legend="names",
        overrides=coloured({"pending": GREY, "running": "blue", "done": "green", "failed": "red"}),
        alerts=("BackfillFailedChunks", "BackfillStalled"),
    )


def _age() -> Panel:
    return graph(
        "Since the newest chunk",
        "How long ago was a chunk done? Beyond the line it is a stall, if chunks wait.",
        metric(f"dataset:tapekeeper_backfill_age:seconds{{{CHOSEN}}}", "{{dataset}}"),
        width=8,
        height=7,
        unit="s",
        minimum=0,
        legend="names",
        steps=alert_line(threshold("backfill_age_seconds"), colours=WARNING),
        alerts=("BackfillStalled",),
    )


def _rows() -> Panel:
    return graph(
        "Rows per second",
        "How fast do backfills write rows that are new or changed?",
        metric(
            f"sum by (dataset) (rate(tapekeeper_backfill_rows_written_total{{{CHOSEN}}}[$__rate_interval]))",
            "{{dataset}}",
        ),
        width=8,
        height=7,
        unit="short",
        minimum=0,
        legend="names",
    )


def _requests() -> Panel:
    return graph(
        "Requests per second",
        "Are requests answered, repeated, or given up?",
        *(
            metric(f"sum(rate(tapekeeper_backfill_api_requests_total{{outcome='{outcome}'}}[$__rate_interval]))", told)
            for outcome, told in (("give_up", "given up"), ("retry", "repeated"), ("ok", "answered"))
        ),
        width=8,
        height=7,
        unit="short",
        stacked=True,
        minimum=0,
        legend="names",
        overrides=coloured({"answered": "green", "repeated": "orange", "given up": "red"}),
        alerts=("RateLimited",),
    )


def _budgets() -> Panel:
    return graph(
        "Rate budgets",
        "How close to the limits of the venues do all processes together work?",
        metric("max by (budget) (tapekeeper_rate_budget_used_ratio)", "{{budget}}"),
        width=8,
        height=7,
        unit="percentunit",
        minimum=0,
        maximum=1,
        legend="names",
        alerts=("RateLimited",),
    )


def _runs() -> Panel:
    return table(
        "Runs, newest first",
        "What was asked for, how far is it, and when will it be done?",
        sql(
            """
            SELECT
                created_at AS "Began",
                dataset AS "Dataset",
                instruments[1] || CASE cardinality(instruments) WHEN 1 THEN ''
                    ELSE ' and ' || cardinality(instruments) - 1 || ' more' END AS "Instruments",
                window_start AS "From",
                window_end AS "To",
                state AS "State",
                coalesce(done::double precision / nullif(chunks, 0), 1) AS "Done",
                failed AS "Failed",
                rows_written AS "Rows",
                rows_per_second AS "Rows/s",
                seconds_left AS "Left"
            FROM backfill_progress
            WHERE $__timeFilter(created_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            ORDER BY created_at DESC
            LIMIT 25
            """
        ),
        height=8,
        overrides=(
            column("Began", unit=MINUTE, custom__width=140),
            column("Dataset", custom__width=190),
            column("From", unit=MINUTE, custom__width=140),
            column("To", unit=MINUTE, custom__width=140),
            column("State", custom__width=80, mappings=named(RUN_STATES), custom__cellOptions=COLOURED),
            column(
                "Done",
                unit="percentunit",
                decimals=0,
                min=0,
                max=1,
                custom__width=150,
                custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
                thresholds=_steps((None, "blue"), (1, "green")),
            ),
            column(
                "Failed",
                custom__width=70,
                custom__cellOptions=COLOURED,
                thresholds=_steps((None, "text"), (threshold("chunks_failed_in_6h") + 1, "red")),
            ),
            column("Rows", unit="short", custom__width=80),
            column("Rows/s", unit="short", decimals=0, custom__width=110),
            column("Left", unit="s", custom__width=110),
        ),
        nothing="No run began in this time.",
        more=TO_QUALITY,
    )


def _failed_chunks() -> Panel:
    return table(
        "Chunks that failed, newest first",
        "What could not be fetched, and why?",
        sql(
            """
            SELECT
                failed_at AS "Failed",
                run_id AS "Run",
                dataset AS "Dataset",
                instrument AS "Instrument",
                window_start AS "From",
                window_end AS "To",
                attempts AS "Tries",
                coalesce(error, 'nobody told') AS "Error"
            FROM failed_chunks
            WHERE $__timeFilter(failed_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            ORDER BY failed_at DESC
            LIMIT 50
            """
        ),
        height=7,
        overrides=(
            column("Failed", unit=MINUTE, custom__width=140),
            column("Run", custom__width=50),
            column("Dataset", custom__width=190),
            column("Instrument", custom__width=200),
            column("From", unit=MINUTE, custom__width=140),
            column("To", unit=MINUTE, custom__width=140),
            column("Tries", custom__width=50),
            column("Error", custom__wrapText=True, custom__inspect=True),
        ),
        nothing="No chunk failed.",
        alerts=("BackfillFailedChunks",),
        more=TO_GAPS,
    )


def _steps(*steps: tuple[float | None, str]) -> Json:
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}
