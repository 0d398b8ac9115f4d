"""The tables of the page of gaps: what happened, what is open, and when venues were away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.links import leads_to
from grafana.generator.panels import COLOURED, MINUTE, column, named, table
from grafana.generator.queries import sql

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_BACKFILL: Final = leads_to("tapekeeper-backfill", "Backfill")
GAP_STATES: Final = {
    "open": ("open", "orange"),
    "classified": ("classified", "orange"),
    "repairing": ("repairing", "yellow"),
    "repaired": ("repaired", "green"),
    "permanent": ("permanent", "blue"),
    "accepted": ("accepted", "blue"),
}
_INCIDENTS: Final = """
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
_OPEN_GAPS: Final = """
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
_OUTAGES: Final = """
SELECT venue AS "Venue", window_start AS "From",
    extract(epoch FROM window_end - window_start)::double precision AS "Length", kind AS "Kind"
FROM outages
ORDER BY window_start DESC
LIMIT 20
"""


def incidents() -> Panel:
    """List what was recorded as missing, by minute and cause."""
    return table(
        "Incidents, newest first",
        "What was recorded as missing, why, and what did the repair bring? Gaps of one cause and minute are one line.",
        sql(_INCIDENTS),
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


def open_gaps() -> Panel:
    """List what is missing now."""
    return table(
        "Open gaps, longest first",
        "What is missing right now, of which instrument, and when is it tried again?",
        sql(_OPEN_GAPS),
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


def outages() -> Panel:
    """List when venues were away."""
    return table(
        "Outages of venues",
        "When was a venue known to be away, which explains what is missing?",
        sql(_OUTAGES),
        width=7,
        height=7,
        overrides=(
            column("Venue", custom__width=60),
            column("From", unit=MINUTE, custom__width=135),
            column("Length", unit="s", custom__width=85),
        ),
        nothing="No outage is registered.",
    )
