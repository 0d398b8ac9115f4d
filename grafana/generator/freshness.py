"""Freshness & SLO: how old is what is kept, and how much of the errors that the objectives allow is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.dashboard import Dashboard
from grafana.generator.datasets import AGES, COLOURS, INTERVAL_STEPS, ages_in_intervals
from grafana.generator.incidents import with_incidents
from grafana.generator.links import leads_to
from grafana.generator.numbers import budget_left, instruments_fresh, newest_tick
from grafana.generator.objectives import (
    BUDGET_STEPS,
    SPENT,
    completeness_budget_left,
    freshness_budget_left,
    ratio_steps,
)
from grafana.generator.panels import QUIET, SHADED, alert_line, coloured, column, graph, stat, table
from grafana.generator.queries import metric, now, sql
from grafana.generator.rules import threshold
from grafana.generator.transformations import MERGED, organised, value_columns
from tapekeeper.model.series import DERIBIT_OPTION_QUOTES

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

_BURN_WINDOWS: Final = {"5m": "5 min", "30m": "30 min", "1h": "1 hour", "6h": "6 hours", "3d": "3 days"}
_WINDOW_COLOURS: Final = {
    "5 min": "super-light-blue",
    "30 min": "light-blue",
    "1 hour": "blue",
    "6 hours": "purple",
    "3 days": "text",
}
_BURN_COLOURS: Final = ("orange", "red", "red")
_TIMES: Final = "suffix:x"
_STALEST: Final = """
SELECT
    dataset AS "Dataset",
    instrument AS "Instrument",
    extract(epoch FROM now() - coalesce(accounted_until, told_until, last_event_time))::double precision AS "Behind",
    extract(epoch FROM now() - last_event_time)::double precision AS "Newest row",
    extract(epoch FROM expires_at - now())::double precision AS "Expires in"
FROM live_series
WHERE followed_since <= $__timeTo() AND (coalesce(accounted_until, told_until) IS NOT NULL OR resolution_seconds > 0)
ORDER BY "Behind" DESC NULLS FIRST
LIMIT 20
"""
_WITH_GAPS: Final = """
SELECT
    dataset AS "Dataset",
    instrument AS "Instrument",
    count(gap_id) AS "Gaps",
    sum(seconds)::double precision AS "Length",
    sum(missing)::bigint AS "Missing"
