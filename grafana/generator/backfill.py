"""Backfill: how far it is, how fast it goes, and what it could not fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.backfill_numbers import numbers
from grafana.generator.backfill_tables import failed_chunks, runs
from grafana.generator.choice import CHOSEN, with_datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.datasets import COLOURS
from grafana.generator.panels import WARNING, alert_line, bars, coloured, graph
from grafana.generator.queries import metric, now
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

GREY: Final = "#5c6370"


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "backfill",
        "Backfill",
        "How far are the backfills, how fast do they go, and what could they not fetch?",
        time_from="now-24h",
    )
    with_datasets(dashboard)
    dashboard.row(None, *numbers())
    dashboard.row(None, _done(), _chunks(), _age())
    dashboard.row(None, _rows(), _requests(), _budgets())
    dashboard.row(None, runs())
    dashboard.row(None, failed_chunks())
    return dashboard


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
        overrides=COLOURS,
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
        overrides=COLOURS,
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
