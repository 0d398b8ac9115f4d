"""The tables of the page of backfills: the runs, and the chunks that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.links import leads_to
from grafana.generator.panels import COLOURED, MINUTE, column, named, table
from grafana.generator.queries import sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel
    from grafana.generator.queries import Json

TO_GAPS: Final = leads_to("tapekeeper-gaps", "Gaps & incidents")
TO_QUALITY: Final = leads_to("tapekeeper-quality", "Quality")
RUN_STATES: Final = {"running": ("running", "blue"), "done": ("done", "green"), "failed": ("failed", "red")}
_RUNS: Final = """
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
_FAILED_CHUNKS: Final = """
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


def runs() -> Panel:
    """List the runs, how far they are, and how long they will take."""
    return table(
        "Runs, newest first",
        "What was asked for, how far is it, and when will it be done?",
        sql(_RUNS),
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


def failed_chunks() -> Panel:
    """List what could not be fetched."""
    return table(
        "Chunks that failed, newest first",
        "What could not be fetched, and why?",
        sql(_FAILED_CHUNKS),
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
