"""Large numbers that more than one dashboard begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from grafana.generator.objectives import BUDGET_STEPS, SPENT, ratio_steps
from grafana.generator.panels import Steps, stat
from grafana.generator.queries import now
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.panels import Panel

NONE_IS_WELL: Final[Steps] = ((None, "green"), (1, "red"))


def newest_tick(**more: Any) -> Panel:
    """Show how old the newest tick is."""
    limit = threshold("tick_age_seconds")
    return stat(
        "Newest tick",
        "How old is the newest quote or trade, of the collector that is furthest behind, by the venue's time?",
        now("max(instance:tapekeeper_tick_age:seconds)", "age"),
        unit="s",
        steps=((None, "green"), (limit / 2, "orange"), (limit, "red")),
        alerts=("TicksStale", "TicksAbsent"),
        no_value="NONE",
        **more,
    )


def instruments_fresh(**more: Any) -> Panel:
    """Show the share of the instruments whose feed is verified."""
    return stat(
        "Instruments fresh",
        "How many of the instruments that are followed live have a verified feed?",
        now("1 - tapekeeper:freshness_errors:ratio", "fresh"),
        unit="percentunit",
        decimals=1,
        steps=ratio_steps("freshness_ratio"),
        alerts=("FreshnessBudgetBurn",),
        no_value="UNKNOWN",
        **more,
    )


def budget_left(title: str, question: str, expression: str, *, alerts: tuple[str, ...], **more: Any) -> Panel:
    """Show how much of a budget of errors is left."""
    return stat(
        title,
        question,
        now(expression, "left"),
        unit="percentunit",
        decimals=0,
        steps=BUDGET_STEPS,
        mappings=SPENT,
        alerts=alerts,
        no_value="UNKNOWN",
        unknown="orange",
        **more,
    )
