"""The numbers on top of the page of backfills: what is left, what failed, and how hard venues are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.choice import CHOSEN
from grafana.generator.links import leads_to
from grafana.generator.panels import named, stat
from grafana.generator.queries import now
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

TO_GAPS: Final = leads_to("tapekeeper-gaps", "Gaps & incidents")
NEARLY_ALL: Final = 0.9
"""Of a budget: from here on requests wait for each other."""


def numbers() -> tuple[Panel, ...]:
    """Build them, from left to right."""
    return (
        _left(),
        _since(),
        _given_up(),
        _repeated(),
        _budget(),
        _written(),
    )


def _left() -> Panel:
    waiting = f"dataset:tapekeeper_backfill_chunks_left:sum{{{CHOSEN}}}"
    return stat(
        "Chunks left",
        "How much is still to be fetched?",
        now(f"sum({waiting})"),
        unit="none",
        no_value="UNKNOWN",
        steps=((None, "text"),),
        color_mode="none",
    )


def _since() -> Panel:
    waiting = f"dataset:tapekeeper_backfill_chunks_left:sum{{{CHOSEN}}}"
    age = f"dataset:tapekeeper_backfill_age:seconds{{{CHOSEN}}}"
    return stat(
        "Since the last chunk",
        "Where chunks wait, how long ago was the newest one done?",
        now(f"max({age} and {waiting} > 0) or 0 * sum({waiting})"),
        unit="s",
        no_value="UNKNOWN",
        mappings=named({0: ("idle", "dark-green")}),
        steps=((None, "green"), (threshold("backfill_age_seconds"), "orange")),
        alerts=("BackfillStalled",),
    )


def _given_up() -> Panel:
    return stat(
        "Chunks failed",
        "How many chunks were given up, of the runs that go on or ended within a day?",
        now(f"sum(tapekeeper_backfill_chunks{{state='failed', {CHOSEN}}})"),
        unit="none",
        no_value="UNKNOWN",
        steps=((None, "green"), (threshold("chunks_failed_in_6h") + 1, "orange")),
        alerts=("BackfillFailedChunks",),
        more=TO_GAPS,
    )


def _repeated() -> Panel:
    refused = "sum(increase(tapekeeper_backfill_api_requests_total{outcome='retry'}[15m]))"
    return stat(
        "Requests repeated",
        "How many requests of the last 15 minutes did the venue refuse or not answer?",
        now(refused),
        unit="none",
        decimals=0,
        steps=((None, "green"), (threshold("requests_refused_in_15m"), "orange")),
        alerts=("RateLimited",),
        no_value="UNKNOWN",
    )


def _budget() -> Panel:
    return stat(
        "Budget used",
        "How much of the rate budget that is used most is taken?",
        now("max(tapekeeper_rate_budget_used_ratio)"),
        unit="percentunit",
        no_value="UNKNOWN",
        decimals=0,
        steps=((None, "green"), (NEARLY_ALL, "orange")),
        alerts=("RateLimited",),
    )


def _written() -> Panel:
    return stat(
        "Rows written",
        "How many rows did backfills write in the time that is shown?",
        now(f"sum(increase(tapekeeper_backfill_rows_written_total{{{CHOSEN}}}[$__range]))"),
        unit="short",
        steps=((None, "text"),),
        color_mode="none",
        no_value="UNKNOWN",
    )
