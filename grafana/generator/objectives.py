"""What the objectives over 30 days allow, and how much of it is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana.generator.panels import Steps
from grafana.generator.rules import threshold

if TYPE_CHECKING:
    from grafana.generator.queries import Json

BUDGET_STEPS: Final[Steps] = ((None, "red"), (0, "orange"), (0.25, "green"))
"""Colours of what is left of a budget."""
_SPENT: Final[Json] = {"from": None, "to": 0, "result": {"text": "SPENT", "color": "red", "index": 0}}
SPENT: Final[list[Json]] = [{"type": "range", "options": _SPENT}]
"""A word where nothing is left: by how much it is overspent changes nothing."""


def ratio_steps(name: str) -> Steps:
    """Give the colours of a ratio that has an objective: orange below it, red where that calls somebody.

    Args:
        name: `freshness_ratio` or `completeness_ratio`.
    """
    objective = threshold(name)
    worst = 1 - threshold("budget_burn_medium") * (1 - objective)
    return ((None, "red"), (round(worst, 6), "orange"), (objective, "green"))


def freshness_budget_left() -> str:
    """Ask for the share of the errors in freshness that is left, of 30 days or of what Prometheus remembers."""
    errors = "avg_over_time(tapekeeper:freshness_errors:ratio[30d])"
    return f"1 - {errors} / (1 - scalar(tapekeeper:freshness_ratio:objective))"


def completeness_budget_left() -> str:
    """Ask for the share of the errors in completeness that is left over the last 30 UTC days, by dataset."""
    errors = '(1 - max by (dataset) (tapekeeper_completeness_ratio{window="30d"}))'
    return f"1 - {errors} / (1 - scalar(tapekeeper:completeness_ratio:objective))"


def worst_budget_left() -> str:
    """Ask for the least of both."""
    return f"min(({freshness_budget_left()}) or ({completeness_budget_left()}))"
