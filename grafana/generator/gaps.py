"""Gaps & incidents: what is missing, why, and what was done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN, with_datasets
from grafana.generator.dashboard import Dashboard
from grafana.generator.incidents import with_incidents
from grafana.generator.links import leads_to
from grafana.generator.panels import COLOURED, MINUTE, alert_line, coloured, column, graph, named, stat, states, table
from grafana.generator.queries import metric, now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_BACKFILL: Final = leads_to("tapekeeper-backfill", "Backfill")
TO_QUALITY: Final = leads_to("tapekeeper-quality", "Quality")
DAY_STATES: Final = {
    0: ("complete", "green"),
    1: ("explained", "blue"),
    2: ("running", "#5c6370"),
    3: ("red", "red"),
}
GAP_STATES: Final = {
    "open": ("open", "orange"),
    "classified": ("classified", "orange"),
    "repairing": ("repairing", "yellow"),
    "repaired": ("repaired", "green"),
    "permanent": ("permanent", "blue"),
    "accepted": ("accepted", "blue"),
}


def build() -> Dashboard:
    """Build it."""
    dashboard = Dashboard(
        "gaps",
        "Gaps & incidents",
        "What is missing, why, since when, and what was done about it?",
        time_from="now-7d",
    )
    with_incidents(with_datasets(dashboard))
    dashboard.row(None, *_now())
    dashboard.row(None, _days(), _open_over_time())
    dashboard.row(None, _missing(), _detected_and_repaired(), _time_to_repair())
    dashboard.row(None, _incidents())
    dashboard.row(None, _open_gaps(), _outages())
    return dashboard


def _now() -> tuple[Panel, ...]:
    length, age = threshold("gap_longest_seconds"), threshold("gap_age_seconds")
    more = threshold("gaps_more_in_6h")
    still_open = f"dataset:tapekeeper_gaps_open:sum{{{CHOSEN}}}"
    return (
        stat(
            "Gaps open",
            "How many gaps are not closed?",
            now(f"sum({still_open})"),
            unit="none",
            no_value="UNKNOWN",
            steps=((None, "green"), (1, "orange")),
            more=TO_QUALITY,
        ),
        stat(
            "Time missing",
            "How many seconds lie in gaps that are not closed, added up over series?",
            now(f"sum(tapekeeper_gap_seconds_missing{{{CHOSEN}}})"),
            unit="s",
            no_value="UNKNOWN",
            steps=((None, "green"), (1, "orange")),
        ),
        stat(
            "Longest open",
            "How long is the longest window that is missing and not closed?",
            now(f"max(dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}})"),
            unit="s",
            no_value="UNKNOWN",
            steps=((None, "green"), (1, "orange"), (length, "red")),
            alerts=("GapOpenMajor",),
        ),
        stat(
            "Oldest open",
            "How long has the gap been open that was recorded first?",
            now(f"max(dataset:tapekeeper_gap_oldest_open_age:seconds{{{CHOSEN}}}) or 0 * sum({still_open})"),
            unit="s",
            no_value="UNKNOWN",
            mappings=named({0: ("none", "dark-green")}),
            steps=((None, "orange"), (age, "red")),
            alerts=("GapNotRepairedIn24h",),
        ),
        stat(
            "Change in 6 hours",
            "Do holes come faster than they are repaired?",
            now(f"max({still_open} - ({still_open} offset 6h)) or 0 * sum({still_open})"),
            unit="none",
            no_value="UNKNOWN",
            steps=((None, "green"), (more, "orange")),
            alerts=("GapsGrowing",),
        ),
        stat(
            "Usual time to repair",
            "How long does it take from recording a gap to its repair, of half of those that were repaired?",
            sql(
                """
                SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_to_close) AS seconds
                FROM gap_ledger
                WHERE $__timeFilter(opened_at) AND state = 'repaired'
                    AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
                """
            ),
            unit="s",
            decimals=0,
            steps=((None, "text"),),
            color_mode="none",
        ),
    )


def _days() -> Panel:
    return states(
        "Days",
        "Is every followed day complete or explained, or is something missing (red)?",
        sql(
            """
            SELECT day_start AS time, dataset AS metric,
                CASE state WHEN 'complete' THEN 0 WHEN 'explained' THEN 1 WHEN 'running' THEN 2 ELSE 3 END AS state
            FROM dataset_days
            WHERE $__timeFilter(day) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            ORDER BY day_start
            """,
            time_series=True,
        ),
        width=12,
        height=6,
        mappings=named(DAY_STATES),
        show_value="auto",
        alerts=("CompletenessBudgetBurn",),
        more=TO_QUALITY,
    )


def _open_over_time() -> Panel:
    return states(
        "Open gaps, over time",
        "When was a gap open, and when one that is longer than it may be?",
        metric(
            f"(dataset:tapekeeper_gaps_open:sum{{{CHOSEN}}} > bool 0) + "
            f"(dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}} "
            "> bool scalar(tapekeeper:gap_longest_seconds:threshold))",
            "{{dataset}}",
        ),
        width=12,
        height=6,
        mappings=named({0: ("none", "green"), 1: ("open", "orange"), 2: ("major", "red")}),
        alerts=("GapOpenMajor", "GapNotRepairedIn24h"),
    )


def _missing() -> Panel:
    return graph(
        "Longest gap that is open",
        "Is any window missing for longer than the threshold?",
        metric(f"dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}}", "{{dataset}}"),
        width=8,
        legend="names",
        unit="s",
        minimum=0,
        steps=alert_line(threshold("gap_longest_seconds")),
        alerts=("GapOpenMajor",),
    )


def _detected_and_repaired() -> Panel:
    return graph(
        "Recorded and repaired",
        "Is as much repaired (below the line) as is recorded (above it), hour by hour?",
        metric(f"sum(increase(tapekeeper_gaps_detected_total{{{CHOSEN}}}[$__rate_interval]))", "recorded"),
        metric(f"sum(increase(tapekeeper_gaps_repaired_total{{{CHOSEN}}}[$__rate_interval]))", "repaired"),
        width=8,
        unit="none",
        drawn_as="bars",
        smallest_step="1h",
        legend="names",
        custom={"fillOpacity": 70},
        overrides=(
            *coloured({"recorded": "orange"}),
            column("repaired", color={"mode": "fixed", "fixedColor": "green"}, custom__transform="negative-Y"),
        ),
        alerts=("GapsGrowing",),
    )


def _time_to_repair() -> Panel:
    return graph(
        "Time to repair",
        "How long did repairs take that ended then, of half of them, hour by hour?",
        sql(
            """
            SELECT date_trunc('hour', closed_at) AS time, dataset AS metric,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_to_close) AS seconds
            FROM gap_ledger
            WHERE $__timeFilter(opened_at) AND state = 'repaired'
                    AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            GROUP BY date_trunc('hour', closed_at), dataset
            ORDER BY time
            """,
            time_series=True,
        ),
        width=8,
        unit="s",
        minimum=0,
        legend="names",
        drawn_as="points",
        custom={"showPoints": "always", "pointSize": 8},
        alerts=("GapNotRepairedIn24h",),
    )


def _incidents() -> Panel:
    return table(
        "Incidents, newest first",
        "What was recorded as missing, why, and what did the repair bring? Gaps of one cause and minute are one line.",
        sql(
            """
            SELECT
                max(opened_at) AS "Recorded",
                dataset AS "Dataset",
                min(instrument)
                    || CASE count(DISTINCT instrument) WHEN 1 THEN ''
                        ELSE ' and ' || count(DISTINCT instrument) - 1 || ' more' END AS "Instruments",
                min(window_start) AS "From",
                max(seconds) AS "Length",
                sum(missing)::bigint AS "Missing",
                cause AS "Cause",
                state AS "State",
                max(seconds_to_close) AS "Closed after",
                coalesce(
                    sum(rows_found) || ' of ' || sum(rows_found + rows_missing) || ' found, requests: '
                        || sum(requests),
                    max(last_event)
                ) AS "Repair"
            FROM gap_ledger
            WHERE $__timeFilter(opened_at) AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            GROUP BY date_trunc('minute', opened_at), dataset, cause, state
            ORDER BY "Recorded" DESC, "Missing" DESC
            LIMIT 50
            """
        ),
        height=9,
        overrides=(
            column("Recorded", unit=MINUTE, custom__width=140),
            column("Dataset", custom__width=190),
            column("Instruments", custom__width=265),
            column("From", unit=MINUTE, custom__width=140),
            column("Length", unit="s", custom__width=90),
            column("Missing", custom__width=75),
            column("Cause", custom__width=150),
            column("State", custom__width=95, mappings=named(GAP_STATES), custom__cellOptions=COLOURED),
            column("Closed after", unit="s", custom__width=110),
            column("Repair", custom__wrapText=True),
        ),
        nothing="Nothing was recorded as missing.",
        more=TO_BACKFILL,
    )


def _open_gaps() -> Panel:
    return table(
        "Open gaps, longest first",
        "What is missing right now, of which instrument, and when is it tried again?",
        sql(
            """
            SELECT
                dataset AS "Dataset",
                instrument AS "Instrument",
                window_start AS "From",
                seconds AS "Length",
                missing AS "Missing",
                cause AS "Cause",
                state AS "State",
                attempts AS "Tries",
                coalesce(to_char(next_attempt_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), 'at once') AS "Next try"
            FROM gap_ledger
            WHERE closed_at IS NULL AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
            ORDER BY seconds DESC, window_end DESC
            LIMIT 50
            """
        ),
        width=17,
        height=7,
        overrides=(
            column("Dataset", custom__width=180),
            column("From", unit=MINUTE, custom__width=135),
            column("Length", unit="s", custom__width=85),
            column("Missing", custom__width=75),
            column("Cause", custom__width=140),
            column("State", custom__width=85, mappings=named(GAP_STATES), custom__cellOptions=COLOURED),
            column("Tries", custom__width=55),
            column("Next try", custom__width=95),
        ),
        nothing="No gap is open.",
        alerts=("GapOpenMajor", "GapNotRepairedIn24h"),
    )


def _outages() -> Panel:
    return table(
        "Outages of venues",
        "When was a venue known to be away, which explains what is missing?",
        sql(
            """
            SELECT venue AS "Venue", window_start AS "From",
                extract(epoch FROM window_end - window_start)::double precision AS "Length", kind AS "Kind"
            FROM outages
            ORDER BY window_start DESC
            LIMIT 20
            """
        ),
        width=7,
        height=7,
        overrides=(
            column("Venue", custom__width=60),
            column("From", unit=MINUTE, custom__width=135),
            column("Length", unit="s", custom__width=85),
        ),
        nothing="No outage is registered.",
    )