FROM gap_ledger
WHERE $__timeFilter(window_end)
GROUP BY dataset, instrument
ORDER BY "Length" DESC
LIMIT 20
"""


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "freshness",
        "Freshness & SLO",
        "How old is what is kept, and how much of the errors that the objectives allow is spent?",
        time_from="now-24h",
        refresh="1m",
    )
    return (
        with_incidents(dashboard)
        .row(
            None,
            newest_tick(more=leads_to("tapekeeper-collector", "Collector")),
            instruments_fresh(),
            _burn(),
            _freshness_left(),
            _completeness_left(),
            _stalest_feed(),
        )
        .row("Freshness", _fresh_ratio(), _burn_rates(), _ages(), _ages_in_intervals())
        .row("Completeness", _complete(), _completeness_burn())
        .row("Instruments", _stalest(), _with_gaps())
    )


def _burn_limits() -> list[float]:
    return [threshold(f"budget_burn_{speed}") for speed in ("slow", "medium", "fast")]


def _burn() -> Panel:
    limits = zip(_burn_limits(), _BURN_COLOURS, strict=True)
    return stat(
        "Budget spent at",
        "How many times as fast as allowed were errors in freshness made in the last hour, or since the start?",
        now("tapekeeper:freshness_burn:rate1h or tapekeeper:freshness_burn:rate5m", "1 hour"),
        unit=_TIMES,
        decimals=1,
        steps=((None, "green"), *limits),
        alerts=("FreshnessBudgetBurn",),
        no_value="UNKNOWN",
    )


def _freshness_left() -> Panel:
    return budget_left(
        "Freshness budget left",
        "How much of the errors that the objective allows over 30 days is left, as far back as Prometheus remembers?",
        freshness_budget_left(),
        alerts=("FreshnessBudgetBurn",),
    )


def _completeness_left() -> Panel:
    return budget_left(
        "Completeness budget left",
        "How much of the errors that the objective allows over 30 days is left to the dataset that has least?",
        f"min({completeness_budget_left()})",
        alerts=("CompletenessBudgetBurn",),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _stalest_feed() -> Panel:
    interval = DERIBIT_OPTION_QUOTES.target_interval_seconds
    return stat(
        "Stalest feed",
        "How long ago was the feed last known to be whole, of the instrument that is furthest behind?",
        sql(
            """
            SELECT extract(epoch FROM now() - min(accounted_until))::double precision AS age
            FROM live_series
            LIMIT 1
            """
        ),
        unit="s",
        steps=((None, "green"), (interval, "orange"), (2 * interval, "red")),
        more=leads_to("tapekeeper-collector", "Collector"),
        no_value="NONE",
    )


def _fresh_ratio() -> Panel:
    return graph(
        "Fresh instruments",
        "What share of the instruments has a verified feed, and is it as large as the objective asks for?",
        metric("1 - tapekeeper:freshness_errors:ratio", "fresh"),
        unit="percentunit",
        maximum=1,
        legend=False,
        coloured_by="fixed",
        colour="blue",
        steps=alert_line(threshold("freshness_ratio")),
        custom={"axisSoftMin": 0.98, "axisSoftMax": 1},
        alerts=("FreshnessBudgetBurn",),
    )


def _burn_rates() -> Panel:
    return graph(
        "Freshness budget spent",
        "How many times as fast as allowed are errors made? At 14.4 somebody is called, at 6 too if it goes on, and at "
        "1 the budget lasts just 30 days.",
        *(metric(f"tapekeeper:freshness_burn:rate{window}", name) for window, name in _BURN_WINDOWS.items()),
        unit=_TIMES,
        minimum=0,
        legend="names",
        steps=alert_line(*_burn_limits(), colours=_BURN_COLOURS),
        overrides=coloured(_WINDOW_COLOURS),
        alerts=("FreshnessBudgetBurn",),
    )


def _ages() -> Panel:
    return graph(
        "Age of the newest event",
        "How long ago did the newest event of each dataset happen?",
        metric(AGES, "{{dataset}}"),
        overrides=COLOURS,
        unit="s",
        minimum=0,
        legend="names",
        more=leads_to("tapekeeper-backfill", "Backfill"),
    )


def _ages_in_intervals() -> Panel:
    return graph(
        "Age against what is expected",
        "How old is each dataset, counted in the interval in which new rows are expected? From 1.5 on it is late, "
        "from 2 on stale.",
        metric(ages_in_intervals(), "{{dataset}}"),
        overrides=COLOURS,
        unit=_TIMES,
        minimum=0,
        legend="names",
        steps=INTERVAL_STEPS,
        alerts=("QualityCheckFailed",),
        more=leads_to("tapekeeper-quality", "Quality"),
    )


def _complete() -> Panel:
    windows = {"24h": "Yesterday", "7d": "7 days", "30d": "30 days"}
    asked = {
        title: f'max by (dataset) (tapekeeper_completeness_ratio{{window="{window}"}})'
        for window, title in windows.items()
    } | {"Budget left": completeness_budget_left()}
    budget = [{"color": QUIET.get(colour, colour), "value": value} for value, colour in BUDGET_STEPS]
    return table(
        "Held or explained",
        "How much of what was expected is held or explained, over the UTC days that are over?",
        *(metric(expression, instant=True) for expression in asked.values()),
        width=12,
        unit="percentunit",
        decimals=2,
        steps=tuple((value, QUIET.get(colour, colour)) for value, colour in ratio_steps("completeness_ratio")),
        transformations=[MERGED, organised({"dataset": "Dataset"} | value_columns(list(asked)))],
        overrides=[
            *(column(title, custom__cellOptions=SHADED, custom__width=110) for title in windows.values()),
            column(
                "Budget left",
                decimals=0,
                mappings=SPENT,
                thresholds={"mode": "absolute", "steps": budget},
                custom__cellOptions=SHADED,
                custom__width=110,
            ),
        ],
        alerts=("CompletenessBudgetBurn",),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _completeness_burn() -> Panel:
    return graph(
        "Completeness budget spent",
        "How many times as fast as allowed did yesterday use up the errors of 30 days?",
        metric("max by (dataset) (dataset:tapekeeper_completeness_burn:rate1h)", "{{dataset}}"),
        overrides=COLOURS,
        unit=_TIMES,
        minimum=0,
        legend="names",
        steps=alert_line(*_burn_limits(), colours=_BURN_COLOURS),
        alerts=("CompletenessBudgetBurn",),
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )


def _stalest() -> Panel:
    return table(
        "Stalest instruments",
        "Which of the instruments that are followed now are furthest behind, by the time of their events? Expired ones "
        "are left out, and trades, as a quiet instrument has none.",
        sql(_STALEST),
        width=13,
        height=21,
        unit="s",
        overrides=[
            column("Behind", custom__width=110),
            column("Newest row", custom__width=110),
            column("Expires in", custom__width=110),
        ],
        more=leads_to("tapekeeper-collector", "Collector"),
    )


def _with_gaps() -> Panel:
    return table(
        "Instruments with the longest gaps",
        "Which instruments lack most of the time that is looked at, repaired or not?",
        sql(_WITH_GAPS),
        width=11,
        height=21,
        unit="short",
        overrides=[
            column("Gaps", custom__width=70),
            column("Length", unit="s", custom__width=100),
            column("Missing", custom__width=90),
        ],
        nothing="No gap ends in this time.",
        more=leads_to("tapekeeper-gaps", "Gaps & incidents"),
    )
