"""The numbers on top of the page of gaps: what is open, for how long, and how it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN
from grafana.generator.links import leads_to
from grafana.generator.panels import named, stat
from grafana.generator.queries import now, sql
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_QUALITY: Final = leads_to("tapekeeper-quality", "Quality")
_STILL_OPEN: Final = f"dataset:tapekeeper_gaps_open:sum{{{CHOSEN}}}"
_USUAL_REPAIR: Final = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds_to_close) AS seconds
FROM gap_ledger
WHERE $__timeFilter(opened_at) AND state = 'repaired'
    AND dataset = ANY(ARRAY[${dataset:sqlstring}]::text[])
"""


def numbers() -> tuple[Panel, ...]:
    """Build them, from left to right."""
    return (
        _open(),
        _missing(),
        _longest(),
        _oldest(),
        _change(),
        _usual_repair(),
    )


def _open() -> Panel:
    return stat(
        "Gaps open",
        "How many gaps are not closed?",
        now(f"sum({_STILL_OPEN})"),
        unit="none",
        no_value="UNKNOWN",
        steps=((None, "green"), (1, "orange")),
        more=TO_QUALITY,
    )


def _missing() -> Panel:
    return stat(
        "Time missing",
        "How many seconds lie in gaps that are not closed, added up over series?",
        now(f"sum(tapekeeper_gap_seconds_missing{{{CHOSEN}}})"),
        unit="s",
        no_value="UNKNOWN",
        steps=((None, "green"), (1, "orange")),
    )


def _longest() -> Panel:
    length = threshold("gap_longest_seconds")
    return stat(
        "Longest open",
        "How long is the longest window that is missing and not closed?",
        now(f"max(dataset:tapekeeper_gap_longest_open:seconds{{{CHOSEN}}})"),
        unit="s",
        no_value="UNKNOWN",
        steps=((None, "green"), (length, "red")),
        alerts=("GapOpenMajor",),
    )


def _oldest() -> Panel:
    age = threshold("gap_age_seconds")
    return stat(
        "Oldest open",
        "How long has the gap been open that was recorded first?",
        now(f"max(dataset:tapekeeper_gap_oldest_open_age:seconds{{{CHOSEN}}}) or 0 * sum({_STILL_OPEN})"),
        unit="s",
        no_value="UNKNOWN",
        mappings=named({0: ("none", "dark-green")}),
        steps=((None, "green"), (age, "orange")),
        alerts=("GapNotRepairedIn24h",),
    )


def _change() -> Panel:
    more = threshold("gaps_more_in_6h")
    return stat(
        "Change in 6 hours",
        "Do holes come faster than they are repaired?",
        now(f"max({_STILL_OPEN} - ({_STILL_OPEN} offset 6h)) or 0 * sum({_STILL_OPEN})"),
        unit="none",
        no_value="UNKNOWN",
        steps=((None, "green"), (more, "orange")),
        alerts=("GapsGrowing",),
    )


def _usual_repair() -> Panel:
    return stat(
        "Usual time to repair",
        "How long does it take from recording a gap to its repair, of half of those that were repaired?",
        sql(_USUAL_REPAIR),
        unit="s",
        decimals=0,
        steps=((None, "text"),),
        color_mode="none",
    )
