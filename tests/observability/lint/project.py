"""What the rest of the project says, which dashboards have to agree with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.observability import catalogue
from tests.observability.lint.promql import Use, comparisons, parse, uses
from tests.observability.rules import RUNBOOKS, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.observability.lint.dashboard import Dashboard

_LIMIT = re.compile(r":(threshold|objective)\b")
_LIMIT_ALONE = re.compile(r"scalar\((tapekeeper:\w+:threshold)\{?\}?\)")


class Watched(NamedTuple):
    """What an alert looks at."""

    levels: frozenset[str]
    """Metrics whose value is compared as it is: a panel of one can draw the line."""
    counted: frozenset[str]
    """Counters whose growth is compared."""
    lines: frozenset[tuple[str, float]]
    """Levels and the number that each is compared with, as far as it is one of thresholds.yml."""

    def joined(self, other: Watched) -> Watched:
        """Return what both look at: an alert can have several rules."""
        return Watched(self.levels | other.levels, self.counted | other.counted, self.lines | other.lines)


@dataclass(frozen=True)
class Project:
    """The catalogue of metrics, the rules of Prometheus, and the other dashboards."""

    metrics: Mapping[str, catalogue.Told]
    """Of this project, by the names that a query uses."""
    airflow: frozenset[str]
    records: frozenset[str]
    """Names that recording rules make."""
    alerts: Mapping[str, Watched]
    runbooks: Mapping[str, str]
    """Alerts by the addresses of their runbooks, as far as there is a file."""
    windows: frozenset[tuple[str, float | None]]
    """Counters and the seconds over which an alert counts them."""
    dashboards: Mapping[str, frozenset[str]]
    """The names of the variables of each dashboard, by its uid."""

    def alerts_on_level(self, metric: str) -> set[str]:
        """Return the alerts that compare a metric's value."""
        return {name for name, watched in self.alerts.items() if metric in watched.levels}

    def begins(self, metric: str) -> set[float]:
        """Return the numbers from which on an alert about a metric's value fires; more than none is one."""
        return {line or 1.0 for watched in self.alerts.values() for name, line in watched.lines if name == metric}

    def alerts_on_growth(self, metric: str) -> set[str]:
        """Return the alerts that compare how fast a counter grows."""
        return {name for name, watched in self.alerts.items() if metric in watched.counted}


def project(dashboards: Iterable[Dashboard]) -> Project:
    """Read it all."""
    every_rule = rules()
    thresholds = {
        rule["record"]: float(rule["expr"].removeprefix("vector(").removesuffix(")"))
        for rule in every_rule
        if rule.get("record", "").endswith(":threshold")
    }
    alerts: dict[str, Watched] = {}
    windows: set[tuple[str, float | None]] = set()
    for rule in every_rule:
        found = list(uses(parse(rule["expr"])))
        windows |= {(use.metric, use.window) for use in found if use.counted_by}
        if "alert" in rule:
            told = _watched(rule, found, thresholds)
            before = alerts.get(rule["alert"], told)
            alerts[rule["alert"]] = before.joined(told)
    return Project(
        metrics=catalogue.own_metrics(),
        airflow=frozenset(catalogue.airflow_metrics()),
        records=frozenset(rule["record"] for rule in every_rule if "record" in rule),
        alerts=alerts,
        runbooks={
            rule["annotations"]["runbook_url"]: rule["alert"]
            for rule in every_rule
            if "alert" in rule and (RUNBOOKS / f"{rule['alert']}.md").is_file()
        },
        windows=frozenset(windows),
        dashboards={
            dashboard.document["uid"]: frozenset(told["name"] for told in dashboard.variables)
            for dashboard in dashboards
        },
    )


def _watched(rule: Mapping[str, Any], found: list[Use], thresholds: Mapping[str, float]) -> Watched:
    levels, lines = set(), set()
    for comparison, is_guard in comparisons(parse(rule["expr"])):
        is_state = str(comparison.op) == "==" and not is_guard
        if not is_state and not _LIMIT.search(comparison.rhs.prettify()):
            continue  # that there is anything at all is no line
        compared = list(uses(comparison.lhs))
        told = {use.metric for use in compared if use.is_level and len(compared) == 1}
        levels |= told
        if alone := _LIMIT_ALONE.fullmatch(comparison.rhs.prettify()):
            lines |= {(metric, thresholds[alone[1]]) for metric in told}
    counted = frozenset(use.metric for use in found if use.counted_by)
    return Watched(frozenset(levels), counted, frozenset(lines))
