"""Rules about what alerts look at: a panel of it shows where the alert begins, and leads to its runbook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.observability.lint.dashboard import at
from tests.observability.lint.links import targets_of
from tests.observability.lint.promql import Use, parse, uses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.observability.lint.dashboard import Dashboard, Json
    from tests.observability.lint.project import Project

WITHOUT_PANEL: Final = frozenset({"Watchdog"})
"""Alerts that no panel leads to: this one is no trouble."""
_LIMIT: Final = re.compile(r"\btapekeeper:\w+:(threshold|objective)\b")


def the_line_of_the_alert_is_drawn(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """As steps, as words for values, or as the threshold's own series."""
    for panel, use in _uses(dashboard):
        if use.is_level and (alerts := project.alerts_on_level(use.metric)) and not _is_judged(panel):
            yield f"{at(panel)} shows {use.metric} without the line of {', '.join(sorted(alerts))}"


def the_line_is_where_the_alert_begins(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """A step that was typed by hand stays where it is when the threshold moves."""
    for panel, use in _uses(dashboard):
        steps, begins = _steps(panel), project.begins(use.metric) if use.is_level else set()
        if begins and steps and not begins & steps:
            yield f"{at(panel)} has steps at {sorted(steps)}, and an alert on {use.metric} begins at {sorted(begins)}"


def the_runbook_is_a_click_away(dashboard: Dashboard, project: Project) -> Iterator[str]:
    """From a panel of what an alert looks at."""
    for panel, use in _uses(dashboard):
        alerts = project.alerts_on_level(use.metric) if use.is_level else set()
        if use.counted_by:
            alerts |= project.alerts_on_growth(use.metric)
        linked = {project.runbooks.get(url) for url in targets_of(panel)}
        if alerts and not alerts & linked:
            yield f"{at(panel)} shows {use.metric} and leads to no runbook of {', '.join(sorted(alerts))}"


def every_alert_has_a_panel(dashboards: Sequence[Dashboard], project: Project) -> Iterator[str]:
    """From which its runbook can be reached: who is called looks at a dashboard first."""
    urls = {url for dashboard in dashboards for panel in dashboard.panels for url in targets_of(panel)}
    linked = {alert for url, alert in project.runbooks.items() if url in urls}
    yield from (
        f"no panel leads to the runbook of {alert}" for alert in sorted(set(project.alerts) - linked - WITHOUT_PANEL)
    )


def _uses(dashboard: Dashboard) -> Iterator[tuple[Json, Use]]:
    for query in dashboard.queries:
        if query.language == "promql" and query.panel is not None:
            try:
                parsed = parse(query.text)
            except ValueError:
                continue  # promql_can_be_read tells it
            for use in uses(parsed):
                yield query.panel, use


def _is_judged(panel: Json) -> bool:
    has_words = any(part.get("mappings") for part in _fields(panel))
    is_drawn = any(_LIMIT.search(target.get("expr", "")) for target in panel["targets"])
    return bool(_steps(panel)) or has_words or is_drawn


def _steps(panel: Json) -> set[float]:
    """Return where a colour begins, without the lowest one, which has no beginning."""
    told = [step["value"] for part in _fields(panel) for step in part.get("thresholds", {}).get("steps", [])]
    return {value for value in told if value is not None}


def _fields(panel: Json) -> list[Json]:
    """Return what is said of all fields of a panel, and of single ones."""
    config = panel.get("fieldConfig", {})
    overrides = [entry for part in config.get("overrides", []) for entry in part["properties"]]
    return [config.get("defaults", {}), *({entry["id"]: entry["value"]} for entry in overrides)]
